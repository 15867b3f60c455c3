"""Reads images: all common formats, upright, in sRGB, keeping alpha and 16-bit depth."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from impasto.errors import ImpastoError, InputError
from impasto.media.picture import Picture
from impasto.media.source import check_source

__all__ = ["MOST_PIXELS", "SUFFIXES", "opened_picture", "read_image"]

MOST_PIXELS = 200_000_000
MOST_DPI = 100_000.0
"""Images with more pixels are rejected as possible decompression bombs."""

SUFFIXES = (
    ".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif", ".heic", ".heif",
)  # fmt: skip
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF")
"""Formats that Pillow may decode. It supports about forty more, including PostScript, which runs programs."""

HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
MOST_SCANS = 100
"""Maximum number of scans; a progressive JPEG has about ten."""

_PILLOW_LIMIT = threading.Lock()  # Pillow's pixel limit is global to the process
ORIENTATION = 0x0112
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip


def read_image(path: str | Path, *, max_pixels: int = MOST_PIXELS) -> Picture:
    """Reads an image. The format is determined from the contents, not the file name.

    Args:
        path: JPEG, PNG, WebP, TIFF, BMP, GIF (first frame), AVIF; HEIC with the ``heif`` extra.
        max_pixels: Maximum height times width.

    Returns:
        An upright (EXIF) sRGB (ICC) image, with alpha if the file has it, and 16 bits if the file has 16.

    Raises:
        MissingFileError: The file does not exist.
        InputError: The path is a folder, not an image, truncated or too large; the message says which.
    """
    path = Path(path)
    with opened_picture(path, max_pixels) as image:
        dpi = _resolution(image)
        return dataclasses.replace(_decode(path, image, max_pixels), dpi=dpi)


def _resolution(image: Image.Image) -> tuple[float, float] | None:
    """Returns the resolution in pixels per inch; None if the file has none, or one that makes no sense."""
    try:
        across, down = (float(value) for value in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    if not all(1 <= value <= MOST_DPI for value in (across, down)):
        return None
    return round(across, 2), round(down, 2)


@contextlib.contextmanager
def opened_picture(path: Path, max_pixels: int = MOST_PIXELS) -> Iterator[Image.Image]:
    """Opens an image in one of the `FORMATS` without decoding it.

    Errors raised by a decoder inside the block become an `InputError`, because libraries raise many kinds of errors
    for damaged files.

    Raises:
        MissingFileError: The file does not exist.
        InputError: The file is not an image, is too large, or turns out to be damaged inside the block.
    """
    check_source(path, "image")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with _identified(path, max_pixels) as image:
                _check_size(path, image.size, max_pixels)
                _check_scans(path, image)
                _check_stored(path, image)
                yield image
    except ImpastoError:
        raise
    except Image.DecompressionBombError as error:
        raise _too_large(path, "too many", max_pixels) from error
    except UnidentifiedImageError as error:
        raise InputError(f"{path} is not a readable image; {_hint(path)}.") from error
    except Exception as error:
        raise InputError(f"{path} is damaged or truncated; get a complete copy.") from error


def _identified(path: Path, max_pixels: int) -> Image.Image:
    formats: tuple[str, ...] = FORMATS
    if _is_heif(path):
        _register_heif(path)
        formats = ("HEIF",)
    with _PILLOW_LIMIT:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, max_pixels
        try:
            return Image.open(path, formats=formats)
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _is_heif(path: Path) -> bool:
    with path.open("rb") as file:
        header = file.read(64)
    return header[4:8] == b"ftyp" and header[8:12] in HEIF_BRANDS and b"avif" not in header


def _register_heif(path: Path) -> None:
    try:
        import pillow_heif
    except ImportError as error:
        raise InputError(
            f"{path} is HEIC, which requires an extra; install impasto[heif] or convert it to JPEG."
        ) from error
    pillow_heif.register_heif_opener()


def _hint(path: Path) -> str:
    if path.suffix.lower() in SUFFIXES:
        return "its contents do not match its extension"
    return "supported formats are JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF and HEIC"


def _check_scans(path: Path, image: Image.Image) -> None:
    """Rejects a progressive JPEG with so many scans that decoding would take minutes."""
    if image.format not in ("JPEG", "MPO"):
        return
    scans = path.read_bytes().count(b"\xff\xda")
    if scans > MOST_SCANS:
        raise InputError(
            f"{path} has {scans} JPEG scans, but the limit is {MOST_SCANS}; save it again as a regular JPEG."
        )


def _check_stored(path: Path, image: Image.Image) -> None:
    """Rejects an uncompressed TIFF or BMP with less than one bit for each pixel that it claims."""
    pixels = image.width * image.height
    raw = image.format in ("TIFF", "BMP") and image.info.get("compression") in ("raw", 0)
    if raw and path.stat().st_size < pixels // 8:
        raise InputError(
            f"{path} claims {image.width}x{image.height} pixels, but is too small to hold them; "
            "get a complete copy."
        )


def _check_size(path: Path, size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise InputError(f"{path} has no pixels ({width}x{height}); choose another image.")
    if width * height > max_pixels:
        raise _too_large(path, f"{width}x{height}", max_pixels)


def _too_large(path: Path, got: str, max_pixels: int) -> InputError:
    return InputError(
        f"{path} has {got} pixels, but the limit is {max_pixels / 1e6:g} million; resize it first."
    )


def _decode(path: Path, image: Image.Image, max_pixels: int) -> Picture:
    notes: list[str] = []
    if getattr(image, "is_animated", False):
        notes.append("only the first frame is used")
    turn = UPRIGHT.get(image.getexif().get(ORIENTATION, 1))
    profile = image.info.get("icc_profile")
    deep = _decode_deep(path, image, max_pixels)
    if deep is not None:
        return _finish_deep(path, deep, turn, profile, notes)
    image.load()
    image = ImageOps.exif_transpose(image)
    if turn is not None:
        notes.append("rotated according to its EXIF orientation")
    if profile:
        image = _to_srgb(image, profile, notes)
    elif image.mode == "CMYK":
        notes.append("CMYK without a color profile was converted with the standard formula")
    picture = Picture.from_pil(_plain_mode(image))
    return Picture(rgb=picture.rgb, alpha=picture.alpha, source=path, notes=tuple(notes))


def _plain_mode(image: Image.Image) -> Image.Image:
    """Converts the remaining deep modes (32-bit integers and floats), rescaled from their own value range."""
    if image.mode not in ("I", "F", "I;16", "I;16B", "I;16L"):
        return image
    values = np.asarray(image, dtype=np.float64)
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    scaled = (np.nan_to_num(values, nan=low, posinf=high, neginf=low) - low) / max(
        high - low, 1e-12
    )
    return Image.fromarray(np.round(scaled * 255).astype(np.uint8))


def _to_srgb(image: Image.Image, profile: bytes, notes: list[str]) -> Image.Image:
    """Converts to sRGB using the embedded profile; a damaged profile is noted and ignored."""
    alpha = image.getchannel("A") if "A" in image.getbands() else None
    if alpha is None and "transparency" in image.info:
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
    base = {"P": "RGB", "PA": "RGB", "RGBA": "RGB", "LA": "L", "1": "L"}.get(image.mode, image.mode)
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        name = _printable(ImageCms.getProfileDescription(source) or "") or "its profile"
        converted = ImageCms.profileToProfile(
            image.convert(base), source, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        notes.append("its color profile is damaged or does not match the image, and was ignored")
        return image
    if "srgb" not in name.lower():
        notes.append(f"converted from {name} to sRGB")
    assert converted is not None
    if alpha is not None:
        converted.putalpha(alpha)
    return converted


def _printable(text: str) -> str:
    """Returns text from a file in a form safe for terminals: short and without control characters."""
    return "".join(c for c in text if c.isprintable()).strip()[:60]


def _decode_deep(path: Path, image: Image.Image, max_pixels: int) -> np.ndarray | None:
    """Decodes 16-bit PNG and TIFF to uint16 ``(H, W, C)``; returns None for anything else."""
    if image.format == "PNG":
        with path.open("rb") as file:
            header = file.read(26)
        if len(header) < 26 or header[24] != 16:
            return None
        import imagecodecs

        pixels = imagecodecs.png_decode(path.read_bytes())
    elif image.format == "TIFF" and any(bits > 8 for bits in _tiff_bits(image)):
        pixels = _read_deep_tiff(path, max_pixels)
    else:
        return None
    if pixels.dtype != np.uint16 or pixels.ndim not in (2, 3):
        return None
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _read_deep_tiff(path: Path, max_pixels: int) -> np.ndarray:
    import tifffile

    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        if page.size > 4 * max_pixels:
            raise _too_large(path, f"{page.size // 4}", max_pixels)
        return np.asarray(page.asarray())


def _tiff_bits(image: Image.Image) -> tuple[int, ...]:
    bits = getattr(image, "tag_v2", {}).get(258, (8,))
    return bits if isinstance(bits, tuple) else (bits,)


def _finish_deep(
    path: Path, pixels: np.ndarray, turn: Image.Transpose | None, profile: bytes | None, notes: list[str]
) -> Picture:  # fmt: skip
    if pixels.shape[2] not in (1, 2, 3, 4):
        pixels = np.moveaxis(pixels, 0, 2)
    channels = pixels.shape[2]
    if channels not in (1, 2, 3, 4):
        raise OSError(f"{channels} channels")
    planes = pixels.astype(np.float32) / 65535
    alpha = planes[..., -1].copy() if channels in (2, 4) else None
    rgb = planes[..., :3] if channels >= 3 else np.repeat(planes[..., :1], 3, axis=2)
    if profile:
        rgb = _deep_to_srgb(rgb, profile, notes)
    if turn is not None:
        rgb, alpha = _turned(rgb, turn), None if alpha is None else _turned(alpha, turn)
        notes.append("rotated according to its EXIF orientation")
    return Picture(
        rgb=np.ascontiguousarray(rgb), alpha=alpha, bits=16, source=path, notes=tuple(notes)
    )


def _turned(array: np.ndarray, turn: Image.Transpose) -> np.ndarray:
    turns = {
        Image.Transpose.FLIP_LEFT_RIGHT: lambda a: a[:, ::-1],
        Image.Transpose.ROTATE_180: lambda a: a[::-1, ::-1],
        Image.Transpose.FLIP_TOP_BOTTOM: lambda a: a[::-1],
        Image.Transpose.TRANSPOSE: lambda a: a.swapaxes(0, 1),
        Image.Transpose.ROTATE_270: lambda a: np.rot90(a, -1),
        Image.Transpose.TRANSVERSE: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        Image.Transpose.ROTATE_90: lambda a: np.rot90(a, 1),
    }
    return np.ascontiguousarray(turns[turn](array))


def _deep_to_srgb(rgb: np.ndarray, profile: bytes, notes: list[str]) -> np.ndarray:
    """Converts 16-bit pixels to sRGB by adding the change computed at 8 bits, which preserves their depth.

    Pillow converts only 8 bits. The map from the source profile to sRGB is smooth, so the change at the rounded color
    is added to the original value.
    """
    rounded = np.round(rgb * 255).astype(np.uint8)
    before: list[str] = []
    converted = _to_srgb(Image.fromarray(rounded), profile, before)
    notes.extend(before)
    change = np.asarray(converted.convert("RGB"), dtype=np.float32) - rounded.astype(np.float32)
    return np.clip(rgb + change / 255, 0, 1)
