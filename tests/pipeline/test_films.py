"""Video stylization with a small network: timestamps, sound, cuts, exact resume, loops and schedules."""

from __future__ import annotations

import errno
import gc
import itertools
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from films import decoded, film, packets_of, stored, write_film
from helpers import LAYERS, TinyNetwork, painting
from PIL import Image

from impasto.config import METHODS, film_options, options
from impasto.errors import CheckpointError, InputError, OutputError, UsageError
from impasto.media import Picture
from impasto.media.video import read_film_metadata, video_times
from impasto.pipeline import prepare_film
from impasto.pipeline.ahead import ahead
from impasto.pipeline.neighbors import blend_at

PAINT = {"size": 0, "coarsest": 24, "steps": (4, 3), "balance": "fixed", **LAYERS}
QUICK = {"opening_steps": (), "frame_steps": (3,), "crf": 10}


def style(seed=1):
    return Picture(rgb=np.ascontiguousarray(painting(64, 64, seed)[0].permute(1, 2, 0).numpy()))


def job(clip, out, method="steady", styles=None, resume=False, fresh=False, paint=None, **changes):
    short = {k: v for k, v in QUICK.items() if k == "crf" or METHODS[method].frame_steps}
    return prepare_film(
        clip,
        styles or [style()],
        out,
        options(**{**PAINT, **(paint or {})}),
        film_options(method, **{**short, **changes}),
        backbone=TinyNetwork(),
        resume=resume,
        fresh=fresh,
    )


def painted(clip, out, **changes):
    made = job(clip, out, **changes)
    events = list(made)
    made.assemble()
    made.store.remove()
    return events


def same_paint(one, other, turn=1):
    """Returns whether the stored frames of two videos are identical, byte for byte."""
    one.store.settle()
    other.store.settle()
    frames = [stored(made.store.folder, turn) for made in (one, other)]
    return len(frames[0]) > 1 and all(itertools.starmap(np.array_equal, zip(*frames, strict=True)))


@pytest.fixture
def clip(tmp_path):
    times = [0, 512, 1024, 1536, 2048, 3072, 3584, 4096]
    return write_film(tmp_path / "clip.mp4", film(8, cut=5), times=times, sound=True)


def test_times_sound_and_settings_survive(tmp_path, clip):
    events = painted(clip, tmp_path / "out.mp4")
    assert [e.index for e in events] == list(range(8))
    assert [e.index for e in events if e.opens_shot] == [0, 5]
    assert video_times(tmp_path / "out.mp4") == video_times(clip)
    assert packets_of(tmp_path / "out.mp4", "audio") == packets_of(clip, "audio")
    settings = read_film_metadata(tmp_path / "out.mp4")
    assert settings["film"]["frame_steps"] == [3]
    assert settings["options"]["coarsest"] == 24
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip.mp4", "out.mp4"]


def test_a_fast_pan_is_no_cut(tmp_path):
    write_film(tmp_path / "pan.mp4", film(6, shift=(0, 3)))
    events = list(job(tmp_path / "pan.mp4", tmp_path / "out.mp4", cut_threshold=4.0))
    assert [event.opens_shot for event in events] == [True] + [False] * 5


def test_frames_after_a_cut_are_those_of_a_video_that_begins_there(tmp_path, clip):
    whole = painted(clip, tmp_path / "whole.mp4")
    alone = painted(clip, tmp_path / "alone.mp4", begin=3072 / 12288)
    for one, other in zip(whole[5:], alone, strict=True):
        assert one.terms == other.terms
        np.testing.assert_array_equal(one.pixels, other.pixels)
    assert "flow" not in whole[5].terms
    assert "flow" in whole[6].terms


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_goes_on_where_it_was_to_the_byte(tmp_path, clip, method):
    changes = {"gaps": (1, 2)} if method == "ruder" else {}
    whole = job(clip, tmp_path / "whole.mp4", method=method, **changes)
    assert len(list(whole)) == 8
    out = tmp_path / "parts.mp4"
    for count in (2, 2, 3):
        broken = job(
            clip, out, method=method, resume=out.with_name("parts.mp4.frames").exists(), **changes
        )
        assert len(list(itertools.islice(broken, count))) == count
    rest = job(clip, out, method=method, resume=True, **changes)
    assert [e.index for e in rest] == [7]
    assert same_paint(whole, rest)


@pytest.mark.parametrize("regions", [False, True])
@pytest.mark.parametrize("method", ["keyframes", "steady"])
def test_the_lock_of_a_job_that_is_not_needed_anymore_is_released_at_once(
    tmp_path, clip, method, regions
):
    gc.disable()  # a cycle of references would keep the lock until the next collection
    try:
        out = tmp_path / "out.mkv"
        if regions:
            made = region_job(clip, out, method=method, regions="auto", region_count=2)
        else:
            made = job(clip, out, method=method)
        for _event in made:
            pass
        assert (tmp_path / ".out.mkv.lock").exists()
        del made, _event
        assert not (tmp_path / ".out.mkv.lock").exists()
    finally:
        gc.enable()


def test_passes_go_on_where_they_were(tmp_path, clip):
    whole = job(clip, tmp_path / "whole.mp4", passes=3)
    events = list(whole)
    assert [e.index for e in events if e.turn == 2] == [4, 3, 2, 1, 0, 7, 6, 5]
    assert [e.index for e in events if e.turn == 3] == list(range(8))
    broken = job(clip, tmp_path / "parts.mp4", passes=3)
    list(itertools.islice(broken, 13))
    rest = job(clip, tmp_path / "parts.mp4", passes=3, resume=True)
    assert len(list(rest)) == 24 - 13
    assert same_paint(whole, rest, turn=3)


def test_what_is_painted_is_a_film_at_any_time(tmp_path, clip):
    broken = job(clip, tmp_path / "out.mp4")
    list(itertools.islice(broken, 3))
    broken.assemble()
    assert len(decoded(tmp_path / "out.mp4")) == 3
    sound = packets_of(tmp_path / "out.mp4", "audio")
    assert 0 < len(sound) < len(packets_of(clip, "audio"))


def test_paint_is_not_thrown_away_unasked(tmp_path, clip):
    out = tmp_path / "out.mp4"
    list(itertools.islice(job(clip, out), 2))
    with pytest.raises(UsageError, match=r"contains 2 stylized frames.*--resume"):
        job(clip, out)
    with pytest.raises(CheckpointError, match="another clip, style, set of options"):
        job(clip, out, resume=True, flow_weight=3.0)
    with pytest.raises(CheckpointError, match="another clip, style, set of options"):
        job(clip, out, resume=True, styles=[style(2)])
    assert job(clip, out, fresh=True).store.done() == 0


def test_files_options_may_change_on_resume(tmp_path, clip):
    list(itertools.islice(job(clip, tmp_path / "out.mp4"), 2))
    rest = job(clip, tmp_path / "out.mp4", resume=True, crf=30)
    assert len(list(rest)) == 6


def test_a_damaged_clip_keeps_what_was_painted(tmp_path):
    source = write_film(tmp_path / "whole.mkv", film(48), options={"crf": "1", "g": "1"})
    data = bytearray(source.read_bytes())
    data[len(data) // 2 :] = b"\0" * (len(data) - len(data) // 2)
    (tmp_path / "clip.mkv").write_bytes(data)
    made = job(
        tmp_path / "clip.mkv", tmp_path / "out.mp4", method="frame-by-frame", paint={"steps": (1,)}
    )
    with pytest.raises(InputError, match=r"is damaged after \d+\.\d+ s; use --to"):
        list(made)
    count = made.store.done()
    assert 0 < count < 48
    made.assemble()
    assert len(decoded(tmp_path / "out.mp4")) == count


def test_steady_is_steadier_than_frame_by_frame(tmp_path):
    source = write_film(tmp_path / "clip.mp4", film(6, shift=(0, 2)))
    unsteadiness = {}
    for method in ("frame-by-frame", "steady"):
        events = painted(
            source, tmp_path / f"{method}.mp4", method=method, paint={"start": "noise"}
        )
        later = [e.pixels[:, 20:-20].astype(float) for e in events]
        moved = [np.roll(e.pixels, 2, 1)[:, 20:-20].astype(float) for e in events]
        unsteadiness[method] = np.mean(
            [((a - b) ** 2).mean() for a, b in zip(later[1:], moved, strict=False)]
        )
    assert unsteadiness["steady"] < unsteadiness["frame-by-frame"] / 2


def test_a_loop_comes_back(tmp_path):
    source = write_film(tmp_path / "clip.mp4", film(24, shift=(0, 4)))  # 24 * 4 px is one full turn
    apart = {}
    for loop in (False, True):
        events = painted(source, tmp_path / f"{loop}.mp4", loop=loop)
        back = np.roll(events[-1].pixels, 4, 1)[:, 12:-12].astype(float)
        apart[loop] = ((back - events[0].pixels[:, 12:-12]) ** 2).mean()
    assert apart[True] < apart[False]


def test_styles_follow_one_another(tmp_path, clip):
    events = painted(
        clip, tmp_path / "out.mp4", styles=[style(1), style(3)], schedule=(0.0, 0.2), fade=0.1
    )
    assert len(events) == 8
    with pytest.raises(UsageError, match="1 times for 2 styles"):
        job(clip, tmp_path / "no.mp4", styles=[style(1), style(3)], schedule=(0.0,))


def test_blends_over_time():
    film_settings = film_options(schedule=(0.0, 4.0, 8.0), fade=2.0)
    at = lambda seconds: blend_at(seconds, film_settings)  # noqa: E731
    assert at(0) == (1, 0, 0)
    assert at(4) == (0.5, 0.5, 0)
    assert at(6) == (0, 1, 0)
    assert at(9) == (0, 0, 1)
    assert all(abs(sum(at(s / 7)) - 1) < 1e-9 for s in range(80))
    assert blend_at(3.0, film_options()) == ()


def test_colors_can_be_kept(tmp_path, clip):
    painted(
        clip,
        tmp_path / "out.mp4",
        paint={"keep_colors": "luminance"},
        pixel_format="yuv444p",
        crf=4,
    )
    for one, source in zip(decoded(tmp_path / "out.mp4"), decoded(clip), strict=True):
        tint = lambda p: p[..., 0].astype(float) - p[..., 2]  # noqa: E731
        assert np.corrcoef(tint(one).ravel(), tint(source).ravel())[0, 1] > 0.8


def test_excerpts_sizes_and_every(tmp_path, clip):
    events = painted(clip, tmp_path / "a.mp4", begin=0.08, end=0.2, paint={"size": 48})
    assert events[0].pixels.shape == (32, 48, 3)
    assert len(events) == 3
    painted(clip, tmp_path / "b.mp4", every=3)
    assert video_times(tmp_path / "b.mp4") == [Fraction(t, 12288) for t in (0, 1536, 3584)]
    with pytest.raises(InputError, match="no frames at or after --from"):
        list(job(clip, tmp_path / "c.mp4", begin=50.0))


def test_pictures_are_written_too(tmp_path, clip):
    (tmp_path / "frames").mkdir()
    events = painted(clip, tmp_path / "frames" / "f_%03d.png", end=0.1)
    assert [p.name for p in sorted((tmp_path / "frames").iterdir())] == [
        "f_000.png",
        "f_001.png",
        "f_002.png",
    ]
    with Image.open(tmp_path / "frames" / "f_002.png") as picture:
        assert np.array_equal(np.asarray(picture), events[2].pixels)
    with pytest.raises(UsageError, match="is a single image"):
        job(clip, tmp_path / "one.png")


def fill_disk_at(begins, monkeypatch):
    """Makes writing fail for files whose names start with a prefix."""
    real = Path.write_bytes

    def full(path, data):
        if path.name.startswith(begins):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)


def test_a_full_disk_is_one_sentence_and_the_paint_stays(tmp_path, clip, monkeypatch):
    made = job(clip, tmp_path / "out.mp4")
    list(itertools.islice(made, 3))
    fill_disk_at(".000003", monkeypatch)
    with pytest.raises(
        OutputError, match=r"No space left on device\); free some space and continue with --resume"
    ):
        list(job(clip, tmp_path / "out.mp4", resume=True))
    monkeypatch.undo()
    assert len(list(job(clip, tmp_path / "out.mp4", resume=True))) == 5


def test_a_write_that_fails_behind_the_last_frame_is_told(tmp_path, clip, monkeypatch):
    fill_disk_at(".000007", monkeypatch)
    made, events = job(clip, tmp_path / "out.mp4"), []
    with pytest.raises(OutputError, match="No space left"):
        events.extend(made)
    assert made.store.done() == 7
    monkeypatch.undo()
    assert [e.index for e in job(clip, tmp_path / "out.mp4", resume=True)] == [7]


def test_frames_are_a_persons_own_to_change(tmp_path, clip):
    whole = job(clip, tmp_path / "a.mkv", codec="ffv1")
    plain = [event.pixels.copy() for event in whole]
    for event, wanted in zip(job(clip, tmp_path / "b.mkv", codec="ffv1"), plain, strict=True):
        np.testing.assert_array_equal(event.pixels, wanted)
        event.pixels[...] = 0


def test_reading_ahead_ends_with_its_reader():
    closed = []

    def numbers():
        try:
            yield from range(100)
        finally:
            closed.append(True)

    read = ahead(numbers())
    next(read)
    read.close()
    assert closed == [True]


def test_reading_ahead_keeps_order_and_tells_of_errors_in_their_place():
    asked = []

    def numbers():
        for number in range(4):
            asked.append(number)
            yield number
        raise InputError("the clip is damaged after 4.")

    read = ahead(numbers())
    assert next(read) == 0
    assert len(asked) <= 3  # at most two are prefetched
    assert [next(read) for _ in range(3)] == [1, 2, 3]
    with pytest.raises(InputError, match="after 4"):
        next(read)
    assert list(ahead(iter(()))) == []


def test_a_film_can_stay_a_photograph(tmp_path, clip):
    likeness = {}
    for name, change in {
        "painted": {},
        "photoreal": {"photoreal_weight": 1e4, "affine": 0.05},
    }.items():
        painted(clip, tmp_path / f"{name}.mp4", paint=change, crf=4)
        edges = lambda p: np.diff(p.astype(float).mean(2), axis=1).ravel()  # noqa: E731
        pairs = zip(decoded(tmp_path / f"{name}.mp4"), decoded(clip), strict=True)
        likeness[name] = np.mean(
            [np.corrcoef(edges(one), edges(other))[0, 1] for one, other in pairs]
        )
    assert likeness["photoreal"] > likeness["painted"]
    with pytest.raises(UsageError, match="--deliver applies only to images"):
        job(clip, tmp_path / "no.mp4", paint={"affine": 0.1, "deliver": 0})


def band(path: Path, frames: int = 1, shift: int = 0) -> Path:
    """Writes a mask, white on the left and black on the right, or a sequence of them if there are several frames."""
    pictures = []
    for index in range(frames):
        pixels = np.zeros((64, 96, 3), np.uint8)
        pixels[:, : 48 + shift * index] = 255
        pictures.append(pixels)
    if frames == 1:
        Image.fromarray(pictures[0]).save(path)
        return path
    path.mkdir()
    for index, pixels in enumerate(pictures):
        Image.fromarray(pixels).save(path / f"{index:03d}.png")
    return path


LITE = {"content_layers": ("relu4_2",), "style_layers": ("relu1_1", "relu2_1")}


def region_job(clip, out, resume=False, method="steady", **paint):
    return prepare_film(
        clip,
        [style()],
        out,
        options(**{**PAINT, **LITE, "feather": 0.0, **paint}),
        film_options(method, **{**QUICK, "codec": "ffv1"}),
        resume=resume,
    )


def test_only_a_region_of_a_film_is_painted_and_it_is_followed(tmp_path):
    moving = film(5, shift=(0, 3))
    write_film(tmp_path / "c.mp4", moving)
    out = tmp_path / "o.mkv"
    made = region_job(
        tmp_path / "c.mp4", out, content_regions=band(tmp_path / "m.png"), only=("white",)
    )
    for _event in made:
        pass
    made.assemble()
    result, source = decoded(out)[4].astype(float), decoded(tmp_path / "c.mp4")[4].astype(float)
    change = np.abs((result - source).mean(2)).mean(0)  # lightness change per column
    assert change[16:50].mean() > 2.5 * change[70:].mean()
    border = np.flatnonzero(made.regions.stored(4).painted[0, 0].numpy().mean(0) > 0.5).max()
    assert 54 <= border <= 66  # 48 plus four steps of three


def test_a_film_of_masks_is_taken_as_it_is_while_it_lasts(tmp_path):
    write_film(tmp_path / "c.mp4", film(5, shift=(0, 0)))
    masks = band(tmp_path / "masks", frames=3, shift=8)
    made = region_job(
        tmp_path / "c.mp4", tmp_path / "o.mkv", content_regions=masks, only=("white",)
    )
    for _event in made:
        pass
    widths = [float(made.regions.stored(index).painted.mean()) * 96 for index in range(5)]
    assert widths[:3] == pytest.approx([48, 56, 64], abs=1)
    assert widths[3:] == pytest.approx([64, 64], abs=6)
    assert any("its last masks are tracked" in note for note in made.regions.notes)


def test_regions_go_on_to_the_byte(tmp_path):
    write_film(tmp_path / "c.mp4", film(6, shift=(0, 2), cut=4))
    films = []
    for name, broken in (("whole.mkv", None), ("broken.mkv", 3)):
        made = region_job(tmp_path / "c.mp4", tmp_path / name, regions="auto", region_count=2)
        for _event in itertools.islice(made, broken):
            pass
        if broken is not None:
            made = region_job(
                tmp_path / "c.mp4", tmp_path / name, regions="auto", region_count=2, resume=True
            )
            assert len(list(made)) == 3
        films.append(made)
    assert same_paint(*films)
