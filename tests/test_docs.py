"""The option reference of the documentation is made from the code, and leaves nothing out."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from impasto.config import (
    FilmOptions,
    PaintOptions,
    TrainOptions,
    TranslateOptions,
    flag_of,
    option_fields,
)


@pytest.fixture(scope="module")
def reference() -> str:
    path = Path(__file__).resolve().parents[1] / "docs" / "_hooks" / "options.py"
    spec = importlib.util.spec_from_file_location("options_hook", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.reference()


@pytest.mark.parametrize("kind", [PaintOptions, FilmOptions, TrainOptions, TranslateOptions])
def test_every_option_is_in_the_reference(reference, kind):
    for spec in option_fields(kind):
        if "help" in spec.metadata:
            assert f"| `{flag_of(spec)}` |" in reference


def test_the_reference_says_what_presets_change(reference):
    row = next(line for line in reference.splitlines() if line.startswith("| `--size` |"))
    assert "`fine`: `1024`" in row
    assert "whole number 0 to 32768" in row


def test_every_argument_of_a_command_has_a_meaning(reference):
    rows = reference[reference.index("## Arguments of the commands") :].splitlines()
    rows = [row for row in rows if row.startswith("| `")]
    assert len(rows) > 60
    assert not [row for row in rows if row.endswith("|  |")]
