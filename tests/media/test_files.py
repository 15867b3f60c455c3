"""Image files: every format, mode and depth; what is preserved, and what is rejected with one sentence."""

from __future__ import annotations

import dataclasses
import os
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from impasto.errors import ImpastoError, InputError, MissingFileError, OutputError, UsageError
from impasto.media import (
    Picture,
    check_output,
    check_paintable,
    check_space,
    find_images,
    read_image,
    read_metadata,
    write_image,
)


@pytest.fixture
def pixels():
    y, x = np.mgrid[0:48, 0:64]
    return np.stack([x * 4, y * 5, 255 - x * 3], axis=2).astype(np.uint8)


@pytest.fixture
def picture(pixels):
    return Picture(rgb=pixels.astype(np.float32) / 255)


def one_sentence(error: ImpastoError) -> None:
    text = str(error)
    assert "\n" not in text
    assert len(text) < 400
    assert error.exit_code != 0


# --- round trips ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".jpg", ".webp", ".gif", ".avif"])
def test_formats_come_back(tmp_path, picture, suffix):
    path = write_image(tmp_path / f"a{suffix}", picture, quality=98)
    again = read_image(path)
    assert again.rgb.shape == picture.rgb.shape
    worst = {".png": 1e-6, ".tif": 1e-6, ".bmp": 1e-6, ".gif": 0.2}.get(suffix, 0.1)
    assert np.abs(again.rgb - picture.rgb).max() <= worst
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("with_alpha", [False, True])
def test_sixteen_bits_come_back_exactly(tmp_path, suffix, with_alpha):
    rng = np.random.default_rng(0)
    values = rng.integers(0, 65536, (20, 30, 4 if with_alpha else 3)).astype(np.uint16)
    planes = values.astype(np.float32) / 65535
    picture = Picture(rgb=planes[..., :3], alpha=planes[..., 3] if with_alpha else None, bits=16)
    again = read_image(write_image(tmp_path / f"a{suffix}", picture))
    assert again.bits == 16
    assert np.array_equal(again.quantized(16), values)


def test_sixteen_bit_png_is_one_that_others_read(tmp_path):
    values = np.random.default_rng(1).integers(0, 65536, (9, 7, 3)).astype(np.uint16)
    path = write_image(tmp_path / "a.png", Picture(rgb=values.astype(np.float32) / 65535, bits=16))
    assert np.array_equal(imagecodecs.png_decode(path.read_bytes()), values)
    with Image.open(path) as image:
        image.verify()


def test_gray_sixteen_bit_and_compressed_tiff(tmp_path):
    gray = np.arange(0, 65536, 64, dtype=np.uint16).reshape(32, 32)
    (tmp_path / "g.png").write_bytes(imagecodecs.png_encode(gray))
    tifffile.imwrite(tmp_path / "g.tif", gray, compression="lzw")
    for name in ("g.png", "g.tif"):
        found = read_image(tmp_path / name)
        assert found.bits == 16
        assert np.array_equal(found.quantized(16)[..., 1], gray)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "CMYK", "RGBA", "I;16"])
def test_modes(tmp_path, pixels, mode):
    image = Image.fromarray(pixels)
    image = (
        Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
        if mode == "I;16"
        else image.convert(mode)
    )
    path = tmp_path / ("a.tif" if mode in ("CMYK", "I;16") else "a.png")
    image.save(path)
    found = read_image(path)
    assert found.rgb.shape == (48, 64, 3)
    assert found.rgb.std() > 0.05
    assert (found.alpha is not None) == (mode in ("LA", "RGBA"))


def test_transparency_of_a_palette(tmp_path, pixels):
    image = Image.fromarray(pixels).quantize(16)
    image.info["transparency"] = 0
    image.save(tmp_path / "a.png", transparency=0)
    alpha = read_image(tmp_path / "a.png").alpha
    assert alpha is not None
    assert set(np.unique(alpha)) == {0.0, 1.0}


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif", ".avif"])
def test_alpha_is_carried_where_the_format_has_it(tmp_path, picture, suffix):
    alpha = np.linspace(0.5, 1, 48 * 64, dtype=np.float32).reshape(48, 64)
    path = write_image(tmp_path / f"a{suffix}", Picture(rgb=picture.rgb, alpha=alpha), quality=95)
    found = read_image(path).alpha
    assert found is not None
    assert np.abs(found - alpha).max() < 0.05


def test_alpha_is_laid_on_white_where_it_is_not(tmp_path, picture):
    clear = Picture(rgb=picture.rgb, alpha=np.zeros((48, 64), np.float32))
    assert read_image(write_image(tmp_path / "a.jpg", clear)).rgb.min() > 0.98


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, pixels, orientation):
    upright = Image.fromarray(pixels)
    undo = {
        1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270,
    }[orientation]  # fmt: skip
    stored = upright if undo is None else upright.transpose(undo)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "a.png").quantized(8), pixels)
    deep = np.asarray(stored).astype(np.uint16) * 257
    tifffile.imwrite(
        tmp_path / "a.tif", deep, photometric="rgb", extratags=[(274, "H", 1, orientation, True)]
    )
    assert np.array_equal(read_image(tmp_path / "a.tif").quantized(8), pixels)


def test_an_icc_profile_is_converted(tmp_path, pixels):
    lab = ImageCms.createProfile("LAB")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = ImageCms.profileToProfile(
        Image.fromarray(pixels), ImageCms.createProfile("sRGB"), lab, outputMode="LAB"
    )
    image.save(tmp_path / "lab.tif", icc_profile=ImageCms.ImageCmsProfile(lab).tobytes())
    found = read_image(tmp_path / "lab.tif")
    assert np.abs(found.rgb - pixels / 255).mean() < 0.03
    assert any("converted from" in note for note in found.notes)
    Image.fromarray(pixels).save(tmp_path / "s.png", icc_profile=profile)
    assert read_image(tmp_path / "s.png").notes == ()


def test_a_damaged_profile_is_told_and_passed_over(tmp_path, pixels):
    Image.fromarray(pixels).save(tmp_path / "a.png", icc_profile=b"rubbish" * 30)
    found = read_image(tmp_path / "a.png")
    assert np.array_equal(found.quantized(8), pixels)
    assert "damaged" in found.notes[0]


def test_an_srgb_profile_is_written(tmp_path, picture):
    for suffix in (".png", ".jpg", ".tif", ".webp"):
        with Image.open(write_image(tmp_path / f"a{suffix}", picture)) as image:
            profile = image.info.get("icc_profile")
        assert profile, suffix
        assert ImageCms.ImageCmsProfile(__import__("io").BytesIO(profile))


def test_the_first_frame_of_a_film_is_taken(tmp_path, pixels):
    frames = [Image.fromarray(pixels), Image.fromarray(255 - pixels)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    found = read_image(tmp_path / "a.gif")
    assert np.abs(found.rgb - pixels / 255).mean() < 0.05
    assert "only the first frame" in found.notes[0]


def test_jpeg_quality_and_subsampling(tmp_path, picture):
    small = write_image(tmp_path / "a.jpg", picture, quality=20).stat().st_size
    large = write_image(tmp_path / "b.jpg", picture, quality=95).stat().st_size
    assert small < large
    from PIL import JpegImagePlugin

    for text, number in (("4:4:4", 0), ("4:2:0", 2)):
        with Image.open(write_image(tmp_path / "c.jpg", picture, subsampling=text)) as image:
            assert JpegImagePlugin.get_sampling(image) == number


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".avif", ".gif"])
@pytest.mark.parametrize("bits", [8, 16])
def test_metadata_comes_back(tmp_path, picture, suffix, bits):
    if bits == 16 and suffix not in (".png", ".tif"):
        pytest.skip("8 bits only")
    path = write_image(
        tmp_path / f"a{suffix}", picture, bits=bits, metadata={"impasto": '{"seed": 3, "é": 1}'}
    )
    assert read_metadata(path) == {"impasto": '{"seed": 3, "é": 1}'}


def test_other_peoples_texts_are_left_alone(tmp_path, pixels):
    exif = Image.Exif()
    exif[270] = "a holiday"
    Image.fromarray(pixels).save(tmp_path / "a.jpg", exif=exif)
    assert read_metadata(tmp_path / "a.jpg") == {}


# --- rejected ---------------------------------------------------------------------------------------------
def make_bad(folder, kind, pixels):
    path = folder / f"{kind}.png"
    if kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("not a picture")
    elif kind == "truncated":
        Image.fromarray(pixels).resize((640, 480)).save(path)
        path.write_bytes(path.read_bytes()[:900])
    elif kind == "bomb":
        header = imagecodecs.png_encode(np.zeros((2, 2, 3), np.uint8))
        size = (100_000).to_bytes(4, "big") * 2
        checksum = zlib.crc32(b"IHDR" + size + header[24:29]).to_bytes(4, "big")
        path.write_bytes(header[:16] + size + header[24:29] + checksum + header[33:])
    elif kind == "zero":
        header = imagecodecs.png_encode(np.zeros((2, 2, 3), np.uint8))
        path.write_bytes(header[:16] + bytes(8) + header[24:])
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "does not exist"), ("folder", "is a folder"), ("empty", "is empty"),
        ("text", "not a readable image"), ("truncated", "damaged or truncated"), ("bomb", "resize it"),
        ("zero", "no pixels|damaged|not a readable image"),
    ],
)  # fmt: skip
def test_bad_files(tmp_path, pixels, kind, message):
    path = make_bad(tmp_path, kind, pixels)
    with pytest.raises(InputError, match=message) as caught:
        read_image(path)
    one_sentence(caught.value)


def test_a_large_picture_is_refused_by_its_pixels(tmp_path, picture):
    path = write_image(tmp_path / "a.png", picture)
    with pytest.raises(InputError, match=r"the limit is 0\.001 million"):
        read_image(path, max_pixels=1000)


def test_a_missing_file_has_a_suggestion(tmp_path, picture):
    write_image(tmp_path / "photo.png", picture)
    with pytest.raises(MissingFileError, match="did you mean 'photo\\.png'"):
        read_image(tmp_path / "phto.png")


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_a_file_that_may_not_be_read(tmp_path, picture):
    path = write_image(tmp_path / "a.png", picture)
    path.chmod(0)
    with pytest.raises(InputError, match="no permission to read"):
        read_image(path)


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 31)])
def test_too_small_to_paint(tmp_path, size):
    path = write_image(tmp_path / "a.png", Picture(rgb=np.zeros((*size, 3), np.float32)))
    with pytest.raises(InputError, match="at least 32 px") as caught:
        check_paintable(read_image(path), "content")
    one_sentence(caught.value)


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("a.pgn", UsageError, "Did you mean '.png'"), ("a", UsageError, "no extension"),
        ("no/a.png", OutputError, "create it first"), ("d.png", OutputError, "is a folder"),
    ],
)  # fmt: skip
def test_places_that_cannot_be_written(tmp_path, name, kind, message):
    (tmp_path / "d.png").mkdir()
    with pytest.raises(kind, match=message) as caught:
        check_output(tmp_path / name)
    one_sentence(caught.value)


def test_a_failing_write_leaves_nothing_and_the_old_picture(tmp_path, picture, monkeypatch):
    path = write_image(tmp_path / "a.png", picture)
    before = path.read_bytes()

    def fail(self, *args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OutputError, match="No space left"):
        write_image(path, picture)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_depth_and_subsampling_that_cannot_be(tmp_path, picture):
    with pytest.raises(UsageError, match="16 bits require"):
        write_image(tmp_path / "a.jpg", picture, bits=16)
    with pytest.raises(UsageError, match=r"one of 4:4:4.*got '4:1:1'"):
        write_image(tmp_path / "a.jpg", picture, subsampling="4:1:1")


# --- finding ----------------------------------------------------------------------------------------------
def test_find_images(tmp_path, picture):
    for name in ("b.png", "a.jpg", ".hidden.png"):
        write_image(tmp_path / name, picture)
    (tmp_path / "notes.txt").write_text("x")
    folder = [p.name for p in find_images([tmp_path])]
    assert folder == ["a.jpg", "b.png"]
    assert [p.name for p in find_images([tmp_path / "*.png", tmp_path])] == ["b.png", "a.jpg"]
    with pytest.raises(InputError, match="no images match"):
        find_images([tmp_path / "*.webp"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="contains no images"):
        find_images([tmp_path / "empty"])


# --- large prints -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
@pytest.mark.parametrize("bits", [8, 16])
def test_the_resolution_for_printing_is_kept(picture, tmp_path, suffix, bits):
    if suffix == ".jpg" and bits == 16:
        pytest.skip("JPEG has 8 bits")
    path = tmp_path / f"print{suffix}"
    write_image(path, dataclasses.replace(picture, dpi=(300.0, 150.0)), bits=bits)
    assert read_image(path).dpi == pytest.approx((300, 150), abs=0.02)
    write_image(path, picture, bits=bits)
    assert read_image(path).dpi in (None, (1, 1), (72, 72))  # some formats always state one


@pytest.mark.parametrize("dpi", [(0, 0), (float("inf"), 300), (float("nan"), 300), (1e9, 1e9)])
def test_a_resolution_that_makes_no_sense_is_ignored(pixels, dpi):
    from impasto.media.read import _resolution

    image = Image.fromarray(pixels)
    image.info["dpi"] = dpi
    assert _resolution(image) is None


def test_a_deep_png_of_several_strips_is_whole(tmp_path):
    rng = np.random.default_rng(0)
    rgb = rng.random((600, 40, 3), dtype=np.float32)
    path = write_image(tmp_path / "deep.png", Picture(rgb=rgb), bits=16)
    assert np.array_equal(
        imagecodecs.png_decode(path.read_bytes()), np.round(rgb * 65535).astype(np.uint16)
    )


def test_what_exceeds_four_gigabytes_is_a_bigtiff(picture, tmp_path, monkeypatch):
    from impasto.media import write

    for most, big in ((2**32, False), (1000, True)):
        monkeypatch.setattr(write, "MOST_TIFF_BYTES", most)
        path = write_image(tmp_path / "big.tif", picture, bits=16)
        with tifffile.TiffFile(path) as file:
            assert file.is_bigtiff is big
        assert np.allclose(read_image(path).rgb, picture.rgb, atol=1e-4)
        assert read_metadata(path) == {"impasto": "{}"}


def test_a_disk_without_room_is_refused(tmp_path, monkeypatch):
    import shutil

    check_space(tmp_path / "out.png", (100, 100))
    usage = shutil.disk_usage(tmp_path)._replace(free=10 * 2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(
        OutputError, match="8192x5461 px needs at least 77 MiB, but the disk has 10"
    ) as info:
        check_space(tmp_path / "out.png", (5461, 8192), 16)
    one_sentence(info.value)
