"""What the machine is asked for, and how a person overrides the answer."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from impasto.errors import UsageError
from impasto.machine import fast_bfloat16, threads_used
from impasto.threads import SPINS, WAIT_VARIABLES, busy_notes, spin_briefly

CPU = torch.device("cpu")


def test_bfloat16_can_be_forced(monkeypatch):
    monkeypatch.setenv("IMPASTO_BFLOAT16", "on")
    assert fast_bfloat16(CPU)
    monkeypatch.setenv("IMPASTO_BFLOAT16", "off")
    assert not fast_bfloat16(CPU)
    monkeypatch.setenv("IMPASTO_BFLOAT16", "yes")
    with pytest.raises(UsageError, match="must be on, off or auto; got 'yes'"):
        fast_bfloat16(CPU)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [({}, SPINS), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, None)],
)
def test_threads_spin_briefly_unless_told_otherwise(given, wanted):
    """In a process of its own, since torch must not be loaded yet; the command must not load it for this."""
    code = (
        "import os, sys; from impasto.cli import main\n"
        "try: main(['--version'])\n"
        "except SystemExit: pass\n"
        "print(os.environ.get('GOMP_SPINCOUNT'), 'torch' in sys.modules)"
    )
    environment = {k: v for k, v in os.environ.items() if k not in WAIT_VARIABLES}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment | given,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == f"{wanted} False"


def test_it_is_too_late_once_torch_is_there():
    assert not spin_briefly()


def test_threads_and_their_reason(monkeypatch):
    count = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", str(count))
    assert threads_used().endswith("(OMP_NUM_THREADS)")
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert threads_used() == f"{count} thread{'s' * (count > 1)} (the default)"


def test_busy_cores_are_told_where_several_threads_share_them(monkeypatch):
    monkeypatch.setattr(os, "getloadavg", lambda: (1e6, 0, 0))
    assert busy_notes(1) == ()
    assert "OMP_NUM_THREADS=1 is faster" in busy_notes(2)[0]
    monkeypatch.setattr(os, "getloadavg", lambda: (0.5, 0, 0))
    assert busy_notes(2) == ()
