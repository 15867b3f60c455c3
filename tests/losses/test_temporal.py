"""Temporal losses: their values, and bugs known from other implementations."""

from __future__ import annotations

import pytest
import torch

from impasto.losses import change_loss, temporal_loss


def picture(seed: int) -> torch.Tensor:
    return torch.rand(
        1, 3, 5, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )


def test_value_is_the_weighted_mean_of_squares():
    image, target = torch.ones(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)
    weight = torch.zeros(1, 1, 4, 4)
    weight[..., :2] = 0.5
    assert float(temporal_loss(image, target)) == 1.0
    assert float(temporal_loss(image, target, weight)) == 0.25


def test_the_gradient_is_that_of_the_weighted_squared_difference():
    target, weight = picture(1), picture(2)[:, :1]
    image = picture(0).requires_grad_(True)
    assert torch.autograd.gradcheck(lambda x: temporal_loss(x, target, weight), image)
    (gradient,) = torch.autograd.grad(temporal_loss(image, target, weight), image)
    torch.testing.assert_close(gradient, 2 * weight * (image - target) / image.numel())


def test_the_mask_acts_where_it_lies():
    weight = torch.zeros(1, 1, 5, 6, dtype=torch.float64)
    weight[..., 2, 3] = 1
    image = picture(0).requires_grad_(True)
    (gradient,) = torch.autograd.grad(temporal_loss(image, picture(1), weight), image)
    assert bool((gradient[..., 2, 3] != 0).all())
    assert int((gradient != 0).sum()) == 3


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(ValueError, match="must have the height and width"):
        temporal_loss(picture(0), picture(1), torch.ones(1, 1, 1, 1, dtype=torch.float64))
    with pytest.raises(ValueError, match="images of equal shape"):
        temporal_loss(picture(0), picture(1)[..., :3])


def test_weight_does_not_depend_on_the_size():
    small = temporal_loss(picture(0), picture(1))
    large = temporal_loss(picture(0).repeat(1, 1, 3, 2), picture(1).repeat(1, 1, 3, 2))
    torch.testing.assert_close(small, large)


def test_change_of_content_and_style():
    before = {"relu1_1": picture(0), "relu2_1": picture(1)}
    same = change_loss(before, before, ["relu2_1"], ["relu1_1"])
    assert float(same) == 0
    now = {name: (1.5 * value).requires_grad_(True) for name, value in before.items()}
    # features 1.5 times as large: content 0.25; Gram matrix 2.25 times as large, error 1.25 squared
    loss = change_loss(now, before, ["relu2_1"], ["relu1_1"])
    torch.testing.assert_close(loss.detach(), torch.tensor(0.25 + 1.25**2, dtype=torch.float64))
    gradients = torch.autograd.grad(loss, list(now.values()))
    assert all(bool((g != 0).any()) for g in gradients)
