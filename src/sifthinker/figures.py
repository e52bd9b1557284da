"""Traces as HTML: every step drawn on photo and depth picture, with words, depths, rewards and faults.

Pictures are data URIs that stand once in a page, however often they are shown; boxes are vectors over them. The look
lives in `templates/`. Pictures as files are `draw`'s business.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from .draw import depth_picture
from .metrics import Item
from .outcomes import true_depths
from .sample import Sample
from .trace import Fault, FaultKind, Trace

if TYPE_CHECKING:
    from jinja2 import Environment

MAX_SIDE = 480
"""Pixels of the longer side of a picture in a page at most."""

MAX_STEPS = 6
"""Steps drawn of one trace; how many more there are is said."""

MAX_REPLY = 4000
"""Characters shown of a reply."""


@dataclass(frozen=True)
class Picture:
    """A picture inside of a page."""

    key: str
    uri: str
    width: int
    height: int


@dataclass(frozen=True)
class Figure:
    """One reply, ready to be drawn. `trace` is None when no reply came; `why` then tells the reason."""

    trace: Trace | None
    photo: Picture | None
    depth: Picture | None = None
    gold: Sequence[Sequence[float]] = ()
    true_depths: Sequence[Sequence[float | None]] | None = None
    rewards: Mapping[str, float | None] = field(default_factory=dict)
    outcome: str = ""
    verdict: str = ""
    why: str = ""
    reply: str = ""

    @property
    def pictures(self) -> list[Picture]:
        return [p for p in (self.photo, self.depth) if p is not None]

    @property
    def marked_reply(self) -> list[tuple[str, str]]:
        """The reply in pieces: (text, message of the fault there, or "")."""
        faults = self.trace.faults if self.trace else ()
        return _marked(self.reply[:MAX_REPLY], faults) + ([("…", "")] if len(self.reply) > MAX_REPLY else [])


def picture(image: Image.Image, key: str, max_side: int = MAX_SIDE) -> Picture:
    """An image as a data URI: PNG while it is small, JPEG above."""
    small = image.convert("RGB")
    small.thumbnail((max_side, max_side))
    buffer = io.BytesIO()
    kind = "png" if max(small.size) <= 128 else "jpeg"
    small.save(buffer, kind, **({"optimize": True} if kind == "png" else {"quality": 80}))
    uri = f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return Picture(key, uri, *small.size)


def figure_of_item(item: Item, folder: Path) -> Figure:
    """The figure of an item of a run folder; without pictures where the folder kept none."""
    pictures = [
        picture(Image.open(folder / name), f"p-{Path(name).stem}")
        for name in item.get("pictures", ())
        if (folder / name).exists()
    ]
    value = item["value"]
    verdict = "" if value is None else "right" if value == 1 else "wrong" if value == 0 else f"{value:.2f}"
    return Figure(
        trace=Trace.from_json(item["trace"]) if item["trace"] else None,
        photo=pictures[0] if pictures else None,
        depth=pictures[1] if len(pictures) > 1 else None,
        gold=item["boxes"],
        true_depths=item["true_depths"],
        rewards=item["rewards"],
        outcome=item["outcome"],
        verdict=verdict,
        why=item["error"] or item["reason"],
        reply=item["raw_reply"] or "",
    )


def figure_of(
    sample: Sample, trace: Trace, rewards: Mapping[str, float | None] | None = None, reply: str = "", key: str = "p"
) -> Figure:
    """The figure of a trace of a sample. rewards: values by name. reply: the raw reply, shown where it has faults.
    key: of its pictures, unique in a page."""
    depth = sample.depth_map()
    return Figure(
        trace=trace,
        photo=None if sample.image is None else picture(sample.photo(), f"{key}-photo"),
        depth=None if depth is None else picture(depth_picture(depth), f"{key}-depth"),
        gold=[list(box) for box in sample.boxes],
        true_depths=true_depths(trace, sample),
        rewards=rewards or {},
        reply=reply,
    )


def trace_figure(
    sample: Sample, trace: Trace, rewards: Mapping[str, float | None] | None = None, reply: str = ""
) -> str:
    """A trace as a piece of HTML with everything it needs, to be put into any page."""
    figure = figure_of(sample, trace, rewards, reply)
    return environment().get_template("trace.html").render(figure=figure)


@cache
def environment() -> Environment:
    """The templates of the package; whatever is put into them is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    env = Environment(
        loader=PackageLoader("sifthinker"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.globals["max_steps"] = MAX_STEPS
    env.filters["number"] = lambda value, digits=3: "–" if value is None else f"{value:.{digits}f}"
    env.filters["rects"] = _rects
    env.filters["fault"] = _fault_words
    return env


def _rects(boxes: Sequence[Any], shape: Picture) -> list[dict[str, float]]:
    """Unit boxes in the units of a picture, for `<rect>`."""
    found = []
    for x0, y0, x1, y1 in boxes:
        w, h = shape.width, shape.height
        # Half a line inside of the border, so that a box of the whole picture can be seen.
        edge = max(w, h) * 0.006
        left, top = max(x0 * w, edge), max(y0 * h, edge)
        right, bottom = min(x1 * w, w - edge), min(y1 * h, h - edge)
        sides = {"width": max(right - left, edge), "height": max(bottom - top, edge)}
        found.append({k: round(v, 2) for k, v in {"x": left, "y": top, **sides}.items()})
    return found


_WORDS = {FaultKind.TRUNCATED: "cut off", FaultKind.BAD_JSON: "not JSON", FaultKind.NO_STEPS: "no step"}


def _fault_words(fault: Fault) -> str:
    return _WORDS.get(fault.kind, str(fault.kind).replace("_", " "))


def _marked(reply: str, faults: Sequence[Fault]) -> list[tuple[str, str]]:
    """Cut a reply at its faults; faults that overlap an earlier one are left to the list beside it."""
    pieces: list[tuple[str, str]] = []
    position = 0
    for fault in faults:
        if fault.start < position or fault.start >= len(reply):
            continue
        end = max(fault.end, fault.start + 1)
        pieces += [(reply[position : fault.start], ""), (reply[fault.start : end], fault.message)]
        position = end
    return [piece for piece in [*pieces, (reply[position:], "")] if piece[0]]
