"""Focus: does the last area cover the evidence?"""

from __future__ import annotations

from ..hiou import hiou
from ..sample import Sample
from ..trace import Area, Trace


def area_hiou(area: Area | None, sample: Sample, released: bool = False) -> float:
    """Hierarchical IoU of an area with the gold boxes, brought to the three decimals of traces; no box: 0.0."""
    if area is None or not area.boxes:
        return 0.0
    return min(1.0, hiou(area.boxes, [box.quantized() for box in sample.boxes], released=released))


def focus_reward(trace: Trace, sample: Sample) -> float | None:
    """HIoU of the last area with the gold boxes, in [0, 1]; None when the sample has no gold boxes."""
    return area_hiou(trace.last_area, sample) if sample.boxes else None


def focus_released(trace: Trace, sample: Sample) -> float | None:
    """The same with the authors' HIoU, in which spare and missing boxes are free in the pair half."""
    return area_hiou(trace.last_area, sample, released=True) if sample.boxes else None
