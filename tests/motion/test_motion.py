"""Optical flow, warping, reliability and shots, compared with known motion."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from films import film, ground
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.errors import InputError, MissingFileError, UsageError, WeightsError
from impasto.media import pixels_to_tensor
from impasto.motion import (
    DIS,
    RAFT,
    Farneback,
    FlowCache,
    FlowFiles,
    RememberedFlow,
    ShotFinder,
    Tracker,
    closest_first,
    color_flow,
    find_still,
    forward_backward_check,
    load_raft,
    make_estimator,
    motion_boundaries,
    read_flow,
    reliability,
    warp,
    write_flow,
)


def constant(right: float, down: float, height: int = 12, width: int = 16) -> torch.Tensor:
    return (
        torch.tensor([float(right), float(down)])
        .view(1, 2, 1, 1)
        .expand(1, 2, height, width)
        .clone()
    )


def picture(height: int = 12, width: int = 16) -> torch.Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))


# --- warping ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "nearest"])
@given(right=st.integers(-4, 4), down=st.integers(-4, 4))
@settings(max_examples=20, deadline=None)
def test_integer_flow_is_a_shifted_picture(mode, right, down):
    image = picture()
    moved = warp(image, constant(right, down), mode=mode)
    inside = moved[..., 4:-4, 4:-4]
    wanted = image[..., 4 + down : 8 + down, 4 + right : 12 + right]
    torch.testing.assert_close(inside, wanted, atol=1e-4, rtol=0)


def test_warping_has_a_gradient_and_holds_at_the_border():
    image = picture().double().requires_grad_(True)
    flow = constant(0.3, -0.6).double()
    assert torch.autograd.gradcheck(lambda x: warp(x, flow), image)
    far = warp(picture(), constant(100, 0))
    torch.testing.assert_close(far, picture()[..., -1:].expand_as(far))


def test_a_batch_is_its_singles():
    images = torch.cat([picture(), picture().flip(2)])
    flows = torch.cat([constant(1.5, 0), constant(0, -2.5)])
    both = warp(images, flows)
    torch.testing.assert_close(both[1:], warp(images[1:], flows[1:]))


# --- reliability ------------------------------------------------------------------------------------------
def test_there_and_back_agree_inside_the_picture():
    seen = forward_backward_check(constant(3, 0), constant(-3, 0))
    assert seen.shape == (1, 1, 12, 16)
    assert bool(seen[..., :12].all())
    assert not bool(seen[..., 13:].any()), "pixels outside the image are occluded"


def test_there_and_elsewhere_do_not():
    assert not bool(forward_backward_check(constant(3, 0), constant(3, 0)).any())


def test_boundaries_are_where_the_flow_breaks():
    flow = constant(0, 0)
    flow[..., 8:] = 5
    found = motion_boundaries(flow)[0, 0]
    assert bool(found[:, 7:9].all())
    assert not bool(found[:, :6].any())
    assert not bool(found[:, 10:].any())
    assert not bool(motion_boundaries(constant(4, -2)).any())


def test_the_closest_that_sees_a_pixel_counts():
    near = torch.tensor([1.0, 0.0, 0.6]).view(1, 1, 1, 3)
    far = torch.tensor([1.0, 1.0, 1.0]).view(1, 1, 1, 3)
    first, second = closest_first([near, far])
    torch.testing.assert_close(first, near)
    torch.testing.assert_close(second.flatten(), torch.tensor([0.0, 1.0, 0.4]))


def test_the_mask_of_a_moving_square_is_a_place_not_a_number():
    frames = film(2, shift=(0, 0), square=True)
    now, before = (pixels_to_tensor(f.pixels) for f in (frames[1], frames[0]))
    dis = DIS()
    trust = reliability(dis(frames[1], frames[0]), dis(frames[0], frames[1]), now, before)
    assert trust.shape == (1, 1, 64, 96)
    assert float(trust[..., 20:40, 10:13].mean()) < 0.3, (
        "pixels disoccluded by the square must not be trusted"
    )
    assert float(trust[..., :, 60:].mean()) > 0.99, "static pixels must be trusted"
    still = find_still(dis(frames[1], frames[0]), now, before)
    assert float(still[..., :, 60:].mean()) > 0.9
    assert float(still[..., 22:38, 12:30].mean()) < 0.2


# --- estimators -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("estimator", "allowed"), [(DIS(), 0.25), (make_estimator("dis-half"), 0.4), (Farneback(), 0.6)]
)
def test_estimators_find_a_pan(estimator, allowed):
    before, now = film(2, shift=(1, 2))
    found = estimator(now, before)
    assert found.shape == (1, 2, 64, 96)
    middle = found[0, :, 12:-12, 12:-12].flatten(1).median(1).values
    torch.testing.assert_close(middle, torch.tensor([-2.0, -1.0]), atol=allowed, rtol=0)


def test_sixteen_bits_are_seen_as_eight():
    before, now = film(2)
    deep = [
        type(f)(**{**vars(f), "pixels": f.pixels.astype(np.uint16) * 257}) for f in (now, before)
    ]
    torch.testing.assert_close(DIS()(*deep), DIS()(now, before))


def test_following_does_not_lose_its_way():
    """In a pan of 1/3 px per frame that every flow estimate underestimates, the accumulated motion is still correct."""
    wide = ground(64, 200)
    frames = []
    for index in range(14):
        shift = pixels_to_tensor(wide)
        moved = warp(shift, constant(index / 3, 0, 64, 200), mode="bicubic").clamp(0, 1)
        pixels = (moved[0, :, :, :160].permute(1, 2, 0) * 255).round().numpy().astype(np.uint8)
        frames.append(
            type(film(1)[0])(pixels=pixels, pts_seconds=0, duration_seconds=0, index=index)
        )

    class Short:
        """Returns half of the true motion between adjacent frames."""

        name = "short"

        def __call__(self, frame, other):
            gap = frame.index - other.index
            share = 0.5 if abs(gap) == 1 else 1.0
            return constant(share * gap / 3, 0, 64, 160)

    def way(correct):
        tracker = Tracker(Short(), correct=correct)
        tracker.add(frames[0], pixels_to_tensor(frames[0].pixels))
        flows = [tracker.follow(f, pixels_to_tensor(f.pixels)).flow for f in frames[1:]]
        return float(sum(flow[0, 0, 32, 80] for flow in flows))

    truth = 13 / 3
    assert abs(way(False) - truth) > 2
    assert abs(way(True) - truth) < 0.8


def test_a_dissolve_no_longer_fits():
    """Adjacent frames hardly differ, but after ten frames the pastiche shows another scene."""
    first, last = ground(64, 96).astype(float), 255 - ground(64, 96, seed=9).astype(float) / 2
    tracker, fits = Tracker(DIS()), []
    for index in range(16):
        share = index / 40
        pixels = ((1 - share) * first + share * last).astype(np.uint8)
        frame = type(film(1)[0])(pixels=pixels, pts_seconds=0, duration_seconds=0, index=index)
        image = pixels_to_tensor(pixels)
        if index == 0:
            tracker.add(frame, image)
        else:
            fits.append(float(tracker.follow(frame, image).fits.mean()))
    assert fits[0] > 0.95
    assert fits[-1] < 0.7


def test_raft_loads_its_published_names(tmp_path):
    for small in (True, False):
        network = RAFT(small=small, iterations=2)
        path = tmp_path / f"raft-{small}.pth"
        torch.save({"module." + k: v for k, v in network.state_dict().items()}, path)
        loaded = load_raft(path, iterations=2)
        before, now = film(2)
        assert loaded(now, before).shape == (1, 2, 64, 96)
    names = RAFT(small=False).state_dict()
    assert {"fnet.layer2.0.downsample.0.weight", "cnet.norm1.running_mean", "update_block.mask.2.bias",
            "update_block.gru.convz1.weight"} <= names.keys()  # fmt: skip
    (tmp_path / "bad.pth").write_bytes(b"no")
    with pytest.raises(WeightsError, match="as a RAFT checkpoint"):
        load_raft(tmp_path / "bad.pth")
    with pytest.raises(MissingFileError):
        load_raft(tmp_path / "none.pth")


def test_against_ground_truth(shared_data):
    from impasto.media import read_image

    folder = shared_data / "flow" / "RubberWhale"
    truth, known = read_flow(folder / "flow10.flo")
    frames = [
        type(film(1)[0])(
            pixels=read_image(folder / f"frame{n}.png").quantized(8)[..., :3].copy(),
            pts_seconds=0,
            duration_seconds=0,
            index=n,
        )
        for n in (10, 11)
    ]

    def error(estimator):
        apart = (estimator(*frames) - truth).square().sum(1, keepdim=True).sqrt()
        return float((known * apart).sum() / known.sum())

    assert error(DIS()) < 0.14
    assert error(Farneback()) < 0.6
    assert error(load_raft(shared_data / "motion" / "raft-small.pth", iterations=6)) < 0.5


# --- files ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("suffix", "step"), [(".flo", 0.0), (".png", 1 / 128)])
def test_fields_come_back_from_disk(tmp_path, suffix, step):
    flow = 20 * torch.randn(1, 2, 9, 14, generator=torch.Generator().manual_seed(0))
    write_flow(tmp_path / f"f{suffix}", flow)
    back, known = read_flow(tmp_path / f"f{suffix}")
    assert float((back - flow).abs().max()) <= step + 1e-6
    assert bool(known.all())


def test_fields_that_are_none_are_refused(tmp_path):
    (tmp_path / "a.flo").write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match="not a \\.flo"):
        read_flow(tmp_path / "a.flo")
    good = tmp_path / "b.flo"
    write_flow(good, torch.zeros(1, 2, 8, 8))
    good.write_bytes(good.read_bytes()[:-4])
    with pytest.raises(InputError, match="truncated"):
        read_flow(good)
    with pytest.raises(UsageError, match=r"\.flo or \.png"):
        write_flow(tmp_path / "c.txt", torch.zeros(1, 2, 8, 8))


def test_files_and_cache_stand_in_for_an_estimator(tmp_path):
    before, now = film(2)
    flow = constant(-2, 0, 64, 96)
    write_flow(tmp_path / "from_000001_to_000000.flo", flow)
    torch.testing.assert_close(FlowFiles(tmp_path)(now, before), flow)
    with pytest.raises(MissingFileError, match="from_000000_to_000001"):
        FlowFiles(tmp_path)(before, now)

    class Counted:
        name, calls = "counted", 0

        def __call__(self, frame, other):
            self.calls += 1
            return flow

    estimator = Counted()
    cache = FlowCache(estimator, tmp_path / "cache")
    for _ in range(3):
        torch.testing.assert_close(cache(now, before), flow)
    assert estimator.calls == 1
    cache(before, now)
    assert estimator.calls == 2


@pytest.mark.parametrize(("name", "match"), [("disc", "Did you mean 'dis'"), ("raft", "--flow-weights"),
                                             ("files", "--flow-files")])  # fmt: skip
def test_estimators_that_cannot_be_had(name, match):
    with pytest.raises(UsageError, match=match):
        make_estimator(name)


# --- shots and colors ------------------------------------------------------------------------------------
def test_cuts_are_found_and_pans_are_not():
    finder = ShotFinder()
    assert [f.index for f in film(20, cut=11) if finder.opens(f)] == [0, 11]
    blind = ShotFinder(0)
    assert [f.index for f in film(20, cut=11) if blind.opens(f)] == [0]


def test_the_wheel_of_directions():
    flow = torch.zeros(1, 2, 1, 3)
    flow[0, 0, 0, 1], flow[0, 0, 0, 2] = 4, -4
    still, right, left = color_flow(flow)[0, :, 0].T
    torch.testing.assert_close(still, torch.ones(3))
    torch.testing.assert_close(right, torch.tensor([1.0, 0.0, 0.0]))
    torch.testing.assert_close(left, torch.tensor([0.0, 1.0, 1.0]))


def test_two_who_ask_for_the_same_frames_share_one_search():
    before, now = film(2)
    asked = []

    class Counted:
        name = "counted"

        def __call__(self, frame, other):
            asked.append((frame.index, other.index))
            return torch.full((1, 2, 4, 4), float(len(asked)))

    find = RememberedFlow(Counted(), kept=2)
    first = find(now, before)
    first += 1  # changing one result must not affect the other
    assert float(find(now, before).mean()) == 1
    find(before, now)
    find(now, now)
    assert len(asked) == 3
    assert float(find(now, before).mean()) == 4  # evicted and computed again
