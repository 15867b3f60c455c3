"""Untrusted images and videos: the smallest case of each class of failure that was found."""

from __future__ import annotations

import os
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from impasto.errors import InputError, MissingFileError
from impasto.media import find_images, read_image, read_metadata
from impasto.media.video import open_clip, read_film_metadata

pytest.importorskip("av")


def postscript(path: Path, program: str, side: int = 64) -> Path:
    path.write_text(
        f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 {side} {side}\n%%EndComments\n{program}\nshowpage\n"
    )
    return path


def png_claiming(path: Path, width: int, height: int) -> Path:
    """Writes a valid PNG whose declared size far exceeds its few pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n"
    for name, body in ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(99))), (b"IEND", b"")):
        data += (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", ["photo.png", "photo.eps", "photo.jpg"])
def test_postscript_is_never_run(tmp_path, name):
    witness = tmp_path / "written"
    path = postscript(tmp_path / name, f"({witness}) (w) file closefile")
    for read in (read_image, read_metadata):
        with pytest.raises(InputError, match="not a readable image"):
            read(path)
    assert not witness.exists()


def test_a_program_that_never_ends_is_not_started(tmp_path):
    with pytest.raises(InputError, match="not a readable image"):
        read_image(postscript(tmp_path / "loop.png", "{} loop", side=13_000))


@pytest.mark.parametrize(
    "kind", ["PPM", "TGA", "ICO", "PCX", "SGI", "JPEG2000", "DDS", "ICNS", "PDF"]
)
def test_only_formats_of_the_list_are_opened(tmp_path, kind):
    path = tmp_path / "photo.png"
    Image.new("RGB", (64, 64), "red").save(path, format=kind)
    with pytest.raises(InputError, match="not a readable image"):
        read_image(path)


def test_the_contents_decide_and_not_the_name(tmp_path):
    Image.new("RGB", (64, 64), "red").save(tmp_path / "photo.jpg", format="PNG")
    assert read_image(tmp_path / "photo.jpg").rgb.shape == (64, 64, 3)


def test_pixels_are_counted_before_they_are_decoded(tmp_path):
    with pytest.raises(InputError, match=r"20000x10001 pixels, but the limit is 200 million"):
        read_image(png_claiming(tmp_path / "a.png", 20_000, 10_001))
    with pytest.raises(InputError, match="too many pixels, but the limit is 200 million"):
        read_image(png_claiming(tmp_path / "b.png", 2**31 - 1, 2**31 - 1))


def test_up_to_two_hundred_million_pixels_are_read_whatever_pillow_thinks(tmp_path):
    before = Image.MAX_IMAGE_PIXELS
    Image.new("1", (19_000, 10_000)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="19000x10000 pixels, but the limit is 150 million"):
        read_image(tmp_path / "a.png", max_pixels=150_000_000)
    # 190 million pixels, which Pillow rejects by default, reach the decoder.
    with pytest.raises(InputError, match="damaged or truncated"):
        read_image(png_claiming(tmp_path / "b.png", 190_000_000, 1))
    assert before == Image.MAX_IMAGE_PIXELS


def test_a_jpeg_of_a_thousand_passes_is_refused(tmp_path):
    path = tmp_path / "a.jpg"
    Image.new("RGB", (64, 64), "red").save(path, progressive=True)
    scan = path.read_bytes()
    path.write_bytes(scan[:-2] + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" * 1000 + scan[-2:])
    with pytest.raises(InputError, match="JPEG scans, but the limit is 100"):
        read_image(path)


@pytest.mark.parametrize(
    ("tag", "kind", "value"), [(256, 4, 0), (258, 3, 77), (262, 3, 999), (273, 4, 2**31), (277, 3, 0)]
)  # fmt: skip
def test_a_tiff_with_a_tag_that_lies(tmp_path, tag, kind, value):
    path = tmp_path / "a.tif"
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(path)
    data = bytearray(path.read_bytes())
    start = struct.unpack_from("<I", data, 4)[0]
    entries = struct.unpack_from("<H", data, start)[0]
    for at in range(start + 2, start + 2 + 12 * entries, 12):
        if struct.unpack_from("<H", data, at)[0] == tag:
            struct.pack_into("<HII", data, at + 2, kind, 1, value)
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"a\.tif"):
        read_image(path)


@pytest.mark.parametrize("kind", ["tif", "bmp"])
def test_pixels_that_a_file_cannot_hold_are_not_made(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    Image.new("RGB", (40, 40)).save(path)
    data = bytearray(path.read_bytes())
    if kind == "bmp":
        struct.pack_into("<ii", data, 18, 12_000, 12_000)
    else:
        start = struct.unpack_from("<I", data, 4)[0]
        for at in range(start + 2, start + 2 + 12 * struct.unpack_from("<H", data, start)[0], 12):
            if struct.unpack_from("<H", data, at)[0] == 256:
                struct.pack_into("<HII", data, at + 2, 4, 1, 2_000_000)
    path.write_bytes(data)
    with pytest.raises(InputError, match="too small to hold them"):
        read_image(path)


def test_control_characters_of_a_profile_do_not_reach_the_terminal(tmp_path):
    from impasto.media.write import _srgb

    profile = bytearray(_srgb())
    while (at := profile.find("sRGB".encode("utf-16-be"))) >= 0:
        profile[at : at + 8] = "\x1b[2J".encode("utf-16-be")
    while (at := profile.find(b"sRGB built-in")) >= 0:
        profile[at : at + 4] = b"\x1b[2J"
    Image.new("RGB", (64, 64), "red").save(tmp_path / "a.png", icc_profile=bytes(profile))
    assert all(note.isprintable() for note in read_image(tmp_path / "a.png").notes)


@pytest.mark.skipif(
    sys.platform != "linux", reason="needs a file system that allows any bytes in names"
)
def test_names_that_are_not_utf8_are_refused(tmp_path):
    name = os.fsdecode(os.fsencode(tmp_path) + b"/o\xff.png")
    Image.new("RGB", (64, 64)).save(name)
    for read in (read_image, open_clip, lambda path: find_images([Path(path).parent])):
        with pytest.raises(InputError, match="not UTF-8; rename the file") as caught:
            read(name)
        str(caught.value).encode()


def test_names_beyond_the_limit_of_the_system(tmp_path):
    with pytest.raises(InputError, match="cannot be opened"):
        read_image(tmp_path / f"{'n' * 300}.png")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipes_and_devices_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    for read in (read_image, open_clip):
        with pytest.raises(InputError, match="pipe or device"):
            read(tmp_path / "pipe.png")


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{other}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '{other}'\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    ],
    ids=["hls", "concat", "sdp"],
)
def test_a_film_opens_no_other_file_and_no_address(tmp_path, a_film, text):
    path = tmp_path / "film.mp4"
    path.write_text(text.format(other=a_film))
    for read in (open_clip, read_film_metadata):
        with pytest.raises(InputError, match="not a readable video"):
            read(path)


@pytest.mark.parametrize("name", ["concat:a.mp4", "50% off.mp4", "a:b.mp4", "100%d.mp4"])
def test_names_that_look_like_something_else(tmp_path, a_film, name):
    path = tmp_path / name
    path.write_bytes(a_film.read_bytes())
    assert open_clip(path).info.width_px == 64


def test_a_percent_sign_without_a_number(tmp_path):
    with pytest.raises(MissingFileError, match="does not exist"):
        open_clip(tmp_path / "50%.mp4")


def test_tags_of_a_film_that_are_not_utf8(tmp_path, a_film):
    data = a_film.read_bytes()
    assert b"A title" in data
    (tmp_path / "b.mp4").write_bytes(data.replace(b"A title", b"A t\xff\xfele"))
    clip = open_clip(tmp_path / "b.mp4")
    assert len(list(clip.frames((64, 64)))) == 3
    assert read_film_metadata(tmp_path / "b.mp4") == {}


@pytest.fixture
def a_film(tmp_path) -> Path:
    import av

    path = tmp_path / "source.mp4"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "A title"
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for shade in (0, 90, 180):
            frame = av.VideoFrame.from_ndarray(
                np.full((64, 64, 3), shade, np.uint8), format="rgb24"
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
