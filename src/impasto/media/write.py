"""Writes images atomically, in sRGB, with the settings of the run as metadata."""

from __future__ import annotations

import difflib
import functools
import json
import os
import shutil
import struct
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO

import numpy as np
from PIL import ExifTags, Image, ImageCms, PngImagePlugin

from impasto.errors import OutputError, UsageError
from impasto.media.picture import Picture
from impasto.media.read import opened_picture
from impasto.media.replace import replacing

__all__ = [
    "WRITABLE",
    "check_output",
    "check_place",
    "check_space",
    "check_suffix",
    "make_folder",
    "read_metadata",
    "write_image",
]

WRITABLE = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif")
WITH_ALPHA = (".png", ".webp", ".tif", ".tiff", ".avif")
FORMATS = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".png": "PNG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".gif": "GIF",
    ".avif": "AVIF",
}
DEEP = (".png", ".tif", ".tiff")
SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0")
Resolution = tuple[float, float]
METERS_PER_INCH = 0.0254
PNG_STRIP_ROWS = 256
MOST_TIFF_BYTES = 2**32 - 2**25
"""Largest size of the pixels of a classic TIFF file; larger ones are BigTIFF."""

LEAST_COMPRESSION = 0.3
"""Size of an image file relative to its pixels that a painting hardly ever falls below."""

PROFILE_DATE = (2000, 1, 1, 0, 0, 0)
MARK = "impasto:"
"""Prefix of the settings in EXIF, GIF and TIFF text, which distinguishes them from other text."""

OWN = {"impasto": "{}"}
"""Metadata of an image without settings, so that later runs know that they may replace it."""


def check_output(path: str | Path) -> None:
    """Checks that an image can be written to a path, before any work starts.

    Raises:
        UsageError: The extension is not a supported format.
        OutputError: The folder does not exist or is not writable, or the path is a folder.
    """
    path = Path(path)
    check_suffix(path, WRITABLE)
    check_place(path, "image")


def check_suffix(path: Path, allowed: Iterable[str]) -> str:
    """Returns the extension of a file name in lower case.

    Raises:
        UsageError: The extension is not allowed.
    """
    suffix, names = path.suffix.lower(), list(allowed)
    if suffix not in names:
        near = difflib.get_close_matches(suffix, names, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UsageError(
            f"{path.name!r} has {f'the extension {suffix}' if suffix else 'no extension'}; "
            f"allowed are {', '.join(names)}.{hint}"
        )
    return suffix


def check_place(path: Path, kind: str) -> None:
    """Checks that a file can be written to a path.

    Args:
        path: The destination.
        kind: What is written, used in the error message.

    Raises:
        OutputError: The folder does not exist or is not writable, or the path is a folder.
    """
    folder = path.absolute().parent
    if not folder.is_dir():
        raise OutputError(f"the folder {folder} for {path.name} does not exist; create it first.")
    if path.is_dir():
        raise OutputError(f"{path} is a folder; pass a file name for the {kind}.")
    if not os.access(folder, os.W_OK):
        raise OutputError(f"no permission to write to {folder}; choose another folder.")


def check_space(path: Path, size: tuple[int, int], bits: int = 8) -> None:
    """Checks that the disk has room for an image, before any work starts.

    Args:
        path: The destination.
        size: Height and width in pixels.
        bits: Bits per channel.

    Raises:
        OutputError: The disk is too small even if the image compresses well.
    """
    lossless = path.suffix.lower() in (".png", ".tif", ".tiff", ".bmp")
    share = LEAST_COMPRESSION if lossless else LEAST_COMPRESSION / 10
    need = size[0] * size[1] * 3 * bits / 8 * share
    free = shutil.disk_usage(path.absolute().parent).free
    if free < need:
        raise OutputError(
            f"{path.name} with {size[1]}x{size[0]} px needs at least {need / 2**20:.0f} MiB, but the disk has "
            f"{free / 2**20:.0f} MiB free; free some space or choose another folder."
        )


def write_image(
    path: str | Path,
    picture: Picture,
    *,
    quality: int = 92,
    subsampling: str = "4:4:4",
    bits: int | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Writes an image; the extension determines the format.

    Args:
        path: The destination.
        picture: The image; it is blended onto white if the format does not support alpha.
        quality: 1 to 100, for JPEG, WebP and AVIF.
        subsampling: Chroma subsampling of JPEG: ``4:4:4``, ``4:2:2`` or ``4:2:0``.
        bits: 8, or 16 for PNG and TIFF; by default the image's own depth if the format supports it.
        metadata: Strings by name, readable with `read_metadata`; by default only impasto's marker.

    Returns:
        The path.

    Raises:
        UsageError: The format, subsampling or bit depth is not supported.
        OutputError: The file cannot be written; no partial file is left.
    """
    path = Path(path)
    check_output(path)
    suffix = path.suffix.lower()
    depth = bits or (picture.bits if suffix in DEEP else 8)
    if depth not in (8, 16) or (depth == 16 and suffix not in DEEP):
        raise UsageError(
            f"{path.name} does not support {depth} bits; 16 bits require .png or .tif, all others use 8."
        )
    if subsampling not in SUBSAMPLINGS:
        raise UsageError(
            f"subsampling must be one of {', '.join(SUBSAMPLINGS)}; got {subsampling!r}."
        )
    if suffix not in WITH_ALPHA and picture.alpha is not None:
        cover = picture.alpha[..., None]
        picture = Picture(rgb=picture.rgb * cover + (1 - cover), bits=picture.bits, dpi=picture.dpi)
    text = json.dumps(dict(metadata or OWN))
    with replacing(path) as beside:
        pixels = picture.quantized(depth)
        _encode(beside, suffix, pixels, (quality, subsampling), text, picture.dpi)
    return path


@functools.cache
def _srgb() -> bytes:
    """Returns the sRGB profile with a fixed date and no ID, so that identical images give identical files.

    ICC.1:2022, section 7.2: the creation date and time are bytes 24 to 35, the profile ID is bytes 84 to 99.
    """
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = struct.pack(">6H", *PROFILE_DATE)
    profile[84:100] = bytes(16)
    return bytes(profile)


def _encode(
    path: Path,
    suffix: str,
    pixels: np.ndarray,
    how: tuple[int, str],
    text: str,
    dpi: Resolution | None,
) -> None:
    """Writes pixels; ``how`` is the quality and the chroma subsampling."""
    if suffix in (".tif", ".tiff"):
        _write_tiff(path, pixels, text, dpi)
    elif suffix == ".png" and pixels.dtype == np.uint16:
        _write_deep_png(path, pixels, text, dpi)
    else:
        _write_pil(path, suffix, Image.fromarray(pixels), how, text, dpi)


def _write_pil(
    path: Path,
    suffix: str,
    image: Image.Image,
    how: tuple[int, str],
    text: str,
    dpi: Resolution | None,
) -> None:
    options: dict[str, object] = {}
    if suffix in (".jpg", ".jpeg"):
        options = {"quality": how[0], "subsampling": how[1], "optimize": True}
    elif suffix in (".webp", ".avif"):
        options = {"quality": how[0]}
    if suffix in (".jpg", ".jpeg", ".png", ".webp", ".avif"):
        options["icc_profile"] = _srgb()
    if dpi is not None and suffix in (".jpg", ".jpeg", ".png", ".bmp"):
        options["dpi"] = dpi
    options |= _text_options(suffix, text)
    with path.open("wb") as file:
        image.save(file, format=FORMATS[suffix], **options)


def _text_options(suffix: str, text: str) -> dict[str, object]:
    if suffix == ".png":
        info = PngImagePlugin.PngInfo()
        info.add_itxt("impasto", text)
        return {"pnginfo": info}
    if suffix == ".gif":
        return {"comment": (MARK + text).encode()}
    if suffix == ".bmp":
        return {}
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = MARK + text
    exif[ExifTags.Base.Software] = "impasto"
    return {"exif": exif}


def _write_tiff(path: Path, pixels: np.ndarray, text: str, dpi: Resolution | None) -> None:
    import tifffile

    extra = ["unassalpha"] if pixels.shape[2] == 4 else None
    tifffile.imwrite(
        path, pixels, photometric="rgb", extrasamples=extra, compression="zlib", predictor=True,
        iccprofile=_srgb(), description=MARK + text, metadata=None, software="impasto",
        bigtiff=pixels.nbytes > MOST_TIFF_BYTES,
        resolution=dpi, resolutionunit=None if dpi is None else "INCH",
    )  # fmt: skip


def _write_deep_png(path: Path, pixels: np.ndarray, text: str, dpi: Resolution | None) -> None:
    """Writes a 16-bit color PNG, which Pillow does not; rows are stored as differences (filter 1)."""
    height, width, channels = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 16, 6 if channels == 4 else 2, 0, 0, 0)
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        _write_chunk(file, b"IHDR", header)
        _write_chunk(file, b"iCCP", b"sRGB\0\0" + zlib.compress(_srgb()))
        if dpi is not None:
            across, down = (round(value / METERS_PER_INCH) for value in dpi)
            _write_chunk(file, b"pHYs", struct.pack(">IIB", across, down, 1))
        _write_chunk(file, b"iTXt", b"impasto\0\0\0\0\0" + text.encode())
        packer = zlib.compressobj(6)
        for top in range(0, height, PNG_STRIP_ROWS):
            body = packer.compress(_filtered(pixels[top : top + PNG_STRIP_ROWS]))
            if top + PNG_STRIP_ROWS >= height:
                body += packer.flush()
            if body:
                _write_chunk(file, b"IDAT", body)
        _write_chunk(file, b"IEND", b"")


def _filtered(pixels: np.ndarray) -> bytes:
    """Returns rows of 16-bit pixels as differences, each row after the number of the filter."""
    rows = pixels.astype(">u2").view(np.uint8).reshape(len(pixels), -1)  # (H, W * channels * 2)
    step = pixels.shape[2] * 2
    filtered = np.ones((rows.shape[0], rows.shape[1] + 1), np.uint8)
    filtered[:, 1:] = rows
    filtered[:, 1 + step :] -= rows[:, :-step]
    return filtered.tobytes()


def _write_chunk(file: IO[bytes], name: bytes, body: bytes) -> None:
    """Writes a chunk of a PNG file with its length and checksum."""
    checksum = zlib.crc32(body, zlib.crc32(name))
    file.write(struct.pack(">I", len(body)) + name)
    file.write(body)
    file.write(struct.pack(">I", checksum))


def make_folder(path: Path) -> None:
    """Creates an output folder and its parents.

    Raises:
        OutputError: The folder cannot be created.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be created ({error.strerror}); choose another location."
        ) from error


def read_metadata(path: str | Path) -> dict[str, str]:
    """Reads the strings that `write_image` stored; empty if there are none.

    Raises:
        InputError: The file is not a readable image.
    """
    with opened_picture(Path(path)) as image:
        if image.format == "PNG":
            if "impasto" not in image.info:
                image.load()  # text chunks may follow the pixels
            text = image.info.get("impasto", "")
        elif image.format == "GIF":
            text = _marked(image.info.get("comment", b"").decode(errors="replace"))
        elif image.format == "TIFF":
            text = _marked(str(getattr(image, "tag_v2", {}).get(270, "")))
        else:
            text = _marked(str(image.getexif().get(ExifTags.Base.ImageDescription, "")))
    try:
        values = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    if not isinstance(values, dict):
        return {}
    return {str(k): str(v) for k, v in values.items()}


def _marked(text: str) -> str:
    return text.removeprefix(MARK) if text.startswith(MARK) else ""
