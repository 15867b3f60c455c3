"""The package as it is published: what the wheel holds, and what the release script refuses."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    root = Path(__file__).resolve().parents[1]
    command = [
        sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index",
        "--wheel-dir", str(folder), str(root),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, text=True)
    return next(folder.glob("impasto-*.whl"))


def test_the_wheel_has_weights_types_and_license(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in (
        "impasto/py.typed", "impasto/backbones/data/vgg19_lite.safetensors",
        "impasto/backbones/data/metric_net.safetensors", "impasto/looks/data/instant.look",
    ):  # fmt: skip
        assert wanted in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "docs/", "benchmarks/"))]
    assert wheel.stat().st_size < 20 << 20


def test_an_installed_wheel_paints(wheel, tmp_path):
    target = tmp_path / "installed"
    command = [
        sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target),
        str(wheel),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    program = (
        "import impasto, numpy as np\n"
        "picture = np.random.default_rng(0).random((64, 64, 3), dtype=np.float32)\n"
        "print(impasto.__file__)\n"
        "print(impasto.stylize(picture, picture[::-1].copy(), preset='draft', size=64, steps=(2,)).size)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(target)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )  # fmt: skip
    place, size = done.stdout.split("\n")[:2]
    assert Path(place).is_relative_to(target)
    assert size == "(64, 64)"


def release(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(root / ".ci" / "release.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_release_that_is_not_ready_is_refused(root):
    done = release(root, "check", "99.0.0")
    assert done.returncode != 0
    assert "_version.py does not say 99.0.0" in done.stderr
    assert "no section [99.0.0]" in release(root, "notes", "99.0.0").stderr


def test_version_citation_and_changelog_agree(root):
    from impasto import __version__

    assert f"version: {__version__}\n" in (root / "CITATION.cff").read_text()
    assert f"## [{__version__}]" in (root / "CHANGELOG.md").read_text()
    assert release(root, "notes", __version__).stdout.strip()


def test_the_containers_health_check_paints(root):
    subprocess.run([sys.executable, str(root / ".ci" / "healthcheck.py")], check=True)


def test_workflows_and_forms_are_yaml(root):
    yaml = pytest.importorskip("yaml")
    found = [*(root / ".github").rglob("*.yml"), root / "CITATION.cff"]
    assert len(found) >= 9
    for path in found:
        assert isinstance(yaml.safe_load(path.read_text()), dict), path
