"""Random numbers of a row."""

from __future__ import annotations

import numpy as np


def row_rng(seed: int, name: str) -> np.random.Generator:
    """A generator that depends on seed and name only, so that a row is the same wherever it stands in its file."""
    return np.random.default_rng([seed, *name.encode("utf-8", "surrogatepass")])
