"""Minimal runs to be killed: a video, an image, a training run and a study."""

from __future__ import annotations

import hashlib
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from films import decoded, film, write_film
from helpers import painting, photograph
from PIL import Image
from torch import Tensor

from impasto.config import film_options
from impasto.media import OutputLock
from impasto.media.video import choose_format, open_clip
from impasto.pipeline.job import FilmJob, FilmOutput, flow_estimator
from impasto.pipeline.store import PaintStore
from impasto.types import FrameContext, Painted

STUDY = """
title = "two ways"
preset = "draft"
seeds = [0]
[options]
size = 40
steps = [2]
coarsest = 0
[[cases]]
name = "one"
[[cases]]
name = "other"
style_weight = 10.0
"""


class Smear:
    """A stylizer that mixes all of its context, so that any lost data shows in every later frame."""

    def paint(self, frame: Tensor, context: FrameContext) -> Painted:
        image = 0.4 * (1 - frame)
        for other in context.earlier:
            image = image + 0.3 * other.reliability * other.warped
        if context.still is not None:
            image = image + 0.1 * context.still
        if context.own is not None:
            image = image + 0.2 * context.own
        for step in context.iterates or ():
            image = image + 0.1 * step
        count = context.state.get("count", 0.0) + 1
        image = (image + 0.01 * (count % 7) + 0.001 * context.index).clamp(0, 1)
        return Painted(image=image, state={"count": count}, iterates=[frame, image])


def smeared(clip: Path, out: Path, *, resume: bool = False, **options: Any) -> FilmJob:
    """Returns a video job that uses `Smear`, without a network."""
    chosen = film_options("steady", **{"codec": "ffv1", **options})
    opened = open_clip(clip)
    folder, size = (
        out.with_name(out.name + ".frames"),
        (opened.info.height_px, opened.info.width_px),
    )
    mark = hashlib.sha256(repr(chosen).encode()).hexdigest()
    store = PaintStore(folder, mark, resume=resume, lock=OutputLock(out))
    output = FilmOutput(
        path=out, format=choose_format(out, opened.info, size, codec=chosen.codec, crf=chosen.crf)
    )
    flow = flow_estimator(chosen)
    return FilmJob(opened, Smear(), store, chosen, output=output, size=size, flow=flow)


def put_clip(folder: Path, frames: int = 7, cut: int | None = 4) -> None:
    write_film(folder / "clip.mkv", film(frames, cut=cut, size=(40, 48), rate=Fraction(25)))


def paint_film(folder: Path, again: bool) -> None:
    job = smeared(folder / "clip.mkv", folder / "out.mkv", resume=again, passes=2)
    for _event in job:
        pass
    job.assemble()
    job.store.settle()


def film_result(folder: Path) -> Any:
    frames = sorted((folder / "out.mkv.frames").glob("*.png"))
    film = [pixels.tobytes() for pixels in decoded(folder / "out.mkv")]  # files have a random UID
    return [(path.name, path.read_bytes()) for path in frames], film


def _command(*arguments: str) -> None:
    from impasto.cli import main

    main(arguments)


def put_pictures(folder: Path) -> None:
    (folder / "photos").mkdir()
    for name, image in (
        ("photos/photo.png", photograph(40, 48)),
        ("style.png", painting(40, 40)),
    ):
        pixels = (255 * image[0].permute(1, 2, 0)).round().to(torch.uint8).numpy()
        Image.fromarray(pixels).save(folder / name)
    (folder / "two.toml").write_text(STUDY)


def paint_picture(folder: Path, again: bool) -> None:
    known = again and (folder / "run.ckpt").exists()
    _command(
        "image", "photos/photo.png", "style.png", "-o", "out.png", "--size", "40", "--steps", "3,3",
        "--coarsest", "24", "--checkpoint", "run.ckpt", "--checkpoint-every", "2", "--quiet",
        *(["--resume"] if known else []),
    )  # fmt: skip


def picture_result(folder: Path) -> Any:
    return np.asarray(Image.open(folder / "out.png")).tobytes()


def train_look(folder: Path, again: bool) -> None:
    known = again and (folder / "my.look.checkpoint").exists()
    _command(
        "train", "style.png", "-o", "my.look", "--photos", "photos", "--steps", "4", "--validate-every", "2",
        "--batch", "1", "--crop", "32", "--style-size", "40", "--width", "8", "--quiet",
        *(["--resume"] if known else []),
    )  # fmt: skip


def look_result(folder: Path) -> Any:
    from safetensors.torch import load_file

    tensors = load_file(folder / "my.look")
    return {name: tensor.numpy().tobytes() for name, tensor in sorted(tensors.items())}


def run_study(folder: Path, _again: bool) -> None:
    _command(
        "study", "two.toml", "-o", "out", "--contents", "photos/photo.png", "--styles", "style.png", "--json"
    )  # fmt: skip


def study_result(folder: Path) -> Any:
    cells = [json.loads(path.read_text()) for path in sorted((folder / "out/cells").glob("*.json"))]
    pictures = [path.read_bytes() for path in sorted((folder / "out/cells").glob("*.png"))]
    told = [{k: cell[k] for k in ("figures", "curve", "loss", "terms")} for cell in cells]
    pixels = [
        np.asarray(Image.open(p)).tobytes() for p in sorted((folder / "out/cells").glob("*.png"))
    ]
    return json.dumps(told), pixels, len(pictures)


SCENARIOS = {
    "film": (paint_film, film_result, put_clip),
    "image": (paint_picture, picture_result, put_pictures),
    "train": (train_look, look_result, put_pictures),
    "study": (run_study, study_result, put_pictures),
}
