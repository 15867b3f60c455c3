"""Runs readers on damaged files in separate processes and counts the outcomes.

A reader may return a result or raise an `ImpastoError` with one printable sentence. Anything else is a failure:
another exception, a crash, a timeout, memory growth above the limit, or a file written outside its folder.
"""

from __future__ import annotations

import collections
import contextlib
import json
import multiprocessing
import os
import random
import resource
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from hostile.targets import FAULTY, TARGETS, Target, renewed

__all__ = ["Counts", "Failure", "campaign", "damaged", "sentence_fault"]

MOST_SECONDS, STARTS_SECONDS = 20.0, 120.0
MOST_GROWTH_BYTES = 1 << 30
LONGEST_SENTENCE = 600


@dataclass
class Failure:
    """One input that led to neither a result nor a proper error.

    Attributes:
        target: A name in `TARGETS`.
        index: Number of the input; together with the seed, it reproduces the same bytes.
        what: What happened.
    """

    target: str
    index: int
    what: str


@dataclass
class Counts:
    """Outcome counts of one reader."""

    inputs: int = 0
    read: int = 0
    refused: int = 0
    noisy: int = 0
    slowest_seconds: float = 0.0
    failures: list[Failure] = field(default_factory=list)

    def told(self) -> dict[str, Any]:
        """Returns the counts as plain values."""
        return {**asdict(self), "slowest_seconds": round(self.slowest_seconds, 2)}


def damaged(
    target: Target, whole: Mapping[Path, bytes], paths: Sequence[Path], seed: str
) -> tuple[Path, bytes]:
    """Chooses a file and damages it; deterministic for a given seed."""
    rng = random.Random(seed)
    path = rng.choice(list(paths))
    others = [whole[other] for other in paths if other != path]
    return path, target.damage(whole[path], rng, others)


def sentence_fault(text: str) -> str | None:
    """Returns what is wrong with an error message; None if it is well-formed."""
    if not text.isprintable():
        return "is not printable"
    if len(text) > LONGEST_SENTENCE:
        return f"has {len(text)} characters"
    return None if text.endswith((".", "?")) else "does not end with a period"


def _peak_bytes(*, anew: bool = False) -> int:
    """Largest resident memory of this process since it began, or on Linux since it was last asked for ``anew``."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if anew:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
    peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(peak.split()[1]) * 1024


def _try(target: Target, folder: Path, path: Path) -> tuple[str, str]:
    from impasto.errors import ImpastoError
    from impasto.media import Picture

    before, own = _peak_bytes(anew=True), 0
    try:
        result = target.read(folder, path)
        own = result.rgb.nbytes if isinstance(result, Picture) else 0
        outcome = ("read", "")
    except ImpastoError as error:
        fault = sentence_fault(str(error))
        outcome = (
            ("refused", "") if fault is None else ("failed", f"the message {fault}: {error!s:.300}")
        )
    except BaseException:  # any other exception is a failure
        outcome = ("failed", traceback.format_exc(limit=-4))
    grown = _peak_bytes() - before - own
    return ("failed", f"memory grew by {grown >> 20} MiB") if grown > MOST_GROWTH_BYTES else outcome


@contextlib.contextmanager
def _noise_into(path: Path) -> Iterator[None]:
    """Redirects the output of C libraries to a file."""
    out = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(out, stream)
    yield


def _work(name: str, seed: int, indices: Sequence[int], pipe: Connection) -> None:
    """Sends the number of each input before reading it, and the outcome afterwards."""
    import torch

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    target = {**TARGETS, **FAULTY}[name]
    with tempfile.TemporaryDirectory() as top:
        noise = Path(top) / "noise"
        folder = Path(top) / "room" / "inputs"
        folder.mkdir(parents=True)
        paths = target.make(folder)
        whole = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        with _noise_into(noise):
            os.chdir(folder.parent)
            with contextlib.suppress(Exception):
                target.read(
                    folder, paths[0]
                )  # one-time imports and loading are not attributed to an input
            for index in indices:
                pipe.send(("begins", index, "", False))
                path, data = damaged(target, whole, paths, f"{seed} {name} {index}")
                renewed(folder, whole)
                path.write_bytes(data)
                heard = noise.stat().st_size
                outcome, what = _try(target, folder, path)
                if outcome != "failed" and [p.name for p in folder.parent.iterdir()] != ["inputs"]:
                    outcome, what = "failed", "a file was written outside its folder"
                pipe.send((outcome, index, what, noise.stat().st_size > heard))
    pipe.send(("ended", -1, "", False))


def _follow(
    name: str, seed: int, indices: Sequence[int], counts: Counts, most_seconds: float
) -> int:
    """Starts a process and monitors it; returns how many inputs it processed before it died."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(name, seed, indices, theirs), daemon=True)
    process.start()
    theirs.close()
    done, current, began = 0, -1, time.monotonic()
    try:
        while True:
            if not ours.poll(most_seconds if current >= 0 else STARTS_SECONDS):
                raise TimeoutError
            outcome, index, what, noisy = ours.recv()
            if outcome == "ended":
                return done
            if outcome == "begins":
                current, began = index, time.monotonic()
                continue
            done += 1
            counts.inputs += 1
            counts.noisy += noisy
            counts.slowest_seconds = max(counts.slowest_seconds, time.monotonic() - began)
            if outcome == "failed":
                counts.failures.append(Failure(name, index, what))
            else:
                setattr(counts, outcome, getattr(counts, outcome) + 1)
    except (EOFError, TimeoutError) as error:
        process.kill()
        process.join()
        if current < 0:
            raise RuntimeError(f"the process for {name} did not start") from error
        slow = isinstance(error, TimeoutError)
        what = (
            f"no result within {most_seconds:g} s"
            if slow
            else f"the process died ({process.exitcode})"
        )
        counts.inputs += 1
        counts.failures.append(Failure(name, current, what))
        return done + 1
    finally:
        process.kill()
        process.join()


def _one(name: str, seed: int, inputs: int, most_seconds: float) -> Counts:
    counts, indices = Counts(), list(range(inputs))
    while indices:
        indices = indices[_follow(name, seed, indices, counts, most_seconds) :]
    return counts


def campaign(
    inputs: int,
    *,
    seed: int = 0,
    workers: int = 1,
    names: Sequence[str] = tuple(TARGETS),
    most_seconds: float = MOST_SECONDS,
) -> dict[str, Counts]:
    """Runs readers on damaged files, with the same number of inputs for each reader.

    Args:
        inputs: Total number of inputs.
        seed: Determines every byte.
        workers: Number of parallel processes.
        names: Names of readers in `TARGETS`.
        most_seconds: Timeout per input.
    """
    each = -(-inputs // len(names))
    with ThreadPoolExecutor(workers) as pool:
        return dict(
            zip(
                names,
                pool.map(lambda name: _one(name, seed, each, most_seconds), names),
                strict=True,
            )
        )


def reproduce(name: str, index: int, seed: int, folder: Path) -> Path:
    """Writes one input, together with the other, undamaged files, for inspection."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = TARGETS[name].make(folder)
    whole = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    path, data = damaged(TARGETS[name], whole, paths, f"{seed} {name} {index}")
    path.write_bytes(data)
    return path


def report(results: Mapping[str, Counts]) -> str:
    """Returns all counts as JSON, and failures grouped by their last line."""
    kinds = collections.Counter(
        f"{failure.target}: {failure.what.strip().splitlines()[-1][:160]}"
        for counts in results.values()
        for failure in counts.failures
    )
    total = Counts(
        inputs=sum(c.inputs for c in results.values()),
        read=sum(c.read for c in results.values()),
        refused=sum(c.refused for c in results.values()),
        noisy=sum(c.noisy for c in results.values()),
        slowest_seconds=max(c.slowest_seconds for c in results.values()),
    )
    by_reader = {
        name: {**counts.told(), "failures": len(counts.failures)}
        for name, counts in results.items()
    }
    return json.dumps(
        {
            "python": sys.version.split()[0],
            "total": {**total.told(), "failures": sum(kinds.values())},
            "readers": by_reader,
            "failures": dict(kinds.most_common()),
        },
        indent=1,
    )
