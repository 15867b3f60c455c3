"""Options of training a translator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from impasto.config._fields import DEVICE, MOST_SEED, change_fields, check_fields, option
from impasto.errors import UsageError

__all__ = ["TranslateOptions", "translate_options"]


@dataclass(frozen=True, kw_only=True)
class TranslateOptions:
    """Everything that decides a translator, apart from its two worlds; the defaults are the papers'.

    Values out of range raise `impasto.errors.UsageError`.
    """

    network: Literal["resnet", "unet", "small"] = option(
        "resnet", "resnet and unet as published; small is a resnet of a tenth of the work, for CPUs.", group="Network"
    )  # fmt: skip
    channels: int = option(
        0, "Channels after the first convolution; 0 is the network's own: 64, or 24 of small.", group="Network",
        low=0, high=256,
    )  # fmt: skip
    blocks: int = option(
        0, "Residual blocks, or halvings of a unet; 0 is the network's own: 9, 8, or 4 of small.", group="Network",
        low=0, high=32,
    )  # fmt: skip
    judge_channels: int = option(
        0, "Channels after the discriminator's first convolution; 0 is 64, or 32 beside small.", group="Network",
        low=0, high=256,
    )  # fmt: skip
    judge_layers: int = option(
        3, "Halvings of the discriminator: 3 judges 70 pixels at once, 2 judges 34, 1 judges 16.", group="Network",
        low=1, high=5,
    )  # fmt: skip

    steps: int = option(20_000, "Steps at the full learning rate.", group="Training", low=0)
    decay_steps: int = option(
        20_000, "Steps after those, in which it falls to 0 in a line.", group="Training", low=0
    )
    batch: int = option(1, "Pictures a step, on each process.", group="Training", low=1, high=256)
    size: int = option(
        286, "Pictures are brought to this short edge.", group="Training", low=16, high=4096
    )
    crop: int = option(
        256, "Side of the crops, a multiple of 4.", group="Training", low=16, high=2048
    )
    flip: bool = option(True, "Mirror half of them.", group="Training")
    learning_rate: float = option(2e-4, "Of Adam.", group="Training", low=1e-7, high=1)
    beta1: float = option(0.5, "Of Adam.", group="Training", low=0, high=0.999)
    pool: int = option(
        50, "Translated pictures that the discriminator remembers.", group="Training", low=0, high=10_000,
    )  # fmt: skip
    averaging: float = option(
        0.0, "Decay of the running mean of the generators' weights that is kept as the result; 0 for none, as "
        "published. 0.998 is calmer.", group="Training", low=0, high=0.99999,
    )  # fmt: skip
    precision: Literal["float32", "bfloat16"] = option(
        "float32", "bfloat16 is automatic mixed precision.", group="Training"
    )
    sample_every: int = option(
        500,
        "Steps between two samples, each with curves and a checkpoint.",
        group="Training",
        low=1,
    )
    seed: int = option(0, "Seed of everything random.", group="Training", low=0, high=MOST_SEED)
    device: str = option("auto", "auto, cpu, cuda, cuda:1, mps.", group="Training", **DEVICE)

    paired: bool = option(
        False, "Pictures of the same name belong together (pix2pix): one direction, a discriminator of pairs, and "
        "--pair-weight in place of cycles.", group="Losses",
    )  # fmt: skip
    adversary: Literal["squares", "log"] = option(
        "squares", "Adversarial loss: squares (Mao 2017, as published) or the logarithm (Goodfellow 2014).",
        group="Losses",
    )  # fmt: skip
    cycle_weight: float = option(10.0, "Weight of there and back again, L1.", group="Losses", low=0)
    identity_weight: float = option(
        0.5, "Weight of leaving alone what is of the world already, as a share of the cycle's.", group="Losses", low=0,
    )  # fmt: skip
    pair_weight: float = option(100.0, "Weight of L1 against the pair.", group="Losses", low=0)
    style_weight: float = option(
        0.0, "Weight of the style loss: Gram matrices of translated crops against those of the other world.",
        group="Losses", low=0,
    )  # fmt: skip
    steady_weight: float = option(
        0.0, "Weight of translating then moving against moving then translating, for films.", group="Losses", low=0,
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_fields(self)
        if self.crop > self.size:
            raise UsageError(
                f"--crop got {self.crop} and --size {self.size}; a crop is at most as large as the picture."
            )
        if self.crop % self.multiple:
            raise UsageError(
                f"--crop got {self.crop}; allowed with this network are multiples of {self.multiple}."
            )

    @property
    def depth(self) -> int:
        """Blocks that the network has."""
        return self.blocks or {"resnet": 9, "unet": 8, "small": 4}[self.network]

    @property
    def width(self) -> int:
        """Channels that the network has."""
        return self.channels or (24 if self.network == "small" else 64)

    @property
    def multiple(self) -> int:
        """Of which sides of pictures have to be."""
        return int(2**self.depth) if self.network == "unet" else 4


def translate_options(**overrides: Any) -> TranslateOptions:
    """The defaults with fields changed.

    Raises:
        UnknownNameError: There is no such field.
        UsageError: A value is out of its range.
    """
    made: TranslateOptions = change_fields(TranslateOptions(), overrides)
    return made
