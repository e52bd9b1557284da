"""Ways to damage a gold trace, each with the rewards that must fall; all other rewards must keep their full marks.

Tests and `sifthinker check` use them: a reward that does not fall is blind, one that falls unasked punishes the wrong
thing. `progress` follows `answer` and is not listed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from ..geometry import GRID, WHOLE, Box
from ..grading import Kind, answer_spec, grade_answer
from ..sample import Sample
from ..trace import Area, Step, Trace, format_trace
from .depth import tolerance
from .focus import area_hiou

Damage = Callable[[Trace, Sample, random.Random], str | None]


@dataclass(frozen=True, slots=True)
class Corruption:
    """One way to damage a gold trace.

    apply: (gold trace, its sample, rng) -> the damaged reply; None where this damage is not possible, for example
        a wrong depth on a sample without depth.
    lowers: the rewards that fall, where they can judge the sample at all; exactly these.
    about: what is damaged, in one line.
    """

    apply: Damage
    lowers: frozenset[str]
    about: str


# --- boxes -----------------------------------------------------------------------------------------------------------


def _box_shifted(trace: Trace, sample: Sample, rng: random.Random) -> str | None:
    moved = _moved_last(trace, sample, rng)
    return None if moved is None else format_trace(_with_last(trace, moved))


def _focus_lost(trace: Trace, sample: Sample, rng: random.Random) -> str | None:
    moved = _moved_last(trace, sample, rng)
    return None if moved is None else format_trace(_with_steps(trace, [*trace.steps, Step(moved, "Or rather here.")]))


def _bad_first_box(trace: Trace, sample: Sample, rng: random.Random) -> str | None:
    moved = _moved_last(trace, sample, rng)
    if moved is None:
        return None
    start = next((i for i, step in enumerate(trace.steps) if not step.area.is_whole), len(trace.steps))
    steps = [*trace.steps[:start], Step(moved, "First I look here."), *trace.steps[start:]]
    return format_trace(_with_steps(trace, steps))


def _box_missing(trace: Trace, sample: Sample, rng: random.Random) -> str | None:
    last = trace.steps[-1].area
    if not sample.boxes or len(set(last.boxes)) < 2:
        return None
    gone = rng.randrange(len(last.boxes))
    keep = [i for i in range(len(last.boxes)) if i != gone]
    return format_trace(_with_last(trace, _pick(last, keep)))


def _box_spare(trace: Trace, sample: Sample, rng: random.Random) -> str | None:
    last = trace.steps[-1].area
    if not sample.boxes:
        return None
    for box in _moves(last.boxes[0], rng):
        if box not in last.boxes and not box.is_whole and (spare := _own_depth(box, sample)) is not None:
            return format_trace(_with_last(trace, _join(last, spare)))
    return None


def _last_area_whole(trace: Trace, sample: Sample, rng: random.Random) -> str | None:
    whole = _own_depth(WHOLE, sample)
    if not sample.boxes or whole is None:
        return None
    return format_trace(_with_last(trace, whole))


# --- depths ----------------------------------------------------------------------------------------------------------


def _depth_wrong(trace: Trace, sample: Sample, rng: random.Random) -> str | None:
    return _wrong_depth_in(trace, len(trace.steps) - 1, sample, rng)


def _early_depth_wrong(trace: Trace, sample: Sample, rng: random.Random) -> str | None:
    early = [i for i, s in enumerate(trace.steps[:-1]) if not any(b.is_whole for b in s.area.boxes)]
    return _wrong_depth_in(trace, rng.choice(early), sample, rng) if early else None


def _depth_missing(trace: Trace, sample: Sample, rng: random.Random) -> str | None:
    if sample.depth is None:
        return None
    last = trace.steps[-1].area
    return format_trace(_with_last(trace, _with_depth(last, rng.randrange(len(last.boxes)), None)))


# --- answer ----------------------------------------------------------------------------------------------------------


def _answer_wrong(trace: Trace, sample: Sample, rng: random.Random) -> str | None:
    if not sample.answer.strip():
        return None
    wrong = _wrong_answer(sample, rng)
    return format_trace(replace(trace, answer=wrong))


def _answer_missing(trace: Trace, sample: Sample, rng: random.Random) -> str | None:
    return format_trace(trace).partition("<answer>")[0].rstrip()


def _answer_cut(trace: Trace, sample: Sample, rng: random.Random) -> str | None:
    return format_trace(trace).removesuffix("</answer>")


# --- form ------------------------------------------------------------------------------------------------------------


def _order_broken(trace: Trace, sample: Sample, rng: random.Random) -> str | None:
    if not trace.steps[-1].area.boxes:
        return None
    lines = format_trace(trace).split("</think>")
    head, _, text = lines[0].rpartition("<text>")
    before, _, area = head.rpartition("<area>")
    return f"{before}<text>{text}<area>{area}</think>{lines[1]}"


def _tag_missing(trace: Trace, sample: Sample, rng: random.Random) -> str | None:
    # Without these the parser still recovers boxes, depths and answer.
    reply = format_trace(trace)
    return _drop(reply, rng.choice([t for t in ("<think>", "</think>", "</area>", "</text>") if t in reply]))


def _text_outside(trace: Trace, sample: Sample, rng: random.Random) -> str | None:
    reply = format_trace(trace)
    return f"Sure, here it is.\n{reply}" if rng.random() < 0.5 else f"{reply}\nI hope this helps."


def _answer_twice(trace: Trace, sample: Sample, rng: random.Random) -> str | None:
    reply = format_trace(trace)
    return reply + reply[reply.rindex("<answer>") :]


def _too_precise(trace: Trace, sample: Sample, rng: random.Random) -> str | None:
    if not trace.steps[-1].area.boxes:
        return None
    areas, close, words = format_trace(trace).rpartition("</area>")
    head, bracket, tail = areas.rpartition("]}" if sample.depth is None else '],"depth"')
    return f"{head}00{bracket}{tail}{close}{words}"


def _json_broken(trace: Trace, sample: Sample, rng: random.Random) -> str | None:
    head, area, tail = format_trace(trace).rpartition("]</area>")
    return f"{head}</area>{tail}" if area else None


def _empty(trace: Trace, sample: Sample, rng: random.Random) -> str | None:
    return ""


_BOXES = frozenset({"focus", "correction"})

CORRUPTIONS: dict[str, Corruption] = {
    "box_shifted": Corruption(_box_shifted, _BOXES, "a box of the last area moved, with the depth of its new place"),
    "box_missing": Corruption(_box_missing, _BOXES | {"depth"}, "a box of the last area left out"),
    "box_spare": Corruption(_box_spare, _BOXES, "a needless box in the last area, with its true depth"),
    "last_area_whole": Corruption(_last_area_whole, _BOXES | {"depth"}, "the whole image as last area"),
    "focus_lost": Corruption(_focus_lost, _BOXES, "another area after the right one"),
    "bad_first_box": Corruption(
        _bad_first_box, frozenset(), "a wrong box first, corrected later: neither pays nor costs"
    ),
    "depth_wrong": Corruption(_depth_wrong, frozenset({"depth"}), "a wrong depth in the last area"),
    "early_depth_wrong": Corruption(_early_depth_wrong, frozenset({"depth"}), "a wrong depth in an earlier area"),
    "depth_missing": Corruption(_depth_missing, frozenset({"form", "depth"}), "a box of the last area without depth"),
    "answer_wrong": Corruption(_answer_wrong, frozenset({"answer"}), "a wrong answer"),
    "answer_missing": Corruption(_answer_missing, frozenset({"form", "answer"}), "no answer"),
    "answer_cut": Corruption(_answer_cut, frozenset({"form", "answer"}), "the reply ends inside of the answer"),
    "answer_twice": Corruption(_answer_twice, frozenset({"form"}), "the answer given twice"),
    "order_broken": Corruption(_order_broken, frozenset({"form"}), "the last text before its area"),
    "tag_missing": Corruption(_tag_missing, frozenset({"form"}), "a tag left out"),
    "text_outside": Corruption(_text_outside, frozenset({"form"}), "words outside of the tags"),
    "too_precise": Corruption(_too_precise, frozenset({"form"}), "a number with five decimals"),
    "json_broken": Corruption(_json_broken, _BOXES | {"form", "depth"}, "the last area is not JSON"),
    "empty": Corruption(_empty, _BOXES | {"form", "answer", "depth"}, "an empty reply"),
}
"""All damages by name."""


# --- parts -----------------------------------------------------------------------------------------------------------


def _with_steps(trace: Trace, steps: list[Step]) -> Trace:
    return replace(trace, steps=tuple(steps))


def _with_last(trace: Trace, area: Area) -> Trace:
    return _with_steps(trace, [*trace.steps[:-1], replace(trace.steps[-1], area=area)])


def _with_depth(area: Area, index: int, depth: float | None) -> Area:
    return Area(area.boxes, tuple(depth if i == index else d for i, d in enumerate(area.depths)))


def _pick(area: Area, indices: list[int]) -> Area:
    return Area(tuple(area.boxes[i] for i in indices), tuple(area.depths[i] for i in indices))


def _join(a: Area, b: Area) -> Area:
    return Area(a.boxes + b.boxes, a.depths + b.depths)


def _own_depth(box: Box, sample: Sample) -> Area | None:
    """An area of one box with the depth that the map has there; None when it has none."""
    depth = sample.depth_map()
    if depth is None:
        return Area((box,), (None,))
    mean = depth.relative().box_mean(box.quantized())
    return None if mean is None else Area((box,), (mean,))


def _moved_last(trace: Trace, sample: Sample, rng: random.Random) -> Area | None:
    """The last area with one box elsewhere, so that it fits the gold boxes less; None when there is no such place."""
    last = trace.steps[-1].area
    if not sample.boxes:
        return None
    index = rng.randrange(len(last.boxes))
    for box in _moves(last.boxes[index], rng):
        if box in last.boxes or box.is_whole or (own := _own_depth(box, sample)) is None:
            continue
        parts = [own if i == index else _pick(last, [i]) for i in range(len(last.boxes))]
        moved = Area(tuple(b for p in parts for b in p.boxes), tuple(d for p in parts for d in p.depths))
        if area_hiou(moved, sample) < area_hiou(last, sample):
            return moved
    return None


def _moves(box: Box, rng: random.Random) -> Iterator[Box]:
    """Boxes beside a box or inside of it, on the grid of traces: far moves first, then small ones, then parts."""
    x0, y0, x1, y1 = (round(v * GRID) for v in box)
    width, height = x1 - x0, y1 - y0
    sides = [(-x0, 0), (GRID - x1, 0), (0, -y0), (0, GRID - y1)]
    rng.shuffle(sides)
    shifts = [(round(dx * share), round(dy * share)) for share in (1.0, 0.5, 0.1) for dx, dy in sides]
    shifts += [(max(-1, min(1, dx)), max(-1, min(1, dy))) for dx, dy in sides]
    for dx, dy in shifts:
        if dx or dy:
            yield Box((x0 + dx) / GRID, (y0 + dy) / GRID, (x1 + dx) / GRID, (y1 + dy) / GRID)
    if width > 1:
        yield Box(x0 / GRID, y0 / GRID, (x0 + width // 2) / GRID, y1 / GRID)
    if height > 1:
        yield Box(x0 / GRID, y0 / GRID, x1 / GRID, (y0 + height // 2) / GRID)


def _wrong_depth_in(trace: Trace, number: int, sample: Sample, rng: random.Random) -> str | None:
    depth = sample.depth_map()
    step = trace.steps[number]
    if depth is None or not step.area.boxes:
        return None
    index = rng.randrange(len(step.area.boxes))
    mean = depth.relative().box_mean(step.area.boxes[index])
    if mean is None:
        return None
    error = tolerance(mean) + 0.01 + 0.3 * rng.random()
    wrong = min(1.0, mean + error) if mean < 0.5 else max(0.0, mean - error)
    steps = list(trace.steps)
    steps[number] = replace(step, area=_with_depth(step.area, index, wrong))
    return format_trace(_with_steps(trace, steps))


WRONG = {
    Kind.YESNO: ("yes", "no"),
    Kind.NUMBER: ("7", "8", "1", "2.5"),
    Kind.DIRECTION: ("left", "right", "above", "below", "in front", "behind"),
    Kind.BOX: ("[0.001, 0.001, 0.015, 0.02]", "[0.9, 0.9, 0.99, 0.99]"),
}


def _wrong_answer(sample: Sample, rng: random.Random) -> str:
    """A wrong answer, of the kind that is asked for where there is one: readable, and not right."""
    kind = [chr(ord("A") + i) for i in range(len(sample.choices))] or list(WRONG.get(answer_spec(sample).kind, ()))
    rng.shuffle(kind)
    candidates = [*kind, "something else", "nothing"]
    return next(a for a in candidates if (value := grade_answer(a, sample)) is not None and value < 1)


def _drop(reply: str, tag: str) -> str:
    head, _, tail = reply.rpartition(tag)
    return head + tail
