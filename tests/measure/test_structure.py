"""Structure, style by region, and spill, each in cases with a known result."""

from __future__ import annotations

import pytest
import torch
from helpers import TinyNetwork, painting, photograph

from impasto.measure import picture as measures
from impasto.measure import region_style, spill, structure_kept


def test_a_photograph_has_all_its_structure():
    image = painting(48, 64)
    assert structure_kept(image, image) == pytest.approx((1, 1, 1), abs=1e-6)


def test_a_change_of_contrast_leaves_structure_and_not_ssim():
    image = painting(48, 64)
    kept = structure_kept(0.4 + 0.3 * image, image)
    assert kept.structure > 0.99
    assert kept.gradient > 0.99
    assert kept.ssim < 0.9


def test_strokes_cost_structure():
    image = painting(48, 64)
    generator = torch.Generator().manual_seed(3)
    noisy = (image + 0.3 * torch.randn(image.shape, generator=generator)).clamp(0, 1)
    assert structure_kept(noisy, image).structure < 0.8


def test_ssim_is_that_of_another_library():
    metrics = pytest.importorskip("skimage.metrics")
    a, b = painting(48, 64), painting(48, 64, seed=2)
    gray = [measures.luminance(image.double())[0, 0].numpy() for image in (a, b)]
    theirs = metrics.structural_similarity(
        *gray,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1.0,
        full=True,
    )[1]
    ours = structure_kept(a.double(), b.double()).ssim
    assert ours == pytest.approx(float(theirs.mean()), abs=0.01)  # borders differ


def halves(height: int = 48, width: int = 64) -> torch.Tensor:
    mask = torch.zeros(1, 1, height, width)
    mask[..., : width // 2] = 1
    return mask


def test_style_by_region_is_nothing_for_the_style_and_much_when_swapped(monkeypatch):
    monkeypatch.setattr(measures, "STYLE_LAYERS", TinyNetwork.layer_names)
    style = torch.cat([painting(48, 32, 1), 1 - painting(48, 32, 2)], 3)
    left = halves()
    straight = [(left, left), (1 - left, 1 - left)]
    crossed = [(left, 1 - left), (1 - left, left)]
    network = TinyNetwork()
    assert region_style(style, style, straight, network) < 1e-6
    assert region_style(style, style, crossed, network) > 0.03


def test_spill_is_what_runs_over_the_border():
    left = halves()
    content = left * torch.tensor([0.8, 0.2, 0.2]).view(1, 3, 1, 1) + (1 - left) * 0.4
    assert spill(content, content, {"a": left, "b": 1 - left}) == pytest.approx(0, abs=1e-6)
    run = content.clone()
    run[..., 30:32] = content[..., 32:34]
    assert spill(run, content, {"a": left, "b": 1 - left}) > 0.3
    assert spill(photograph(48, 64), photograph(48, 64), {"all": torch.ones(1, 1, 48, 64)}) == 0
