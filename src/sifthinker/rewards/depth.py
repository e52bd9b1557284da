"""Depth: do the depths in the trace agree with the depth map?"""

from __future__ import annotations

from collections import Counter

from ..depth import DepthMap
from ..geometry import Box
from ..sample import Sample
from ..trace import Area, Trace

RELATIVE_TOLERANCE = 0.1
"""Of the box's mean depth."""
ABSOLUTE_TOLERANCE = 0.02
"""Floor of the tolerance, so that near things, whose mean goes to 0, can be told at all."""
ROUNDING = 1e-6
"""Depth maps are float32; the three decimals of traces lie far inside of the absolute tolerance."""


def depth_reward(trace: Trace, sample: Sample) -> float | None:
    """How well the boxes' depths agree with the depth map, in [0, 1]; None when the sample has no depth map.

        max(0, consistent boxes of the last area - inconsistent boxes of earlier areas) / n
        n = max(boxes of the last area, gold boxes)

    A box is consistent when |d - mean| <= max(0.1 mean, 0.02), mean being the relative depth over its valid pixels.
    Boxes of the whole image earn nothing, and equal boxes count as often as in gold, so surplus areas and boxes do
    not help. A box without any valid pixel is not consistent in the last area and ignored before. 0.0 when the last
    area is the whole image.
    """
    depth = _relative(sample)
    if depth is None:
        return None
    last = trace.last_area
    if last is None or not last.boxes or last.is_whole:
        return 0.0
    found = Counter(box for box, d in _pairs(last) if _consistent(box, d, depth) is True)
    wanted = Counter(box.quantized() for box in sample.boxes)
    good = sum(min(count, max(1, wanted[box])) for box, count in found.items())
    bad = {
        (box, d)
        for step in trace.steps[:-1]
        for box, d in _pairs(step.area)
        if not box.is_whole and _consistent(box, d, depth) is False
    }
    return max(0, good - len(bad)) / max(len(last.boxes), len(sample.boxes))


def depth_released(trace: Trace, sample: Sample) -> float | None:
    """The authors' share of all boxes with |d - mean| / mean <= 0.10, in [0, 1]; whole-image boxes count.

    Where their code fails and earns nothing (mean 0, no pixel, no depth), the box is not consistent here.
    """
    depth = _relative(sample)
    if depth is None:
        return None
    hits = []
    for step in trace.steps:
        for box, d in _pairs(step.area):
            mean = depth.box_mean(box)
            hits.append(bool(mean) and d is not None and abs(d - mean) / mean <= RELATIVE_TOLERANCE)
    return sum(hits) / len(hits) if hits else 0.0


def tolerance(mean: float) -> float:
    """The largest error of a box's depth that still counts as consistent.

    >>> tolerance(0.5), tolerance(0.0)
    (0.05, 0.02)
    """
    return max(RELATIVE_TOLERANCE * mean, ABSOLUTE_TOLERANCE)


def _consistent(box: Box, d: float | None, depth: DepthMap) -> bool | None:
    """Whether a depth agrees with the map; None when the map says nothing about the box."""
    mean = depth.box_mean(box)
    if mean is None:
        return None
    return d is not None and abs(d - mean) <= tolerance(mean) + ROUNDING


def _pairs(area: Area) -> list[tuple[Box, float | None]]:
    return list(zip(area.boxes, area.depths, strict=True))


def _relative(sample: Sample) -> DepthMap | None:
    depth = sample.depth_map()
    return None if depth is None else depth.relative()
