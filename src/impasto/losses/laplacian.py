"""Laplacian loss: preserves the edges and fine detail of the content image.

Li, Xu, Nie and Chua 2017, "Laplacian-Steered Neural Style Transfer", eqs. 5-6.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["laplacian", "laplacian_loss"]


def laplacian(image: Tensor, pool_px: int = 4) -> Tensor:
    """Average-pools an image and applies the 4-neighbor Laplacian filter.

    Args:
        image: ``(B, 3, H, W)``.
        pool_px: Side of the pooling window in pixels; 1 for none.

    Returns:
        ``(B, 1, h, w)``, summed over the three channels as in the paper, with replicated borders.
    """
    if pool_px > 1:
        image = F.avg_pool2d(image, pool_px)
    gray = image.sum(1, keepdim=True)  # (B, 1, h, w)
    kernel = torch.tensor([[0.0, -1, 0], [-1, 4, -1], [0, -1, 0]]).to(image)
    return F.conv2d(F.pad(gray, (1, 1, 1, 1), mode="replicate"), kernel[None, None])


def laplacian_loss(image: Tensor, target: Tensor, pool_px: int = 4) -> Tensor:
    """Mean squared difference between the Laplacian of an image and that of the content image (Li 2017, eqs. 5-6).

    Deviates: uses the mean instead of the sum, so that the weight does not depend on the image size.

    Args:
        image: ``(B, 3, H, W)``, the pastiche.
        target: ``(B, 1, h, w)``, the `laplacian` of the content image.
        pool_px: See `laplacian`.

    Returns:
        Scalar, at least 0; it is 0 for two images that differ by a constant.
    """
    return (laplacian(image, pool_px) - target).square().mean()
