"""Untrusted settings: TOML, images, videos, studies, and library arguments."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from films import film, write_film
from helpers import painting, photograph
from PIL import Image

from impasto.cli import main
from impasto.cli._options import MARK, read_config
from impasto.config import (
    MOST_SEED,
    FilmOptions,
    PaintOptions,
    TrainOptions,
    TranslateOptions,
    film_options,
    from_mapping,
    option_fields,
    option_hints,
    options,
    path_fields,
    read_settings,
    settings_of_media,
    to_mapping,
    train_options,
)
from impasto.errors import ImpastoError, InputError, UnknownNameError, UsageError
from impasto.study import load_plan

KINDS = (PaintOptions, FilmOptions, TrainOptions, TranslateOptions)


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.fixture
def pictures(tmp_path):
    for name, image in (("photo", photograph(40, 48)), ("painting", painting(40, 40))):
        save(image, tmp_path / f"{name}.png")
    return tmp_path


def save(image, path, **more):
    Image.fromarray((image[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)).save(path, **more)
    return path


def command(*arguments):
    with pytest.raises(SystemExit) as exit_:
        main([str(argument) for argument in arguments])
    return exit_.value.code


# --- the validator ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1], "settings must be a table"),
        ({"preset": []}, "unknown preset"),
        ({"film": 3}, "film must be a table of options; got 3"),
        ({"film": {"method": []}}, "unknown method"),
        ({"film": {"cut_treshold": 1}}, "Did you mean 'film.cut_threshold'"),
        ({"film": {"cut_threshold": "x"}}, "film.cut_threshold must be a number; got 'x'"),
        ({"steps": [3, 10**400]}, r"steps\[1\] must be .*; got a number of about 401 digits"),
        ({"steps": nested(5000)}, r"steps\[0\] must be an integer; got \["),
        ({"steps": [1] * 2000}, "at most 1000"),
        ({"style_weight": 10**400}, "style_weight must be .*; got a number of"),
        ({"style_weight": 1e300}, "between 0 and 1000000000; got"),
        ({"seed": MOST_SEED + 1}, "seed must be between 0 and"),
        ({"size": True}, "size must be an integer; got True"),
        ({"solver": ["adam"]}, "solver must be one of lbfgs, adam, sgd; got"),
        ({"solver": "lbgfs"}, "Did you mean 'lbfgs'"),
        ({"look": 3}, "look must be a path; got 3"),
        ({"look": "a\0b"}, "look must be a path of"),
        ({"look": "\udcff"}, "UTF-8"),
        ({"look": ""}, "look must be a path of .*; got ''"),
        ({"backbone": "\x1b[31m"}, r"backbone must be .*; got '\\x1b\[31m'"),
        ({"backbone": "x" * 10**6}, "backbone must be .*; got 'xxx"),
        ({"device": "meta"}, "must be auto, cpu, cuda, cuda:N or mps; got 'meta'"),
        ({"x" * 10**5: 1}, "unknown option 'xxx"),
    ],
)
def test_the_path_of_the_faulty_key_is_told(values, message):
    with pytest.raises(UsageError, match=message) as told:
        read_settings(values)
    assert len(str(told.value)) < 2000


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf"), 10**400, -(10**400)])
def test_every_number_is_finite_and_in_range(number):
    for kind in KINDS:
        for spec in option_fields(kind):
            hint = str(option_hints(kind)[spec.name])
            if "int" in hint or "float" in hint:
                value = (number,) if "tuple" in hint else number
                with pytest.raises(UsageError):
                    kind(**{spec.name: value})


def test_every_path_says_whether_it_is_read_or_written():
    for kind in KINDS:
        hints = option_hints(kind)
        paths = {spec.name for spec in option_fields(kind) if "Path" in str(hints[spec.name])}
        assert paths == set(path_fields(kind))
    assert path_fields(FilmOptions, "write") == ("flow_cache",)


@pytest.mark.parametrize(
    "make",
    [
        lambda: options(stepps=3),
        lambda: options([]),
        lambda: film_options({}),
        lambda: film_options(end=float("nan")),
        lambda: train_options(device="meta"),
        lambda: train_options(seed=2**64),
        lambda: PaintOptions(size="x"),
        lambda: PaintOptions(assign=("white=²",), regions="auto"),
    ],
)
def test_the_library_checks_the_same(make):
    with pytest.raises(UsageError):
        make()


def test_settings_come_back_and_large_seeds_paint(pictures):
    chosen = options(seed=MOST_SEED, look=None, steps=[3])
    assert from_mapping(to_mapping(chosen)) == chosen
    assert chosen.steps == (3,)
    for loss in ("w2", "sliced"):
        done = command(
            "image", pictures / "photo.png", pictures / "painting.png", "-o", pictures / "o.png", "--size", 48,
            "--steps", 1, "--coarsest", 0, "--seed", MOST_SEED, "--start", "noise", "--style-loss", loss, "--quiet",
        )  # fmt: skip
        assert done == 0


# --- files ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a = " + b"[" * 60_000, "nested too deeply"),
        (b"a = " + b"{a=" * 9_000, "nested too deeply"),
        (b"size = " + b"1" * 60_000, "too many digits"),
        (b"size = 0x" + b"f" * 60_000, "size must be .*; got a number of about"),
        (b"size = 3\xff", "not UTF-8"),
        (b"\0", "not valid TOML"),
        (b"#" * 70_000, "the limit is 64 KiB"),
        (b"film = 3", "film must be a table of options; got 3"),
        (b"preset = []", "unknown preset"),
        (b"[film]\nmethod = []", "unknown method"),
        (b"[[film]]\nend = 3", "film must be a table"),
        (b"seed = nan", "seed must be an integer; got nan"),
        (b"size = 1979-05-27", "size must be an integer; got datetime"),
    ],
)
def test_toml_of_any_kind_is_one_sentence(tmp_path, data, message):
    path = tmp_path / "c.toml"
    path.write_bytes(data)
    with pytest.raises(ImpastoError, match=message):
        read_config(path)


def test_a_folder_and_an_empty_file(tmp_path):
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(InputError, match="is not a file"):
        read_config(tmp_path / "folder.toml")
    with pytest.raises(InputError, match="is not a file"):
        load_plan(str(tmp_path / "folder.toml"))
    (tmp_path / "empty.toml").touch()
    assert not read_config(tmp_path / "empty.toml").paint


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "3",
        '{"options": 3}',
        '{"options": []}',
        "[" * 10_000,
        "{" * 100,
        "1" * 9_999,
    ],
)
def test_pictures_with_damaged_settings(tmp_path, text):
    from PIL import PngImagePlugin

    info = PngImagePlugin.PngInfo()
    info.add_itxt("impasto", json.dumps({"impasto": text}))
    save(photograph(16, 16), tmp_path / "a.png", pnginfo=info)
    with pytest.raises((InputError, UsageError)):
        read_config(tmp_path / "a.png")


# --- settings embedded in untrusted files -----------------------------------------------------------------
def test_files_of_strangers_only_say_how_to_paint():
    found = read_settings(
        {
            "size": 99, "look": "/home/else/my.look", "weights": "/w", "start_file": "/s", "download": True,
            "content_regions": "/c", "style_regions": "/r", "segmenter": "/m",
            "film": {"flow_cache": "/somewhere", "flow_files": "/f", "flow_weights": "/g", "end": 2.0},
        }
    )  # fmt: skip
    kept, dropped = settings_of_media(found)
    assert kept.paint == {"size": 99}
    assert kept.film == {"end": 2.0}
    assert set(dropped) == {
        "look", "weights", "start_file", "download", "content_regions", "style_regions", "segmenter",
        "film.flow_cache", "film.flow_files", "film.flow_weights",
    }  # fmt: skip
    kept, dropped = settings_of_media(read_settings({"look": "instant"}))
    assert kept.paint == {"look": Path("instant")}
    assert dropped == ()


def test_a_film_cannot_have_files_written(pictures, capsys):
    clip = write_film(pictures / "clip.mp4", film(3))
    cache = pictures / "somewhere"
    gift = pictures / "gift.mp4"
    values = {"options": {"size": 64}, "film": {"flow_cache": str(cache), "end": 0.05}}
    remux_with_comment(clip, gift, json.dumps(values))
    quick = ("--opening-steps", 1, "--frame-steps", 1, "--coarsest", 0)
    out = pictures / "out.mp4"
    done = command("video", clip, pictures / "painting.png", "-o", out, "--config", gift, *quick)
    told = capsys.readouterr().err
    assert done == 0, told
    assert (
        "note: ignored settings in gift.mp4 that name files or allow downloads: film.flow_cache\n"
        in told
    )
    assert not cache.exists()
    own = pictures / "own.toml"
    own.write_text(f'size = 64\n[film]\nend = 0.05\nflow_cache = "{cache}"\n')
    done = command("video", clip, pictures / "painting.png", "-o", out, "--config", own, *quick,
                   "--fresh")  # fmt: skip
    told = capsys.readouterr().err
    assert done == 0, told
    assert f"also writes to {cache} (flow cache)" in told
    assert cache.exists()


def remux_with_comment(source, target, comment):
    import av

    with av.open(str(source)) as reader, av.open(str(target), "w") as writer:
        writer.metadata["comment"] = comment
        stream = reader.streams.video[0]
        copy = writer.add_stream_from_template(stream)
        for packet in reader.demux(stream):
            if packet.dts is not None:
                packet.stream = copy
                writer.mux(packet)


# --- writing settings -------------------------------------------------------------------------------------
def test_only_settings_of_impasto_are_replaced(pictures, capsys):
    paint = ("image", pictures / "photo.png", pictures / "painting.png", "-o", pictures / "o.png", "--quiet",
             "--size", 48, "--steps", 1, "--coarsest", 0, "--save-config")  # fmt: skip
    before = (pictures / "photo.png").read_bytes()
    assert command(*paint, pictures / "photo.png") == 2
    assert "a .toml file, not to photo.png" in capsys.readouterr().err
    assert (pictures / "photo.png").read_bytes() == before
    (pictures / "pyproject.toml").write_text("[project]\n")
    assert command(*paint, pictures / "pyproject.toml") == 4
    assert (pictures / "pyproject.toml").read_text() == "[project]\n"
    assert not (pictures / "o.png").exists()
    for _ in range(2):
        assert command(*paint, pictures / "mine.toml") == 0
    assert (pictures / "mine.toml").read_text().splitlines()[0] == MARK
    assert read_config(pictures / "mine.toml").paint["size"] == 48


def test_tune_replaces_no_picture(pictures, capsys):
    from impasto.media import read_image, write_image

    two = (pictures / "photo.png", pictures / "painting.png")
    painted = write_image(
        pictures / "painted.png", read_image(two[0]), metadata={"impasto": '{"options": {}}'}
    )
    before = [path.read_bytes() for path in (*two, painted)]
    assert command("tune", *two, "-o", pictures / "photo.toml") == 2
    assert "an input of this run" in capsys.readouterr().err
    assert command("tune", *two, "-o", pictures / "painted.toml") == 4
    assert "which tune did not write" in capsys.readouterr().err
    assert [path.read_bytes() for path in (*two, painted)] == before


# --- studies ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seeds = 3.5", r"seeds\[0\] must be an integer; got 3.5"),
        ("seeds = []", "seeds is empty"),
        ("seeds = [-1]", r"seeds\[0\] must be between .*; got -1"),
        ("contents = [1]", r"contents\[0\] must be a string; got 1"),
        ("styles = []", "styles is empty"),
        ("[[options]]\nsize = 3", "options must be a table"),
        ("options = 3", "options must be a table of options; got 3"),
        ("film = []", "film must be a table"),
        ("grid = 3", "grid must be a table of options; got 3"),
        ("cases = 3", "cases must be .*; got 3"),
        ("cases = [3]", r"cases\[0\] must be a table of options; got 3"),
        ("cases = []", "cases must be"),
        ("[[cases]]\nsize = 32\n[[cases]]\nsiez = 3", r"Did you mean 'cases\[1\]\.size'"),
        ("[[cases]]\nname = 3", r"cases\[0\]\.name must be a string"),
        ("[[cases]]\npreset = []", "unknown preset"),
        ("[[cases]]\nmethod = 'x'", "unknown method 'x'"),
        ("[grid]\nsize = [32, 'x']", r"grid\.size must be an integer; got 'x'"),
        ("[grid]\nsize = [nan]", r"grid\.size must be an integer; got nan"),
        ("[grid]\nsize = []", "must be a list"),
        ("[options]\nstyle_weight = inf", r"options\.style_weight must be .*; got inf"),
        ("[film]\nmethod = []", "unknown method"),
        ("evaluator = 'nobody'", "unknown backbone 'nobody'"),
        ("best_of = 'siez'", "Did you mean 'size'"),
        ("title = []", "title must be a string; got"),
        ("contents = ['skimage:__loader__']", "unknown scikit-image picture '__loader__'"),
        ("contents = ['skimage:download_all']", "unknown scikit-image picture"),
        ("[grid]\nseed = [" + "1," * 200 + "]\nsize = [" + "32," * 200 + "]", "40000 cases"),
    ],
)
def test_study_files_of_any_kind_are_one_sentence(tmp_path, capsys, text, message):
    path = tmp_path / "s.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        load_plan(str(path))
    assert command("study", path, "-o", tmp_path / "out") == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_failed_check_leaves_nothing(pictures, capsys):
    study = pictures / "s.toml"
    study.write_text("[options]\nsize = 2048\n[grid]\nsteps = [[90000], [80000]]\n")
    ours = ("--contents", pictures / "photo.png", "--styles", pictures / "painting.png")
    assert command("study", study, "-o", pictures / "out", *ours) == 2
    assert "pass --yes" in capsys.readouterr().err
    study.write_text("[grid]\nstyle_layers = [['relu9_1']]\n")
    assert command("study", study, "-o", pictures / "out", *ours) == 2
    assert not (pictures / "out").exists()
    assert command("study", study, "-o", pictures / "photo.png", *ours) == 4
    assert "is a file; pass a folder" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, '{"error_": 1}', "3", "null"])
def test_damaged_results_are_run_again(pictures, text):
    from impasto.study import open_folder, read_results

    photo, style = (str(pictures / f"{name}.png") for name in ("photo", "painting"))
    plan = load_plan("losses", contents=[photo], styles=[style])
    open_folder(pictures / "out", plan)
    (pictures / "out" / "cells" / f"{next(plan.cells()).key}.json").write_text(text)
    assert read_results(pictures / "out", plan) == []
    (pictures / "out" / "study.json").write_text(text)
    with pytest.raises(UsageError, match=r"contains (another study|other files)"):
        open_folder(pictures / "out", plan)


def test_names_that_are_no_text_are_unknown():
    with pytest.raises(UnknownNameError):
        from_mapping({"preset": 3})
