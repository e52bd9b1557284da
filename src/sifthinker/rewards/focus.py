"""Focus: does the last area cover the evidence?

`focus_reward` is the reward. The others are its parts and its rivals, for ablations: name one as
`sifthinker.rewards.focus:union_reward` among the `rewards` of a GRPO config, in the place of `focus`. P are the boxes
of the last area, G the gold boxes at the three decimals of traces. Each is None when the sample has no gold boxes and
0.0 when the last area has no box; gold earns 1.0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..geometry import Box, giou_matrix
from ..hiou import hiou, matched, matched_iou, union_iou
from ..sample import Sample
from ..trace import Area, Trace

Boxes = Sequence[Box]


def area_hiou(area: Area | None, sample: Sample, released: bool = False) -> float:
    """Hierarchical IoU of an area with the gold boxes, brought to the three decimals of traces; no box: 0.0."""
    return _scored(area, sample, lambda pred, gold: hiou(pred, gold, released=released))


def focus_reward(trace: Trace, sample: Sample) -> float | None:
    """HIoU of the last area with the gold boxes, in [0, 1]; None when the sample has no gold boxes."""
    return area_hiou(trace.last_area, sample) if sample.boxes else None


def focus_released(trace: Trace, sample: Sample) -> float | None:
    """The same with the authors' HIoU, in which spare and missing boxes are free in the pair half."""
    return area_hiou(trace.last_area, sample, released=True) if sample.boxes else None


def union_reward(trace: Trace, sample: Sample) -> float | None:
    """IoU(union of P, union of G), in [0, 1]: the global half of HIoU (arXiv 2508.06259) alone."""
    return _of_last(trace, sample, union_iou)


def pairs_reward(trace: Trace, sample: Sample) -> float | None:
    """Sum of the IoUs of the Hungarian matching of P and G / max(|P|, |G|), in [0, 1]: the pair half of HIoU alone."""
    return _of_last(trace, sample, lambda pred, gold: matched_iou(pred, gold) / max(len(pred), len(gold)))


def pairs_released(trace: Trace, sample: Sample) -> float | None:
    """The pair half alone, divided by min(|P|, |G|) as in the authors' code: spare and missing boxes are free."""
    return _of_last(trace, sample, lambda pred, gold: matched_iou(pred, gold) / min(len(pred), len(gold)))


def giou_reward(trace: Trace, sample: Sample) -> float | None:
    """Sum of (1 + GIoU) / 2 of the matching of P and G that makes it largest / max(|P|, |G|), in [0, 1].

    Boxes that do not touch are told apart by their distance. GIoU: arXiv 1902.09630; see `geometry.giou_matrix`.
    """
    return _of_last(
        trace, sample, lambda pred, gold: matched((1 + giou_matrix(pred, gold)) / 2) / max(len(pred), len(gold))
    )


def _of_last(trace: Trace, sample: Sample, score: Callable[[Boxes, Boxes], float]) -> float | None:
    return _scored(trace.last_area, sample, score) if sample.boxes else None


def _scored(area: Area | None, sample: Sample, score: Callable[[Boxes, Boxes], float]) -> float:
    """The score of an area's boxes beside the gold boxes; no box: 0.0. The gold boxes have 1.0, whatever rounds."""
    if area is None or not area.boxes:
        return 0.0
    gold = tuple(box.quantized() for box in sample.boxes)
    return 1.0 if area.boxes == gold else min(1.0, score(area.boxes, gold))
