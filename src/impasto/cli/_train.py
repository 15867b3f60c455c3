"""`impasto train`: train a look, a feed-forward network for one style."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from impasto.cli._options import given, make_overrides
from impasto.cli._training import RunFlags, Started, TrainingFiles, run_training
from impasto.config import TrainOptions, train_options
from impasto.errors import UsageError

__all__ = ["train"]

TrainOverrides = make_overrides("TrainOverrides", TrainOptions)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class TrainData:
    """Options for training data."""

    photos: str | None = None
    """Training images or folders, comma-separated; without these and --clips, scikit-image's sample photographs."""
    clips: str | None = None
    """Videos or folders for the temporal losses, comma-separated; their frames also serve as training images."""


def train(
    style: Annotated[Path, Parameter(help="Style image.")],
    /,
    *more_styles: Annotated[
        Path, Parameter(help="Additional style images; the look blends all of them.")
    ],
    out: Annotated[
        Path, Parameter(name=["--out", "-o"], help="Look file to write, such as my.look.")
    ],
    data: TrainData | None = None,
    run: RunFlags | None = None,
    options: Annotated[TrainOverrides | None, Parameter(name="*")] = None,  # type: ignore[valid-type]
) -> int:
    """Train a feed-forward network to paint in the style of STYLE, for --look.

    OUT.checkpoint, OUT.samples.png (images and pastiches) and OUT.curves.png (losses) are updated at every validation.
    Start the command with torchrun to use several GPUs.
    """
    from impasto.media import check_place

    data = data or TrainData()
    settled = train_options(**given(options, TrainOptions))
    if out.suffix != ".look":
        raise UsageError(f"--out must be a .look file; got {out.name}.")
    check_place(out, "look")
    styles, photos, clips = [style, *more_styles], _paths(data.photos), _paths(data.clips)
    files = TrainingFiles(
        out=out, model=out, checkpoint=_beside(out, "checkpoint"), samples=_beside(out, "samples.png"),
        curves=_beside(out, "curves.png"), mark="look",
    )  # fmt: skip
    return run_training(
        lambda: _start(styles, photos, clips, settled),
        files,
        [*styles, *photos, *clips],
        run or RunFlags(),
    )


def _start(
    paths: list[Path], photos: list[Path], clips: list[Path], options: TrainOptions
) -> Started:
    from impasto.looks import save_look
    from impasto.looks.data import gather_data
    from impasto.looks.train import Training
    from impasto.media import read_image

    data = gather_data(photos, clips)
    training = Training([read_image(path).to_tensor() for path in paths], data, options)
    names = [path.name for path in paths]
    return Started(
        training=training,
        save=lambda path: save_look(path, training.look(styles=names)),
        notes=lambda: data.notes,
    )


def _paths(text: str | None) -> list[Path]:
    return [Path(part) for part in text.split(",")] if text else []


def _beside(out: Path, ending: str) -> Path:
    return out.with_name(f"{out.name}.{ending}")
