"""The house stands as docs/architecture.md says: floors, lazy imports, sizes."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

MOST_LINES_FILE = 500
MOST_LINES_FUNCTION = 80
SOURCE = Path(__file__).resolve().parents[1] / "src" / "impasto"
FILES = sorted(SOURCE.rglob("*.py"))


def test_a_room_imports_only_from_floors_below(root: Path) -> None:
    # A process of its own: the linter configures logging and caches for good.
    code = "from importlinter.cli import lint_imports_command as lint; lint()"
    run = subprocess.run(
        [sys.executable, "-c", code, "--no-cache"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("module", ["impasto", "impasto.config", "impasto.errors", "impasto.types"])
def test_importing_is_light(module: str) -> None:
    heavy = ["torch", "rich", "av", "numpy", "PIL", "cyclopts", "scipy", "tifffile", "ray"]
    code = f"import sys, {module}; print([m for m in {heavy} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]", f"import {module} also imports {run.stdout.strip()}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(SOURCE).as_posix())
def test_sizes(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    lines = text.count("\n")
    assert lines <= MOST_LINES_FILE, f"{path.name} has {lines} lines; {MOST_LINES_FILE} at most"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= MOST_LINES_FUNCTION, (
                f"{path.name}:{node.lineno} {node.name} has {length} lines; "
                f"{MOST_LINES_FUNCTION} at most"
            )


def test_a_room_names_what_it_offers() -> None:
    for path in FILES:
        if path.name != "__init__.py" or path.parent == SOURCE:
            continue
        body = ast.parse(path.read_text(encoding="utf-8")).body
        imports = [node for node in body if isinstance(node, ast.ImportFrom)]
        assert not any(alias.name == "*" for node in imports for alias in node.names), path
        names = {t.id for n in body if isinstance(n, ast.Assign) for t in n.targets
                 if isinstance(t, ast.Name)}  # fmt: skip
        offered = [n for n in imports if n.module != "__future__"]
        assert "__all__" in names or not offered, f"{path} re-exports without __all__"
