"""Laplacian loss: edges and fine detail of the photograph, kept.

Li, Xu, Nie and Chua 2017, "Laplacian-Steered Neural Style Transfer", eqs. 5-6.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["LaplacianLoss", "laplacian", "laplacian_loss"]


def laplacian(image: Tensor, pool_px: int = 4) -> Tensor:
    """Average-pools and filters with the 4-neighbor Laplacian.

    Args:
        image: ``(B, 3, H, W)``.
        pool_px: Side of the pooling window in pixels; 1 for none.

    Returns:
        ``(B, 1, h, w)``: the sum over the three channels, as in the paper, edges replicated.
    """
    if pool_px > 1:
        image = F.avg_pool2d(image, pool_px)
    gray = image.sum(1, keepdim=True)  # (B, 1, h, w)
    kernel = torch.tensor([[0.0, -1, 0], [-1, 4, -1], [0, -1, 0]]).to(image)
    return F.conv2d(F.pad(gray, (1, 1, 1, 1), mode="replicate"), kernel[None, None])


def laplacian_loss(image: Tensor, target: Tensor, pool_px: int = 4) -> Tensor:
    """Mean square difference of two pictures' Laplacians.

    Deviates: the mean, not the sum, so that the weight does not depend on the size.

    Args:
        image: ``(B, 3, H, W)`` the pastiche.
        target: ``(B, 3, H, W)`` the content.
        pool_px: See `laplacian`.

    Returns:
        Scalar, at least 0; two pictures that differ by a constant have 0.
    """
    return (laplacian(image, pool_px) - laplacian(target, pool_px)).square().mean()


class LaplacianLoss(nn.Module):
    """`laplacian_loss` against a content picture."""

    target: Tensor

    def __init__(self, target: Tensor, pool_px: int = 4) -> None:
        super().__init__()
        self.register_buffer("target", laplacian(target.detach(), pool_px))
        self.pool_px = pool_px

    def forward(self, image: Tensor) -> Tensor:
        """Compares ``(B, 3, H, W)`` with the content."""
        return (laplacian(image, self.pool_px) - self.target).square().mean()
