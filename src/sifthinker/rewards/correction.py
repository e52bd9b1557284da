"""Correction: how far did the thinking move the focus towards the evidence, and did it keep it?

`docs/design/correction-reward.md` gives the reasons for the formula.
"""

from __future__ import annotations

from ..geometry import WHOLE
from ..sample import Sample
from ..trace import Trace
from .focus import area_hiou


def correction_reward(trace: Trace, sample: Sample) -> float | None:
    """max(0, h_end - max(0, h_start - h_end)), in [0, 1]; None when the sample has no gold boxes.

    h_end is the HIoU of the last area, h_start that of the first area that is not the whole image. The gain is counted
    from zero and not from the model's own first box, so a deliberately bad first box cannot pay; focus that was
    there and got lost is charged. 0.0 when no area focuses on anything, and when the last area is the whole image.
    """
    if not sample.boxes:
        return None
    first, last = trace.first_focus, trace.last_area
    if first is None or last is None or last.is_whole:
        return 0.0
    h_start, h_end = area_hiou(first, sample), area_hiou(last, sample)
    return max(0.0, h_end - max(0.0, h_start - h_end))


def correction_released(trace: Trace, sample: Sample) -> float | None:
    """The authors' h_end + max(0, h_end - h_start), in [0, 2]: the worse the first box, the more it pays.

    Only an area that is exactly [[0, 0, 1, 1]] is skipped as a start; without another one there is no gain.
    """
    if not sample.boxes:
        return None
    start = next((s.area for s in trace.steps if s.area.boxes and s.area.boxes != (WHOLE,)), None)
    h_end = area_hiou(trace.last_area, sample, released=True)
    return h_end + (0.0 if start is None else max(0.0, h_end - area_hiou(start, sample, released=True)))
