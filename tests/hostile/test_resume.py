"""Damage in stored frames of a video: detected, processed again, and never a traceback."""

from __future__ import annotations

import itertools
import json
import os
import pickle
import shutil
import time

import numpy as np
import pytest
import torch
from films import film, stored, write_film
from PIL import Image
from scenarios import put_clip, smeared

from impasto.config import film_options, options
from impasto.errors import CheckpointError, OutputError, UsageError
from impasto.motion import write_flow
from impasto.pipeline.folder import sealed, unsealed
from impasto.pipeline.store import PaintStore
from impasto.pipeline.video import Supplied, _mark

FRAMES, CUT = 18, 15
METHODS = {
    "steady": {},
    "gaps": {"gaps": (1, 2, 4)},
    "passes": {"passes": 3},
    "iterates": {"iterate_weight": 1.0},
    "loop": {"loop": True},
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Uninterrupted runs, by method."""
    place = tmp_path_factory.mktemp("whole")
    put_clip(place, FRAMES, CUT)
    made = {}
    for name, changes in METHODS.items():
        job = smeared(place / "clip.mkv", place / f"{name}.mkv", **changes)
        list(job)
        made[name] = place / f"{name}.mkv.frames"
    return place, made


def again(whole, tmp_path, method, spoil):
    """Resumes a damaged copy of a run; returns the job and its events."""
    place, made = whole
    folder = tmp_path / "out.mkv.frames"
    shutil.copytree(made[method], folder)
    spoil(folder)
    job = smeared(place / "clip.mkv", tmp_path / "out.mkv", resume=True, **METHODS[method])
    events = list(job)
    turns = METHODS[method].get("passes", 1)
    for turn in range(1, turns + 1):
        wanted, found = stored(made[method], turn), stored(folder, turn)
        assert len(found) == len(wanted)
        for index, (one, other) in enumerate(zip(found, wanted, strict=True)):
            assert np.array_equal(one, other), f"frame {index} of pass {turn}"
    return job, events


def cut_short(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def exchange(path):
    Image.fromarray(np.full((40, 48, 3), 99, np.uint8)).save(path)


@pytest.mark.parametrize(
    ("method", "spoil"),
    [
        *((method, flip) for method in METHODS),
        *(("steady", s) for s in (exchange, os.unlink, cut_short)),
    ],
)
def test_a_damaged_frame_is_painted_anew_with_what_follows_from_it(whole, tmp_path, method, spoil):
    job, events = again(whole, tmp_path, method, lambda f: spoil(f / "000006.1.png"))
    first = 0 if method == "iterates" else 6
    assert f"frame 6 was damaged; frames {first} to {CUT - 1} are processed again" in job.notes
    assert {e.index for e in events if e.turn == 1} == set(range(first, CUT))


@pytest.mark.parametrize("method", ["steady", "iterates"])
def test_the_first_frame_may_be_damaged_and_the_last(whole, tmp_path, method):
    def spoil(folder):
        flip(folder / "000000.1.png")
        flip(folder / f"{FRAMES - 1:06d}.1.png")

    _job, events = again(whole, tmp_path, method, spoil)
    assert 0 in {e.index for e in events}
    assert FRAMES - 1 in {e.index for e in events}


def test_a_later_pass_is_painted_anew_in_its_own_order(whole, tmp_path):
    job, events = again(whole, tmp_path, "passes", lambda f: flip(f / "000004.2.png"))
    assert job.notes[-1] == "frame 4 was damaged; frames 0 to 4 are processed again in pass 2"
    assert [e.index for e in events if e.turn == 2] == [4, 3, 2, 1, 0]


@pytest.mark.parametrize("data", [b"", b"{", b"[1]", b"\xff\xfe", b'{"values": 3, "seal": ""}'])
def test_a_record_that_is_empty_or_garbled_is_a_damaged_frame(whole, tmp_path, data):
    job, _events = again(whole, tmp_path, "steady", lambda f: (f / "000006.json").write_bytes(data))
    assert f"frame 6 was damaged; frames 6 to {CUT - 1} are processed again" in job.notes


@pytest.mark.parametrize(
    ("part", "data"),
    [("flow.npy", b""), ("source.png", b"PK\3\4 no zip"), ("steps.npz", pickle.dumps({"a": 1}))],
)
def test_what_can_be_found_again_may_be_damaged(whole, tmp_path, part, data):
    """Lost motion is recomputed and lost clip frames are stored again; a shot with lost iterates is stylized again."""
    method = {"flow.npy": "steady", "source.png": "passes", "steps.npz": "iterates"}[part]

    def spoil(folder):
        last = FRAMES - 1
        (folder / f"{last:06d}.{part}").write_bytes(data)
        if method == "steady":
            (folder / f"{last - 1:06d}.{part}").write_bytes(data)
            (folder / f"{last:06d}.1.png").unlink()

    again(whole, tmp_path, method, spoil)


def test_frames_of_another_run_are_not_taken(whole, tmp_path):
    """Records carry the run's fingerprint and the frame's number."""
    _place, made = whole

    def spoil(folder):
        for ending in ("json", "1.png"):
            shutil.copy(made["gaps"] / f"000003.{ending}", folder)
            shutil.copy(made["steady"] / f"000011.{ending}", folder / f"000008.{ending}")

    job, _events = again(whole, tmp_path, "steady", spoil)
    assert f"frame 3 was damaged; frames 3 to {CUT - 1} are processed again" in job.notes


def test_a_run_json_that_is_damaged_is_written_anew(whole, tmp_path):
    _job, events = again(whole, tmp_path, "steady", lambda f: (f / "run.json").write_bytes(b"\0"))
    assert events == []


def test_damage_while_damage_is_mended(whole, tmp_path):
    """A run that repairs damage may be interrupted as well."""
    place, made = whole
    folder = tmp_path / "out.mkv.frames"
    shutil.copytree(made["steady"], folder)
    flip(folder / "000003.1.png")
    list(itertools.islice(smeared(place / "clip.mkv", tmp_path / "out.mkv", resume=True), 5))
    (folder / "000005.flow.npy").write_bytes(b"")
    list(smeared(place / "clip.mkv", tmp_path / "out.mkv", resume=True))
    assert [p.tobytes() for p in stored(folder)] == [p.tobytes() for p in stored(made["steady"])]


@pytest.mark.parametrize("left", [[], [".run.part99999999.json"], ["run.json"]])
def test_a_folder_that_was_only_begun_is_taken_like_a_new_one(tmp_path, left):
    folder = tmp_path / "out.mkv.frames"
    folder.mkdir()
    for name in left:
        (folder / name).touch()
    put_clip(tmp_path, 3, None)
    list(smeared(tmp_path / "clip.mkv", tmp_path / "out.mkv", resume=True))
    assert sorted(p.name for p in folder.iterdir() if ".part" in p.name) == []
    assert len(stored(folder)) == 3


def refused(kind, folder, **how):
    with pytest.raises(kind) as caught:
        PaintStore(folder, "mark", **how)
    return str(caught.value)


def test_only_our_own_folder_is_ever_removed(tmp_path):
    folder, other = tmp_path / "o.mp4.frames", tmp_path / "other"
    other.mkdir()
    (other / "000000.1.png").write_text("a photograph of somebody")
    for make in (
        lambda: folder.symlink_to(other, target_is_directory=True),
        lambda: folder.write_text("a diary"),
        lambda: shutil.copytree(other, folder),
        lambda: (folder.mkdir(), (folder / "run.json").write_text('{"speed": 12}')),
    ):
        make()
        before = sorted(p.name for p in tmp_path.rglob("*"))
        for how in ({"fresh": True}, {"resume": True}, {}):
            assert "choose another output name" in refused(OutputError, folder, **how)
        assert sorted(p.name for p in tmp_path.rglob("*")) == before
        shutil.rmtree(folder) if folder.is_dir() and not folder.is_symlink() else folder.unlink()


def test_files_of_others_in_our_folder_stay(tmp_path):
    store = PaintStore(tmp_path / "f", "mark")
    store.save(0, np.zeros((8, 8, 3), np.uint8), {"opens": True})
    store.settle()
    (tmp_path / "f" / "notes.txt").write_text("keep")
    (tmp_path / "f" / "mine").mkdir()
    with pytest.raises(UsageError, match="contains 1 stylized frames"):
        PaintStore(tmp_path / "f", "mark")
    PaintStore(tmp_path / "f", "mark", fresh=True)
    assert sorted(p.name for p in (tmp_path / "f").iterdir()) == ["mine", "notes.txt", "run.json"]
    PaintStore(tmp_path / "f", "mark", resume=True).remove()
    assert sorted(p.name for p in (tmp_path / "f").iterdir()) == ["mine", "notes.txt"]


def test_what_is_read_late_is_one_sentence_too(tmp_path):
    store = PaintStore(tmp_path / "f", "mark")
    for name, read in (
        ("000000.1.png", lambda: store.pixels(0)),
        ("000000.source.png", lambda: store.source(0)),
        ("000000.json", lambda: store.record(0)),
        ("000000.flow.npy", lambda: store.flow(0)),
        ("000000.steps.npz", lambda: store.iterates(0)),
        ("000000.masks.npz", lambda: store.masks(0)),
    ):
        for data in (b"", b"\x93NUMPY\1\0", pickle.dumps([1]), b"\x89PNG\r\n\x1a\n"):
            (tmp_path / "f" / name).write_bytes(data)
            with pytest.raises(CheckpointError, match=f"{name} is damaged; continue with --resume"):
                read()


def test_records_are_sealed():
    data = sealed({"opens": True, "state": {"weight": 0.1}}, "mark")
    assert unsealed(data, "mark") == {"opens": True, "state": {"weight": 0.1}}
    assert unsealed(data, "other") is None
    assert unsealed(data.replace(b"0.1", b"0.2"), "mark") is None
    assert unsealed(json.dumps([1] * 9).encode(), "mark") is None


def test_the_mark_covers_every_file_that_is_read(tmp_path):
    clip = write_film(tmp_path / "clip.mp4", film(2))
    (tmp_path / "fields").mkdir()
    field = tmp_path / "fields" / "from_000001_to_000000.flo"
    weights, start = tmp_path / "w.pth", tmp_path / "s.png"
    style = [torch.zeros(1, 3, 8, 8)]

    def marks():
        write_flow(field, torch.zeros(1, 2, 4, 4))
        weights.write_bytes(b"one")
        Image.new("RGB", (8, 8)).save(start)
        paint = options(weights=weights, start="file", start_file=start)
        raft = film_options(flow="raft", flow_weights=weights)
        files = film_options(flow="files", flow_files=tmp_path / "fields")
        yield lambda: _mark(clip, style, paint, film_options(), Supplied())
        yield lambda: _mark(clip, style, options(), raft, Supplied())
        yield lambda: _mark(clip, style, options(), files, Supplied())
        yield lambda: _mark(clip, style, options(), film_options(), Supplied(keyframes={0: start}))

    first, second, third, fourth = (mark() for mark in marks())
    by_paint, by_raft, by_files, by_keyframe = marks()
    assert (by_paint(), by_raft(), by_files(), by_keyframe()) == (first, second, third, fourth)
    weights.write_bytes(b"two")
    assert by_paint() != first
    assert by_raft() != second
    write_flow(field, torch.ones(1, 2, 4, 4))
    assert by_files() != third
    weights.write_bytes(b"one")
    assert by_paint() == first
    Image.new("RGB", (8, 8), "red").save(start)
    assert by_paint() != first
    assert by_keyframe() != fourth


def test_checking_is_quick(tmp_path):
    """A thousand frames of 640x360 take about a second; this test uses a tenth of them."""
    pixels = np.random.default_rng(0).integers(0, 255, (90, 160, 3)).astype(np.uint8)
    store = PaintStore(tmp_path / "f", "mark")
    for index in range(100):
        store.save(index, pixels, {"opens": index == 0})
    began = time.monotonic()
    assert all(store.whole(index) for index in range(store.done()))
    assert time.monotonic() - began < 5


def test_masks_that_are_damaged_are_followed_anew(tmp_path):
    from helpers import painting

    from impasto.media import Picture
    from impasto.pipeline import prepare_film

    put_clip(tmp_path, 5, 3)
    mask = np.zeros((40, 48), np.uint8)
    mask[:, :24] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    style = Picture(rgb=painting(40, 40)[0].permute(1, 2, 0).numpy())
    paint = options(
        size=0, steps=(1,), coarsest=0, balance="fixed", content_layers=("relu2_1",), style_layers=("relu1_1",),
        content_regions=tmp_path / "mask.png", only=("white",), coherence_weight=0.0, grain_weight=0.0,
    )  # fmt: skip
    filming = film_options("steady", opening_steps=(1,), frame_steps=(1,), codec="ffv1")

    def job(**how):
        return prepare_film(
            tmp_path / "clip.mkv", [style], tmp_path / "out.mkv", paint, filming, **how
        )

    list(job())
    folder = tmp_path / "out.mkv.frames"
    before = {path.name: path.read_bytes() for path in folder.iterdir() if "flow" not in path.name}
    for part in ("000001.masks.npz", "000004.masks.npz", "000002.1.png"):
        flip(folder / part)
    list(job(resume=True))
    after = {path.name: path.read_bytes() for path in folder.iterdir() if "flow" not in path.name}
    assert [name for name in before if before[name] != after.get(name)] == []


def test_what_this_process_still_writes_is_not_swept(tmp_path):
    """An abandoned job may still be writing its last frame when the video is prepared again."""
    PaintStore(tmp_path / "f", "mark")
    names = [f".000001.part{os.getpid()}.json", ".000001.part99999999.json"]
    for name in names:
        (tmp_path / "f" / name).write_text("half")
    PaintStore(tmp_path / "f", "mark", resume=True)
    assert [(tmp_path / "f" / name).exists() for name in names] == [True, False]
