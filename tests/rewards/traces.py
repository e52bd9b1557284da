"""Short ways to write traces."""

from __future__ import annotations

from collections.abc import Sequence

from sifthinker.geometry import Box
from sifthinker.trace import Area, Step, Trace


def trace_of(*areas: Sequence[Box], answer: str = "y", depths: Sequence[Sequence[float | None]] | None = None) -> Trace:
    """A trace of areas, without depths or with the given ones."""
    depths = depths or [[None] * len(boxes) for boxes in areas]
    return Trace(tuple(Step(Area(tuple(b), tuple(d)), "look") for b, d in zip(areas, depths, strict=True)), answer)
