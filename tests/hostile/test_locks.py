"""Two runs with the same output: the second one is refused and names the first; stale locks are taken over."""

from __future__ import annotations

import errno
import gc
import json
import os
import socket
import subprocess
import sys
import threading
import time

import psutil
import pytest
from scenarios import put_clip, put_pictures, smeared

from impasto.cli import main
from impasto.errors import OutputError
from impasto.media import OutputLock

HOLD = """
import sys, time
from pathlib import Path
from impasto.media import OutputLock
lock = OutputLock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Starts another process that holds an output."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "out.mkv")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def lock_file(tmp_path):
    return tmp_path / ".out.mkv.lock"


def test_the_second_run_is_told_who_the_first_is_and_takes_over_when_that_is_killed(
    tmp_path, holder
):
    with pytest.raises(OutputError) as refused:
        OutputLock(tmp_path / "out.mkv")
    assert f"is being written by process {holder.pid} on {socket.gethostname()}" in str(
        refused.value
    )
    assert "wait for it to finish or stop it." in str(refused.value)
    put_clip(tmp_path, 2, None)
    with pytest.raises(OutputError, match=f"process {holder.pid}"):
        smeared(tmp_path / "clip.mkv", tmp_path / "out.mkv")
    assert not (tmp_path / "out.mkv.frames").exists()
    holder.kill()
    holder.wait()
    assert lock_file(tmp_path).exists()
    with OutputLock(tmp_path / "out.mkv"):
        assert json.loads(lock_file(tmp_path).read_text())["pid"] == os.getpid()
    assert not lock_file(tmp_path).exists()


def leave(tmp_path, **changes):
    """Writes a lock file as another process might have left it; by default, this process holds it."""
    owner = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "started": psutil.Process().create_time(),
    }
    lock_file(tmp_path).write_text(json.dumps({**owner, **changes}))


def test_a_number_that_another_process_got_is_no_owner(tmp_path):
    leave(tmp_path, started=12.0)
    OutputLock(tmp_path / "out.mkv").release()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x"}', "\udcff"])
def test_what_cannot_be_read_is_no_owner(tmp_path, text):
    lock_file(tmp_path).write_bytes(text.encode("utf-8", "surrogateescape"))
    OutputLock(tmp_path / "out.mkv").release()


def test_a_full_disk_leaves_no_lock(tmp_path, monkeypatch):
    def full(*_arguments, **_options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("impasto.media.lock.Path.write_text", full)
    with pytest.raises(OutputError, match=r"cannot be locked \(No space left"):
        OutputLock(tmp_path / "out.mkv")
    assert not lock_file(tmp_path).exists()


def test_another_machine_is_refused_with_the_way_out(tmp_path):
    leave(tmp_path, host="elsewhere", started=time.time())
    with pytest.raises(
        OutputError, match=r"on elsewhere.*delete .*\.out\.mkv\.lock if it has ended"
    ):
        OutputLock(tmp_path / "out.mkv")
    lock_file(tmp_path).unlink()
    OutputLock(tmp_path / "out.mkv").release()


def test_one_process_may_take_its_output_again(tmp_path):
    """Preparing a video again means that the first attempt was abandoned; the last holder releases the lock."""
    first, second = OutputLock(tmp_path / "out.mkv"), OutputLock(tmp_path / "out.mkv")
    first.release()
    first.release()
    assert lock_file(tmp_path).exists()
    del second
    gc.collect()
    assert not lock_file(tmp_path).exists()


def test_a_film_is_free_again_when_its_paint_is_removed(tmp_path):
    put_clip(tmp_path, 2, None)
    job = smeared(tmp_path / "clip.mkv", tmp_path / "out.mkv")
    assert lock_file(tmp_path).exists()
    list(job)
    job.store.remove()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mkv"]


def test_many_threads_hold_it_once(tmp_path):
    failed = []

    def hold():
        try:
            for _ in range(20):
                OutputLock(tmp_path / "out.mkv").release()
        except OutputError as error:
            failed.append(error)

    threads = [threading.Thread(target=hold) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert not lock_file(tmp_path).exists()


RACE = """
import os, sys, time
from pathlib import Path
from impasto.errors import OutputError
from impasto.media import OutputLock
begins = time.monotonic() + 0.3
for _ in range(4):
    if os.fork() == 0:
        time.sleep(begins - time.monotonic())
        try:
            lock = OutputLock(Path(sys.argv[1]))
        except OutputError:
            os._exit(0)
        time.sleep(0.5)
        os._exit(1)
print(sum(os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(4)))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_of_several_processes_one_takes_over(tmp_path):
    """All of them find a stale lock at the same time."""
    leave(tmp_path, started=12.0)
    run = subprocess.run(
        [sys.executable, "-c", RACE, str(tmp_path / "out.mkv")], capture_output=True, text=True, check=True
    )  # fmt: skip
    assert run.stdout == "1\n"


@pytest.mark.parametrize("command", ["image", "train", "study"])
def test_commands_hold_what_they_write(tmp_path, command, monkeypatch, capsys):
    put_pictures(tmp_path)
    out = {"image": "run.ckpt", "train": "my.look", "study": "out"}[command]
    arguments = {
        "image": ["photos/photo.png", "style.png", "-o", "out.png", "--checkpoint", "run.ckpt", "--size", "40"],
        "train": ["style.png", "-o", "my.look", "--photos", "photos"],
        "study": ["two.toml", "-o", "out", "--contents", "photos/photo.png", "--styles", "style.png"],
    }[command]  # fmt: skip
    path = tmp_path / f".{out}.lock"
    leave(tmp_path)
    lock_file(tmp_path).rename(path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main([command, *arguments])
    assert ended.value.code == 4
    assert f"{out} is being written by process {os.getpid()}" in capsys.readouterr().err
