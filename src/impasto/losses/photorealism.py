"""Photorealism loss: keeps the color change locally affine, so that straight edges stay straight.

Levin, Lischinski and Weiss 2008, "A Closed-Form Solution to Natural Image Matting", eq. 5; Luan, Paris, Shechtman and
Bala 2017, "Deep Photo Style Transfer", eq. 2.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor

__all__ = ["matting_laplacian", "matting_stencil", "photorealism_loss", "stencil_energy"]

RADIUS = 2
"""Largest distance between two pixels of a 3x3 window, in rows and in columns."""

WINDOW = 9
SIDE = 2 * RADIUS + 1


def matting_laplacian(image: Tensor, epsilon: float = 1e-7, *, plain: float = 0.0) -> Tensor:
    """Builds the matting Laplacian of an image (Levin 2008, eq. 5) from the 3x3 windows that lie inside it.

    The matrix is symmetric and positive semi-definite, and its rows sum to 0: an image that is an affine function of
    this image's colors has zero energy. Peak memory is about 600 bytes per pixel; the result takes 300.

    Args:
        image: ``(1, 3, H, W)`` in ``[0, 1]``, at least 3x3; the result has its dtype.
        epsilon: Weight of the regularizer that keeps the covariance of flat windows invertible.
        plain: Variance below which a window counts as flat. A window of variance ``v`` has the weight
            ``v^2 / (v^2 + plain^2)``, so that flat areas are unconstrained and their noise, such as JPEG blocks, is
            not preserved. Deviates: the paper corresponds to 0.

    Returns:
        ``(H*W, H*W)``, sparse CSR with int32 indices and 25 entries per row; entries beyond the border are 0 and
        may repeat a column.

    Raises:
        ValueError: The image is smaller than a window or has another shape.
    """
    return _csr(_stencil(image, epsilon, plain))


def matting_stencil(image: Tensor, epsilon: float = 1e-7, *, plain: float = 0.0) -> Tensor:
    """Builds the upper half of the matrix of `matting_laplacian` without indices, in a sixth of its memory.

    The energies of overlapping images add up: an image that is cut into tiles, each with two more rows below and
    columns to the right, has the sum of the tiles' energies, because each 3x3 window lies in exactly one tile.

    Args:
        image: See `matting_laplacian`.
        epsilon: See `matting_laplacian`.
        plain: See `matting_laplacian`.

    Returns:
        ``(13, H, W)``: entry ``n`` is the weight between each pixel and the one at the ``n``-th offset from it, in the
        order of `_offsets`.

    Raises:
        ValueError: The image is smaller than a window or has another shape.
    """
    stencil = _stencil(image, epsilon, plain)
    return torch.stack([stencil[RADIUS + down, RADIUS + right] for down, right in _offsets()])


def _offsets() -> list[tuple[int, int]]:
    """Lists the offsets from a pixel to itself and to the twelve that follow it in reading order."""
    both = [(n // SIDE - RADIUS, n % SIDE - RADIUS) for n in range(SIDE**2)]
    return both[SIDE**2 // 2 :]


def _stencil(image: Tensor, epsilon: float, plain: float) -> Tensor:
    """Returns one plane of weights per offset, ``(5, 5, H, W)``."""
    height, width = image.shape[-2:]
    if image.shape[:2] != (1, 3) or min(height, width) < 3:
        raise ValueError(
            f"the matting Laplacian requires an image of shape (1, 3, H, W), at least 3x3 px; got {tuple(image.shape)}."
        )
    shifted, whitened = _windows(image[0], epsilon)
    rows, columns = height - 2, width - 2
    counts = _counts(shifted, plain)
    stencil = image.new_zeros(SIDE, SIDE, height, width)
    for a in range(WINDOW):
        down_a, right_a = divmod(a, 3)
        here = (slice(down_a, down_a + rows), slice(right_a, right_a + columns))
        for b in range(a, WINDOW):
            down_b, right_b = divmod(b, 3)
            value = (shifted[a] * whitened[b]).sum(0).add_(1).div_(-WINDOW)  # (H-2, W-2)
            if a == b:
                value += 1
            value *= counts
            offset = (RADIUS + down_b - down_a, RADIUS + right_b - right_a)
            stencil[offset][here] += value
            if a != b:
                there = (slice(down_b, down_b + rows), slice(right_b, right_b + columns))
                stencil[2 * RADIUS - offset[0], 2 * RADIUS - offset[1]][there] += value
    return stencil


def _counts(shifted: list[Tensor], plain: float) -> Tensor:
    """Returns the weight of each window, ``(H-2, W-2)``."""
    if plain == 0:
        return torch.ones_like(shifted[0][0])
    variance = torch.stack([part.square().mean(0) for part in shifted]).mean(0)
    return variance.square() / (variance.square() + plain**2)


def _windows(image: Tensor, epsilon: float) -> tuple[list[Tensor], list[Tensor]]:
    """Returns the nine mean-centered pixels of every window, and the same multiplied by the inverse covariance.

    Computed in float64, because flat windows are nearly singular; float32 would leave 0.1% of the energy as noise.
    """
    height, width = image.shape[-2:]
    parts = [
        image[:, down : down + height - 2, right : right + width - 2].double()
        for down in range(3)
        for right in range(3)
    ]
    mean = torch.stack(parts).mean(0)  # (3, H-2, W-2)
    parts = [part - mean for part in parts]
    covariance: dict[tuple[int, int], Tensor] = {}
    for i in range(3):
        for j in range(i, 3):
            sum_ij = torch.zeros_like(mean[0])
            for part in parts:
                sum_ij.addcmul_(part[i], part[j])
            covariance[i, j] = sum_ij / WINDOW
        covariance[i, i] += epsilon / WINDOW
    inverse = _inverse(covariance)
    whitened = []
    for part in parts:
        planes = []
        for i in range(3):
            plane = inverse[0, i] * part[0]
            for j in (1, 2):
                plane.addcmul_(inverse[min(i, j), max(i, j)], part[j])
            planes.append(plane)
        whitened.append(torch.stack(planes).to(image.dtype))
    return [part.to(image.dtype) for part in parts], whitened


def _inverse(c: dict[tuple[int, int], Tensor]) -> dict[tuple[int, int], Tensor]:
    """Inverts symmetric 3x3 matrices by cofactors, with one plane per entry."""
    cofactor = {
        (0, 0): c[1, 1] * c[2, 2] - c[1, 2] * c[1, 2],
        (0, 1): c[0, 2] * c[1, 2] - c[0, 1] * c[2, 2],
        (0, 2): c[0, 1] * c[1, 2] - c[0, 2] * c[1, 1],
        (1, 1): c[0, 0] * c[2, 2] - c[0, 2] * c[0, 2],
        (1, 2): c[0, 1] * c[0, 2] - c[0, 0] * c[1, 2],
        (2, 2): c[0, 0] * c[1, 1] - c[0, 1] * c[0, 1],
    }
    determinant = c[0, 0] * cofactor[0, 0] + c[0, 1] * cofactor[0, 1] + c[0, 2] * cofactor[0, 2]
    return {key: value / determinant for key, value in cofactor.items()}


def _csr(stencil: Tensor) -> Tensor:
    """Converts one plane of weights per offset (25) to a sparse matrix; columns are sorted within a row."""
    _five, _five_again, height, width = stencil.shape
    number = torch.arange(height * width, dtype=torch.int32, device=stencil.device)
    steps = torch.arange(-RADIUS, RADIUS + 1, dtype=torch.int32, device=stencil.device)
    offsets = (steps[:, None] * width + steps).flatten()
    columns = (number[:, None] + offsets).clamp_(0, height * width - 1)  # (H*W, 25)
    values = stencil.flatten(2).flatten(0, 1).T.contiguous()  # (H*W, 25), 0 beyond the border
    starts = torch.arange(height * width + 1, dtype=torch.int32, device=stencil.device) * SIDE**2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns on first use that its CSR support is in beta
        return torch.sparse_csr_tensor(
            starts,
            columns.flatten(),
            values.flatten(),
            (height * width, height * width),
            check_invariants=False,
        )


class _Energy(torch.autograd.Function):
    """``sum_c V_c^T L V_c`` with the gradient ``2 L V``; autograd through CSR is a hundred times slower."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, laplacian: Tensor) -> Tensor:
        values = image[0].flatten(1).T  # (H*W, 3)
        product = laplacian @ values
        ctx.save_for_backward(product)
        ctx.shape = image.shape
        return (values * product).sum()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (product,) = ctx.saved_tensors
        return (2 * gradients[0] * product.T.reshape(ctx.shape)), None


class _StencilEnergy(torch.autograd.Function):
    """``sum_c V_c^T L V_c`` with the gradient ``2 L V``, from `matting_stencil`."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, stencil: Tensor) -> Tensor:
        values = image[0]  # (3, H, W)
        height, width = values.shape[-2:]
        product = stencil[0] * values
        for plane, (down, right) in zip(stencil[1:], _offsets()[1:], strict=True):
            left, end = max(0, -right), width - max(0, right)
            here = (slice(0, height - down), slice(left, end))
            there = (slice(down, height), slice(left + right, end + right))
            weights = plane[here]
            product[(..., *here)].addcmul_(weights, values[(..., *there)])
            product[(..., *there)].addcmul_(weights, values[(..., *here)])
        ctx.save_for_backward(product)
        return (values * product).sum()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (product,) = ctx.saved_tensors
        return (2 * gradients[0] * product[None]), None


def stencil_energy(image: Tensor, stencil: Tensor) -> Tensor:
    """Energy of an image under a matting Laplacian: ``sum_c V_c^T L V_c``, not divided by the number of windows.

    Args:
        image: ``(1, 3, H, W)``.
        stencil: The `matting_stencil` of the content image, ``(13, H, W)``.

    Returns:
        Scalar, at least 0 up to rounding.
    """
    energy: Tensor = _StencilEnergy.apply(image, stencil)  # type: ignore[no-untyped-call]
    return energy


def photorealism_loss(image: Tensor, laplacian: Tensor) -> Tensor:
    """Energy of an image under the content's matting Laplacian: ``sum_c V_c^T L V_c`` (Luan 2017, eq. 2).

    Deviates: the energy is divided by the number of windows, so that the weight does not depend on the image size.

    Args:
        image: ``(1, 3, H, W)``.
        laplacian: The `matting_laplacian` of the content image; symmetric.

    Returns:
        Scalar, at least 0 up to rounding.
    """
    energy: Tensor = _Energy.apply(image, laplacian)  # type: ignore[no-untyped-call]
    return energy / ((image.shape[-2] - 2) * (image.shape[-1] - 2))
