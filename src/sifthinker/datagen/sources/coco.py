"""COCO instances JSON: questions whose answers follow exactly from the boxes.

count   "How many dogs are in the picture?" for a category with 1 to `MOST` boxes in the image and no crowd region.
        Gold boxes: all of them.
side    "Is the dog to the left or to the right of the cat?" for two categories with exactly one box each, whose
        boxes leave a horizontal gap of at least `GAP` of the width. Gold boxes: both.

At most `PER_KIND` questions of a kind an image, drawn by the seed; an image of which none can be made is rejected as
`no_question`. A bad annotation is rejected by itself, and its category is not asked about in that image. What COCO does
not annotate (very small or hidden things) is not counted; the screening drops the smallest boxes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import BoxError, InputError
from ...geometry import Box, Frame, Size, to_box
from ...sample import Sample
from ..files import FileIndex, RowError, read_json
from ..outcome import Reject
from ..rows import UNKNOWN_SIZE, Found, check, declared_size
from ..seeds import row_rng
from .options import Options

MOST = 6
GAP = 0.03
PER_KIND = 2


@dataclass(slots=True)
class _Image:
    """The annotations of one image: raw boxes by category, and the categories that must not be asked about."""

    boxes: dict[str, list[Sequence[float]]] = field(default_factory=lambda: defaultdict(list))
    unsure: set[str] = field(default_factory=set)


def read(path: Path, options: Options) -> Iterator[Sample | Reject]:
    """Rejected annotations and questions, image by image in the file's order."""
    data = read_json(path)
    try:
        names = {c["id"]: str(c["name"]) for c in data["categories"]}
        records, annotations = list(data["images"]), list(data["annotations"])
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{path}: not COCO instances JSON ({error!r}); expected lists images, annotations, categories"
        ) from error
    photos = options.photos(path)
    sizes = {r["id"]: r for r in records if isinstance(r, dict) and isinstance(r.get("id"), (int, str))}
    images: dict[Any, _Image] = defaultdict(_Image)
    for number, annotation in enumerate(annotations, 1):
        if reject := _sort_in(annotation, f"{path.name}:annotation {number}", names, sizes, images):
            yield reject
    for number, record in enumerate(records, 1):
        try:
            key, file_name, size = record["id"], str(record["file_name"]), declared_size(record)
            if key not in sizes:
                raise TypeError(f"id must be a number or text, got {key!r:.80}")
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            yield Reject(f"{path.name}:image {number}", "malformed_row", f"{type(error).__name__}: {error}")
            continue
        yield from _questions(f"coco-{key}", file_name, size, images[key], photos, options.seed)


def _sort_in(
    annotation: Any, place: str, names: Mapping[Any, str], sizes: Mapping[Any, Any], images: dict[Any, _Image]
) -> Reject | None:
    """Add one annotation to its image; the reject if it cannot be used."""
    try:
        place = f"coco-annotation-{annotation['id']}"
        name, record = names[annotation["category_id"]], sizes[annotation["image_id"]]
        image = images[annotation["image_id"]]
        if annotation.get("iscrowd"):
            image.unsure.add(name)
            return None
        size = declared_size(record)
        to_box(annotation["bbox"], Frame.PIXEL_XYWH, size or UNKNOWN_SIZE, slack_px=0.5)
        image.boxes[name].append(annotation["bbox"])
    except BoxError as error:
        image.unsure.add(name)  # type: ignore[possibly-undefined]
        return Reject(place, error.reason, str(error))
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        return Reject(place, "malformed_row", f"{type(error).__name__}: {error}")
    return None


def _questions(
    key: str, file_name: str, size: Size | None, image: _Image, photos: FileIndex, seed: int
) -> Iterator[Sample | Reject]:
    try:
        photos.find(file_name)
    except RowError as error:
        yield Reject(key, error.reason, error.detail)
        return
    known = {name: boxes for name, boxes in sorted(image.boxes.items()) if name not in image.unsure}
    rng = row_rng(seed, key)
    asked = [*_some(_counts(known), rng), *_some(_sides(known, size, rng), rng)]
    if not asked:
        yield Reject(key, "no_question", f"{len(known)} categories without crowds; none can be asked about exactly")
    for suffix, question, answer, names, kind in asked:
        boxes = [box for name in names for box in known[name]]
        labels = [name for name in names for _ in known[name]]
        meta = {"task": suffix.partition("-")[0], "answer_kind": kind, "labels": labels}
        yield check(
            Found(f"{key}-{suffix}", file_name, question, answer, boxes, Frame.PIXEL_XYWH, size, meta=meta), photos
        )


_Asked = tuple[str, str, str, tuple[str, ...], str]
"""Id suffix, question, answer, categories, kind of answer."""


def _counts(known: Mapping[str, Sequence[Any]]) -> list[_Asked]:
    return [
        (f"count-{name}", f"How many {plural(name)} are in the picture?", str(len(boxes)), (name,), "number")
        for name, boxes in known.items()
        if len(boxes) <= MOST
    ]


def _sides(known: Mapping[str, Sequence[Any]], size: Size | None, rng: np.random.Generator) -> list[_Asked]:
    single = {
        name: to_box(boxes[0], Frame.PIXEL_XYWH, size) for name, boxes in known.items() if size and len(boxes) == 1
    }
    asked = []
    for pair in combinations(single, 2):
        a, b = pair if rng.random() < 0.5 else pair[::-1]
        if side := left_or_right(single[a], single[b]):
            question = f"Is the {a} to the left or to the right of the {b} in the picture?"
            asked.append((f"side-{a}-{b}", question, side, (a, b), "direction"))
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
}


def plural(name: str) -> str:
    """The plural of a category name.

    >>> plural("wine glass"), plural("person"), plural("dog")
    ('wine glasses', 'people', 'dogs')
    """
    if name in _PLURALS:
        return _PLURALS[name]
    if name.endswith(("s", "sh", "ch", "x")):
        return f"{name}es"
    if name.endswith("y") and name[-2:-1] not in "aeiou":
        return f"{name[:-1]}ies"
    return f"{name}s"
