"""The matting Laplacian against its dense closed form, and which color changes have low energy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from impasto.losses import matting_laplacian, photorealism_loss


def picture(height: int = 6, width: int = 7, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, 3, height, width, generator=generator, dtype=torch.float64)


def times(laplacian: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    return laplacian @ values


def dense(image: torch.Tensor, epsilon: float = 1e-7) -> np.ndarray:
    """Levin 2008, eq. 5, window by window."""
    pixels = image[0].permute(1, 2, 0).numpy()
    height, width = pixels.shape[:2]
    full = np.zeros((height * width, height * width))
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            places = [(y + dy) * width + x + dx for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
            colors = np.array([pixels[i // width, i % width] for i in places])
            apart = colors - colors.mean(0)
            inverse = np.linalg.inv(apart.T @ apart / 9 + epsilon / 9 * np.eye(3))
            full[np.ix_(places, places)] += np.eye(9) - (1 + apart @ inverse @ apart.T) / 9
    return full


def test_equals_the_dense_closed_form():
    laplacian = matting_laplacian(picture())
    found = times(laplacian, torch.eye(42, dtype=torch.float64)).numpy()
    np.testing.assert_allclose(found, dense(picture()), atol=1e-9)
    np.testing.assert_allclose(found, found.T, atol=1e-12)
    np.testing.assert_allclose(found.sum(1), 0, atol=1e-9)
    assert np.linalg.eigvalsh(found).min() > -1e-9


def test_gradient():
    laplacian = matting_laplacian(picture())
    image = picture(seed=1).requires_grad_(True)
    assert torch.autograd.gradcheck(lambda x: photorealism_loss(x, laplacian), image)


def test_affine_changes_of_color_are_photographs_and_strokes_are_not():
    content = picture(16, 18).float()
    laplacian = matting_laplacian(content)
    mixed = (
        torch.einsum(
            "ij,bjhw->bihw", torch.tensor([[0.5, 0.2, 0], [0, 0.7, 0.1], [0.1, 0, 0.4]]), content
        )
        + 0.1
    )
    painted = content + 0.1 * torch.sin(torch.arange(18.0) * 2).expand_as(content)
    energy = lambda x: float(photorealism_loss(x, laplacian))  # noqa: E731
    assert energy(content) < 1e-5
    assert energy(mixed) < 1e-5
    assert energy(painted) > 100 * energy(mixed)


def test_plain_pictures_do_not_break_it():
    plain = torch.full((1, 3, 12, 12), 0.5)
    laplacian = matting_laplacian(plain)
    assert bool(laplacian.values().isfinite().all())
    assert abs(float(photorealism_loss(plain, laplacian))) < 1e-5


def test_weight_does_not_depend_on_the_size():
    """The image tiled three times in each direction: the mean over windows stays nearly the same."""
    small, large = picture(8, 8).float(), picture(8, 8).float().repeat(1, 1, 3, 3)
    noise = picture(8, 8, seed=3).float()
    one = float(photorealism_loss(noise, matting_laplacian(small)))
    many = float(photorealism_loss(noise.repeat(1, 1, 3, 3), matting_laplacian(large)))
    assert 0.7 < one / many < 1.4


def test_pictures_smaller_than_a_window_are_refused():
    with pytest.raises(ValueError, match="at least 3x3 px"):
        matting_laplacian(torch.zeros(1, 3, 2, 9))


def test_noise_in_plain_areas_is_not_kept_and_edges_are():
    image = 0.5 + 0.004 * (picture(12, 16) - 0.5)
    image[..., 8:] += 0.3
    other = picture(12, 16, seed=1)
    plain_side, edge = torch.zeros_like(other), torch.zeros_like(other)
    plain_side[..., :6] = other[..., :6]
    edge[..., 8:] = 1  # an affine function of the image, except for its noise
    edge[:, :, 6:, 8:] = 0  # the edge stops halfway down
    paper, free = matting_laplacian(image), matting_laplacian(image, plain=1e-4)
    assert float(photorealism_loss(plain_side, free)) < 0.01 * float(
        photorealism_loss(plain_side, paper)
    )
    assert float(photorealism_loss(edge, free)) > 0.01
