"""Training reports as images."""

from __future__ import annotations

import pytest
import torch

from impasto.media import draw_curves, draw_rows


def test_losses_fall_from_left_to_right():
    history = [{"step": float(n), "loss": 10.0 / n, "style": 1.0 / n} for n in (1, 2, 9)]
    plot = draw_curves(history).rgb[56:-56, 56:]  # within the axes
    down, right = (plot.max(2) < 0.4).nonzero()  # the first ink
    assert down[right < 150].mean() < down[right > 450].mean()


def test_one_entry_is_drawn():
    plot = draw_curves([{"step": 1.0, "loss": 0.5}]).rgb[56:-56, 50:-56]
    assert (plot.max(2) < 0.4).any()


def test_a_loss_that_came_later_is_drawn_from_there():
    history = [
        {"step": float(n), "loss": 1.0} | ({"late": 0.05} if n > 5 else {}) for n in range(11)
    ]
    plot = draw_curves(history).rgb[56:-56, 56:-56]
    _down, right = (plot[..., 2] - plot[..., 0] > 0.5).nonzero()  # the second ink is blue
    assert right.min() > 0.5 * plot.shape[1]


@pytest.mark.parametrize("widths", [(24, 24), (24, 16)])
def test_rows_stand_below_each_other_filled_with_white(widths):
    sheet = draw_rows([torch.zeros(3, 8, width) for width in widths]).rgb
    assert sheet.shape == (16, 24, 3)
    assert sheet[8:, widths[1] :].min(initial=1) == 1
