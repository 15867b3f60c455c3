"""`PaintOptions` consists of groups, and its fields can be used by their flat names."""

from __future__ import annotations

import copy
import dataclasses
import pickle

import pytest

from impasto.config import (
    PRESETS,
    LossOptions,
    PaintOptions,
    change_fields,
    from_mapping,
    option_fields,
    option_hints,
    options,
    to_mapping,
)
from impasto.config._nested import nested
from impasto.errors import UnknownNameError, UsageError

GROUPS = [spec.name for spec in dataclasses.fields(PaintOptions)]


def test_a_flat_name_sets_and_reads_the_field_of_its_group():
    chosen = PaintOptions(style_weight=3, size=99)
    assert (chosen.loss.style_weight, chosen.image.size) == (3.0, 99)
    assert (chosen.style_weight, chosen.size) == (3.0, 99)
    assert chosen == PaintOptions(
        loss=LossOptions(style_weight=3), image=dataclasses.replace(chosen.image, size=99)
    )


def test_every_flat_name_reads_the_value_of_its_group():
    chosen = options("fine", seed=5, regions="auto", keep_colors="linear")
    for group in GROUPS:
        for spec in dataclasses.fields(getattr(chosen, group)):
            assert getattr(chosen, spec.name) == getattr(getattr(chosen, group), spec.name)
    assert chosen.has_regions is chosen.region.has_regions is True
    assert chosen.style_shares == chosen.loss.style_shares


def test_replacing_a_flat_name_keeps_the_other_fields():
    before = options("fine", style_weight=3)
    after = dataclasses.replace(before, seed=7)
    assert after.seed == 7
    assert dataclasses.replace(after, seed=0) == before
    assert after.loss is before.loss


def test_a_flat_name_overrides_the_group_that_is_passed_along():
    chosen = PaintOptions(loss=LossOptions(style_weight=3, tv_weight=2), tv_weight=5)
    assert (chosen.style_weight, chosen.tv_weight) == (3.0, 5.0)


def test_an_unknown_name_is_refused():
    with pytest.raises(TypeError, match="stile_weight"):
        PaintOptions(stile_weight=3)
    with pytest.raises(UnknownNameError, match="style_weight"):
        change_fields(PaintOptions(), {"stile_weight": 3})
    with pytest.raises(UnknownNameError, match="loss"):
        options(loss=LossOptions())


def test_a_group_checks_its_own_fields_and_the_whole_checks_pairs():
    with pytest.raises(UsageError, match="--style-weight must be between 0"):
        LossOptions(style_weight=-1)
    with pytest.raises(UsageError, match="does not support regions"):
        PaintOptions(regions="auto", style_loss="sliced")


def test_settings_are_flat_and_can_be_read_back():
    for preset in PRESETS.values():
        values = to_mapping(preset)
        assert not set(GROUPS) & values.keys()
        assert values["style_weight"] == preset.loss.style_weight
        assert from_mapping(values) == preset
    assert option_hints(PaintOptions)["style_weight"] is float


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_has_one_heading_in_the_help(group):
    specs = dataclasses.fields(getattr(PaintOptions(), group))
    assert len({spec.metadata["group"] for spec in specs}) == 1


def test_groups_have_different_headings_and_no_field_is_lost():
    headings = [
        option_fields(type(getattr(PaintOptions(), g)))[0].metadata["group"] for g in GROUPS
    ]
    assert len(set(headings)) == len(GROUPS)
    listed = [spec.name for spec in option_fields(PaintOptions)]
    assert len(set(listed)) == len(listed)
    assert set(listed) == {
        spec.name for g in GROUPS for spec in dataclasses.fields(getattr(PaintOptions(), g))
    }


def test_options_can_be_copied_compared_and_pickled():
    chosen = options("draft", blend=(1, 2))
    assert copy.deepcopy(chosen) == pickle.loads(pickle.dumps(chosen)) == chosen
    assert hash(chosen) == hash(options("draft", blend=(1, 2)))
    with pytest.raises(AttributeError):
        chosen.size = 3


def test_two_groups_cannot_have_the_same_field():
    @dataclasses.dataclass(frozen=True)
    class One:
        size: int = 1

    @dataclasses.dataclass(frozen=True)
    class Two:
        size: int = 2

    @dataclasses.dataclass(frozen=True)
    class Both:
        one: One = dataclasses.field(default=One())
        two: Two = dataclasses.field(default=Two())

    with pytest.raises(TypeError, match="two fields 'size'"):
        nested(Both)
