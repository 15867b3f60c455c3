"""Options for training a look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from impasto.config._fields import DEVICE, MOST_SEED, change_fields, check_fields, option
from impasto.errors import UsageError

__all__ = ["TrainOptions", "train_options"]


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """All settings that determine a look, apart from its styles and training data.

    Out-of-range values raise `impasto.errors.UsageError`.
    """

    network: Literal["painter", "instant", "johnson"] = option(
        "painter", "Architecture: painter is small and fast; instant fine-tunes the bundled any-style network, which "
        "is closer to the style but five times slower; johnson is the network of Johnson 2016.", group="Network",
    )  # fmt: skip
    width: int = option(32, "Channels of the painter network.", group="Network", low=4, high=256)
    steps: int = option(1500, "Training steps.", group="Training", low=0, high=10_000_000)
    batch: int = option(4, "Batch size per process.", group="Training", low=1, high=256)
    crop: int = option(
        192,
        "Side of the training crops in pixels.",
        group="Training",
        low=32,
        high=1024,
    )
    style_size: int = option(
        256, "Long edge of the style images in pixels; larger values give larger strokes.", group="Training",
        low=32, high=2048,
    )  # fmt: skip
    learning_rate: float = option(
        2e-3, "Learning rate of Adam.", group="Training", low=1e-7, high=1
    )
    patience: int = option(
        0, "Stop when the validation loss has not improved for this many validations; 0 disables early stopping.",
        group="Training", low=0,
    )  # fmt: skip
    validate_every: int = option(
        200, "Steps between validations; each writes samples and a checkpoint.", group="Training", low=1
    )  # fmt: skip
    seed: int = option(0, "Random seed.", group="Training", low=0, high=MOST_SEED)
    device: str = option(
        "auto", "Compute device: auto, cpu, cuda, cuda:1 or mps.", group="Training", **DEVICE
    )

    content_weight: float = option(1.0, "Weight of the content loss.", group="Losses", low=0)
    style_weight: float = option(25.0, "Weight of the style loss.", group="Losses", low=0)
    tv_weight: float = option(0.02, "Weight of the total variation loss.", group="Losses", low=0)
    noise_weight: float = option(
        2.0, "Weight of the noise stability loss: how much the pastiche changes when noise is added to the input "
        "(Rainy and de Berker 2018).", group="Losses", low=0,
    )  # fmt: skip
    noise: float = option(
        0.03,
        "Standard deviation of the noise (image range 0 to 1).",
        group="Losses",
        low=0,
        high=0.5,
    )
    move_weight: float = option(
        40.0, "Weight of the shift equivariance loss: an input shifted by whole pixels should give the shifted "
        "pastiche.", group="Losses", low=0,
    )  # fmt: skip
    flow_weight: float = option(
        2.0, "Weight of the temporal loss: the difference between neighboring frames along the optical flow (Ruder "
        "2018, eq. 10). Without --clips, photographs with small synthetic motion are used.", group="Losses", low=0,
    )  # fmt: skip
    frame_weight: float = option(
        0.0, "Weight of the difference between neighboring frames without warping; requires --clips.",
        group="Losses", low=0,
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_fields(self)
        if self.network == "instant" and self.crop % 8:
            raise UsageError(
                f"--crop must be a multiple of 8 with --network instant; got {self.crop}."
            )


def train_options(**overrides: Any) -> TrainOptions:
    """Returns the defaults with some fields replaced.

    Raises:
        UnknownNameError: A field does not exist.
        UsageError: A value is out of range.
    """
    made: TrainOptions = change_fields(TrainOptions(), overrides)
    return made
