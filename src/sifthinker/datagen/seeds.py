"""Random numbers of a row, and the bytes of its name from which they come."""

from __future__ import annotations

import numpy as np


def row_rng(seed: int, name: str) -> np.random.Generator:
    """A generator that depends on seed and name only, so that a row is the same wherever it stands in its file."""
    return np.random.default_rng([seed, *name_bytes(name)])


def name_bytes(name: str) -> bytes:
    """Names as bytes; those that JSON lets through with half characters have some, too."""
    return name.encode("utf-8", "surrogatepass")
