from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from impasto.optimize import plan_scales


def sizes(scales):
    return [(s.height_px, s.width_px, s.steps) for s in scales]


def test_scales_halve_and_the_last_steps_count():
    assert sizes(plan_scales((400, 500), (100, 60, 40), 112)) == [
        (100, 125, 100), (200, 250, 60), (400, 500, 40),
    ]  # fmt: skip
    assert sizes(plan_scales((200, 250), (100, 60, 40), 112)) == [(100, 125, 60), (200, 250, 40)]


def test_the_first_count_repeats():
    assert [s.steps for s in plan_scales((1000, 1000), (9, 5), 112)] == [9, 9, 9, 5]


def test_a_single_scale():
    assert sizes(plan_scales((400, 500), (7,), 0)) == [(400, 500, 7)]


@given(
    height=st.integers(1, 4000), width=st.integers(1, 4000), coarsest=st.integers(0, 600),
    steps=st.lists(st.integers(0, 50), min_size=1, max_size=5),
)  # fmt: skip
def test_any_size_gives_growing_scales_that_end_in_it(height, width, coarsest, steps):
    scales = plan_scales((height, width), tuple(steps), coarsest)
    assert (scales[-1].height_px, scales[-1].width_px) == (height, width)
    assert scales[-1].steps == (steps[-1] if len(scales) > 1 else steps[0])
    areas = [s.pixels for s in scales]
    assert areas == sorted(areas)
    assert min(min(s.height_px, s.width_px) for s in scales) >= 1
    assert all(min(s.height_px, s.width_px) >= 32 for s in scales[:-1])
