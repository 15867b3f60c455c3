"""Locally affine color transfer: exact for affine changes, and without brush strokes."""

from __future__ import annotations

import pytest
import torch

from impasto.media import resize, transfer_affinely


def scene(height: int = 40, width: int = 56) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(1, 3, height, width, generator=generator)


def test_an_affine_change_is_taken_over_in_any_size():
    small = scene()
    change = lambda x: (0.2 + 0.5 * x + 0.2 * x.flip(1)).clamp(0, 1)  # noqa: E731
    large = resize(small, (120, 168))
    result = transfer_affinely(small, change(small), large, radius_px=6, epsilon=1e-8)
    torch.testing.assert_close(result, change(large), atol=2e-3, rtol=0)


def test_strokes_are_left_behind():
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(64.0), indexing="ij")
    content = torch.stack([y / 48, x / 64, 0.5 + 0 * x])[None]
    strokes = 0.2 * torch.sin(3 * x + 2 * y)
    result = transfer_affinely(content, (content * 0.8 + strokes).clamp(0, 1), content, radius_px=8)
    step = (result[..., 1:] - result[..., :-1]).abs().max()
    assert float(step) < 0.06


@pytest.mark.parametrize("size", [(1, 9), (9, 1), (33, 2)])
def test_odd_shapes(size):
    picture = scene(*size)
    assert transfer_affinely(picture, picture, picture, radius_px=20).shape == picture.shape
