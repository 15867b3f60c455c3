"""What a run of one image writes: the image with its settings, steps on the way, a timelapse and checkpoints."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from impasto.config import PaintOptions
from impasto.errors import MissingFileError
from impasto.media import OutputLock, Picture, check_space, hash_files, write_image
from impasto.media.timelapse import Timelapse
from impasto.optimize import fingerprint, load_checkpoint, save_checkpoint
from impasto.pipeline.image import Job, files_read, settings_text

__all__ = ["Encoding", "Keeper", "Outputs", "step_path", "write_picture"]


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How image files are encoded; see `impasto.media.write_image`.

    Attributes:
        quality: Of JPEG, WebP and AVIF, 1 to 100.
        subsampling: Chroma subsampling of JPEG.
        bits: Bits per channel of PNG and TIFF, 8 or 16; those of the content if None.
    """

    quality: int
    subsampling: str
    bits: int | None


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """The files of a run.

    Attributes:
        out: The result.
        content: Name of the photograph, for the settings in the file.
        styles: Names of the styles, likewise.
        encoding: How images are encoded.
        save_every: Also write the image every Nth step; 0 for never.
        timelapse: Film of the optimization, or None.
        checkpoint: File from which an interrupted run continues, or None.
        checkpoint_every: Steps between checkpoints.
    """

    out: Path
    content: str
    styles: Sequence[str]
    encoding: Encoding
    save_every: int
    timelapse: Path | None
    checkpoint: Path | None
    checkpoint_every: int


class Keeper:
    """Writes the files of a run while it goes on, and locks its checkpoint until its context is left.

    Leaving the context discards a time-lapse that is not finished.

    Args:
        job: The run.
        outputs: Its files.

    Raises:
        OutputError: Another run holds the checkpoint, or the disk has no room for the result.
    """

    def __init__(self, job: Job, outputs: Outputs) -> None:
        optimization = job.optimization
        check_space(outputs.out, optimization.size, outputs.encoding.bits or job.content.bits)
        self._lock = None if outputs.checkpoint is None else OutputLock(outputs.checkpoint)
        self.job, self.outputs = job, outputs
        masks = [mask for region in optimization.regions for mask in (region.content, region.style)]
        mark = fingerprint([optimization.content, *optimization.styles, *masks], job.options)
        self._mark = hash_files(files_read(job.options), mark)
        self._frames = None if outputs.timelapse is None else Timelapse(outputs.timelapse)

    def resume(self) -> None:
        """Continues from the checkpoint.

        Raises:
            MissingFileError: There is none.
            CheckpointError: It is damaged, or belongs to another run.
        """
        path = self.outputs.checkpoint
        if path is None or not path.exists():
            raise MissingFileError(
                f"there is no checkpoint {path}; remove --resume to start a new run."
            )
        self.job.optimization.load_state_dict(load_checkpoint(path, self._mark))

    def step(self, number: int) -> None:
        """Writes the files that are due after a step.

        Args:
            number: Of the step, over all scales, from 1.
        """
        outputs = self.outputs
        if self._frames is not None:
            self._frames.add(self.job.finish())
        if outputs.save_every and number % outputs.save_every == 0:
            self._write(step_path(outputs.out, f"{number:05d}"), self.job.finish())
        if number % outputs.checkpoint_every == 0:
            self.save()

    def save(self) -> None:
        """Writes the checkpoint, if there is to be one."""
        if self.outputs.checkpoint is not None:
            state = self.job.optimization.state_dict()
            save_checkpoint(self.outputs.checkpoint, state, self._mark)

    def finish(self) -> Picture:
        """Writes and returns the result, and closes the timelapse; the checkpoint of a finished run stays."""
        picture = self.job.finish()
        self._write(self.outputs.out, picture)
        if self._frames is not None:
            with contextlib.suppress(KeyboardInterrupt):
                self._frames.close()
        return picture

    def __enter__(self) -> Keeper:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._frames is not None:
            self._frames.abort()
        if self._lock is not None:
            self._lock.release()

    def _write(self, path: Path, picture: Picture) -> None:
        write_picture(path, picture, self.outputs, self.job.options)


def step_path(out: Path, number: str) -> Path:
    """Returns the file for the image after a step."""
    return out.with_name(f"{out.stem}.step{number}{out.suffix}")


def write_picture(path: Path, picture: Picture, outputs: Outputs, paint: PaintOptions) -> None:
    """Writes an image with the settings that made it.

    Raises:
        OutputError: The file cannot be written.
    """
    encoding = outputs.encoding
    write_image(
        path,
        picture,
        quality=encoding.quality,
        subsampling=encoding.subsampling,
        bits=encoding.bits,
        metadata={"impasto": settings_text(outputs.content, outputs.styles, paint)},
    )
