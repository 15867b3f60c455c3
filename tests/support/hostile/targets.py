"""All of impasto's file readers, with valid files to damage."""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from hostile.mutate import checked_chunks, mutated, mutated_text
from impasto.errors import InputError

__all__ = ["TARGETS", "Target"]

SIDE = 40


@dataclass(frozen=True)
class Target:
    """A reader.

    Attributes:
        make: Writes valid files into an empty folder and returns those to damage.
        read: Reads from a folder in which one file is damaged; its arguments are the folder and that file.
        text: Whether the files are text.
        mend: Makes damage pass the first check, such as a checksum; applied in half of the cases.
    """

    make: Callable[[Path], list[Path]]
    read: Callable[[Path, Path], object]
    text: bool = False
    mend: Callable[[bytes], bytes] | None = None

    def damage(self, whole: bytes, rng: random.Random, others: list[bytes]) -> bytes:
        """Returns a damaged copy of one of the files."""
        if self.text:
            return mutated_text(whole.decode(), rng)
        data = mutated(whole, rng, others)
        return self.mend(data) if self.mend is not None and rng.random() < 0.5 else data


def pixels(channels: int = 3, kind: type = np.uint8, seed: int = 0) -> np.ndarray:
    """Returns random pixels, ``(H, W, C)``."""
    most = np.iinfo(kind).max
    shape = (SIDE, SIDE, channels)
    return np.random.default_rng(seed).integers(0, most + 1, shape).astype(kind)


# --- images -------------------------------------------------------------------------------------------------
def _pictures(suffix: str, **options: object) -> Callable[[Path], list[Path]]:
    def make(folder: Path) -> list[Path]:
        color, alpha = Image.fromarray(pixels()), Image.fromarray(pixels(4))
        forms = [color, color.convert("L")]
        forms += [alpha, color.quantize(16)] if suffix in (".png", ".webp", ".tif") else []
        forms += [color.convert("CMYK")] if suffix in (".jpg", ".tif") else []
        made = []
        for number, form in enumerate(forms):
            made.append(folder / f"{number}{suffix}")
            form.convert("RGB" if suffix == ".webp" and form.mode in "LP" else form.mode).save(
                made[-1], exif=_exif(), **options
            ) if suffix not in (".bmp", ".gif") else form.save(made[-1])
        return made

    return make


def _exif() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif.tobytes()


def _deep(folder: Path) -> list[Path]:
    import tifffile

    from impasto.media import Picture, write_image

    picture = Picture(rgb=pixels(3, np.uint16).astype(np.float32) / 65535, bits=16)
    made = [write_image(folder / f"0{suffix}", picture) for suffix in (".png", ".tif")]
    for number, compression in enumerate(("lzw", None, "zlib"), 1):
        made.append(folder / f"{number}.tif")
        tile = (16, 16) if number == 1 else None
        tifffile.imwrite(made[-1], pixels(3, np.uint16), compression=compression, tile=tile)
    return made


def _read_picture(_folder: Path, path: Path) -> object:
    from impasto.media import read_image

    return read_image(path)


def _masks(folder: Path) -> list[Path]:
    colors = np.zeros((SIDE, SIDE, 3), np.uint8)
    colors[:, SIDE // 2 :] = (255, 0, 0)
    Image.fromarray(colors).save(folder / "colors.png")
    Image.fromarray(np.tile(np.arange(SIDE, dtype=np.uint8) * 6, (SIDE, 1))).save(
        folder / "soft.png"
    )
    return [folder / "colors.png", folder / "soft.png"]


def _read_masks(folder: Path, path: Path) -> object:
    from impasto.regions.masks import read_masks

    return read_masks(path), read_masks(folder)


# --- videos --------------------------------------------------------------------------------------------------
def _films(suffix: str, codec: str, pixel_format: str) -> Callable[[Path], list[Path]]:
    def make(folder: Path) -> list[Path]:
        import av

        path = folder / f"film{suffix}"
        with av.open(str(path), "w") as container:
            container.metadata["comment"] = json.dumps({"impasto": "0", "options": {"size": 64}})
            stream = container.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = SIDE, SIDE, pixel_format
            for number in range(4):
                frame = av.VideoFrame.from_ndarray(pixels(seed=number), format="rgb24")
                container.mux(stream.encode(frame.reformat(format=pixel_format)))
            container.mux(stream.encode())
        return [path]

    return make


def _read_film(_folder: Path, path: Path) -> object:
    from impasto.media.video import open_clip, read_film_metadata, video_times

    read_film_metadata(path)
    clip = open_clip(path)
    frames = sum(1 for _frame, _ in zip(clip.frames((SIDE, SIDE)), range(100), strict=False))
    return frames, video_times(path)


# --- motion, looks, weights ----------------------------------------------------------------------------------
def _flows(folder: Path) -> list[Path]:
    from impasto.motion import write_flow

    made = [folder / "a.flo", folder / "a.png"]
    for path in made:
        write_flow(path, torch.randn(1, 2, 12, 16))
    return made


def _read_flow(_folder: Path, path: Path) -> object:
    from impasto.motion import read_flow

    return read_flow(path)


def _looks(folder: Path) -> list[Path]:
    from impasto.looks import Look, save_look
    from impasto.looks.networks import Johnson, Painter, PainterShape

    painter = Painter(PainterShape(width=8, dilations=(1, 2)))
    colors = torch.cat([torch.full((1, 3, 1), 0.5), 0.02 * torch.eye(3)[None]], dim=2)
    save_look(
        folder / "a.look", Look(painter, 0.1 * torch.randn(1, painter.shape.codes), colors, {})
    )
    torch.save(Johnson((4, 4, 4)).state_dict(), folder / "b.pth")
    return [folder / "a.look", folder / "b.pth"]


def _read_look(_folder: Path, path: Path) -> object:
    from impasto.config import options
    from impasto.media import Picture
    from impasto.pipeline import paint_at_once

    picture = Picture(rgb=pixels().astype(np.float32) / 255)
    return paint_at_once(picture, options(look=path, size=0))


def _translators(folder: Path) -> list[Path]:
    from impasto.translate import Translator, save_translator
    from impasto.translate.networks import GeneratorShape, make_generator

    generator = make_generator(GeneratorShape("resnet", 4, 1))
    save_translator(folder / "a.translator", Translator({"ab": generator}, {}))  # type: ignore[dict-item]
    torch.save(generator.state_dict(), folder / "b.pth")
    return [folder / "a.translator", folder / "b.pth"]


def _read_translator(_folder: Path, path: Path) -> object:
    from impasto.translate import load_translator

    return load_translator(path).generator("ab")


def _weights(folder: Path) -> list[Path]:
    from safetensors.torch import save_file

    from impasto.backbones import load_backbone

    state = {k: v.contiguous() for k, v in load_backbone("metric-net").state_dict().items()}
    save_file(state, folder / "a.safetensors")
    torch.save({"features.0.weight": torch.randn(4, 3, 3, 3)}, folder / "b.pth")
    return [folder / "a.safetensors", folder / "b.pth"]


def _read_weights(_folder: Path, path: Path) -> object:
    from impasto.backbones import load_backbone
    from impasto.backbones.load import read_state

    return load_backbone("metric-net", weights=path) if path.stem == "a" else read_state(path)


# --- settings ------------------------------------------------------------------------------------------------
SETTINGS = """preset = "draft"
size = 256
steps = [10, 5]
style_layers = ["relu1_1", "relu2_1"]
style_weight = 100.0
start = "recolored"
seed = 3
download = false
[film]
method = "steady"
fps = 12.0
every = 2
sound = "copy"
"""

STUDY = """title = "A study"
kind = "picture"
preset = "draft"
contents = ["skimage:chelsea"]
styles = ["skimage:retina"]
seeds = [0, 1]
best_of = "style_weight"
[options]
size = 64
[grid]
style_weight = [1.0, 10.0]
steps = [[4], [8]]
[[cases]]
name = "one"
solver = "adam"
[[cases]]
name = "two"
"""


def _toml(text: str) -> Callable[[Path], list[Path]]:
    def make(folder: Path) -> list[Path]:
        (folder / "a.toml").write_text(text)
        return [folder / "a.toml"]

    return make


def _read_settings(_folder: Path, path: Path) -> object:
    from impasto.cli._options import read_config, settle
    from impasto.cli._video import settle_film

    settle(None, path, None)
    return read_config(path), settle_film


def _read_study(_folder: Path, path: Path) -> object:
    from impasto.study import load_plan

    return load_plan(str(path))


def _pictures_with_settings(folder: Path) -> list[Path]:
    from impasto.config import options, to_mapping
    from impasto.media import Picture, write_image

    settings = {"impasto": json.dumps({"options": to_mapping(options("draft"))})}
    picture = Picture(rgb=pixels().astype(np.float32) / 255)
    return [
        write_image(folder / f"a{suffix}", picture, metadata=settings)
        for suffix in (".png", ".jpg", ".tif", ".gif")
    ]


# --- resumed runs --------------------------------------------------------------------------------------------
def _checkpoints(folder: Path) -> list[Path]:
    from impasto.optimize.checkpoint import save_checkpoint

    state = {
        "scale": 0,
        "step": 3,
        "image": torch.rand(1, 3, 8, 8),
        "solver": {"pairs": [torch.rand(4)]},
    }
    save_checkpoint(folder / "a.checkpoint", state, "mark")
    return [folder / "a.checkpoint"]


def _read_checkpoint(_folder: Path, path: Path) -> object:
    from impasto.optimize.checkpoint import load_checkpoint

    return load_checkpoint(path, "mark")


def _stores(folder: Path) -> list[Path]:
    from impasto.pipeline.store import PaintStore

    store = PaintStore(folder / "film.mp4.frames", "mark")
    for index in range(3):
        store.save_masks(index, 0, {"white": np.zeros((8, 8), np.uint8)})
        record = {"pts": "0", "duration": "1/25", "opens": index == 0, "state": {}, "terms": {}}
        flow = np.zeros((1, 2, 8, 8), np.float32)
        store.save(index, pixels(), record, flow=flow, iterates=[pixels()])
    store.settle()
    return sorted(path for path in (folder / "film.mp4.frames").iterdir() if path.is_file())


def _read_store(folder: Path, _path: Path) -> object:
    from impasto.pipeline.store import PaintStore

    store = PaintStore(folder / "film.mp4.frames", "mark", resume=True)
    for index in range(store.done()):
        (
            store.pixels(index),
            store.record(index),
            store.flow(index),
            store.iterates(index),
            store.masks(index),
        )
    return store.done()


TARGETS: Mapping[str, Target] = {
    "png": Target(_pictures(".png"), _read_picture, mend=checked_chunks),
    "jpeg": Target(_pictures(".jpg", progressive=True), _read_picture),
    "webp": Target(_pictures(".webp"), _read_picture),
    "tiff": Target(_pictures(".tif"), _read_picture),
    "bmp": Target(_pictures(".bmp"), _read_picture),
    "gif": Target(_pictures(".gif"), _read_picture),
    "avif": Target(_pictures(".avif"), _read_picture),
    "sixteen bits": Target(_deep, _read_picture, mend=checked_chunks),
    "masks": Target(_masks, _read_masks),
    "mp4": Target(_films(".mp4", "mpeg4", "yuv420p"), _read_film),
    "h264": Target(_films(".mkv", "libx264", "yuv420p"), _read_film),
    "webm": Target(_films(".webm", "libvpx-vp9", "yuv420p"), _read_film),
    "avi": Target(_films(".avi", "mjpeg", "yuvj420p"), _read_film),
    "ffv1": Target(_films(".mkv", "ffv1", "yuv420p"), _read_film),
    "flow": Target(_flows, _read_flow),
    "looks": Target(_looks, _read_look),
    "translators": Target(_translators, _read_translator),
    "weights": Target(_weights, _read_weights),
    "settings": Target(_toml(SETTINGS), _read_settings, text=True),
    "studies": Target(_toml(STUDY), _read_study, text=True),
    "settings in pictures": Target(_pictures_with_settings, _read_settings),
    "settings in films": Target(_films(".mp4", "mpeg4", "yuv420p"), _read_settings),
    "checkpoints": Target(_checkpoints, _read_checkpoint),
    "painted frames": Target(_stores, _read_store),
}


# --- faulty readers that test the campaign itself --------------------------------------------------------------
def _raises(_folder: Path, _path: Path) -> object:
    raise KeyError("a field")


def _babbles(_folder: Path, path: Path) -> object:
    raise InputError(f"{path.name} is not a file, " + "and so on, " * 100 + "and no more.")


def _dies(_folder: Path, path: Path) -> object:
    return None if path.read_bytes() == WHOLE else os.abort()


def _hangs(_folder: Path, path: Path) -> object:
    return None if path.read_bytes() == WHOLE else time.sleep(600)


def _grows(_folder: Path, path: Path) -> object:
    return None if path.read_bytes() == WHOLE else np.ones(1 << 28, np.float64).sum()


def _escapes(folder: Path, path: Path) -> object:
    return None if path.read_bytes() == WHOLE else (folder.parent / "more").write_text("")


WHOLE = bytes(range(200))


def _some_bytes(folder: Path) -> list[Path]:
    (folder / "a.bin").write_bytes(WHOLE)
    return [folder / "a.bin"]


FAULTY: Mapping[str, Target] = {
    read.__name__.strip("_"): Target(_some_bytes, read)
    for read in (_raises, _babbles, _dies, _hangs, _grows, _escapes)
}


def renewed(folder: Path, whole: Mapping[Path, bytes]) -> None:
    """Restores all valid files, in case a reader changed anything."""
    shutil.rmtree(folder)
    for path, data in whole.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
