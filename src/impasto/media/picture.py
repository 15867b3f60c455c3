"""A picture as a value: pixels, alpha, and what is known of where it came from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from impasto.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SHORTEST_PX", "Picture", "check_paintable", "pixels_to_tensor"]

SHORTEST_PX = 32
"""A picture with a shorter side has nothing for the deepest layers to see."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Pixels in sRGB.

    Attributes:
        rgb: float32 ``(H, W, 3)`` in ``[0, 1]``, sRGB-encoded.
        alpha: float32 ``(H, W)`` in ``[0, 1]``, not premultiplied, or None.
        bits: Bits a channel of the source, 8 or 16.
        source: The file it was read from.
        notes: What was done to it on reading, a sentence each.
    """

    rgb: np.ndarray
    alpha: np.ndarray | None = None
    bits: int = 8
    source: Path | None = None
    notes: tuple[str, ...] = ()

    @property
    def height_px(self) -> int:
        """Rows."""
        return int(self.rgb.shape[0])

    @property
    def width_px(self) -> int:
        """Columns."""
        return int(self.rgb.shape[1])

    def to_tensor(self) -> Tensor:
        """Gives float32 ``(1, 3, H, W)`` in ``[0, 1]``, a copy."""
        import torch

        return torch.from_numpy(self.rgb.transpose(2, 0, 1).copy())[None]

    @classmethod
    def from_tensor(
        cls, image: Tensor, *, alpha: np.ndarray | None = None, bits: int = 8
    ) -> Picture:
        """Takes ``(1, 3, H, W)`` in ``[0, 1]``: the reverse of `to_tensor`."""
        rgb = image[0].permute(1, 2, 0).contiguous().numpy()  # (H, W, 3)
        return cls(rgb=rgb, alpha=alpha, bits=bits)

    @classmethod
    def from_pil(cls, image: Image.Image) -> Picture:
        """Takes an 8-bit PIL image of any mode, with its transparency."""
        transparent = "A" in image.getbands() or "transparency" in image.info
        pixels = np.array(image.convert("RGBA" if transparent else "RGB"), dtype=np.float32)
        pixels /= 255  # in place: a copy of a large picture is a gigabyte
        rgb = np.ascontiguousarray(pixels[..., :3])
        return cls(rgb=rgb, alpha=pixels[..., 3].copy() if transparent else None)

    def to_pil(self) -> Image.Image:
        """Gives an 8-bit RGB or RGBA image."""
        return Image.fromarray(self.quantized(8))

    def quantized(self, bits: int) -> np.ndarray:
        """Gives uint8 or uint16 ``(H, W, 3)``, or ``(H, W, 4)`` with alpha."""
        most = (1 << bits) - 1
        planes = self.rgb if self.alpha is None else np.dstack([self.rgb, self.alpha])
        return np.round(planes * most).astype(np.uint8 if bits == 8 else np.uint16)


def check_paintable(picture: Picture, role: str) -> None:
    """Refuses a picture that is too small for the networks.

    Args:
        picture: The picture.
        role: ``content`` or ``style``, for the sentence.

    Raises:
        InputError: A side is shorter than 32 px.
    """
    if min(picture.height_px, picture.width_px) < SHORTEST_PX:
        name = picture.source or f"the {role}"
        raise InputError(
            f"{name} is {picture.width_px}x{picture.height_px} px; a {role} needs at least {SHORTEST_PX} px on "
            "each side, so enlarge it or take another."
        )


def pixels_to_tensor(pixels: np.ndarray) -> Tensor:
    """Turns ``(H, W, 3)`` of uint8 or uint16 into float32 ``(1, 3, H, W)`` in ``[0, 1]``."""
    import torch

    most = np.iinfo(pixels.dtype).max
    return torch.from_numpy(pixels.transpose(2, 0, 1).astype(np.float32) / most)[None]
