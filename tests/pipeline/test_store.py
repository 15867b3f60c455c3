"""The frame store: what it keeps, in which order it writes, what it verifies, and what it deletes."""

from __future__ import annotations

import numpy as np
import pytest

from impasto.errors import CheckpointError, OutputError, UsageError
from impasto.pipeline.store import KEPT_FLOWS, PaintStore


def pixels(value=0, kind=np.uint8):
    rows = np.arange(6 * 8 * 3, dtype=np.uint32).reshape(6, 8, 3) * (1 if kind == np.uint8 else 300)
    return (rows + value).astype(kind)


@pytest.fixture
def store(tmp_path):
    return PaintStore(tmp_path / "film.frames", "mark")


def again(store, mark="mark"):
    store.settle()
    return PaintStore(store.folder, mark, resume=True)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_saved_frame_is_read_back_exactly(store, kind):
    store.save(0, pixels(3, kind), {"opens": True})
    np.testing.assert_array_equal(store.pixels(0), pixels(3, kind))  # before it is written
    np.testing.assert_array_equal(again(store).pixels(0), pixels(3, kind))
    assert again(store).pixels(0).dtype == kind


def test_a_frame_that_its_receiver_changes_is_stored_unchanged(store):
    own = pixels()
    store.save(0, own, {})
    own[:] = 99
    np.testing.assert_array_equal(store.pixels(0), pixels())
    store.settle()
    np.testing.assert_array_equal(again(store).pixels(0), pixels())


def test_frames_are_counted_by_pass_and_without_gaps(store):
    for index in (0, 1, 3):
        store.save(index, pixels(), {})
    store.save(1, pixels(), {}, turn=2)
    assert store.painted() == {0, 1, 3}
    assert store.done() == 2
    assert store.done(turn=2) == 0
    assert [store.has(index) for index in range(5)] == [True, True, False, True, False]
    assert store.has(1, turn=2)
    assert not store.has(0, turn=2)


def test_a_record_is_returned_with_the_checksums_of_its_files(store):
    flow = np.ones((1, 2, 3, 4), np.float32)
    store.save(0, pixels(), {"opens": True, "state": {"w": 0.5}}, flow=flow, iterates=[pixels(1)])
    record = store.record(0)
    assert record["opens"] is True
    assert record["state"] == {"w": 0.5}
    assert set(record["sha256"]) == {"1.png", "flow.npy", "steps.npz"}
    with pytest.raises(CheckpointError, match=r"000001\.json is damaged"):
        store.record(1)


def test_motion_is_kept_for_twelve_frames_and_iterates_for_two(store):
    flow = np.zeros((1, 2, 3, 4), np.float32)
    count = KEPT_FLOWS + 2
    for index in range(count):
        store.save(index, pixels(index), {}, flow=flow + index, iterates=[pixels(index)] * 2)
    store.settle()
    assert [store.has_flow(index) for index in range(count)] == [False] * 2 + [True] * KEPT_FLOWS
    assert [store.has_iterates(index) for index in range(count)] == [False] * (count - 2) + [
        True
    ] * 2
    np.testing.assert_array_equal(store.flow(5), flow + 5)
    assert store.flow(0) is None
    assert store.iterates(0) == []
    assert len(store.iterates(count - 1)) == 2
    np.testing.assert_array_equal(store.iterates(count - 1)[1], pixels(count - 1))


def test_masks_and_sources_saved_before_a_frame_are_in_its_record(store):
    mask = np.eye(6, 8, dtype=np.uint8) * 255
    store.save_masks(0, 2, {"sky": mask, "white": 255 - mask})
    store.keep_source(0, pixels(7))
    store.save(0, pixels(), {})
    kept = store.masks(0)
    assert kept.shot == 2
    assert list(kept.masks) == ["sky", "white"]
    np.testing.assert_array_equal(kept.masks["white"], 255 - mask)
    assert store.has_source(0)
    np.testing.assert_array_equal(store.source(0), pixels(7))
    assert set(store.record(0)["sha256"]) == {"masks.npz", "source.png", "1.png"}
    assert store.masks(1) is None
    assert not store.has_source(1)


def test_equal_frames_give_equal_files(tmp_path):
    contents = []
    for name in ("a", "b"):
        store = PaintStore(tmp_path / name, "mark")
        store.save_masks(0, 0, {"sky": np.zeros((6, 8), np.uint8)})
        store.save(0, pixels(), {"opens": True}, iterates=[pixels(1)])
        store.settle()
        contents.append({path.name: path.read_bytes() for path in store.folder.iterdir()})
    assert contents[0] == contents[1]


@pytest.mark.parametrize("part", ["masks.npz", "source.png", "flow.npy", "steps.npz"])
def test_damaged_data_that_can_be_computed_again_is_deleted(store, part):
    store.save_masks(0, 0, {"sky": np.zeros((6, 8), np.uint8)})
    store.keep_source(0, pixels(7))
    store.save(0, pixels(), {}, flow=np.zeros((1, 2, 3, 4)), iterates=[pixels()])
    store.settle()
    path = store.folder / f"000000.{part}"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert store.whole(0) is not None
    assert not path.exists()


@pytest.mark.parametrize("name", ["000000.1.png", "000000.json"])
def test_a_frame_whose_image_or_record_is_damaged_is_not_whole(store, name):
    store.save(0, pixels(), {})
    store.settle()
    assert store.whole(0) is not None
    path = store.folder / name
    path.write_bytes(path.read_bytes()[:-9] + b"123456789")
    assert store.whole(0) is None


def test_a_record_of_another_frame_or_run_is_not_whole(store):
    for index in (0, 1):
        store.save(index, pixels(), {})
    store.settle()
    (store.folder / "000001.json").write_bytes((store.folder / "000000.json").read_bytes())
    assert store.whole(1) is None
    with pytest.raises(CheckpointError, match="from another clip, style, set of options"):
        again(store, "other")


def test_dropping_the_first_pass_deletes_all_of_a_frame_and_a_later_pass_only_its_own(store):
    store.save_masks(0, 0, {"sky": np.zeros((6, 8), np.uint8)})
    store.save(0, pixels(), {}, flow=np.zeros((1, 2, 3, 4)), iterates=[pixels()])
    store.save(0, pixels(1), {}, turn=2)
    store.settle()
    store.drop(0, turn=2)
    assert not store.has(0, turn=2)
    assert store.has(0)
    store.drop(0)
    assert [path.name for path in store.folder.iterdir()] == ["run.json"]


def test_the_first_failed_write_is_reported_and_nothing_pretends_to_be_stored(store, monkeypatch):
    def full(_name, _data):
        raise OutputError("the disk is full.")

    monkeypatch.setattr(store, "_write", full)
    store.save(0, pixels(), {})
    with pytest.raises(OutputError, match="full"):
        store.settle()
    monkeypatch.undo()
    assert store.painted() == frozenset()
    with pytest.raises(CheckpointError, match="is damaged"):
        store.pixels(0)
    store.save(0, pixels(), {})
    assert store.done() == 1


def test_frames_of_an_earlier_run_need_resume_or_fresh(store):
    store.save(0, pixels(), {})
    store.settle()
    with pytest.raises(UsageError, match="contains 1 stylized frames"):
        PaintStore(store.folder, "mark")
    assert again(store).done() == 1
    assert PaintStore(store.folder, "other", fresh=True).done() == 0


def test_removing_the_store_deletes_the_folder_and_releases_the_lock(tmp_path):
    released = []

    class Lock:
        def release(self):
            released.append(True)

    store = PaintStore(tmp_path / "f", "mark", lock=Lock())
    store.save(0, pixels(), {})
    store.remove()
    assert not (tmp_path / "f").exists()
    assert released == [True]
