"""Names that were replaced keep working on the command line and in study files."""

from __future__ import annotations

import pytest

from impasto.cli._main import RENAMED, run_command
from impasto.errors import ImpastoError, UnknownNameError
from impasto.study import load_plan


@pytest.mark.parametrize("old", RENAMED)
def test_a_renamed_option_is_accepted_under_its_old_name(old, monkeypatch):
    seen = []

    class App:
        help_flags = ()

        def __call__(self, tokens, **_how):
            seen.append(tokens)
            return 0

    monkeypatch.setattr("impasto.cli._main.app", App())
    run_command(["command", old, "3", f"{old}=4", "judge"])
    new = RENAMED[old]
    assert seen == [["command", new, "3", f"{new}=4", "judge"]]


def test_the_new_names_exist(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    for words in (
        ["measure", "image", str(tmp_path / "a.png"), "--content", "b.png", "--judge", "nobody"],
        [
            "train-translator",
            "--a",
            "x",
            "--b",
            "y",
            "-o",
            str(tmp_path / "o"),
            "--judge-layers",
            "9",
        ],
    ):
        with pytest.raises(ImpastoError, match=r"nobody|--discriminator-layers must be between"):
            run_command(words)


def test_a_study_may_name_its_evaluator_by_the_old_entry(tmp_path):
    path = tmp_path / "s.toml"
    path.write_text("judge = 'nobody'\n[grid]\nsize = [32, 64]\n")
    with pytest.raises(UnknownNameError, match="nobody"):
        load_plan(str(path))
    path.write_text("judge = 'vgg19-lite'\n[grid]\nsize = [32, 64]\n")
    assert load_plan(str(path)).evaluator == "vgg19-lite"
