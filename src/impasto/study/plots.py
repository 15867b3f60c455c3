"""Plots of a study's report, drawn by Matplotlib as SVG text that an HTML page can contain."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from impasto.measure import Interval
from impasto.text import printable, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

__all__ = ["MISSING", "can_plot", "plot_curves", "plot_quality"]

MISSING = "plots require matplotlib; install it with pip install 'impasto[study]', then repeat the command."

WIDTH, HEIGHT = 7.4, 3.7
"""Size of a plot with a short legend, in inches."""

ROW, COLUMN = 0.2, 2.6
"""Height of a line and width of a further column of the legend, in inches."""

MOST_ROWS = 32
"""More cases than this use a second column in the legend."""

NAME_CHARACTERS = 34
MOST_STEPS = 1e6
"""Shorter curves are drawn over longer ones; this scales steps for that purpose."""

WIDE_RATIO = 8.0
"""Larger ratios between the longest and the shortest time use a logarithmic axis."""

INKS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#3c3c3c", "#8c5a28")
"""Colors that readers with color blindness can tell apart (Okabe and Ito 2008), and two darker ones."""

DASHES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")

STYLE: Mapping[Any, Any] = {
    "font.size": 9,
    "axes.edgecolor": "#8b8070",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#e8e0d0",
    "legend.frameon": False,
    "figure.facecolor": "white",
    "svg.fonttype": "path",
}


def can_plot() -> bool:
    """Whether Matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def plot_curves(curves: Mapping[str, Sequence[tuple[float, float]]], cases: Sequence[str]) -> str:
    """Plots the loss against the step, one curve per case, on a logarithmic axis.

    Args:
        curves: Steps and losses by case.
        cases: All cases of the study, which determine the colors.

    Returns:
        SVG text.
    """
    with _styled("curves"):
        figure, axes = _axes(len(curves))
        for number, name in enumerate(cases):
            if name in curves:
                steps, losses = zip(*curves[name], strict=True)
                axes.plot(
                    steps, losses, color=_ink(number), linestyle=_dash(number), label=_label(name), gid=f"curve {name}",
                    linewidth=1.6, zorder=3 - steps[-1] / MOST_STEPS,
                )  # fmt: skip
        if all(loss > 0 for points in curves.values() for _step, loss in points):
            axes.set_yscale("log")
            _plain_labels(axes.yaxis)
        axes.set(xlabel="step", ylabel="loss")
        axes.set_title("Loss of the first pair", loc="left")
        return _svg(figure, axes, "Loss curves by case")


def plot_quality(points: Mapping[str, tuple[Interval, Interval]], cases: Sequence[str]) -> str:
    """Plots the style metric against the time per run, one point per case with its confidence intervals.

    Args:
        points: Seconds and style metric by case.
        cases: All cases of the study, which determine the colors.

    Returns:
        SVG text.
    """
    with _styled("quality"):
        figure, axes = _axes(len(points))
        for number, name in enumerate(cases):
            if name in points:
                seconds, style = points[name]
                axes.errorbar(
                    [seconds.mean], [style.mean], xerr=_bars(seconds), yerr=_bars(style), fmt=_marker(number),
                    color=_ink(number), ecolor="#b8ae9c", elinewidth=1, capsize=2, markersize=6, label=_label(name),
                    gid=f"point {name}",
                )  # fmt: skip
        times = [seconds.mean for seconds, _style in points.values()]
        if min(times) > 0 and max(times) > WIDE_RATIO * min(times):
            axes.set_xscale("log")
            _plain_labels(axes.xaxis)
        axes.set(xlabel="seconds per run", ylabel="style (lower is better)")
        axes.set_title("Quality and time, with 95% intervals", loc="left")
        return _svg(figure, axes, "Style metric and time by case")


def _plain_labels(axis: Axis) -> None:
    """Labels a logarithmic axis with numbers instead of powers of 10, between decades too if there are few."""
    from matplotlib.ticker import LogFormatter

    axis.set_major_formatter(LogFormatter(labelOnlyBase=True))
    axis.set_minor_formatter(LogFormatter(labelOnlyBase=False, minor_thresholds=(2, 0.6)))
    axis.grid(which="minor", linewidth=0.4)


def _bars(value: Interval) -> list[list[float]]:
    return [[max(0.0, value.mean - value.low)], [max(0.0, value.high - value.mean)]]


def _ink(number: int) -> str:
    return INKS[number % len(INKS)]


def _dash(number: int) -> str:
    return DASHES[number // len(INKS) % len(DASHES)]


def _marker(number: int) -> str:
    return MARKERS[(number + number // len(INKS)) % len(MARKERS)]


def _label(name: str) -> str:
    """Returns a case's name for the legend; dollar signs would be typeset as formulas."""
    return shortened(printable(name), NAME_CHARACTERS).replace("$", r"\$")


@contextlib.contextmanager
def _styled(salt: str) -> Iterator[None]:
    """Applies our style; element names in the SVG depend only on the plot, so that equal results give equal pages."""
    import matplotlib as mpl

    with mpl.rc_context({**STYLE, "svg.hashsalt": salt}):
        yield


def _columns(count: int) -> int:
    """Returns the number of columns of a legend."""
    return 1 + (count - 1) // MOST_ROWS


def _axes(count: int) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    columns = _columns(count)
    size = (WIDTH + COLUMN * (columns - 1), max(HEIGHT, ROW * math.ceil(count / columns) + 0.5))
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.add_subplot()


def _svg(figure: Figure, axes: Axes, description: str) -> str:
    """Places the legend beside the axes and returns the SVG element without the XML header."""
    handles, labels = axes.get_legend_handles_labels()
    handles = [handle[0] if isinstance(handle, tuple) else handle for handle in handles]
    figure.legend(
        handles, labels, loc="outside right upper", ncols=_columns(len(labels)), fontsize=8
    )
    axes.margins(x=0.04, y=0.08)
    stream = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(stream, format="svg", metadata={**nothing, "Title": description})
    text = stream.getvalue()
    return text[text.index("<svg") :]
