"""Text that people read is plain American English: phrases that the project once used, and wrote better since."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

BANNED = {
    r"\bleave (it|them|that|\S+) away\b": "omit it, remove it",
    r"\bleft away\b": "omitted",
    r"the network that sees": "the feature extractor, the backbone",
    r"\bnot to be had\b": "not available",
    r"\bthere and back again\b": "cycle consistency",
    r"\bnothing before it counts\b": "starts a new shot",
    r"\bevery so many\b": "every Nth",
    r"\btakes? after\b": "is assigned",
    r"[Ww]hat becomes of": "how ... is handled",
    r"\bno look of this version\b": "was saved by an incompatible version",
    r"\b(is|are|was|were) told (by|from|with|in|that)\b": "is reported, is described",
    r"\bsays nothing of\b": "does not specify",
    r"\bfigures of what\b": "evaluate",
    r"\bin a circle\b": "looped seamlessly",
    r"\bthan the seeds'?\b": "the paper, the report",
    r"\bhow steps are taken\b": "optimizer",
    r"\bof 0 to 1\b": "between 0 and 1",
    r"\bof (its|their|his) own hand\b": "by itself",
    r"(?<![-\"])\b[Jj]udges?\b(?![-\"])": "evaluator, discriminator",
    r"\b[Ll]essons?\b(?!\()": "training data",
    r"(two|both|other) worlds?": "domains",
    r"\bmend(s|ed|ing)?\b": "fix, repair",
    r"\bwhence\b|\bthereof\b|\bhitherto\b|\bwhilst\b|\bamongst\b": "plain words",
}

EXEMPT = {"docs/log.md", "tests/test_language.py"}
"""The log keeps the words of its day; this file names what it bans."""


def sources() -> Iterator[Path]:
    for folder, pattern in (
        ("src", "*.py"),
        ("docs", "*.md"),
        ("examples", "*.py"),
        ("recipes", "*.py"),
    ):
        yield from sorted((ROOT / folder).rglob(pattern))
    yield from sorted((ROOT / "benchmarks").glob("*.py"))
    yield from (ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md"))


@pytest.mark.parametrize("phrase", BANNED)
def test_phrases_that_have_better_ones(phrase):
    pattern = re.compile(phrase)
    found = []
    for path in sources():
        name = path.relative_to(ROOT).as_posix()
        if name in EXEMPT:
            continue
        text = re.sub(r'"\s*\n\s*f?"', "", path.read_text(encoding="utf-8"))
        found += [
            f"{name}: ...{text[max(0, m.start() - 40) : m.end() + 20]!r}"
            for m in pattern.finditer(text)
        ]
    assert not found, f"write {BANNED[phrase]!r} instead:\n" + "\n".join(found)
