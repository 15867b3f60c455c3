"""`impasto estimate` prints what `impasto image` would take, and paints nothing."""

from __future__ import annotations

import json

import pytest
from helpers import painting, photograph

from impasto.cli import main
from impasto.cli._show import duration
from impasto.media import Picture, write_image


@pytest.fixture
def pictures(tmp_path):
    paths = (tmp_path / "photo.png", tmp_path / "style.png")
    write_image(paths[0], Picture.from_tensor(photograph(96, 144)))
    write_image(paths[1], Picture.from_tensor(painting()))
    return paths


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    return caught.value.code, said.out, said.err


def test_text(pictures, capsys, tmp_path):
    before = sorted(tmp_path.iterdir())
    code, out, err = run(capsys, "estimate", *pictures, "--size", "144", "--device", "cpu")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("144x96 px, vgg19-lite, float32 (default on the CPU), cpu, ")
    assert lines[1] == "scales (steps): 144x96 (90)"
    assert lines[2] == "evaluation: the whole image"
    assert lines[3].startswith("memory: 0.")
    assert lines[4].startswith("time: about ")
    assert sorted(tmp_path.iterdir()) == before


def test_json_names_the_plan(pictures, capsys):
    options = ("--size", "2048", "--memory-gib", "1.5", "--steps", "2", "--json")
    code, out, _err = run(capsys, "estimate", *pictures, *options)
    about = json.loads(out)
    assert code == 0
    assert about["plan"].startswith("tiles of ")
    assert about["memory_gib_foretold"] <= about["memory_gib_available"] == 1.5
    assert any(" px to save memory" in note for note in about["notes"])
    assert about["scales"][-1] == [2048, 1365, 2]


def test_what_does_not_fit_is_refused(pictures, capsys):
    code, out, err = run(capsys, "estimate", *pictures, "--size", "30000", "--memory-gib", "2")
    assert (code, out) == (6, "")
    assert "an image of 30000x20000 px needs" in err
    assert "the largest size that fits is --size" in err


def test_a_look_is_refused(pictures, capsys):
    code, _out, err = run(capsys, "estimate", *pictures, "--look", "instant")
    assert code == 2
    assert "remove --look" in err


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (99.4, "99 s"), (200, "3 min 20 s"), (3600, "1 h 0 min"), (7500, "2 h 5 min")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_progress_within_a_step(capsys):
    from impasto.cli import _show

    show = _show.JsonShow()
    show._began -= 10
    show.progress(0.25)
    show.progress(0.5)  # too soon after the last report
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {"event": "progress", "fraction": 0.25}
    ]
