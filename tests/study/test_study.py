"""Studies: plans, resuming, failing cells, reports, and the commands."""

from __future__ import annotations

import csv
import json
import math
import re
import subprocess
import sys

import numpy as np
import pytest
from films import film, write_film
from helpers import painting, photograph
from PIL import Image

from impasto.config import options
from impasto.errors import MissingFileError, UnknownNameError, UsageError
from impasto.media import Picture
from impasto.study import (
    bundled,
    load_plan,
    open_folder,
    read_results,
    run_study,
    suggest,
    write_report,
)
from impasto.study.report import summary

CODE = [sys.executable, "-c", "from impasto.cli import main; main()"]
SMALL = """
title = "Two <solvers>"
best_of = "learning_rate"
[options]
size = 40
steps = [3]
coarsest = 0
[[cases]]
name = "slow"
solver = "adam"
learning_rate = 1e-6
[[cases]]
name = "quick"
solver = "adam"
learning_rate = 0.05
"""


def save(image, path):
    Image.fromarray((image[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)).save(path)
    return path


@pytest.fixture
def things(tmp_path):
    (tmp_path / "styles").mkdir()
    save(photograph(40, 48), tmp_path / "photo.png")
    for seed in (1, 2):
        save(painting(40, 40, seed), tmp_path / "styles" / f"style{seed}.png")
    (tmp_path / "mine.toml").write_text(SMALL)
    return tmp_path


def plan_of(things, name="mine.toml"):
    return load_plan(
        str(things / name), contents=[str(things / "photo.png")], styles=[str(things / "styles")]
    )


@pytest.mark.parametrize("name", bundled())
def test_every_bundled_study_is_a_plan(name):
    contents = ["skimage:chelsea"] if name == "temporal" else []
    plan = load_plan(name, contents=contents)
    assert plan.title
    assert plan.question
    assert plan.claim
    assert len(plan.cases) >= 2
    keys = [cell.key for cell in plan.cells()]
    assert len(set(keys)) == len(keys)


def test_a_study_runs_once_and_goes_on(things):
    plan, out = plan_of(things), things / "out"
    open_folder(out, plan)
    first = run_study(plan, out)
    assert not next(first).known
    first.close()
    rest = list(run_study(plan, out))
    assert [done.known for done in rest] == [True, False, False, False]
    assert [done.number for done in rest] == [1, 2, 3, 4]
    assert rest[-1].seconds_left == 0
    assert all(done.known for done in run_study(plan, out))
    results = read_results(out, plan)
    rows = {row["case"]: row for row in summary(plan, results)}
    assert rows["quick"]["loss"].mean < rows["slow"]["loss"].mean
    assert rows["quick"].get("best")
    assert not rows["slow"].get("best")
    assert results[0][1]["steps"] == 3
    first = plan.cases[0].name
    pairs = {}
    for cell, values in results:
        pairs.setdefault(cell.style, {})[cell.case.name] = values["figures"]["style"]
    ratios = [pair["quick"] / pair[first] for pair in pairs.values()]
    assert rows["quick"]["style_ratio"].mean == pytest.approx(math.prod(ratios) ** 0.5)
    assert rows[first]["content_ratio"].low == rows[first]["content_ratio"].high == 1
    other = plan_of(things)
    assert [c.key for c in other.cells()] == [c.key for c in plan.cells()]


def test_a_cell_that_fails_is_told_and_tried_again(things):
    plan, out = plan_of(things), things / "out"
    open_folder(out, plan)
    whole = (things / "styles" / "style2.png").read_bytes()
    (things / "styles" / "style2.png").write_bytes(b"no picture")
    broken = plan_of(things)
    values = [done.values for done in run_study(broken, out)]
    assert ["error" in v for v in values] == [False, False, True, True]
    assert "style2.png" in values[-1]["error"]
    paths = write_report(broken, [(c, v) for c, v in read_results(out, broken)], out)
    assert all(path.exists() for path in paths)
    (things / "styles" / "style2.png").write_bytes(whole)
    assert not any("error" in done.values for done in run_study(plan_of(things), out))


FILM = """
title = "Two methods"
kind = "film"
[options]
size = 64
steps = [2]
coarsest = 0
[film]
opening_steps = [2]
frame_steps = [2]
[[cases]]
name = "alone"
method = "frame-by-frame"
[[cases]]
name = "held"
method = "steady"
"""


@pytest.mark.parametrize(("frames", "far"), [(3, False), (6, True)])
def test_a_study_of_a_film_measures_the_gaps_that_it_has(things, frames, far):
    (things / "films.toml").write_text(FILM)
    clip = write_film(things / "clip.mp4", film(frames))
    style = things / "styles" / "style1.png"
    plan = load_plan(str(things / "films.toml"), contents=[str(clip)], styles=[str(style)])
    out = things / "out"
    open_folder(out, plan)
    for done in run_study(plan, out):
        assert done.values["steps"] == frames
        assert done.values["figures"]["error_1"] > 0
        assert (done.values["figures"]["error_4"] is not None) == far
    assert all(path.exists() for path in write_report(plan, read_results(out, plan), out))


def test_workers_share_the_cells(things):
    plan, out = plan_of(things), things / "out"
    open_folder(out, plan)
    done = list(run_study(plan, out, workers=2))
    assert sorted(d.number for d in done) == [1, 2, 3, 4]
    assert not any("error" in d.values for d in done)


def test_the_page_needs_nothing_else(things):
    plan, out = plan_of(things), things / "out"
    open_folder(out, plan)
    list(run_study(plan, out))
    paths = {path.name: path for path in write_report(plan, read_results(out, plan), out)}
    assert set(paths) == {
        "results.csv", "summary.md", "sheet.png", "report.html", "sweep.gif",
    }  # fmt: skip
    told = paths["summary.md"].read_text()
    assert re.search(r"\| quick \(best of its group\) \| 2 \| .* \[", told)
    page = paths["report.html"].read_text()
    assert "Two &lt;solvers&gt;" in page
    assert "{{" not in page
    for address in re.findall(r"""(?:src|href)=["']([^"']+)""", page):
        assert address.startswith(("data:", "#"))
    assert page.count("data:image/jpeg") >= 4
    for name in ("curve slow", "curve quick", "point slow", "point quick"):
        assert f'id="{name}"' in page
    with paths["results.csv"].open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 4
    assert len(set(rows[0])) == len(paths["results.csv"].read_text().splitlines()[0].split(","))
    assert rows[0]["content_file"].endswith(".png")
    assert float(rows[0]["content"]) > 0
    assert float(rows[0]["style"]) > 0


def test_a_report_without_matplotlib_says_what_to_install(things, monkeypatch):
    plan, out = plan_of(things), things / "out"
    open_folder(out, plan)
    list(run_study(plan, out))
    monkeypatch.setattr("impasto.study.report.can_plot", lambda: False)
    write_report(plan, read_results(out, plan), out)
    page = (out / "report.html").read_text()
    assert (
        "Plots require matplotlib; install it with pip install &#x27;impasto[study]&#x27;" in page
    )
    assert "<svg" not in page


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[options]\nsiez = 3\n[grid]\nsize = [32]", "siez"),
        ("color = 1\n[grid]\nsize = [32]", "color"),
        ("[grid]\nsize = 32", "must be a list"),
        ("kind = 'song'\n[grid]\nsize = [32]", "must be one of picture, film"),
        ("[[cases]]\nname = 'a'\n[[cases]]\nname = 'a'", "give each its own"),
    ],
)
def test_what_a_study_does_not_know_is_refused(things, text, message):
    (things / "bad.toml").write_text(text)
    with pytest.raises(UsageError, match=message):
        plan_of(things, "bad.toml")


def test_names_and_places_are_checked(things):
    with pytest.raises(UnknownNameError, match="optimizers"):
        load_plan("optimizer")
    with pytest.raises(MissingFileError, match="there is no study"):
        load_plan("none.toml")
    with pytest.raises(MissingFileError, match=r"gone\.png does not exist"):
        load_plan("weights", contents=["gone.png"])
    plan = plan_of(things)
    with pytest.raises(UsageError, match="contains other files"):
        open_folder(things, plan)
    open_folder(things / "out", plan)
    with pytest.raises(UsageError, match="contains the study 'mine'"):
        open_folder(things / "out", load_plan("weights"))


def test_the_command_runs_a_study_of_ones_own(things):
    def run(*words):
        return subprocess.run(
            [*CODE, "study", *words],
            cwd=things,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )

    done = run("mine.toml", "-o", "out", "--contents", "photo.png", "--styles", "styles", "--json")
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [e["number"] for e in events if e["event"] == "run"] == [1, 2, 3, 4]
    assert run("list").stdout.startswith("backbones")
    (things / "long.toml").write_text("[options]\nsize = 2048\n[grid]\nsteps = [[90000], [80000]]")
    long = run("long.toml", "-o", "long", "--contents", "photo.png", "--styles", "styles")
    assert long.returncode != 0
    assert "pass --yes to start" in long.stderr


def test_a_choice_is_made_and_painted_with(things, monkeypatch):
    from impasto.study import tune

    monkeypatch.setattr(tune, "SIZE_PX", 48)
    monkeypatch.setattr(tune, "STEPS", (3,))
    content, style = (Picture.from_tensor(image) for image in (photograph(64, 64), painting()))
    told = []
    tries, sheet = suggest(
        content, [style], options("draft"), on_try=lambda done, count: told.append((done, count))
    )
    assert told[-1] == (9, 9)
    assert tries[0].score == min(one.score for one in tries)
    assert len({(one.options.strength, one.options.style_scale) for one in tries}) == 9
    assert tries[0].options.size == options("draft").size
    assert sheet.rgb.shape[1] > 700


def test_tune_says_that_a_lower_score_is_better(things, monkeypatch, capsys):
    from impasto.cli import main
    from impasto.study import tune

    monkeypatch.setattr(tune, "SIZE_PX", 48)
    monkeypatch.setattr(tune, "STEPS", (2,))
    with pytest.raises(SystemExit) as ended:
        main(
            [
                "tune",
                str(things / "photo.png"),
                str(things / "styles/style1.png"),
                "-o",
                str(things / "t.toml"),
            ]
        )
    assert ended.value.code == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if ": score " in line]
    assert len(lines) == 9
    assert all("(lower is better)" in line for line in lines)
