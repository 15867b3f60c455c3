"""Adversarial losses, and a history of translated images that stabilizes training."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Adversary", "ImagePool", "adversarial_loss"]

Adversary = Literal["squares", "log"]


def adversarial_loss(scores: Tensor, *, real: bool, adversary: Adversary = "squares") -> Tensor:
    """Adversarial loss of a discriminator's output.

    Args:
        scores: Output of a discriminator, ``(B, 1, h, w)``.
        real: Whether the target is real (1) or generated (0).
        adversary: ``squares``: mean squared difference from 1 or 0 (Mao et al. 2017, eq. 2; Zhu et al. 2017,
            section 4). ``log``: binary cross-entropy of the logits (Goodfellow et al. 2014, eq. 1; Zhu et al. 2017,
            eq. 1), where the generator maximizes ``log D`` instead of minimizing ``log (1 - D)``.

    Returns:
        Scalar, at least 0.
    """
    wanted = torch.full_like(scores, 1.0 if real else 0.0)
    if adversary == "squares":
        return F.mse_loss(scores, wanted)
    return F.binary_cross_entropy_with_logits(scores, wanted)


class ImagePool:
    """A history of translated images that returns older ones half of the time (Shrivastava et al. 2017, section 2.3).

    Args:
        size: Capacity; with 0, `exchange` returns its input.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.images: list[Tensor] = []

    def exchange(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Stores images ``(B, 3, H, W)``, and returns as many new or older ones."""
        if self.size == 0:
            return images
        given = []
        for image in images.detach().split(1):
            if len(self.images) < self.size:
                self.images.append(image)
                given.append(image)
            elif float(torch.rand((), generator=generator)) < 0.5:
                place = int(torch.randint(0, self.size, (), generator=generator))
                given.append(self.images[place])
                self.images[place] = image
            else:
                given.append(image)
        return torch.cat(given)
