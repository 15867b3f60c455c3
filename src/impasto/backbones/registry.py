"""Every backbone and where its weights come from: source, SHA-256, license and size in one table."""

from __future__ import annotations

from dataclasses import dataclass

from impasto.errors import unknown_name

__all__ = [
    "DEFAULT",
    "ENTRIES",
    "SHIPPED",
    "WeightsEntry",
    "backbone_names",
    "describe",
    "entry_for",
]

DEFAULT = "vgg19-lite"
SHIPPED = (DEFAULT, "metric-net")
"""Backbones whose weights are part of the package."""

TORCHVISION = "https://download.pytorch.org/models/"
BSD = "BSD-3-Clause (torchvision); trained on ImageNet"


@dataclass(frozen=True, kw_only=True)
class WeightsEntry:
    """One backbone's weights.

    Attributes:
        name: Of the backbone.
        url: Where a file can be fetched, or empty.
        sha256: Whole, or the first hex digits that the publisher puts into the name.
        license: Of the weights.
        size_bytes: Of the file.
        note: What it is good for.
    """

    name: str
    url: str = ""
    sha256: str = ""
    license: str
    size_bytes: int
    note: str

    @property
    def file_name(self) -> str:
        """Of the cached file."""
        return self.url.rsplit("/", 1)[-1] if self.url else f"{self.name}.safetensors"


ENTRIES = {
    entry.name: entry
    for entry in (
        WeightsEntry(
            name="vgg19-lite", license="MIT", size_bytes=827_168,
            note="ships with impasto; sees like vgg19-16x at three fifths of its work",
        ),
        WeightsEntry(
            name="metric-net", license="MIT", size_bytes=1_308_248,
            note="ships with impasto; measures pictures, trained without VGG; layers relu1_1 ... relu5_2",
        ),
        WeightsEntry(
            name="vgg19", url=TORCHVISION + "vgg19-dcbb9e9d.pth", sha256="dcbb9e9d", license=BSD,
            size_bytes=574_673_361, note="the network of the papers, ImageNet scaling",
        ),
        WeightsEntry(
            name="vgg16", url=TORCHVISION + "vgg16-397923af.pth", sha256="397923af", license=BSD,
            size_bytes=553_433_881, note="Johnson's loss network",
        ),
        WeightsEntry(
            name="alexnet", url=TORCHVISION + "alexnet-owt-7be5be79.pth", sha256="7be5be79", license=BSD,
            size_bytes=244_408_911, note="shallow and coarse; layers relu1 ... relu5",
        ),
        WeightsEntry(
            name="resnet50", url=TORCHVISION + "resnet50-11ad3fa6.pth", sha256="11ad3fa6", license=BSD,
            size_bytes=102_540_417, note="with smoothed activations; layers stem, layer1 ... layer4",
        ),
        WeightsEntry(
            name="vgg19-normalized", license="CC BY 4.0 (Oxford VGG; scaled by Gatys)", size_bytes=80_157_000,
            note="Gatys' network, mean activations of 1; a file of yours with --weights",
        ),
        WeightsEntry(
            name="vgg19-caffe", license="CC BY 4.0 (Oxford VGG)", size_bytes=80_126_000,
            note="the original Caffe weights, BGR of 0 to 255; a file of yours with --weights",
        ),
        WeightsEntry(
            name="vgg19-16x", license="MIT (Collaborative-Distillation)", size_bytes=3_900_000,
            note="VGG-19 distilled to a quarter of its widths; a file of yours with --weights",
        ),
    )
}  # fmt: skip


def backbone_names() -> tuple[str, ...]:
    """Every name that `load_backbone` takes, the default first."""
    return tuple(ENTRIES)


def entry_for(name: str) -> WeightsEntry:
    """Looks a name up.

    Raises:
        UnknownNameError: With the nearest name.
    """
    if name not in ENTRIES:
        raise unknown_name("backbone", name, ENTRIES)
    return ENTRIES[name]


def describe() -> str:
    """A table for people: name, size, where from, license, what for."""
    from impasto.backbones.fetch import find_weights

    lines = []
    for entry in ENTRIES.values():
        where = "here" if find_weights(entry.name) else ("--download" if entry.url else "--weights")
        size = f"{entry.size_bytes / 1e6:.1f} MB"
        lines.append(
            f"{entry.name:<17} {size:>9}  {where:<11} {entry.license}\n{'':<18}{entry.note}"
        )
    return "\n".join(lines)
