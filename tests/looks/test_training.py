"""Training of looks: learning, exact resume, gradient sharing, and errors."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from films import film, write_film
from helpers import painting, photograph
from PIL import Image

from impasto.config import train_options
from impasto.errors import CheckpointError, DivergedError, InputError, UsageError
from impasto.looks import LookPainter, load_look, save_look
from impasto.looks.data import TrainingData, gather_data
from impasto.looks.train import Training
from impasto.motion import warp

QUICK = {"batch": 2, "crop": 48, "style_size": 64, "width": 8, "validate_every": 5}


def data() -> TrainingData:
    photos = [(255 * photograph(64, 80)[0]).to(torch.uint8) for _ in range(3)]
    return TrainingData(photos, photos[:1], [])


def training(**changes) -> Training:
    return Training([painting()], data(), train_options(**{**QUICK, **changes}))


@pytest.mark.parametrize("network", ["painter", "johnson", "instant"])
def test_training_reduces_the_style_loss_by_a_tenth(network):
    taught = training(steps=24, network=network, validate_every=24)
    before = taught.validate()["style"]
    terms = [step.terms for step in taught]
    assert taught.history[-1]["style"] < 0.9 * before
    assert set(terms[0]) == {"content", "style", "tv", "noise", "move", "flow"}


def test_terms_of_weight_0_are_left_out():
    taught = training(steps=1, tv_weight=0.0, noise_weight=0.0, move_weight=0.0, flow_weight=0.0)
    assert set(next(iter(taught)).terms) == {"content", "style"}


def test_the_term_of_moves_sees_a_lattice_and_nothing_else(monkeypatch):
    taught, seen = training(), photograph(64, 80)
    lattice = (torch.arange(80) % 4 == 0).float()
    for paint, found in ((lambda image: 2 * image, 0.0), (lambda image: image + lattice, 0.1)):
        monkeypatch.setattr(taught, "paint", paint)
        worst = max(float(taught._unmoved(seen, paint(seen))) for _ in range(6))
        assert worst == pytest.approx(found, abs=1e-9) if found == 0 else worst > found


def test_a_run_that_was_stopped_goes_on_exactly():
    whole = training(steps=6)
    list(whole)
    half = training(steps=6)
    iterator = iter(half)
    for _ in range(3):
        next(iterator)
    going = training(steps=6)
    going.load_state_dict(half.state_dict())
    assert len(list(going)) == 3
    for name, value in whole.network.state_dict().items():
        torch.testing.assert_close(value, going.network.state_dict()[name], atol=0, rtol=0)
    with pytest.raises(CheckpointError, match="other options"):
        training(steps=6, seed=4).load_state_dict(half.state_dict())


def test_what_is_learned_is_written_and_paints(tmp_path):
    taught = training(steps=5)
    list(taught)
    save_look(tmp_path / "my.look", taught.look(styles=["a.png"]))
    look = load_look(tmp_path / "my.look")
    assert look.about["training"]["width"] == 8
    pastiche = LookPainter(look).picture(photograph(50, 70))
    assert pastiche.shape == (1, 3, 50, 70)


def test_patience_ends_a_run_that_gains_nothing():
    steps = list(training(steps=200, learning_rate=1e-7, validate_every=1, patience=3))
    assert len(steps) < 60


def test_a_loss_that_is_not_finite_is_one_sentence():
    taught = training(steps=3)
    with torch.no_grad():
        next(taught.network.parameters()).fill_(float("nan"))
    with pytest.raises(DivergedError, match="lower --learning-rate"):
        list(taught)


def test_a_moved_photograph_is_what_its_flow_says():
    pair = data().pair(48, torch.Generator().manual_seed(3))
    error = (pair.trust * (warp(pair.first, pair.flow) - pair.second)).abs().max()
    assert float(error) < 0.05
    assert float(pair.flow.abs().max()) > 0.2


def test_a_clip_alone_is_enough(tmp_path):
    clip = write_film(tmp_path / "c.mp4", film(8, shift=(0, 2)))
    found = gather_data(clips=[clip])
    assert found.photos
    assert found.pairs
    pair = found.pair(48, torch.Generator().manual_seed(0))
    apart = pair.trust * (warp(pair.first, pair.flow) - pair.second)
    assert float(apart.abs().mean()) < 0.03
    taught = Training([painting()], found, train_options(**QUICK, steps=1, frame_weight=1.0))
    assert {"flow", "frame"} <= set(next(iter(taught)).terms)


def test_corrupt_photographs_are_left_out_and_told(tmp_path):
    Image.fromarray(np.full((40, 40, 3), 90, np.uint8)).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"nothing")
    found = gather_data([tmp_path])
    assert len(found.photos) == 1
    assert "bad.png" in found.notes[0]
    (tmp_path / "good.png").unlink()
    with pytest.raises(InputError, match="there are no training images"):
        gather_data([tmp_path])


def test_frames_need_clips():
    with pytest.raises(UsageError, match="--clips"):
        training(frame_weight=1.0)


ONE_OF_TWO = """
import sys, torch
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from test_training import data, QUICK, painting
from impasto.config import train_options
from impasto.looks.train import Training
from impasto.machine import join_processes
torch.set_num_threads(1)
writes = join_processes(Path(sys.argv[1]))
taught = Training([painting()], data(), train_options(**QUICK, steps=4))
list(taught)
torch.save(taught.network.state_dict(), Path(sys.argv[1]) / f"{0 if writes else 1}.pt")
"""


def test_two_processes_share_what_they_learn(tmp_path):
    here = os.path.dirname(__file__)
    arguments = [
        sys.executable,
        "-c",
        ONE_OF_TWO,
        str(tmp_path),
        here,
        os.path.join(here, "..", "support"),
    ]
    processes = [
        subprocess.Popen(
            arguments,
            env={**os.environ, "WORLD_SIZE": "2", "RANK": str(rank), "GLOO_SOCKET_IFNAME": "lo"},
        )
        for rank in range(2)
    ]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    one, two = (torch.load(tmp_path / f"{n}.pt", weights_only=True) for n in range(2))
    alone = training(steps=4)
    list(alone)
    for name, value in one.items():
        torch.testing.assert_close(value, two[name], atol=0, rtol=0)
    assert any(not torch.equal(one[name], v) for name, v in alone.network.state_dict().items())
