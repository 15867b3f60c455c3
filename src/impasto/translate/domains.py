"""Training data of translators: two sets of images, called domains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import ImpastoError, InputError, UsageError
from impasto.media import color_moments, find_images, is_film, pixels_to_tensor, read_image, resize

__all__ = ["Domain", "check_domains", "gather_domain"]

FRAMES_A_FILM = 200
EVERY = 5
"""Every Nth pixel is used to compute the color statistics of a domain."""

HELD_OUT = 4
"""Maximum number of images per domain that are held out for samples; at most a fifth of its images."""


@dataclass
class Domain:
    """Images of one domain.

    Attributes:
        name: Name for messages.
        pictures: Training images, uint8 ``(3, H, W)``.
        names: Names of the training images.
        held: Images that are held out for samples.
        marks: Hashes of the bytes of all images.
        notes: Messages about files that were skipped, one sentence each.
    """

    name: str
    pictures: list[Tensor]
    names: list[str]
    held: list[Tensor]
    marks: frozenset[int] = frozenset()
    notes: list[str] = field(default_factory=list)

    def colors(self) -> tuple[Tensor, Tensor]:
        """Computes `color_moments` of all images together, in the range -1 to 1."""
        rows = torch.cat([picture.flatten(1)[:, ::EVERY] for picture in self.pictures], 1)
        return color_moments(rows[None, :, None].double() / 127.5 - 1)

    def crop(
        self, number: int, side: int, generator: torch.Generator | None, *, flip: bool = False
    ) -> Tensor:
        """Crops one image, ``(1, 3, side, side)`` from -1 to 1; from the center if ``generator`` is None."""
        return crop_of(self.pictures[number], side, generator, flip=flip)


def crop_of(
    picture: Tensor, side: int, generator: torch.Generator | None, *, flip: bool = False
) -> Tensor:
    """Crops a uint8 image ``(3, H, W)``, at least ``side`` pixels on each side, to ``(1, 3, side, side)``, -1 to 1."""
    height, width = picture.shape[-2:]
    if generator is None:
        top, left = (height - side) // 2, (width - side) // 2
    else:
        top = int(torch.randint(0, height - side + 1, (), generator=generator))
        left = int(torch.randint(0, width - side + 1, (), generator=generator))
    part = picture[:, top : top + side, left : left + side][None].float() / 127.5 - 1
    mirrored = flip and generator is not None and float(torch.rand((), generator=generator)) < 0.5
    return part.flip(-1) if mirrored else part


def gather_domain(path: str | Path, name: str, short_edge: int) -> Domain:
    """Reads a folder of images and videos, or a single video; unreadable images are skipped with a note.

    Args:
        path: Folder or video.
        name: Name for messages.
        short_edge: Short edge in pixels to which images are resized.

    Raises:
        InputError: The path does not exist or has no readable images.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path} does not exist; pass a folder of images or videos for {name}.")
    films = [path] if is_film(path) else []
    if path.is_dir():
        films = [p for p in sorted(path.iterdir()) if is_film(p)]
    found: list[tuple[str, Tensor]] = []
    notes: list[str] = []
    try:
        files = find_images([str(path)]) if path.is_dir() else []
    except ImpastoError:
        files = []
    for file in files:
        try:
            found.append((file.stem, _sized(read_image(file).to_tensor(), short_edge)))
        except ImpastoError as error:
            notes.append(f"skipped in {name}: {error}")
    for film in films:
        found += [(f"{film.stem}-{n}", frame) for n, frame in enumerate(_frames(film, short_edge))]
    if not found:
        more = f" ({len(notes)} could not be read)" if notes else ""
        raise InputError(
            f"{path} contains no usable images{more}; pass a folder of images or videos."
        )
    count = min(HELD_OUT, len(found) // 5)
    every = len(found) // count if count else 0
    held = [n for n in range(len(found)) if count and n % every == every - 1][:count]
    kept = [item for n, item in enumerate(found) if n not in held]
    return Domain(
        name=name,
        pictures=[picture for _name, picture in kept],
        names=[one for one, _picture in kept],
        held=[found[n][1] for n in held] or [kept[0][1]],
        marks=frozenset(hash(picture.numpy().tobytes()) for _name, picture in found),
        notes=notes,
    )


def check_domains(a: Domain, b: Domain, *, paired: bool) -> None:
    """Checks that two domains are suitable for training.

    Raises:
        UsageError: One domain is a subset of the other, or there are no pairs for paired training.
    """
    if paired:
        if not set(a.names) & set(b.names):
            raise UsageError(
                "--paired requires images with equal names in both folders; A and B have no name in common."
            )
        return
    smaller, larger = (a, b) if len(a.marks) <= len(b.marks) else (b, a)
    if smaller.marks <= larger.marks:
        raise UsageError(
            f"all images of {smaller.name} are also in {larger.name}; pass two different sets of images."
        )


def pairs_of(a: Domain, b: Domain) -> list[tuple[int, int]]:
    """Returns the indices of images with equal names."""
    other = {name: number for number, name in enumerate(b.names)}
    return [(number, other[name]) for number, name in enumerate(a.names) if name in other]


def _sized(image: Tensor, short_edge: int) -> Tensor:
    height, width = image.shape[-2:]
    scale = short_edge / min(height, width)
    size = (max(short_edge, round(height * scale)), max(short_edge, round(width * scale)))
    return (255 * resize(image[:, :3], size).clamp(0, 1)[0]).round().to(torch.uint8)


def _frames(path: Path, short_edge: int) -> Sequence[Tensor]:
    from impasto.media.video import open_clip

    clip = open_clip(path)
    info = clip.info
    every = max(1, (info.frames or 250) // FRAMES_A_FILM)
    scale = short_edge / min(info.height_px, info.width_px)
    size = (
        max(short_edge, 2 * round(info.height_px * scale / 2)),
        max(short_edge, 2 * round(info.width_px * scale / 2)),
    )
    return [
        (255 * pixels_to_tensor(frame.pixels)[0]).round().to(torch.uint8)
        for number, frame in enumerate(clip.frames(size))
        if number % every == 0
    ]


def small_move(image: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draws a sampling grid with a small shift, rotation and scaling; returns it and the warped image."""
    numbers = 2 * torch.rand(4, generator=generator) - 1
    angle, scale = 0.05 * numbers[0], (0.05 * numbers[1]).exp()
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()]).view(2, 2) * scale
    matrix = torch.cat([turn, 0.06 * numbers[2:, None]], dim=1)[None]
    grid = F.affine_grid(
        matrix.expand(len(image), 2, 3).to(image), list(image.shape), align_corners=False
    )
    return grid, along(image, grid)


def along(image: Tensor, grid: Tensor) -> Tensor:
    """Samples an image at the positions of a grid."""
    return F.grid_sample(
        image, grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )
