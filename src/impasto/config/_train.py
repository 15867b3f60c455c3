"""Options of training a look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from impasto.config._fields import DEVICE, MOST_SEED, change_fields, check_fields, option
from impasto.errors import UsageError

__all__ = ["TrainOptions", "train_options"]


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Everything that decides a look, apart from its styles and what it learns from.

    Values out of range raise `impasto.errors.UsageError`.
    """

    network: Literal["painter", "instant", "johnson"] = option(
        "painter", "painter is small and fast; instant goes on from the network that ships for any style, nearer to "
        "the style and a fifth as fast; johnson is the published network of 2016.", group="Network"
    )  # fmt: skip
    width: int = option(32, "Channels of a painter.", group="Network", low=4, high=256)
    steps: int = option(1500, "Steps of the solver.", group="Training", low=0, high=10_000_000)
    batch: int = option(
        4, "Photographs a step, on each process.", group="Training", low=1, high=256
    )
    crop: int = option(
        192,
        "Side in pixels of the crops that are learned from.",
        group="Training",
        low=32,
        high=1024,
    )
    style_size: int = option(
        256, "Long edge in pixels at which the styles are seen: larger ones give larger strokes.", group="Training",
        low=32, high=2048,
    )  # fmt: skip
    learning_rate: float = option(2e-3, "Of Adam.", group="Training", low=1e-7, high=1)
    patience: int = option(
        0, "Stop when the loss on held-out photographs has not fallen for so many validations; 0 never.",
        group="Training", low=0,
    )  # fmt: skip
    validate_every: int = option(
        200, "Steps between two validations, each with a picture and a checkpoint.", group="Training", low=1
    )  # fmt: skip
    seed: int = option(0, "Seed of everything random.", group="Training", low=0, high=MOST_SEED)
    device: str = option("auto", "auto, cpu, cuda, cuda:1, mps.", group="Training", **DEVICE)

    content_weight: float = option(1.0, "Weight of the content loss.", group="Losses", low=0)
    style_weight: float = option(25.0, "Weight of the style loss.", group="Losses", low=0)
    tv_weight: float = option(0.02, "Weight of total variation.", group="Losses", low=0)
    noise_weight: float = option(
        2.0, "Weight of the change that noise in the photograph makes (Rainy and de Berker 2018).",
        group="Losses", low=0,
    )  # fmt: skip
    noise: float = option(
        0.03, "Standard deviation of that noise, of 1.", group="Losses", low=0, high=0.5
    )
    move_weight: float = option(
        40.0, "Weight of painting a photograph that moved by whole pixels as the moved pastiche.",
        group="Losses", low=0,
    )  # fmt: skip
    flow_weight: float = option(
        2.0, "Weight of the difference of neighboring frames along the motion (Ruder 2018, eq. 10); needs clips, and "
        "moves photographs a little where there are none.", group="Losses", low=0,
    )  # fmt: skip
    frame_weight: float = option(
        0.0, "Weight of the difference of neighboring frames as they are, unwarped; needs clips.",
        group="Losses", low=0,
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_fields(self)
        if self.network == "instant" and self.crop % 8:
            raise UsageError(f"--crop got {self.crop}; allowed with instant are multiples of 8.")


def train_options(**overrides: Any) -> TrainOptions:
    """The defaults with fields changed.

    Raises:
        UnknownNameError: There is no such field.
        UsageError: A value is out of its range.
    """
    made: TrainOptions = change_fields(TrainOptions(), overrides)
    return made
