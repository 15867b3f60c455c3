"""No user data is overwritten: inputs never, other files only on request."""

from __future__ import annotations

import errno
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from films import film, write_film
from helpers import painting, photograph
from onnx import helper
from PIL import Image

from impasto import stylize_video
from impasto.cli import main
from impasto.errors import DivergedError, OutputError, UsageError
from impasto.looks import Look, save_look
from impasto.looks.networks import Johnson
from impasto.media import (
    Picture,
    check_not_input,
    check_replaceable,
    read_metadata,
    replacing,
    sibling,
    write_image,
)
from impasto.media.places import is_own
from impasto.media.replace import partial_path, remove_partials
from impasto.media.timelapse import Timelapse
from impasto.media.video import FilmWriter, choose_format, open_clip, read_film_metadata
from impasto.optimize import save_checkpoint
from impasto.runtimes import KEY, write_graph

PICTURE = Picture(rgb=np.full((16, 24, 3), 0.4, np.float32))


def save(path, image=None):
    pixels = (255 * (photograph(40, 48) if image is None else image)[0].permute(1, 2, 0)).round()
    Image.fromarray(pixels.to(torch.uint8).numpy()).save(path)
    return path


@pytest.fixture
def things(tmp_path, monkeypatch):
    """A folder with a photograph, a style, a clip, and files that impasto did not write."""
    monkeypatch.chdir(tmp_path)
    save(Path("photo.png"))
    save(Path("style.png"), painting(40, 40))
    write_film(Path("clip.mp4"), film(3, size=(40, 48)))
    return tmp_path


def impasto(*arguments):
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return ended.value.code


def everything(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


IMAGE = (
    "image",
    "photo.png",
    "style.png",
    "--size",
    "40",
    "--steps",
    "1",
    "--coarsest",
    "0",
    "--quiet",
)
VIDEO = ("video", "clip.mp4", "style.png", "--quiet", "--opening-steps", "1", "--frame-steps", "1")

INPUTS = [
    (*IMAGE, "-o", "photo.png"),
    (*IMAGE, "-o", "style.png", "--overwrite"),
    (*IMAGE, "-o", "hard.png"),
    (*IMAGE, "-o", "soft.png", "--overwrite"),
    (*IMAGE, "-o", "o.png", "--checkpoint", "photo.png"),
    (*IMAGE, "-o", "o.png", "--checkpoint", "style.png", "--overwrite"),
    (*IMAGE, "-o", "o.png", "--start", "file", "--start-file", "start.png", "--save-every", "1", "--checkpoint",
     "start.png"),
    (*VIDEO, "-o", "clip.mp4"),
    (*VIDEO, "-o", "soft.mp4", "--overwrite"),
    ("video", "frames", "style.png", "-o", "frames/%03d.png", "--overwrite"),
    ("video", "frames/%03d.png", "style.png", "-o", "frames/%d.png", "--overwrite"),
    ("regions", "content_regions.png", "-o", "."),
    ("flow", "flows", "-o", "flows"),
    ("export", "my.onnx", "-o", "my.onnx"),
    ("train", "my.look.samples.png", "-o", "my.look"),
    ("tune", "t.png", "style.png", "-o", "t.toml"),
    (*IMAGE, "-o", "o.png", "--config", "own.toml", "--save-config", "own.toml"),
    (*VIDEO, "-o", "o.mp4", "--config", "own.toml", "--save-config", "soft.toml"),
    ("study", "mine.toml", "-o", "s", "--contents", "photo.png", "--styles", "style.png"),
]  # fmt: skip


@pytest.mark.parametrize("arguments", INPUTS, ids=" ".join)
def test_an_output_that_is_an_input_is_refused(things, arguments, capsys):
    os.link("photo.png", "hard.png")
    os.symlink("photo.png", "soft.png")
    os.symlink("clip.mp4", "soft.mp4")
    for name in ("start", "content_regions", "my.look.samples", "t"):
        save(Path(f"{name}.png"))
    Path("my.onnx").write_bytes(b"impasto")
    Path("own.toml").write_text("# Settings written by impasto.\nseed = 3\n")
    os.symlink("own.toml", "soft.toml")
    for folder, name in (
        ("frames", "000.png"),
        ("frames", "001.png"),
        ("flows", "000001_flow.png"),
    ):
        Path(folder).mkdir(exist_ok=True)
        save(Path(folder, name))
    if arguments[0] == "study":
        Path("mine.toml").write_text('[options]\nsize = 40\n[[cases]]\nname = "one"\n')
        from impasto.study import load_plan

        plan = load_plan("mine.toml", contents=["photo.png"], styles=["style.png"])
        Path("s/cells").mkdir(parents=True)
        Path("s/study.json").write_text('{"name": "mine"}')
        os.link("photo.png", f"s/cells/{next(plan.cells()).key}.png")
    before = everything(things)
    code = impasto(*arguments)
    sentence = capsys.readouterr().err
    assert code == 2, sentence
    assert ", an input of this run; choose another output name." in sentence
    assert everything(things) == before


OTHERS = [
    ((*IMAGE, "-o", "o.png"), "o.png"),
    ((*IMAGE, "-o", "o.bmp"), "o.bmp"),
    ((*IMAGE, "-o", "o.gif"), "o.gif"),
    ((*IMAGE, "-o", "o.png", "--save-every", "1"), "o.step00001.png"),
    ((*IMAGE, "-o", "o.png", "--timelapse", "t.gif"), "t.gif"),
    ((*IMAGE, "-o", "o.png", "--checkpoint", "c.ckpt"), "c.ckpt"),
    ((*VIDEO, "-o", "o.mp4"), "o.mp4"),
    ((*VIDEO, "-o", "o.mp4", "--preview"), "o.preview.mp4"),
    ((*VIDEO, "-o", "o.gif"), "o.gif"),
    ((*VIDEO, "-o", "n/%d.png"), "n/7.png"),
    (("regions", "photo.png", "-o", "r"), "r/overlay.png"),
    (("flow", "clip.mp4", "-o", "f", "--fields", "flo"), "f/from_000001_to_000000.flo"),
    (("flow", "clip.mp4", "-o", "f"), "f/000001_reliability.png"),
    (("export", "instant", "--style", "style.png", "-o", "o.onnx"), "o.onnx"),
    (("train", "style.png", "-o", "m.look"), "m.look"),
    (("train", "style.png", "-o", "m.look"), "m.look.checkpoint"),
    (("train", "style.png", "-o", "m.look"), "m.look.curves.png"),
    (("train-translator", "--a", "photo.png", "--b", "style.png", "-o", "t"), "t/samples.png"),
    (("tune", "photo.png", "style.png", "-o", "u.toml"), "u.png"),
]


@pytest.mark.parametrize(("arguments", "name"), OTHERS, ids=lambda value: value[0] + value[-1])
def test_a_file_that_impasto_did_not_make_is_left(things, arguments, name, capsys):
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".png":
        save(path)
    else:
        path.write_bytes(b"somebody's own")
    before = everything(things)
    code = impasto(*arguments)
    sentence = capsys.readouterr().err
    assert code == 4, sentence
    assert (
        f"{name} exists and was not written by impasto; choose another name or pass --overwrite."
        in sentence
    )
    assert everything(things) == before


@pytest.mark.parametrize(
    "arguments",
    [
        (*IMAGE, "-o", "o.png", "--checkpoint", "./o.png"),
        (*IMAGE, "-o", "o.gif", "--timelapse", "o.gif", "--overwrite"),
        (*IMAGE, "-o", "o.png", "--timelapse", "x/../t.mp4", "--checkpoint", "t.mp4"),
        (*IMAGE, "-o", "o.png", "--save-every", "1", "--checkpoint", "o.step00001.png"),
    ],
    ids=" ".join,
)
def test_two_outputs_with_one_name_are_refused(things, arguments, capsys):
    Path("x").mkdir()
    before = everything(things)
    assert impasto(*arguments) == 2
    assert "two outputs would be written to" in capsys.readouterr().err
    assert everything(things) == before


def test_a_stylized_video_is_not_replaced_by_an_image_or_a_time_lapse(things, capsys):
    for name in ("f.gif", "f.mp4"):
        assert impasto(*VIDEO, "-o", name) == 0
    before = everything(things)
    assert impasto(*IMAGE, "-o", "f.gif") == 4
    assert impasto(*IMAGE, "-o", "o.png", "--timelapse", "f.mp4") == 4
    assert everything(things) == before
    assert capsys.readouterr().err.count("is a stylized video from another run; choose") == 2
    assert impasto(*IMAGE, "-o", "o.gif", "--timelapse", "t.mp4") == 0
    assert impasto(*VIDEO, "-o", "t.mp4") == 4
    assert impasto(*VIDEO, "-o", "o.gif") == 4
    assert impasto(*VIDEO, "-o", "f.mp4") == 0
    assert impasto(*IMAGE, "-o", "f.gif", "--overwrite") == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("--flow", "files", "--flow-files", "nowhere"),
        ("--flow", "raft", "--flow-weights", "nowhere.pth"),
        ("--content-regions", "nowhere.png", "--style-regions", "nowhere.png"),
    ],
    ids=" ".join,
)
def test_fresh_deletes_nothing_if_the_run_cannot_start(things, arguments):
    assert impasto(*VIDEO, "-o", "o.mp4", "--keep-frames") == 0
    before = everything(things)
    assert impasto(*VIDEO, "-o", "o.mp4", "--fresh", *arguments) == 3
    assert everything(things) == before


@pytest.mark.skipif(os.name != "posix", reason="makes a pipe")
def test_a_pipe_among_flow_files_is_not_waited_for(things, capsys):
    Path("flow").mkdir()
    os.mkfifo("flow/from_000001_to_000000.flo")
    assert impasto(*VIDEO, "-o", "o.mp4", "--flow", "files", "--flow-files", "flow") == 3
    assert "from_000001_to_000000.flo is not a regular file" in capsys.readouterr().err


def test_a_link_at_the_name_of_a_temporary_file_is_not_followed(things):
    Path("precious").write_text("precious")
    for suffix in (".png", ".gif", ".mp4", ".toml"):
        os.symlink("precious", partial_path(Path(f"o{suffix}")))
    os.symlink("precious", partial_path(Path("t.mp4")))
    arguments = ("--timelapse", "t.mp4", "--save-config", "o.toml")
    assert impasto(*IMAGE, "-o", "o.png", *arguments) == 0
    assert impasto(*VIDEO, "-o", "o.mp4") == 0
    assert impasto(*VIDEO, "-o", "o.gif") == 0
    assert Path("precious").read_text() == "precious"
    assert not any(path.is_symlink() for path in things.glob("[ot].*"))


@pytest.mark.parametrize("suffix", [".gif", ".mp4"])
def test_a_time_lapse_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch, suffix):
    def full(*_arguments, **_options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("impasto.media.timelapse.move_into_place", full)
    lapse = Timelapse(tmp_path / f"t{suffix}")
    lapse.add(PICTURE)
    with pytest.raises(OutputError, match=r"cannot be written \(No space left"):
        lapse.close()
    assert list(tmp_path.iterdir()) == []


def test_a_failed_run_leaves_no_part_of_its_time_lapse(things, monkeypatch):
    def diverges(*_arguments):
        raise DivergedError("the loss is not finite.")

    monkeypatch.setattr("impasto.pipeline.keep.save_checkpoint", diverges)
    before = everything(things)
    arguments = ("--timelapse", "t.mp4", "--checkpoint", "c", "--checkpoint-every", "1")
    assert impasto(*IMAGE, "-o", "o.png", *arguments) == 7
    assert everything(things) == before


def test_own_results_are_replaced_and_others_when_asked_for(things, capsys):
    assert impasto(*IMAGE, "-o", "o.png") == 0
    first = Path("o.png").read_bytes()
    assert impasto(*IMAGE, "-o", "o.png", "--no-overwrite") == 0
    assert Path("o.png").read_bytes() == first
    assert impasto(*IMAGE, "-o", "o.png", "--seed", "7") == 0
    assert Path("o.png").read_bytes() != first
    save(Path("o.png"))
    assert impasto(*IMAGE, "-o", "o.png") == 4
    assert impasto(*IMAGE, "-o", "o.png", "--overwrite") == 0
    assert "impasto" in read_metadata("o.png")
    assert capsys.readouterr().err.count("was not written by impasto") == 1


@pytest.mark.parametrize("how", ["--fresh", "--preview"])
def test_a_folder_of_paint_that_is_somebody_elses_stays(things, how, capsys):
    folder = Path("o.preview.mp4.frames" if how == "--preview" else "o.mp4.frames")
    folder.mkdir()
    save(folder / "000000.1.png")
    before = everything(things)
    assert impasto(*VIDEO, "-o", "o.mp4", how) == 4
    sentence = capsys.readouterr().err
    assert f"{folder} exists and was not created by impasto; move it" in sentence
    assert everything(things) == before


def test_python_refuses_inputs_too(things):
    with pytest.raises(UsageError, match="an input of this run"):
        stylize_video("clip.mp4", "style.png", "clip.mp4")
    os.symlink("style.png", "s_000.png")
    with pytest.raises(UsageError, match="an input of this run"):
        stylize_video("clip.mp4", "style.png", "s_%03d.png")


def test_a_folder_with_inputs_may_be_written_to(things):
    Path("frames").mkdir()
    save(Path("frames/000.png"))
    check_not_input([Path("frames/out.mp4"), Path("frames/001.png")], [Path("frames"), None])


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".gif", ".avif"])
def test_pictures_carry_the_mark(tmp_path, suffix):
    path = write_image(tmp_path / f"o{suffix}", PICTURE)
    assert is_own(path)
    Image.new("RGB", (8, 8)).save(path)
    assert not is_own(path)
    with pytest.raises(OutputError, match="not written by impasto"):
        check_replaceable(path)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm", ".gif"])
def test_films_carry_the_mark(tmp_path, suffix):
    frames = film(2, size=(32, 48))
    info = open_clip(write_film(tmp_path / "clip.mp4", frames)).info
    path = tmp_path / f"o{suffix}"
    writer = FilmWriter(
        path, info, (32, 48), choose_format(path, info, (32, 48)), metadata={"impasto": "1", "film": {"x": "y" * 700}}
    )  # fmt: skip
    for frame in frames:
        writer.add(frame.pixels, frame.pts_seconds, frame.duration_seconds)
    writer.close()
    assert is_own(path)
    assert read_film_metadata(path)["film"] == {"x": "y" * 700}
    assert open_clip(path).info.width_px == 48
    assert len(list(open_clip(path).frames((32, 48)))) == 2
    other = write_film(tmp_path / "other.mp4", frames)
    assert not is_own(other)


def test_other_results_carry_the_mark(tmp_path):
    save_look(tmp_path / "my.look", Look(Johnson(), None, None, {}, None))
    save_checkpoint(tmp_path / "c.ckpt", {"step": 1}, "mark")
    model = helper.make_model(helper.make_graph([], "g", [], []))
    helper.set_model_props(model, {KEY: "{}"})  # as `graph_of_network` does, but faster
    write_graph(tmp_path / "m.onnx", model.SerializeToString())
    for suffix in (".gif", ".mp4"):
        lapse = Timelapse(tmp_path / f"t{suffix}")
        lapse.add(PICTURE)
        lapse.close()
    assert all(is_own(path) for path in tmp_path.iterdir())
    assert len(list(tmp_path.iterdir())) == 5
    with zipfile.ZipFile(tmp_path / "other.ckpt", "w") as archive:
        archive.writestr("a/data.pkl", b"words")
    for data in (b"", b"\xff" * 9, b"\x02\0\0\0\0\0\0\0[]"):
        (tmp_path / "x.look").write_bytes(data)
        assert not is_own(tmp_path / "x.look")
    assert not is_own(tmp_path / "other.ckpt")


def test_what_a_killed_process_left_is_removed_when_the_same_file_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr("impasto.media.replace.LISTED_SECONDS", 0)
    for name in (
        ".o.part99999999.png",
        f".o.part{os.getppid()}.png",
        ".p.part99999999.png",
        ".o.png",
    ):
        (tmp_path / name).write_text("half")
    write_image(tmp_path / "o.png", PICTURE)
    left = [f".o.part{os.getppid()}.png", ".o.png", ".p.part99999999.png", "o.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(left)
    (tmp_path / ".clip.part99999999.mp4").write_text("half")
    remove_partials(tmp_path / "clip.mp4")
    assert not (tmp_path / ".clip.part99999999.mp4").exists()


def test_names_up_to_the_limit_of_the_system_work(tmp_path):
    for name in ("x" * 251 + ".png", "ü" * 125 + ".png", "x" * 120 + ".png"):
        write_image(tmp_path / name, PICTURE)
        assert len(os.fsencode(partial_path(tmp_path / name).name)) < 140
    assert len(list(tmp_path.iterdir())) == 3
    one, other = (sibling(tmp_path / ("x" * 240 + end), ".frames") for end in ("1.mp4", "2.mp4"))
    assert one != other
    assert len(one.name) < 140


def test_content_reaches_the_disk_before_the_name(tmp_path, monkeypatch):
    done = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda *a, real=real, name=name: (done.append(name), real(*a))[1]
        )
    with replacing(tmp_path / "a.txt") as beside:
        beside.write_text("whole")
    assert done[:2] == ["fsync", "replace"]
    assert done[2:] == (["fsync"] if os.name == "posix" else [])
    done.clear()
    with replacing(tmp_path / "a.txt", durable=False) as beside:
        beside.write_text("whole")
    assert done == ["replace"]


def test_a_checkpoint_of_an_earlier_run_is_not_started_over_unasked(things, capsys):
    run = ("image", "photo.png", "style.png", "-o", "o.png", "--size", "64", "--steps", "2", "--checkpoint", "k.ckpt",
           "--checkpoint-every", "1", "--quiet")  # fmt: skip
    for more, code in (((), 0), ((), 2), (("--resume",), 0), (("--overwrite",), 0)):
        before = Path("k.ckpt").read_bytes() if Path("k.ckpt").exists() else b""
        with pytest.raises(SystemExit) as ended:
            main([*run, *more])
        assert ended.value.code == code
        if code:
            assert "continue it with --resume" in capsys.readouterr().err
            assert Path("k.ckpt").read_bytes() == before
