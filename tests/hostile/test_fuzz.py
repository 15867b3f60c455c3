"""Every reader meets damaged files with a result or with one sentence."""

from __future__ import annotations

import pytest
from hostile.campaign import campaign, damaged, report, sentence_fault
from hostile.targets import TARGETS

INPUTS = 2000


@pytest.mark.parametrize("name", TARGETS)
def test_whole_files_are_read(name, tmp_path):
    target = TARGETS[name]
    for path in target.make(tmp_path):
        target.read(tmp_path, path)


@pytest.mark.parametrize("name", TARGETS)
def test_the_same_seed_gives_the_same_damage(name, tmp_path):
    paths = TARGETS[name].make(tmp_path)
    whole = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    made = [damaged(TARGETS[name], whole, paths, f"{seed}") for seed in (1, 1, 2, 3, 4)]
    assert made[0] == made[1]
    assert len({data for _path, data in made}) > 1


def test_damaged_files_are_met_with_a_result_or_a_sentence():
    results = campaign(INPUTS, seed=1)
    assert sum(counts.inputs for counts in results.values()) >= INPUTS
    assert not [failure for counts in results.values() for failure in counts.failures], report(
        results
    )


def test_faults_of_sentences_are_seen():
    assert sentence_fault("a.png is empty; choose another file.") is None
    assert sentence_fault("a\x1b[2J.png is empty.") is not None
    assert sentence_fault("x" * 5000 + ".") is not None
    assert sentence_fault("no end") is not None


@pytest.mark.parametrize(
    ("reader", "what"),
    [
        ("raises", "KeyError: 'a field'"), ("babbles", "characters"), ("dies", "the process died"),
        ("hangs", "no result within 2 s"), ("grows", "memory grew by"), ("escapes", "outside its folder"),
    ],
)  # fmt: skip
def test_a_reader_that_fails_is_found(reader, what):
    most = 2 if reader == "hangs" else 60
    counts = campaign(2, names=[reader], most_seconds=most)[reader]
    assert counts.inputs == 2
    assert len(counts.failures) == 2
    assert all(what in failure.what for failure in counts.failures)
