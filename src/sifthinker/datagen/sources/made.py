"""Questions made from the annotated boxes of an image; the answers follow exactly from the boxes.

count   "How many dogs are in the picture?" for a category with 1 to `MOST` boxes. Gold boxes: all of them.
side    "Is the dog to the left or to the right of the cat?" for two categories with exactly one box each, whose
        boxes leave a horizontal gap of at least `GAP` of the width. Gold boxes: both.

At most `PER_KIND` questions of a kind an image, drawn by the seed; an image of which none can be made is rejected as
`no_question`. A category is not asked about where one of its annotations is bad, stands for several things, or where
the data set does not promise that all of them are annotated: a source says so with `unsure`. What a data set does not
annotate (very small or hidden things) is not counted; the screening drops the smallest boxes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from ...errors import BoxError
from ...geometry import Box, Frame, Size, to_box
from ...sample import Sample
from ..files import FileIndex, RowError, photo_size
from ..outcome import Reject
from ..rows import UNKNOWN_SIZE, Found, check, slack_px
from ..seeds import row_rng

MOST = 6
GAP = 0.03
PER_KIND = 2


@dataclass(slots=True)
class Annotated:
    """What is annotated in one image.

    key: id of the image, from which the ids of its questions are made. photo: its file name. size: if it is declared.
    complete: whether all things of a category are annotated; else nothing is counted.
    boxes: category, in words -> four numbers each, in `frame`. unsure: categories that must not be asked about.
    """

    key: str
    photo: str
    frame: Frame
    size: Size | None = None
    complete: bool = True
    boxes: dict[str, list[Sequence[float]]] = field(default_factory=dict)
    unsure: set[str] = field(default_factory=set)

    def add(self, category: str, box: Any) -> None:
        """One more annotated thing. Raises `BoxError`, and then the category counts as unsure."""
        try:
            if isinstance(box, str):
                raise BoxError("box_malformed", f"box {box!r:.80}: not four numbers")
            to_box(box, self.frame, self.size or UNKNOWN_SIZE, slack_px(self.frame, self.size))
        except OverflowError as error:
            self.unsure.add(category)
            raise BoxError("box_not_finite", f"box {box!r:.80}: {error}") from error
        except BoxError:
            self.unsure.add(category)
            raise
        self.boxes.setdefault(category, []).append(box)


def questions(image: Annotated, photos: FileIndex, seed: int) -> Iterator[Sample | Reject]:
    """The questions about one image, or the one reason why there is none."""
    try:
        path = photos.find(image.photo)
        size = image.size or photo_size(path)
    except RowError as error:
        yield Reject(image.key, error.reason, error.detail)
        return
    known = {name: boxes for name, boxes in sorted(image.boxes.items()) if name not in image.unsure}
    rng = row_rng(seed, image.key)
    asked = [*_some(_counts(known) if image.complete else [], rng), *_some(_sides(known, image.frame, size, rng), rng)]
    if not asked:
        yield Reject(image.key, "no_question", f"{len(known)} categories are sure; none can be asked about exactly")
    for task, names, question, answer, kind in asked:
        boxes = [box for name in names for box in known[name]]
        labels = [name for name in names for _ in known[name]]
        meta = {"task": task, "answer_kind": kind, "labels": labels}
        found = Found(
            "-".join((image.key, task, *names)),
            image.photo,
            question,
            answer,
            boxes,
            image.frame,
            image.size,
            meta=meta,
        )
        yield check(found, photos)


_Asked = tuple[str, tuple[str, ...], str, str, str]
"""Task, categories, question, answer, kind of answer."""


def _counts(known: Mapping[str, Sequence[Any]]) -> list[_Asked]:
    return [
        ("count", (name,), f"How many {plural(name)} are in the picture?", str(len(boxes)), "number")
        for name, boxes in known.items()
        if len(boxes) <= MOST
    ]


def _sides(known: Mapping[str, Sequence[Any]], frame: Frame, size: Size, rng: np.random.Generator) -> list[_Asked]:
    try:
        single = {
            name: to_box(boxes[0], frame, size, slack_px(frame, size))
            for name, boxes in known.items()
            if len(boxes) == 1
        }
    except BoxError:
        # The photo is smaller than the boxes need: `check` tells it of each question.
        return []
    asked: list[_Asked] = []
    for pair in combinations(single, 2):
        a, b = pair if rng.random() < 0.5 else pair[::-1]
        if side := left_or_right(single[a], single[b]):
            question = f"Is the {a} to the left or to the right of the {b} in the picture?"
            asked.append(("side", (a, b), question, side, "direction"))
    return asked


def left_or_right(a: Box, b: Box) -> str | None:
    """On which side of `b` box `a` lies as seen in the picture; None without a clear gap between them."""
    if a.x1 + GAP <= b.x0:
        return "left"
    if b.x1 + GAP <= a.x0:
        return "right"
    return None


def _some(asked: list[_Asked], rng: np.random.Generator) -> list[_Asked]:
    """At most `PER_KIND` of them, in their order."""
    if len(asked) <= PER_KIND:
        return asked
    return [asked[i] for i in sorted(rng.choice(len(asked), PER_KIND, replace=False))]


_PLURALS = {"person": "people", "mouse": "mice", "knife": "knives", "sheep": "sheep", "skis": "pairs of skis"} | {
    "scissors": "pairs of scissors",
    "broccoli": "pieces of broccoli",
    "tv": "TVs",
    "man": "men",
    "woman": "women",
    "child": "children",
    "fish": "fish",
}


def plural(name: str) -> str:
    """The plural of a category name; names that are plural already stay.

    >>> plural("wine glass"), plural("person"), plural("dog"), plural("sneakers"), plural("bus")
    ('wine glasses', 'people', 'dogs', 'sneakers', 'buses')
    """
    if name in _PLURALS:
        return _PLURALS[name]
    if name.endswith(("ss", "us", "sh", "ch", "x")):
        return f"{name}es"
    if name.endswith("s"):
        return name
    if name.endswith("y") and name[-2:-1] not in "aeiou":
        return f"{name[:-1]}ies"
    return f"{name}s"
