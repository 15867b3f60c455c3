"""The plots of a report: complete, legible, safe to put into a page, and the same for equal results."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from impasto.measure import Interval
from impasto.study import plots

NAMES = ["one", "two <b>", 'three "$x$"', "a name that is much longer than a legend has room for", *(
    f"case {number}" for number in range(40)
)]  # fmt: skip


def curves(count):
    return {name: [(1.0, 9.0), (2.0, 4.0 + n)] for n, name in enumerate(NAMES[:count])}


def points(count):
    return {
        name: (Interval(1.0 + n, 0.9 + n, 1.2 + n), Interval(0.1 + n, 0.05 + n, 0.2 + n))
        for n, name in enumerate(NAMES[:count])
    }


@pytest.fixture
def figures(monkeypatch):
    """Collects the figures that are drawn."""
    drawn, svg = [], plots._svg

    def collect(figure, axes, description):
        drawn.append((figure, axes))
        return svg(figure, axes, description)

    monkeypatch.setattr(plots, "_svg", collect)
    return drawn


@pytest.mark.parametrize(
    ("plot", "data", "kind"),
    [(plots.plot_curves, curves, "curve"), (plots.plot_quality, points, "point")],
)
@pytest.mark.parametrize("count", [1, 4, 12, 44])
def test_every_case_is_drawn_and_no_label_overlaps_another(figures, plot, data, kind, count):
    text = plot(data(count), NAMES[:count])
    groups = [node.get("id", "") for node in ET.fromstring(text).iter()]
    assert {f"{kind} {name}" for name in NAMES[:count]} <= set(groups)
    figure, axes = figures[0]
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    (legend,) = figure.legends
    assert len(legend.get_texts()) == count
    labels = [label.get_window_extent(renderer) for label in legend.get_texts()]
    assert not any(one.overlaps(two) for n, one in enumerate(labels) for two in labels[:n])
    extent = legend.get_window_extent(renderer)
    assert extent.x0 >= axes.get_window_extent(renderer).x1
    assert extent.x1 <= figure.bbox.x1 + 1
    assert extent.y0 >= 0
    assert axes.get_window_extent(renderer).width > 200


def test_equal_results_give_equal_text():
    assert plots.plot_curves(curves(5), NAMES) == plots.plot_curves(curves(5), NAMES)


def test_a_plot_loads_nothing_and_contains_no_markup_of_names():
    for text in (plots.plot_curves(curves(4), NAMES), plots.plot_quality(points(4), NAMES)):
        assert text.startswith("<svg")
        assert "<b>" not in text
        assert "<script" not in text
        for address in re.findall(r'(?:href|src)="([^"]*)"', text):
            assert address.startswith("#")


def test_a_case_has_the_same_color_if_others_have_no_result():
    known = {NAMES[2]: curves(3)[NAMES[2]]}
    assert plots.INKS[2] in plots.plot_curves(known, NAMES[:3])


def test_losses_of_zero_are_plotted_on_a_linear_axis(figures):
    plots.plot_curves({"one": [(1, 1.0), (2, 0.0)]}, ["one"])
    assert figures[0][1].get_yscale() == "linear"
    plots.plot_curves(curves(1), NAMES)
    assert figures[1][1].get_yscale() == "log"
