"""A release: what has to be true before it, the files, and the notes.

python .ci/release.py check 0.2.0     refuse unless version, changelog and working tree are ready
python .ci/release.py notes 0.2.0     print the changelog's section
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def notes(version: str) -> str:
    """The section of CHANGELOG.md for a version."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    sections = re.split(r"^## ", text, flags=re.M)[1:]
    found = [section for section in sections if section.startswith(f"[{version}]")]
    if not found:
        sys.exit(f"CHANGELOG.md has no section [{version}]; rename [Unreleased] and add its date.")
    return found[0].partition("\n")[2].strip() + "\n"


def check(version: str) -> None:
    """Exits with a sentence unless everything says the same version and nothing is uncommitted."""
    source = (ROOT / "src/impasto/_version.py").read_text(encoding="utf-8")
    if f'"{version}"' not in source:
        sys.exit(f"src/impasto/_version.py does not say {version}; change it first.")
    if f"version: {version}\n" not in (ROOT / "CITATION.cff").read_text(encoding="utf-8"):
        sys.exit(f"CITATION.cff does not say {version}; change it first.")
    if not notes(version).strip():
        sys.exit(f"the section [{version}] of CHANGELOG.md is empty; write it first.")
    status = subprocess.run(
        ["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    if status.stdout.strip():
        sys.exit("the working tree has changes; commit them first.")


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("check", "notes"):
        sys.exit(__doc__)
    print(notes(sys.argv[2]), end="") if sys.argv[1] == "notes" else check(sys.argv[2])
