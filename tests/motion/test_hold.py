"""Temporal smoothing with the previous pastiche."""

from __future__ import annotations

import pytest
import torch

from impasto.motion.hold import held_to_motion
from impasto.types import Earlier, FrameContext


def context(warped: torch.Tensor, reliability: float, fits: float | None = None) -> FrameContext:
    part = torch.full_like(warped[:, :1], reliability)
    fit = None if fits is None else torch.full_like(part, fits)
    earlier = (Earlier(gap=1, warped=warped, reliability=part, fits=fit),)
    return FrameContext(index=1, opens_shot=False, blend=(), earlier=earlier)


def grain(seed: int) -> torch.Tensor:
    return 0.1 * torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(seed))


def test_grain_is_held_more_than_tones():
    before, now = 0.3 + grain(0), 0.6 + grain(1)
    held = held_to_motion(now, context(before, 1.0))
    assert float(held.mean()) == pytest.approx(0.6 - 0.85 * 0.3, abs=0.01)
    left = held - held.mean()
    assert float((left * grain(0)).mean() / grain(0).square().mean()) > 0.9
    assert float((left * grain(1)).mean() / grain(1).square().mean()) < 0.12


@pytest.mark.parametrize(
    ("reliability", "fits", "share"),
    [(1.0, 0.0, 0.0), (0.0, None, 0.0), (0.4, None, 0.85), (0.1, 1.0, 0.255)],
)
def test_motion_is_followed_as_far_as_it_is_reliable_and_fits(reliability, fits, share):
    before, now = torch.zeros(1, 3, 32, 32), torch.ones(1, 3, 32, 32)
    held = held_to_motion(now, context(before, reliability, fits))
    assert held.mean().item() == pytest.approx(1 - share, abs=1e-4)


def test_a_frame_alone_is_left_as_it_is():
    now = grain(2)
    assert held_to_motion(now, FrameContext(index=0, opens_shot=True, blend=())) is now
