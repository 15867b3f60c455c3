"""The part of a video that a command takes: `--from` and `--to`, and their earlier names."""

from __future__ import annotations

import pytest

from impasto.cli._measure import _begin_of
from impasto.cli._video import FilmRun, settle_film
from impasto.config import (
    FilmOptions,
    film_options,
    flag_of,
    option_fields,
    read_settings,
    with_new_names,
)
from impasto.errors import UnknownNameError, UsageError


def test_the_flags_of_an_excerpt_are_from_and_to():
    flags = {spec.name: flag_of(spec) for spec in option_fields(FilmOptions)}
    assert (flags["begin"], flags["end"], flags["frame_start"]) == (
        "--from",
        "--to",
        "--frame-start",
    )
    with pytest.raises(UsageError, match="--from must be between 0"):
        FilmOptions(begin=-1)


def test_settings_of_earlier_versions_are_read():
    assert read_settings({"film": {"start": 2.0, "end": 3.0}}).film == {"begin": 2.0, "end": 3.0}
    assert film_options(start=2).begin == film_options(begin=2).begin == 2.0
    assert _begin_of({"film": {"start": 2.0}}) == _begin_of({"film": {"begin": 2.0}}) == 2.0


@pytest.mark.parametrize("damaged", [{}, {"film": "start"}, {"film": {"begin": -1}}, {"film": 3}])
def test_damaged_settings_begin_at_0(damaged):
    assert _begin_of(damaged) == 0.0


def test_both_names_of_one_field_are_refused():
    with pytest.raises(UsageError, match=r"film\.start is the earlier name of film\.begin; remove"):
        read_settings({"film": {"start": 2.0, "begin": 2.0}})
    with pytest.raises(UnknownNameError, match="begin"):
        film_options(begins=2)
    assert with_new_names({"fps": 2}) == {"fps": 2}


def test_earlier_flags_of_the_video_command_work_and_name_the_new_ones(capsys):
    _paint, film = settle_film(FilmRun(start=1.0, end=2.0), None, None)
    assert (film.begin, film.end) == (1.0, 2.0)
    assert capsys.readouterr().err.splitlines() == [
        "note: --start is now called --from",
        "note: --end is now called --to",
    ]


def test_a_flag_and_its_earlier_name_are_mutually_exclusive():
    from impasto.cli._video import FilmOverrides

    with pytest.raises(UsageError, match="--start is the earlier name of --from; remove one"):
        settle_film(FilmRun(start=1.0), FilmOverrides(begin=2.0), None)
