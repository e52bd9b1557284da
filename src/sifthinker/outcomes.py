"""What a reply is worth: the one place that turns a reply into an outcome and values.

`judge` is pure and independent of the model; `evaluate` calls it when a reply comes, on resume, and to grade old
replies again. Means over items are `metrics`' business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from .benchmarks import Benchmark, Score
from .geometry import WHOLE, Box
from .grading import VERSION, AnswerSpec, Extraction, Kind, answer_spec, extract
from .hiou import hiou
from .metrics import Item
from .normalize import normalize
from .rewards import REWARDS
from .rewards.depth import ROUNDING, tolerance
from .sample import Sample, parse_reply
from .trace import Trace

UNKNOWN = (
    "answer", "trace", "extraction", "value", "lenient", "valid", "hiou", "true_depths", "depth_error", "depth_within",
)  # fmt: skip
"""What is not known of an item without a reply."""


def about(sample: Sample, hashes: Sequence[str] = ()) -> Item:
    """The part of an item's record that follows from the sample alone.

    hashes: of its pictures; questions about one photo count as one unit.
    Raises `InputError` for a question that cannot be graded.
    """
    spec = answer_spec(sample)
    gold = extract(sample.answer, spec).value if sample.choices else normalize(sample.answer)
    return {
        "item_id": sample.id,
        "group_id": str(sample.meta.get("group") or (hashes[0] if hashes else sample.id)),
        "task": str(sample.meta.get("task") or ""),
        "question": sample.question,
        "choices": list(sample.choices),
        "gold": sample.answer,
        "gold_label": str(gold or ""),
        "boxes": [list(box) for box in sample.boxes],
        "hiou_whole": hiou([WHOLE], [box.quantized() for box in sample.boxes]) if sample.boxes else None,
    }


def judge(item: Item, sample: Sample, bench: Benchmark) -> Item:
    """The item with everything that follows from its reply: outcome, extraction, values, rewards.

    item: its record with `raw_reply` and `finish_reason`; `raw_reply` None means failed, for the `reason` there.
    """
    reply = item["raw_reply"]
    if reply is None:
        blank = dict.fromkeys(UNKNOWN)
        return item | blank | {"outcome": "failed", "reason": item["reason"], "faults": [], "rewards": {}}
    trace = parse_reply(reply, sample)
    scoped, start = _in_scope(trace, reply)
    found = bench.score(scoped, sample)
    if found.value is not None and (why := _no_reading(reply, item["finish_reason"])):
        found = Score(0.0, why, lenient=0.0)
    true = true_depths(trace, sample)
    pairs = stated_depths(trace, true)
    return item | {
        "outcome": "no_gold" if found.value is None else "unparsed" if found.why else "scored",
        "reason": found.why,
        "answer": scoped.answer,
        "trace": trace.to_json(),
        "extraction": None if found.extraction is None else _extraction_json(found.extraction, start),
        "value": found.value,
        "lenient": found.lenient,
        "valid": trace.valid,
        "faults": [str(fault.kind) for fault in trace.faults],
        "hiou": _focus(trace, sample),
        "true_depths": true,
        "depth_error": _mean([abs(d - mean) for d, mean in pairs if d is not None]),
        "depth_within": _mean([within(d, mean) for d, mean in pairs]),
        "rewards": {name: reward(trace, sample) for name, reward in REWARDS.items()},
    }


def _in_scope(trace: Trace, reply: str) -> tuple[Trace, int]:
    """The trace with the answer where the grader looks for it, and that answer's place in the reply.

    That is the last complete `<answer>`, else what follows `</think>`, else the whole reply: models that were never
    taught the form are read too.
    """
    scope = extract(reply, AnswerSpec(Kind.TEXT))
    if scope.reason == "truncated":
        return replace(trace, answer=None), 0
    answer = scope.text or None
    start = scope.span[0] if scope.rule == "text.whole" and scope.span else reply.rfind(answer or "")
    return replace(trace, answer=answer), start


def _no_reading(reply: str, finish_reason: str | None) -> str:
    """Why a reply has no answer for reasons outside of the trace; "" when it may have one."""
    if not reply.strip():
        return "empty"
    return "truncated" if finish_reason == "length" and "</answer>" not in reply else ""


def _extraction_json(found: Extraction, start: int) -> dict[str, Any]:
    value = found.value
    if isinstance(value, frozenset):
        value = sorted(value)
    elif isinstance(value, Box):
        value = list(value)
    return {
        "version": VERSION,
        "rule": found.rule,
        "value": value,
        "span": None if found.span is None else [found.span[0] + start, found.span[1] + start],
        "reason": found.reason,
        "flags": list(found.flags),
    }


def _focus(trace: Trace, sample: Sample) -> float | None:
    """HIoU of the last area and the gold boxes; None for samples without gold boxes."""
    if not sample.boxes:
        return None
    boxes = trace.last_area.boxes if trace.last_area else ()
    return hiou(boxes, [box.quantized() for box in sample.boxes])


def true_depths(trace: Trace, sample: Sample) -> list[list[float | None]] | None:
    """The mean relative depth of every box of every step, None where no pixel is valid; None without a depth map."""
    depth = sample.depth_map()
    if depth is None:
        return None
    relative = depth.relative()
    return [[relative.box_mean(box) for box in step.area.boxes] for step in trace.steps]


def stated_depths(trace: Trace, true: Sequence[Sequence[float | None]] | None) -> list[tuple[float | None, float]]:
    """Stated depth and mean depth of the box, of every box that has a mean and is not the whole image."""
    return [
        (stated, mean)
        for step, means in zip(trace.steps, true or (), strict=true is not None)
        for box, stated, mean in zip(step.area.boxes, step.area.depths, means, strict=True)
        if mean is not None and not box.is_whole
    ]


def within(stated: float | None, mean: float) -> bool:
    """Whether a stated depth agrees with the mean of its box, as in the depth reward; none does not."""
    return stated is not None and abs(stated - mean) <= tolerance(mean) + ROUNDING


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
