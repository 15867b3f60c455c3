"""An image as a value: pixels, alpha, and metadata about its source."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from impasto.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SHORTEST_PX", "Picture", "check_paintable", "pixels_to_tensor", "tensor_to_pixels"]

STRIP_ROWS = 256
"""Number of rows that are quantized at a time."""

SHORTEST_PX = 32
"""Minimum side length; smaller images vanish in the deepest layers."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """An sRGB image.

    Attributes:
        rgb: float32 ``(H, W, 3)`` in ``[0, 1]``, sRGB-encoded.
        alpha: float32 ``(H, W)`` in ``[0, 1]``, not premultiplied, or None.
        bits: Bits per channel of the source, 8 or 16.
        source: The file the image was read from.
        notes: Conversions applied while reading, one phrase each.
        dpi: Horizontal and vertical resolution in pixels per inch as stated by the source, or None.
    """

    rgb: np.ndarray
    alpha: np.ndarray | None = None
    bits: int = 8
    source: Path | None = None
    notes: tuple[str, ...] = ()
    dpi: tuple[float, float] | None = None

    @property
    def height_px(self) -> int:
        """Number of rows."""
        return int(self.rgb.shape[0])

    @property
    def width_px(self) -> int:
        """Number of columns."""
        return int(self.rgb.shape[1])

    def to_tensor(self) -> Tensor:
        """Returns a copy as float32 ``(1, 3, H, W)`` in ``[0, 1]``."""
        import torch

        return torch.from_numpy(self.rgb.transpose(2, 0, 1).copy())[None]

    @classmethod
    def from_tensor(
        cls,
        image: Tensor,
        *,
        alpha: np.ndarray | None = None,
        bits: int = 8,
        dpi: tuple[float, float] | None = None,
    ) -> Picture:
        """Creates an image from ``(1, 3, H, W)`` in ``[0, 1]``; the inverse of `to_tensor`."""
        rgb = image[0].permute(1, 2, 0).contiguous().numpy()  # (H, W, 3)
        return cls(rgb=rgb, alpha=alpha, bits=bits, dpi=dpi)

    @classmethod
    def from_pil(cls, image: Image.Image) -> Picture:
        """Creates an image from an 8-bit PIL image of any mode, including its transparency."""
        transparent = "A" in image.getbands() or "transparency" in image.info
        pixels = np.array(image.convert("RGBA" if transparent else "RGB"), dtype=np.float32)
        pixels /= 255  # in place: a copy of a large picture is a gigabyte
        rgb = np.ascontiguousarray(pixels[..., :3])
        return cls(rgb=rgb, alpha=pixels[..., 3].copy() if transparent else None)

    def to_pil(self) -> Image.Image:
        """Returns an 8-bit RGB or RGBA image."""
        return Image.fromarray(self.quantized(8))

    def quantized(self, bits: int) -> np.ndarray:
        """Returns uint8 or uint16 ``(H, W, 3)``, or ``(H, W, 4)`` with alpha."""
        most = (1 << bits) - 1
        channels = 3 if self.alpha is None else 4
        pixels = np.empty((*self.rgb.shape[:2], channels), np.uint8 if bits == 8 else np.uint16)
        for top in range(0, self.height_px, STRIP_ROWS):  # copies of a large image are gigabytes
            rows = slice(top, top + STRIP_ROWS)
            pixels[rows, :, :3] = np.round(self.rgb[rows] * most)
            if self.alpha is not None:
                pixels[rows, :, 3] = np.round(self.alpha[rows] * most)
        return pixels


def check_paintable(picture: Picture, role: str) -> None:
    """Checks that an image is large enough for the networks.

    Args:
        picture: The image.
        role: ``content`` or ``style``, used in the error message.

    Raises:
        InputError: A side is shorter than 32 px.
    """
    if min(picture.height_px, picture.width_px) < SHORTEST_PX:
        name = picture.source or f"the {role}"
        raise InputError(
            f"{name} is {picture.width_px}x{picture.height_px} px; a {role} image must be at least {SHORTEST_PX} px "
            "on each side, so enlarge it or choose another one."
        )


def pixels_to_tensor(pixels: np.ndarray) -> Tensor:
    """Converts uint8 or uint16 ``(H, W, 3)`` to float32 ``(1, 3, H, W)`` in ``[0, 1]``."""
    import torch

    most = np.iinfo(pixels.dtype).max
    return torch.from_numpy(pixels.transpose(2, 0, 1).astype(np.float32) / most)[None]


def tensor_to_pixels(image: Tensor, *, deep: bool) -> np.ndarray:
    """Converts float ``(1, 3, H, W)``, clamped to ``[0, 1]``, to ``(H, W, 3)`` of uint16 if ``deep``, else uint8."""
    most, kind = (65535, np.uint16) if deep else (255, np.uint8)
    values = image[0].detach().float().cpu().clamp(0, 1).permute(1, 2, 0).numpy()
    return np.round(values * most).astype(kind)
