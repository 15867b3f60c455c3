"""Writes images atomically, in sRGB, with the settings of the run as metadata."""

from __future__ import annotations

import difflib
import functools
import io
import json
import os
import struct
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

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
        picture = Picture(rgb=picture.rgb * cover + (1 - cover), bits=picture.bits)
    text = json.dumps(dict(metadata or OWN))
    with replacing(path) as beside:
        _encode(beside, suffix, picture.quantized(depth), quality, subsampling, text)
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
    path: Path, suffix: str, pixels: np.ndarray, quality: int, subsampling: str, text: str
) -> None:
    if suffix in (".tif", ".tiff"):
        _write_tiff(path, pixels, text)
    elif suffix == ".png" and pixels.dtype == np.uint16:
        path.write_bytes(_deep_png(pixels, text))
    else:
        _write_pil(path, suffix, Image.fromarray(pixels), quality, subsampling, text)


def _write_pil(
    path: Path, suffix: str, image: Image.Image, quality: int, subsampling: str, text: str
) -> None:
    options: dict[str, object] = {}
    if suffix in (".jpg", ".jpeg"):
        options = {"quality": quality, "subsampling": subsampling, "optimize": True}
    elif suffix in (".webp", ".avif"):
        options = {"quality": quality}
    if suffix in (".jpg", ".jpeg", ".png", ".webp", ".avif"):
        options["icc_profile"] = _srgb()
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


def _write_tiff(path: Path, pixels: np.ndarray, text: str) -> None:
    import tifffile

    extra = ["unassalpha"] if pixels.shape[2] == 4 else None
    tifffile.imwrite(
        path, pixels, photometric="rgb", extrasamples=extra, compression="zlib", predictor=True,
        iccprofile=_srgb(), description=MARK + text, metadata=None, software="impasto",
    )  # fmt: skip


def _deep_png(pixels: np.ndarray, text: str) -> bytes:
    """Encodes a 16-bit color PNG, which Pillow does not write; rows are stored as differences (filter 1)."""
    height, width, channels = pixels.shape
    rows = pixels.astype(">u2").view(np.uint8).reshape(height, -1)  # (H, W * channels * 2)
    step = channels * 2
    differences = rows.copy()
    differences[:, step:] -= rows[:, :-step]
    filtered = np.concatenate([np.ones((height, 1), np.uint8), differences], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 16, 6 if channels == 4 else 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"iCCP", b"sRGB\0\0" + zlib.compress(_srgb()))]
    chunks.append((b"iTXt", b"impasto\0\0\0\0\0" + text.encode()))
    chunks += [(b"IDAT", zlib.compress(filtered.tobytes(), 6)), (b"IEND", b"")]
    out = io.BytesIO(b"\x89PNG\r\n\x1a\n")
    out.seek(0, io.SEEK_END)
    for name, body in chunks:
        out.write(
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )
    return out.getvalue()


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
