"""Table of all backbones with the source, SHA-256, license and size of their weights."""

from __future__ import annotations

from dataclasses import dataclass

from impasto.errors import unknown_name

__all__ = [
    "DEFAULT",
    "ENTRIES",
    "SHIPPED",
    "WeightsEntry",
    "backbone_names",
    "entry_for",
]

DEFAULT = "vgg19-lite"
SHIPPED = (DEFAULT, "metric-net")
"""Backbones whose weights ship with the package."""

TORCHVISION = "https://download.pytorch.org/models/"
BSD = "BSD-3-Clause (torchvision); trained on ImageNet"


@dataclass(frozen=True, kw_only=True)
class WeightsEntry:
    """One backbone's weights.

    Attributes:
        name: Name of the backbone.
        url: URL of the file; empty if it cannot be downloaded.
        sha256: SHA-256 of the file, complete or only the first hex digits, which publishers put into the file name.
        license: License of the weights.
        size_bytes: Size of the file.
        note: Short description.
    """

    name: str
    url: str = ""
    sha256: str = ""
    license: str
    size_bytes: int
    note: str

    @property
    def file_name(self) -> str:
        """Name of the cached file."""
        return self.url.rsplit("/", 1)[-1] if self.url else f"{self.name}.safetensors"


ENTRIES = {
    entry.name: entry
    for entry in (
        WeightsEntry(
            name="vgg19-lite", license="MIT", size_bytes=827_168,
            note="ships with impasto; features similar to vgg19-16x at 60% of the cost",
        ),
        WeightsEntry(
            name="metric-net", license="MIT", size_bytes=1_308_248,
            note="ships with impasto; for evaluation, trained without VGG; layers relu1_1 ... relu5_2",
        ),
        WeightsEntry(
            name="vgg19", url=TORCHVISION + "vgg19-dcbb9e9d.pth", sha256="dcbb9e9d", license=BSD,
            size_bytes=574_673_361, note="the network used in most papers, with ImageNet normalization",
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
            size_bytes=102_540_417, note="activations are smoothed; layers stem, layer1 ... layer4",
        ),
        WeightsEntry(
            name="vgg19-normalized", license="CC BY 4.0 (Oxford VGG; scaled by Gatys)", size_bytes=80_157_000,
            note="Gatys' network, with mean activations of 1; requires a local file (--weights)",
        ),
        WeightsEntry(
            name="vgg19-caffe", license="CC BY 4.0 (Oxford VGG)", size_bytes=80_126_000,
            note="the original Caffe weights, BGR from 0 to 255; requires a local file (--weights)",
        ),
        WeightsEntry(
            name="vgg19-16x", license="MIT (Collaborative-Distillation)", size_bytes=3_900_000,
            note="VGG-19 distilled to a quarter of its width; requires a local file (--weights)",
        ),
    )
}  # fmt: skip


def backbone_names() -> tuple[str, ...]:
    """Returns all names that `load_backbone` accepts, the default first."""
    return tuple(ENTRIES)


def entry_for(name: str) -> WeightsEntry:
    """Returns the entry for a name.

    Raises:
        UnknownNameError: There is no such backbone; the message suggests the closest name.
    """
    if name not in ENTRIES:
        raise unknown_name("backbone", name, ENTRIES)
    return ENTRIES[name]
