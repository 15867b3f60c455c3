"""The README and the docs hold: files, links, commands, Python."""

from __future__ import annotations

import ast
import fnmatch
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def fenced(page: Path, language: str = "") -> Iterator[str]:
    """The blocks of a page in one language."""
    text = page.read_text(encoding="utf-8")
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        if match[1] == language:
            yield match[2]


def commands() -> list[str]:
    """Every ``impasto ...`` line of a block, apart from synopses with brackets."""
    lines = [line for page in PAGES for block in fenced(page) for line in block.splitlines()]
    return sorted({line for line in lines if line.startswith("impasto ") and "[" not in line})


def file_map() -> set[str]:
    last = README.split("\n## ")[-1]
    assert last.startswith("File map"), "README ends with the file map"
    return {name.rstrip("/") for name in re.findall(r"^\| `([^`]+)` \|", last, re.MULTILINE)}


def kept(folder: Path) -> Iterator[Path]:
    """Entries of a folder that git would keep: not ignored, not empty."""
    ignored = [line.strip("/") for line in (ROOT / ".gitignore").read_text().split()]
    for path in folder.iterdir():
        names = [path.name, path.relative_to(ROOT).as_posix()]
        if path.name == ".git" or any(fnmatch.fnmatch(n, p) for n in names for p in ignored):
            continue
        if path.is_file() or any(p.is_file() and p.suffix != ".pyc" for p in path.rglob("*")):
            yield path


def test_file_map_names_every_top_level_entry() -> None:
    heads = {name.split("/")[0] for name in file_map()}
    assert {path.name for path in kept(ROOT)} - heads == set()


def test_file_map_names_every_room() -> None:
    rooms = {
        path.relative_to(ROOT).as_posix()
        for path in kept(ROOT / "src" / "impasto")
        if not path.name.startswith("_") and (path.is_dir() or path.suffix == ".py")
    }
    assert rooms - file_map() == set()


def test_file_map_names_nothing_that_is_missing() -> None:
    assert [name for name in sorted(file_map()) if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_links_lead_somewhere(name: str) -> None:
    targets = re.findall(r"\]\(([^)#]+)", (ROOT / name).read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (ROOT / target).exists()] == []


def test_ci_runs_the_command_that_the_readme_gives() -> None:
    given = re.search(r"^make (test|check)\b", README, re.MULTILINE)
    assert given, "README gives no test command"
    assert re.search(rf"^{given[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    ci = (ROOT / ".ci" / "run").read_text()
    assert "README.md" in ci
    assert not re.search(r"^make ", ci, re.MULTILINE), "CI names a command of its own"


@pytest.mark.parametrize("line", commands())
def test_commands_parse(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from impasto.cli._main import app

    monkeypatch.chdir(tmp_path)
    tokens = shlex.split(line)[1:]
    for token in tokens:
        if re.fullmatch(r"[\w-]+\.\w+", token):
            Path(token).touch()
    app.parse_args(tokens, print_error=False, exit_on_error=False)


def test_python_blocks_use_what_exists() -> None:
    import impasto
    from impasto.config import PaintOptions, option_fields

    fields = {spec.name for spec in option_fields(PaintOptions)} | {"preset"}
    calls = [
        node
        for page in PAGES
        for block in fenced(page, "python")
        for node in ast.walk(ast.parse(block))
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("impasto.")
    ]
    assert calls, "no page shows the library"
    for call in calls:
        name = ast.unparse(call.func).removeprefix("impasto.")
        assert hasattr(impasto, name), f"impasto has no {name}"
        if name == "stylize":
            assert {word.arg for word in call.keywords} <= fields
