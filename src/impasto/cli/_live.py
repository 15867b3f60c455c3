"""`impasto live`: paint a camera stream in real time."""

from __future__ import annotations

import math
import time
import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from impasto.cli._signals import stopping_on_signal
from impasto.errors import UsageError

if TYPE_CHECKING:
    from impasto.pipeline.live import Live, LiveFrame
    from impasto.server import Page

__all__ = ["live"]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class LiveRun:
    """Options of `impasto live`."""

    camera: int | None = None
    """Camera number, from 0."""
    input: Path | None = None
    """Video file to use instead of a camera."""
    size: int = 480
    """Long edge of the painted frames in pixels."""
    strength: float = 1.0
    """Stylization strength, from 0 to 1."""
    runtime: Literal["torch", "onnx", "openvino", "openvino-bfloat16"] = "torch"
    """Runtime for the network. All but torch require the extra `fast`; openvino-bfloat16 trades accuracy for speed."""
    port: int = 8642
    """Port of the web page; 0 picks a free port."""
    browser: bool = True
    """Open the page in the browser."""
    seconds: float | None = None
    """Stop after this many seconds."""


def live(
    look: Annotated[Path, Parameter(help="Look, or style image.")],
    /,
    *more_looks: Annotated[Path, Parameter(help="Further looks or style images to switch to.")],
    run: LiveRun | None = None,
) -> int:
    """Paint a camera stream or a video in real time, on a web page that only this machine can reach.

    Requires the extras `studio` and `video`. A style image is applied with the look `instant`. The page
    switches between looks and shows the frame rate, the latency, and how many frames were dropped because a newer one
    had arrived.
    """
    from impasto.config import options
    from impasto.pipeline.live import Camera, ClipSource, Live, painters_for

    run = run or LiveRun()
    if run.camera is not None and run.input is not None:
        raise UsageError("--camera and --input are mutually exclusive; remove one of them.")
    if run.size < 32:
        raise UsageError(f"--size must be at least 32; got {run.size}.")
    if run.seconds is not None and not (run.seconds > 0 and math.isfinite(run.seconds)):
        raise UsageError(f"--seconds must be a positive number; got {run.seconds}.")
    make_page = _page_maker()
    chosen = options(look=Path("instant"), strength=run.strength, runtime=run.runtime)
    painters = painters_for((look, *more_looks), chosen)
    film = run.input
    source = Camera(run.camera or 0) if film is None else ClipSource(film, run.size)
    running = Live(source, painters, run.size)
    page = make_page(running, run.port)
    last = _paint(running, page, run)
    if last is not None:
        print(
            f"painted {last.number} frames at {last.rate:.1f} fps, {1000 * last.latency_seconds:.0f} ms latency, "
            f"{last.dropped} dropped"
        )
    return 0


def _page_maker() -> type[Page]:
    """Imports the page class.

    Raises:
        UsageError: The extra ``studio`` is not installed.
    """
    try:
        from impasto.server import Page
    except ImportError as error:
        raise UsageError(
            "impasto live requires starlette and uvicorn; install them with pip install 'impasto[studio]'."
        ) from error
    return Page


def _paint(running: Live, page: Page, run: LiveRun) -> LiveFrame | None:
    """Paints until the source or --seconds ends, or until Ctrl-C or SIGTERM; returns the last frame."""

    def stop() -> None:
        page.close()
        running.stop()

    ends = math.inf if run.seconds is None else time.monotonic() + run.seconds
    frame = None
    try:
        with stopping_on_signal(stop):
            print(f"painting on {page.address} (press Ctrl-C to stop)", flush=True)
            if run.browser:
                webbrowser.open(page.address)
            for frame in running:
                page.show(frame)
                if time.monotonic() >= ends:
                    break
    except KeyboardInterrupt:
        pass
    finally:
        stop()
    return frame
