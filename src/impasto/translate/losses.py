"""The adversarial losses, and the memory of translated pictures that steadies them."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Adversary", "ImagePool", "adversarial_loss"]

Adversary = Literal["squares", "log"]


def adversarial_loss(judged: Tensor, *, real: bool, adversary: Adversary = "squares") -> Tensor:
    """How far a map of judgments is from all real, or all made.

    Args:
        judged: ``(B, 1, h, w)``, of a discriminator.
        real: What it should say.
        adversary: ``squares``: mean square from 1 or 0 (Mao et al. 2017, eq. 2; Zhu et al. 2017, section 4). ``log``:
            cross entropy of the logistic (Goodfellow et al. 2014, eq. 1; Zhu et al. 2017, eq. 1), where the generator
            maximizes ``log D`` and does not minimize ``log (1 - D)``.
    """
    wanted = torch.full_like(judged, 1.0 if real else 0.0)
    if adversary == "squares":
        return F.mse_loss(judged, wanted)
    return F.binary_cross_entropy_with_logits(judged, wanted)


class ImagePool:
    """Gives back older translated pictures half of the time (Shrivastava et al. 2017, section 2.3).

    Args:
        size: How many it holds; 0 gives back what it is given.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.images: list[Tensor] = []

    def exchange(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """``(B, 3, H, W)`` in, as many out."""
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
