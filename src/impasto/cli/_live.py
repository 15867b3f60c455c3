"""`impasto live`: paint a camera while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from impasto.errors import UsageError

__all__ = ["live"]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class LiveRun:
    """Where frames come from, how they are painted, and where they are shown."""

    camera: int | None = None
    """Number of the camera, from 0."""
    input: Path | None = None
    """A film in place of a camera."""
    size: int = 480
    """Long edge of the painted frames in pixels."""
    strength: float = 1.0
    """How much of the pastiche, 0 to 1."""
    runtime: Literal["torch", "onnx", "openvino", "openvino-bfloat16"] = "torch"
    """Runtime for the network; all but torch need the extra fast, and openvino-bfloat16 trades accuracy for speed."""
    port: int = 8642
    """Of the page; 0 takes any that is free."""
    browser: bool = True
    """Open the page in a browser."""
    seconds: float | None = None
    """Stop after so long."""


def live(
    look: Annotated[Path, Parameter(help="A look, or a painting.")],
    /,
    *more_looks: Annotated[Path, Parameter(help="Further ones to switch to.")],
    run: LiveRun | None = None,
) -> int:
    """Paint a camera, or a film, while it runs, on a page of this machine.

    Paintings are painted by the look instant. The page switches between looks; it shows frames a second, how late each
    frame is, and how many were dropped because a newer one was there.
    """
    import time

    from impasto.cli._live_page import Page
    from impasto.config import options
    from impasto.pipeline.live import Camera, ClipSource, Live, painters_for

    run = run or LiveRun()
    if run.camera is not None and run.input is not None:
        raise UsageError("--camera and --input were given; leave one of them away.")
    if run.size < 32:
        raise UsageError(f"--size got {run.size}; allowed is at least 32.")
    chosen = options(look=Path("instant"), strength=run.strength, runtime=run.runtime)
    painters = painters_for((look, *more_looks), chosen)
    film = run.input
    source = Camera(run.camera or 0) if film is None else ClipSource(film, run.size)
    running = Live(source, painters, run.size)
    page = Page(running, run.port)
    print(f"painting on {page.address} (Ctrl-C stops)", flush=True)
    if run.browser:
        import webbrowser

        webbrowser.open(page.address)
    began = time.monotonic()
    frame = None
    try:
        for frame in running:
            page.show(frame)
            if run.seconds is not None and time.monotonic() - began >= run.seconds:
                break
    except KeyboardInterrupt:
        running.stop()
    finally:
        page.close()
    if frame is not None:
        print(
            f"painted {frame.number} frames, {frame.rate:.1f} a second, {1000 * frame.latency_seconds:.0f} ms late, "
            f"{frame.dropped} dropped"
        )
    return 0
