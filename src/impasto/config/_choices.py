"""Names of implementations that options choose from, each with a phrase for the help.

The implementations are in registries by the same names, because nothing here may import torch.
"""

from __future__ import annotations

import types
from collections.abc import Mapping

__all__ = ["SOLVERS", "STYLE_LOSSES"]

STYLE_LOSSES: Mapping[str, str] = types.MappingProxyType(
    {
        "gram": "Gram matrices",
        "w2": "Wasserstein distance between Gaussian fits of the features",
        "mixed": "both, but only gram at the finest of several scales",
        "sliced": "sliced Wasserstein distance",
        "neighbor": "nearest neighbors",
    }
)
"""Style losses; see `impasto.optimize.style.STYLE_DISTANCES`."""

SOLVERS: Mapping[str, str] = types.MappingProxyType(
    {
        "lbfgs": "limited-memory BFGS without a line search",
        "adam": "Adam",
        "sgd": "gradient descent with momentum",
    }
)
"""Optimizers of the image; see `impasto.optimize.solvers.SOLVERS`."""
