"""Options for training a translator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from impasto.config._fields import DEVICE, MOST_SEED, change_fields, check_fields, option
from impasto.errors import UsageError

__all__ = ["TranslateOptions", "translate_options"]


@dataclass(frozen=True, kw_only=True)
class TranslateOptions:
    """All settings that determine a translator, apart from its two domains; the defaults follow the papers.

    Out-of-range values raise `impasto.errors.UsageError`.
    """

    network: Literal["resnet", "unet", "small"] = option(
        "resnet", "Generator: resnet and unet as published; small is a resnet with a tenth of the compute, for CPUs.",
        group="Network",
    )  # fmt: skip
    channels: int = option(
        0, "Channels after the first convolution; 0 uses the network's default: 64, or 24 for small.", group="Network",
        low=0, high=256,
    )  # fmt: skip
    blocks: int = option(
        0, "Residual blocks, or downsampling levels of a unet; 0 uses the network's default: 9 for resnet, 8 for unet, "
        "4 for small.", group="Network", low=0, high=32,
    )  # fmt: skip
    discriminator_channels: int = option(
        0, "Channels after the discriminator's first convolution; 0 uses 64, or 32 with small.", group="Network",
        low=0, high=256,
    )  # fmt: skip
    discriminator_layers: int = option(
        3, "Downsampling layers of the discriminator: 3 gives a receptive field of 70 px, 2 gives 34, 1 gives 16.",
        group="Network", low=1, high=5,
    )  # fmt: skip

    steps: int = option(20_000, "Steps at the full learning rate.", group="Training", low=0)
    decay_steps: int = option(
        20_000,
        "Further steps, in which the learning rate decays linearly to 0.",
        group="Training",
        low=0,
    )
    batch: int = option(1, "Batch size per process.", group="Training", low=1, high=256)
    size: int = option(
        286, "Short edge of the resized images in pixels.", group="Training", low=16, high=4096
    )
    crop: int = option(
        256, "Side of the crops in pixels, a multiple of 4.", group="Training", low=16, high=2048
    )
    flip: bool = option(True, "Flip half of the crops horizontally.", group="Training")
    learning_rate: float = option(
        2e-4, "Learning rate of Adam.", group="Training", low=1e-7, high=1
    )
    beta1: float = option(
        0.5, "First moment decay (beta1) of Adam.", group="Training", low=0, high=0.999
    )
    pool: int = option(
        50, "Size of the discriminator's buffer of earlier translated images.", group="Training", low=0, high=10_000,
    )  # fmt: skip
    averaging: float = option(
        0.0, "Decay of the exponential moving average of the generator weights that is kept as the result; 0 disables "
        "it, as published. 0.998 gives more stable results.", group="Training", low=0, high=0.99999,
    )  # fmt: skip
    precision: Literal["float32", "bfloat16"] = option(
        "float32", "Training precision; bfloat16 is automatic mixed precision.", group="Training"
    )
    sample_every: int = option(
        500,
        "Steps between samples; each also writes loss curves and a checkpoint.",
        group="Training",
        low=1,
    )
    seed: int = option(0, "Random seed.", group="Training", low=0, high=MOST_SEED)
    device: str = option(
        "auto", "Compute device: auto, cpu, cuda, cuda:1 or mps.", group="Training", **DEVICE
    )

    paired: bool = option(
        False, "Train on pairs of images with the same name (pix2pix): one direction, a conditional discriminator, and "
        "--pair-weight instead of cycle consistency.", group="Losses",
    )  # fmt: skip
    adversary: Literal["squares", "log"] = option(
        "squares", "Adversarial loss: squares (least squares, Mao 2017, as published) or log (Goodfellow 2014).",
        group="Losses",
    )  # fmt: skip
    cycle_weight: float = option(
        10.0, "Weight of the cycle consistency loss (L1).", group="Losses", low=0
    )
    identity_weight: float = option(
        0.5, "Weight of the identity loss, relative to --cycle-weight: images already in the target domain should not "
        "change.", group="Losses", low=0,
    )  # fmt: skip
    pair_weight: float = option(
        100.0,
        "Weight of the L1 distance to the paired image, with --paired.",
        group="Losses",
        low=0,
    )
    style_weight: float = option(
        0.0, "Weight of the style loss: Gram matrices of translated crops against those of the target domain.",
        group="Losses", low=0,
    )  # fmt: skip
    steady_weight: float = option(
        0.0, "Weight of the motion equivariance loss, for videos: a slightly warped input should give the same "
        "translation, warped.", group="Losses", low=0,
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_fields(self)
        if self.crop > self.size:
            raise UsageError(
                f"--crop must not be larger than --size; got {self.crop} and {self.size}."
            )
        if self.crop % self.multiple:
            raise UsageError(
                f"--crop must be a multiple of {self.multiple} with this network; got {self.crop}."
            )

    @property
    def depth(self) -> int:
        """Number of residual blocks, or of downsampling levels of a unet."""
        return self.blocks or {"resnet": 9, "unet": 8, "small": 4}[self.network]

    @property
    def width(self) -> int:
        """Channels after the generator's first convolution."""
        return self.channels or (24 if self.network == "small" else 64)

    @property
    def multiple(self) -> int:
        """Number that the height and width of input images must be multiples of."""
        return int(2**self.depth) if self.network == "unet" else 4


def translate_options(**overrides: Any) -> TranslateOptions:
    """Returns the defaults with some fields replaced.

    Raises:
        UnknownNameError: A field does not exist.
        UsageError: A value is out of range.
    """
    made: TranslateOptions = change_fields(TranslateOptions(), overrides)
    return made
