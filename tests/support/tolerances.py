"""Tolerances for comparing results, by the precision that produced them; this is the only such table."""

from __future__ import annotations

from collections.abc import Mapping

import torch

__all__ = ["TOLERANCES"]

TOLERANCES: Mapping[torch.dtype, Mapping[str, float]] = {
    torch.float64: {"rtol": 1e-7, "atol": 1e-9},
    torch.float32: {"rtol": 1e-4, "atol": 1e-5},
    torch.bfloat16: {"rtol": 2e-2, "atol": 1e-2},
    torch.float16: {"rtol": 2e-3, "atol": 1e-3},
}
"""By dtype, for ``torch.testing.assert_close`` after one operation; tests of networks and runs define their own."""
