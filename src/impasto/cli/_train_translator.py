"""`impasto train-translator`: train image-to-image translation between two sets of images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from impasto.cli._options import given, make_overrides
from impasto.cli._training import RunFlags, Started, TrainingFiles, run_training
from impasto.config import TranslateOptions, translate_options
from impasto.errors import UsageError

if TYPE_CHECKING:
    from impasto.translate.train import TranslatorTraining

__all__ = ["train_translator"]

LONG_HOURS = 6.0
"""Longer trainings print a warning."""

TranslateOverrides = make_overrides("TranslateOverrides", TranslateOptions)


def train_translator(
    *,
    a: Annotated[Path, Parameter(help="Domain A: folder of images and videos, or one video.")],
    b: Annotated[Path, Parameter(help="Domain B, in the same form; unpaired unless --paired.")],
    out: Annotated[Path, Parameter(name=["--out", "-o"], help="Output folder.")],
    run: RunFlags | None = None,
    options: Annotated[TranslateOverrides | None, Parameter(name="*")] = None,  # type: ignore[valid-type]
) -> int:
    """Train a model that translates images from domain A to B and back (CycleGAN; with --paired, pix2pix).

    OUT contains model.translator (for impasto translate), checkpoint, samples.png (held-out images, their translations
    and reconstructions) and curves.png, all updated at every sample. Start the command with torchrun to use several
    GPUs.
    """
    settled = translate_options(**given(options, TranslateOptions))
    if out.suffix and not out.is_dir():
        raise UsageError(f"--out must be a folder; got {out.name}.")
    files = TrainingFiles(
        out=out, model=out / "model.translator", checkpoint=out / "checkpoint", samples=out / "samples.png",
        curves=out / "curves.png", mark="translator",
    )  # fmt: skip
    return run_training(lambda: _start(a, b, settled), files, [a, b], run or RunFlags())


def _start(a: Path, b: Path, options: TranslateOptions) -> Started:
    from impasto.translate import save_translator
    from impasto.translate.domains import gather_domain
    from impasto.translate.train import TranslatorTraining

    domains = [gather_domain(path, str(path), options.size) for path in (a, b)]
    training = TranslatorTraining(domains[0], domains[1], options)
    return Started(
        training=training,
        save=lambda path: save_translator(path, training.translator(a=a.name, b=b.name)),
        notes=lambda: [*domains[0].notes, *domains[1].notes, *_estimate(training)],
    )


def _estimate(training: TranslatorTraining) -> list[str]:
    """Returns messages about the training data and the remaining time."""
    counts = [len(domain.pictures) for domain in training.domains.values()]
    hours = training.seconds_a_step() * (training.steps - training.step) / 3600
    notes = [
        f"{counts[0]} images of A, {counts[1]} of B; this will take about {_duration(hours)}",
    ]
    if hours > LONG_HOURS:
        crop = training.options.crop // 2
        notes.append(
            f"to shorten this, use --network small (10 times faster), --crop {crop} (4 times) or a GPU"
        )
    return notes


def _duration(hours: float) -> str:
    if hours > 48:
        return f"{hours / 24:.0f} days"
    return f"{hours:.1f} hours" if hours > 1 else f"{max(1, round(60 * hours))} minutes"
