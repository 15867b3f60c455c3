"""Regions of a video: found at the start of a shot, followed along the flow, taken from files, and stored."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from films import film, write_film
from helpers import painting
from PIL import Image

from impasto.backbones import load_backbone
from impasto.config import options
from impasto.media import pixels_to_tensor
from impasto.pipeline.follow import FilmRegions, is_film_of_masks
from impasto.pipeline.regions import RegionFinder
from impasto.pipeline.store import PaintStore

SIZE = (64, 96)
SHIFT_PX = 4


def left_half(offset=0):
    """Returns a mask, uint8 ``(H, W)``, of the columns left of the center, moved right by an offset."""
    mask = np.zeros(SIZE, np.uint8)
    mask[:, : SIZE[1] // 2 + offset] = 255
    return mask


def moving(frame, other):
    flow = torch.zeros(1, 2, *SIZE)
    flow[:, 0] = SHIFT_PX * (other.index - frame.index)
    return flow


@pytest.fixture
def store(tmp_path):
    return PaintStore(tmp_path / "f", "mark")


def regions_of(tmp_path, store, estimator=moving, mask=None, **more):
    """Returns the regions of a video whose first mask is the left half in white."""
    Image.fromarray(left_half() if mask is None else mask).save(tmp_path / "mask.png")
    paint = options(
        content_regions=tmp_path / "mask.png", assign=("white=1", "black=1"), feather=0.0
    )
    finder = RegionFinder(paint, [painting()], load_backbone())
    return FilmRegions(finder, estimator, store, **more)


def taken(regions, frames, *, cut=None, painted=0):
    """Returns the white mask of every frame, ``(H, W)`` in [0, 1]."""
    found = []
    for frame in frames:
        image = pixels_to_tensor(frame.pixels)
        opens = frame.index in (0, cut)
        result = regions.take(frame, image, opens=opens, painted=frame.index < painted)
        assert {one.name for one in result} == {"white", "black"}
        found.append(next(one.content for one in result if one.name == "white")[0, 0])
    return found


def overlap(mask, wanted):
    """Returns intersection over union of two masks, without the columns that enter the image on the left."""
    one, two = mask[:, 16:] > 0.5, torch.from_numpy(wanted)[:, 16:] > 127
    return float((one & two).sum() / (one | two).sum())


def test_masks_move_with_the_flow(tmp_path, store):
    found = taken(regions_of(tmp_path, store), film(4, shift=(0, SHIFT_PX)))
    for index, mask in enumerate(found):
        assert overlap(mask, left_half(SHIFT_PX * index)) > 0.9
    assert overlap(found[3], left_half()) < 0.9


def test_masks_of_a_frame_add_up_to_1(tmp_path, store):
    regions = regions_of(tmp_path, store)
    taken(regions, film(3, shift=(0, SHIFT_PX)))
    for index in range(3):
        total = sum(mask.astype(int) for mask in store.masks(index).masks.values())
        assert np.abs(total - 255).max() <= 1


def test_a_cut_starts_a_new_shot_and_segments_it_from_what_the_first_mask_taught(tmp_path, store):
    frames = film(5, shift=(0, SHIFT_PX))
    # the left half of every frame is dark, the right half is bright
    for frame in frames:
        frame.pixels[:, :48], frame.pixels[:, 48:] = 30, 220
    for frame in frames[3:]:
        frame.pixels[:] = np.flip(frame.pixels, 1)
    still = lambda *_frames: torch.zeros(1, 2, *SIZE)  # noqa: E731
    found = taken(regions_of(tmp_path, store, still), frames, cut=3)
    assert [store.masks(index).shot for index in range(5)] == [0, 0, 0, 1, 1]
    assert overlap(found[2], left_half()) > 0.9
    assert overlap(found[3], 255 - left_half()) > 0.7


def test_stored_masks_are_used_instead_of_the_flow(tmp_path, store):
    frames = film(4, shift=(0, SHIFT_PX))
    whole = taken(regions_of(tmp_path, store), frames)

    def unused(*_frames):
        raise AssertionError("the flow of stored frames is not needed")

    resumed = taken(regions_of(tmp_path, store, unused), frames, painted=4)
    for one, other in zip(whole, resumed, strict=True):
        torch.testing.assert_close(one, other, atol=0, rtol=0)


def test_a_run_that_resumes_in_the_middle_of_a_shot_gets_the_same_masks(tmp_path):
    frames = film(5, shift=(0, SHIFT_PX))
    whole = taken(regions_of(tmp_path, PaintStore(tmp_path / "a", "m")), frames)
    part = PaintStore(tmp_path / "b", "m")
    taken(regions_of(tmp_path, part), frames[:3])
    rest = taken(regions_of(tmp_path, part), frames, painted=3)
    for one, other in zip(whole, rest, strict=True):
        torch.testing.assert_close(one, other, atol=0, rtol=0)


def test_stored_regions_are_matched_again(tmp_path, store):
    regions = regions_of(tmp_path, store)
    found = taken(regions, film(2, shift=(0, SHIFT_PX)))
    matched = regions.stored(1)
    white = next(one for one in matched.regions if one.name == "white")
    torch.testing.assert_close(white.content[0, 0], found[1], atol=0, rtol=0)


def test_a_video_of_masks_is_used_frame_by_frame(tmp_path, store):
    frames = film(4, shift=(0, 0))
    masks = []
    for frame in film(4):
        rgb = np.repeat(left_half(6 * frame.index)[..., None], 3, 2)
        masks.append(type(frame)(pixels=rgb, pts_seconds=frame.pts_seconds,
                                 duration_seconds=frame.duration_seconds, index=frame.index))  # fmt: skip
    path = write_film(tmp_path / "masks.mkv", masks, codec="ffv1", pixel_format="bgr0", options={})
    found = taken(regions_of(tmp_path, store, masks=path), frames)
    for index, mask in enumerate(found):
        assert overlap(mask, left_half(6 * index)) > 0.99


def test_where_a_video_of_masks_ends_its_last_masks_are_tracked_and_a_note_says_so(tmp_path, store):
    frames = film(5, shift=(0, SHIFT_PX))
    rgb = np.repeat(left_half()[..., None], 3, 2)
    short = [type(f)(pixels=rgb, pts_seconds=f.pts_seconds, duration_seconds=Fraction(1, 24), index=f.index)
             for f in frames[:2]]  # fmt: skip
    path = write_film(tmp_path / "masks.mkv", short, codec="ffv1", pixel_format="bgr0", options={})
    regions = regions_of(tmp_path, store, masks=path)
    found = taken(regions, frames)
    assert overlap(found[1], left_half()) > 0.99
    assert overlap(found[4], left_half(3 * SHIFT_PX)) > 0.9
    (note,) = [note for note in regions.notes if "masks.mkv" in note]
    assert note.endswith("its last masks are tracked along the motion from there")


def test_masks_per_frame_are_recognized_by_their_names(tmp_path):
    assert is_film_of_masks(tmp_path / "masks.mp4")
    assert is_film_of_masks(tmp_path / "mask_%05d.png")
    assert not is_film_of_masks(tmp_path / "mask.png")
    folder = tmp_path / "masks"
    folder.mkdir()
    assert not is_film_of_masks(folder)
    (folder / "mask_001.png").touch()
    assert is_film_of_masks(folder)
    (folder / "sky.png").touch()
    assert not is_film_of_masks(folder)
