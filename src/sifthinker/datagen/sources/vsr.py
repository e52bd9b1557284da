"""VSR: statements about where things are in COCO photos, true or false. The boxes come from COCO's annotations.

    {"image": "000000000428.jpg", "caption": "The person is behind the cake.", "label": 1, "relation": "behind", ...}

A statement names two things in COCO's words, with the relation between them. Its gold boxes are theirs, from the
first `instances*.json` (COCO's form, `coco`) beside the statements, in the folder of the photos or in the one above;
a statement is rejected as `no_boxes` unless each of the two has exactly one box in the photo. A row may bring `boxes`
of its own instead, with `frame` (pixel_xyxy if not said).

Source: https://github.com/cambridgeltl/visual-spatial-reasoning (data/README.md), Liu et al., TACL 2023.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...geometry import Frame
from ...sample import Sample
from ..files import RowError, read_lines
from ..outcome import Reject
from ..rows import Found, check_all, declared_size, digest_id, text
from .coco import Nearby
from .options import Options

QUESTION = 'Is this statement about the photo true? "{}" Answer yes or no.'


def read(path: Path, options: Options) -> Iterator[Sample | Reject]:
    """One sample a statement."""
    photos = options.photos(path)
    coco = Nearby(path, photos)
    rows = ((f"{path.name}:{number}", row) for number, row in read_lines(path))

    def parse(row: dict[str, Any]) -> Found:
        if row["label"] not in (0, 1):
            raise ValueError(f"label must be 0 (false) or 1 (true), got {row['label']!r:.80}")
        photo, caption = text(row, "image"), text(row, "caption").strip()
        frame, labels = Frame(row.get("frame", Frame.PIXEL_XYXY)), list[str]()
        own = row.get("boxes")
        if own is None:
            if not coco.there:
                raise RowError("no_boxes", f"the row has none, and there is no {coco.looked}")
            frame, labels = Frame.PIXEL_XYWH, things(caption, text(row, "relation"))
            if (boxes := coco.boxes(photo)) is None:
                raise RowError("no_boxes", f"{photo} has no annotations in {coco.looked}")
            own = [_one(boxes, thing) for thing in labels]
        return Found(
            id=f"vsr-{path.stem}-{digest_id(row)}",
            image=photo,
            question=QUESTION.format(caption),
            answer="yes" if row["label"] else "no",
            boxes=own,
            frame=frame,
            size=declared_size(row),
            meta={"task": "vsr", "relation": text(row, "relation"), "answer_kind": "yesno"}
            | ({"labels": labels} if labels else {}),
        )

    yield from check_all(rows, parse, photos)


def things(caption: str, relation: str) -> list[str]:
    """The two things that a statement is about.

    >>> things("The person is behind the cake.", "behind")
    ['person', 'cake']

    Raises `RowError` `no_boxes` where the relation does not stand between two things.
    """
    left, found, right = caption.lower().strip(" .").partition(f" {relation.lower()} ")
    left = left.removeprefix("the ").removesuffix(" is").removesuffix(" are").removesuffix(" has")
    right = right.removeprefix("the ")
    if not (found and left and right):
        raise RowError("no_boxes", f"{relation!r} does not stand between two things in {caption!r}")
    return [left, right]


def _one(boxes: Mapping[str, list[Any]], thing: str) -> Any:
    found = boxes.get(thing, [])
    if len(found) != 1:
        raise RowError("no_boxes", f"the photo has {len(found)} boxes for {thing!r}; need one to know which is meant")
    return found[0]
