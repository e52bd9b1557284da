"""The trace: what a model writes when it looks before it answers, and the one place that reads and writes it.

    <think>
    <area>[{"bbox_2d":[0.000,0.000,1.000,1.000],"depth":0.512}]</area>
    <text>A street. I look for the traffic light first.</text>
    <area>[{"bbox_2d":[0.236,0.244,0.308,0.512],"depth":0.271}]</area>
    <text>She stands right below it, and her dress is pink.</text>
    </think>
    <answer>Pink.</answer>

`parse_trace` is total: it never raises, recovers what it can, and lists every fault with its position.
`format_trace` is its inverse. What an answer means is `grading`'s business; what a box is worth, `rewards`'.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from .errors import BoxError
from .geometry import GRID, Box, Frame, Size, to_box

DECIMALS = 3


TAG = re.compile(r"</?(think|area|text|answer)>")
"""The tags of a trace, opening or closing; words must not hold any."""


class FaultKind(StrEnum):
    """What can be wrong with a reply."""

    MISSING_TAG = "missing_tag"
    STRAY_TAG = "stray_tag"
    UNCLOSED_TAG = "unclosed_tag"
    TRUNCATED = "truncated"
    ORDER = "order"
    OUTSIDE_TEXT = "outside_text"
    NO_STEPS = "no_steps"
    EMPTY_AREA = "empty_area"
    EMPTY_TEXT = "empty_text"
    EMPTY_ANSWER = "empty_answer"
    DUPLICATE_ANSWER = "duplicate_answer"
    BAD_JSON = "bad_json"
    BAD_ITEM = "bad_item"
    BAD_BOX = "bad_box"
    BAD_DEPTH = "bad_depth"
    MISSING_DEPTH = "missing_depth"
    PRECISION = "precision"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a reply: `reply[start:end]` is the offending part."""

    kind: FaultKind
    start: int
    end: int
    message: str


@dataclass(frozen=True, slots=True)
class Area:
    """One `<area>`: boxes, each with its relative depth (0 nearest, 1 farthest) or None where there is no depth.

    Boxes and depths are brought to the three decimals of traces, so an area is what its text says.
    Raises `ValueError` when lengths differ or a depth leaves [0, 1].
    """

    boxes: tuple[Box, ...]
    depths: tuple[float | None, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "boxes", tuple(box.quantized() for box in self.boxes))
        object.__setattr__(
            self, "depths", tuple(d if d is None else round(float(d) * GRID) / GRID for d in self.depths)
        )
        if len(self.boxes) != len(self.depths):
            raise ValueError(
                f"{len(self.boxes)} boxes with {len(self.depths)} depths: each box needs one depth (or None)"
            )
        if bad := [d for d in self.depths if d is not None and not 0 <= d <= 1]:
            raise ValueError(f"depth {bad[0]}: relative depth lies in [0, 1]")

    @property
    def is_whole(self) -> bool:
        """Whether some box of the area covers (nearly) the whole image."""
        return any(box.is_whole for box in self.boxes)


@dataclass(frozen=True, slots=True)
class Step:
    """A region and the words about it."""

    area: Area
    text: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", self.text.strip())


@dataclass(frozen=True, slots=True)
class Trace:
    """A parsed reply. `faults` is empty exactly when it is valid; otherwise the rest is what could be recovered."""

    steps: tuple[Step, ...]
    answer: str | None
    faults: tuple[Fault, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", tuple(self.steps))
        object.__setattr__(self, "faults", tuple(self.faults))
        if self.answer is not None:
            object.__setattr__(self, "answer", self.answer.strip())

    @property
    def valid(self) -> bool:
        return not self.faults

    @property
    def last_area(self) -> Area | None:
        """The area of the last step: what the answer rests on."""
        return self.steps[-1].area if self.steps else None

    @property
    def first_focus(self) -> Area | None:
        """The first area with boxes that is not the whole image: the first guess."""
        return next((s.area for s in self.steps if s.area.boxes and not s.area.is_whole), None)

    def to_json(self) -> dict[str, Any]:
        """Plain lists and dicts: steps (boxes as unit xyxy, depths, text), answer, faults."""
        return {
            "steps": [
                {"boxes": [list(b) for b in s.area.boxes], "depths": list(s.area.depths), "text": s.text}
                for s in self.steps
            ],
            "answer": self.answer,
            "faults": [
                {"kind": str(f.kind), "start": f.start, "end": f.end, "message": f.message} for f in self.faults
            ],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Trace:
        """Inverse of `to_json`."""
        steps = [Step(Area(tuple(Box(*b) for b in s["boxes"]), tuple(s["depths"])), s["text"]) for s in data["steps"]]
        faults = [Fault(FaultKind(f["kind"]), f["start"], f["end"], f["message"]) for f in data["faults"]]
        return cls(tuple(steps), data["answer"], tuple(faults))


# --- writing -----------------------------------------------------------------------------------------------------


def format_area(area: Area) -> str:
    """The JSON list inside of `<area>`."""
    items = []
    for box, depth in zip(area.boxes, area.depths, strict=True):
        numbers = ",".join(f"{v:.{DECIMALS}f}" for v in box)
        items.append(f'{{"bbox_2d":[{numbers}]' + ("}" if depth is None else f',"depth":{depth:.{DECIMALS}f}}}'))
    return f"[{','.join(items)}]"


def format_trace(trace: Trace) -> str:
    """The text of a trace; `parse_trace` reads it back to an equal trace.

    A trace of which no step has a box is that of a question without a picture: words only (`areas=False`).
    Raises `ValueError` for what the grammar cannot say: no steps, an area without boxes, an empty text or
    answer, or a tag inside of them.
    """
    if not trace.steps:
        raise ValueError("a trace needs at least one step")
    lines = ["<think>"]
    pictured = any(step.area.boxes for step in trace.steps)
    for number, step in enumerate(trace.steps, 1):
        if pictured and not step.area.boxes:
            raise ValueError(f"step {number}: an area needs at least one box")
        lines += [f"<area>{format_area(step.area)}</area>"] if pictured else []
        lines.append(f"<text>{_sayable(step.text, f'text of step {number}')}</text>")
    lines += ["</think>", f"<answer>{_sayable(trace.answer or '', 'answer')}</answer>"]
    return "\n".join(lines)


def _sayable(text: str, what: str) -> str:
    if not text:
        raise ValueError(f"{what} is empty")
    if match := TAG.search(text):
        raise ValueError(f"{what} contains the tag {match.group()}")
    return text


# --- reading -----------------------------------------------------------------------------------------------------

_DECIMALS = re.compile(rf"-?\d+(?:\.\d{{1,{DECIMALS}}})?")


class _Literal(float):
    """A JSON number that remembers how it was written."""

    text: str

    def __new__(cls, text: str) -> _Literal:
        number = super().__new__(cls, text)
        number.text = text
        return number


@dataclass(frozen=True, slots=True)
class _Element:
    name: str  # area, text, answer; or <think>, </think>
    start: int
    end: int
    content: str = ""
    content_start: int = 0


def parse_trace(
    reply: str,
    *,
    areas: bool = True,
    depth_required: bool = True,
    frame: Frame = Frame.UNIT_XYXY,
    size: Size | None = None,
) -> Trace:
    """Read a reply. Never raises on any string; `trace.faults` is empty exactly when the reply is valid.

    The grammar: `<think>`, one or more pairs of `<area>` and `<text>`, `</think>`, `<answer>`, with nothing but
    white space between; an area is a non-empty JSON list of `{"bbox_2d": [x0, y0, x1, y1], "depth": d}` with
    0 <= x0 < x1 <= 1 (same for y), d in [0, 1], at most three decimals.

    areas: False for samples without a picture, whose steps are `<text>` alone (their areas come back empty).
    depth_required: False for samples without a depth map, where boxes may come without depth.
    frame, size: for models that were asked in their native frame; coordinates are converted to unit boxes.
    """
    if frame is not Frame.UNIT_XYXY and size is None:
        raise TypeError(f"frame {frame} needs the image size")
    faults: list[Fault] = []
    elements = list(_elements(reply, faults))
    cut_off = next((f.start for f in faults if f.kind is FaultKind.TRUNCATED), None)
    steps: list[Step] = []
    answer: str | None = None
    pending: tuple[Area, _Element] | None = None
    state = "before"  # before -> thinking -> thought -> done

    def fault(kind: FaultKind, element: _Element, message: str) -> None:
        faults.append(Fault(kind, element.start, element.end, message))

    def flush() -> None:
        nonlocal pending
        if pending is not None:
            fault(FaultKind.ORDER, pending[1], "<area> without the <text> that must follow it")
            steps.append(Step(pending[0], ""))
            pending = None

    for element in elements:
        match element.name:
            case "<think>":
                if state != "before":
                    fault(FaultKind.STRAY_TAG, element, "<think> may stand only once, at the start")
                else:
                    state = "thinking"
            case "</think>":
                flush()
                if state != "thinking":
                    fault(FaultKind.STRAY_TAG, element, "</think> without <think>")
                else:
                    state = "thought"
            case "area":
                flush()
                if not areas:
                    fault(FaultKind.STRAY_TAG, element, "<area> without a picture to look at")
                elif state != "thinking":
                    fault(FaultKind.ORDER, element, "<area> outside of <think>")
                pending = _area(element, faults, depth_required, frame, size), element
            case "text":
                if state != "thinking":
                    fault(FaultKind.ORDER, element, "<text> outside of <think>")
                if not element.content.strip():
                    fault(FaultKind.EMPTY_TEXT, element, "<text> is empty")
                if pending is None and not areas:
                    steps.append(Step(Area((), ()), element.content))
                elif pending is None:
                    fault(FaultKind.ORDER, element, "<text> without the <area> that must come before it")
                else:
                    steps.append(Step(pending[0], element.content))
                    pending = None
            case "answer":
                flush()
                if state == "done":
                    fault(FaultKind.DUPLICATE_ANSWER, element, "a second <answer>")
                elif state != "thought":
                    fault(FaultKind.ORDER, element, "<answer> must follow </think>")
                state = "done" if state in ("thought", "done") else state
                answer = element.content.strip() or None
                if element.start == cut_off:
                    answer = None  # an answer that was cut off is none: "1" may be the start of "12"
                elif answer is None:
                    fault(FaultKind.EMPTY_ANSWER, element, "<answer> is empty")
    flush()

    end = len(reply)
    truncated = any(f.kind is FaultKind.TRUNCATED for f in faults)
    if state == "before":
        faults.append(Fault(FaultKind.MISSING_TAG, 0, 0, "no <think>"))
    if state == "thinking" and not truncated:
        faults.append(Fault(FaultKind.TRUNCATED, end, end, "the reply ends before </think>"))
    if not any(e.name == "answer" for e in elements):
        faults.append(Fault(FaultKind.MISSING_TAG, end, end, "no <answer>"))
    if not steps:
        faults.append(Fault(FaultKind.NO_STEPS, 0, end, "no pair of <area> and <text>" if areas else "no <text>"))
    return Trace(tuple(steps), answer, tuple(sorted(faults, key=lambda f: (f.start, f.end))))


def _elements(reply: str, faults: list[Fault]) -> Iterator[_Element]:
    """Cut a reply into its elements; text between them and tags that do not pair up become faults."""
    opened: re.Match[str] | None = None
    cursor = 0

    def outside(stop: int) -> None:
        gap = reply[cursor:stop]
        if text := gap.strip():
            start = cursor + gap.index(text)
            faults.append(Fault(FaultKind.OUTSIDE_TEXT, start, start + len(text), "text outside of the tags"))

    def close(tag: re.Match[str], stop: int) -> _Element:
        return _Element(tag[1], tag.start(), stop, reply[tag.end() : stop], tag.end())

    for tag in TAG.finditer(reply):
        name, closing = tag[1], tag[0].startswith("</")
        if opened is not None and closing and name == opened[1]:
            yield _Element(name, opened.start(), tag.end(), reply[opened.end() : tag.start()], opened.end())
            opened, cursor = None, tag.end()
            continue
        if opened is not None:
            faults.append(Fault(FaultKind.UNCLOSED_TAG, opened.start(), tag.start(), f"{opened[0]} is not closed"))
            yield close(opened, tag.start())
            opened = None
        else:
            outside(tag.start())
        cursor = tag.end()
        if name == "think":
            yield _Element(tag[0], tag.start(), tag.end())
        elif closing:
            faults.append(Fault(FaultKind.STRAY_TAG, tag.start(), tag.end(), f"{tag[0]} closes nothing"))
        else:
            opened = tag
    if opened is not None:
        faults.append(Fault(FaultKind.TRUNCATED, opened.start(), len(reply), f"the reply ends inside of {opened[0]}"))
        yield close(opened, len(reply))
    else:
        outside(len(reply))


def _area(element: _Element, faults: list[Fault], depth_required: bool, frame: Frame, size: Size | None) -> Area:
    """The area of an element; items that cannot be read are left out and listed."""

    def fault(kind: FaultKind, message: str) -> None:
        faults.append(Fault(kind, element.start, element.end, message))

    try:
        items = json.loads(
            element.content, parse_float=_Literal, parse_int=_Literal, parse_constant=_Literal, object_pairs_hook=_once
        )
    except (ValueError, RecursionError) as error:
        fault(FaultKind.BAD_JSON, f"<area> is not JSON: {error}")
        return Area((), ())
    if not isinstance(items, list):
        fault(FaultKind.BAD_ITEM, "<area> must hold a JSON list")
        return Area((), ())
    if not items:
        fault(FaultKind.EMPTY_AREA, "<area> holds no box")
    boxes: list[Box] = []
    depths: list[float | None] = []
    for number, item in enumerate(items, 1):
        where = f"box {number}"
        if not isinstance(item, dict) or not {"bbox_2d"} <= item.keys() <= {"bbox_2d", "depth"}:
            fault(FaultKind.BAD_ITEM, f'{where}: expected {{"bbox_2d": [x0, y0, x1, y1], "depth": d}} and nothing else')
            continue
        values = item["bbox_2d"]
        if not isinstance(values, list) or len(values) != 4 or not all(isinstance(v, _Literal) for v in values):
            fault(FaultKind.BAD_BOX, f"{where}: bbox_2d must be four numbers")
            continue
        try:
            # Unit boxes are read strictly; in a native frame a pixel of rounding at the border is forgiven.
            box = to_box(values, frame, size or (1, 1), slack_px=0.0 if frame is Frame.UNIT_XYXY else 1.0)
        except BoxError as error:
            fault(FaultKind.BAD_BOX, f"{where}: {error}")
            continue
        depth = item.get("depth")
        if isinstance(depth, _Literal) and 0 <= depth <= 1:
            depth_value = float(depth)
        else:
            depth_value = None
            if depth is not None or "depth" in item:
                fault(FaultKind.BAD_DEPTH, f"{where}: depth must be a number in [0, 1]")
            elif depth_required:
                fault(FaultKind.MISSING_DEPTH, f"{where}: no depth")
        literals = [*(values if frame is Frame.UNIT_XYXY else []), *([depth] if depth_value is not None else [])]
        if long := [v.text for v in literals if not _DECIMALS.fullmatch(v.text)]:
            fault(FaultKind.PRECISION, f"{where}: {long[0]} has more than {DECIMALS} decimals or an exponent")
        boxes.append(box)
        depths.append(depth_value)
    return Area(tuple(boxes), tuple(depths))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


# --- streams and constrained decoding ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Event:
    """A finished element of a stream: an `Area`, or the words of a text or of the answer."""

    kind: str
    value: Area | str
    start: int
    end: int


class TraceStream:
    """Reads a reply that arrives in pieces: `feed` returns what has become complete, `close` the whole trace.

    >>> stream = TraceStream()
    >>> [e.value for piece in ("<think><text>I lo", "ok.</te", "xt>") for e in stream.feed(piece)]
    ['I look.']
    """

    def __init__(self, depth_required: bool = True) -> None:
        self._reply = ""
        self._scanned = 0
        self._opened: re.Match[str] | None = None
        self._depth_required = depth_required

    def feed(self, piece: str) -> Sequence[Event]:
        """Take the next piece of the reply; returns the elements that it completes, in order."""
        self._reply += piece
        events = []
        # Tags pair up as in `_elements`; every tag is looked at once, so a long reply stays cheap.
        for tag in TAG.finditer(self._reply, self._scanned):
            self._scanned = tag.end()
            opened, self._opened = self._opened, None
            if not tag[0].startswith("</"):
                self._opened = tag if tag[1] != "think" else None
            elif opened is not None and opened[1] == tag[1]:
                events.append(self._event(opened, tag))
        self._scanned = max(self._scanned, len(self._reply) - len("</answer>") + 1)
        return events

    def _event(self, opened: re.Match[str], closing: re.Match[str]) -> Event:
        content = self._reply[opened.end() : closing.start()]
        value: Area | str = content.strip()
        if opened[1] == "area":
            element = _Element("area", opened.start(), closing.end(), content, opened.end())
            value = _area(element, [], self._depth_required, Frame.UNIT_XYXY, None)
        return Event(opened[1], value, opened.start(), closing.end())

    def close(self) -> Trace:
        """The trace of everything that was fed, equal to `parse_trace` of the whole."""
        return parse_trace(self._reply, depth_required=self._depth_required)


def trace_regex(depth: bool = True, max_steps: int = 8) -> str:
    """A regular expression for constrained decoding (vLLM `structured_outputs.regex`, outlines, xgrammar).

    Whatever it matches is valid up to the order of box edges, which regular languages cannot express.
    """
    number = r"(?:0\.[0-9]{3}|1\.000)"
    item = rf'\{{"bbox_2d":\[{number},{number},{number},{number}\]' + (rf',"depth":{number}' if depth else "") + r"\}"
    words = r"[^<>\s][^<>]*"
    step = rf"<area>\[{item}(?:,{item})*\]</area>\n<text>{words}</text>\n"
    return rf"<think>\n(?:{step}){{1,{max_steps}}}</think>\n<answer>{words}</answer>"
