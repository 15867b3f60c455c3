"""What every test may use: the threads, the tolerance table, the pictures that may or may not be there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from tolerances import TOLERANCES

ROOT = Path(__file__).resolve().parents[1]

torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))


@pytest.fixture
def tolerance():
    """Looks up ``rtol`` and ``atol`` by dtype: ``assert_close(a, b, **tolerance(a.dtype))``."""
    return TOLERANCES.__getitem__


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Photographs, paintings and teacher weights that are not part of the project.

    They are looked for in ``IMPASTO_DATA``, then in ``../shared/data`` beside the repository.
    """
    given = os.environ.get("IMPASTO_DATA")
    folder = Path(given) if given else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no teaching data in {folder}; set IMPASTO_DATA to test with it")
    return folder
