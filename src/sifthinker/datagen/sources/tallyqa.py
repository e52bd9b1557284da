"""TallyQA: counting questions about photos of COCO and Visual Genome, as a JSON list of its documented records.

Fields: image, question, answer (a number), question_id, issimple. TallyQA has no boxes. A record may bring its own as
`boxes` (with `frame`, unit_xyxy if not said), one for every counted thing. Else they are those of COCO's annotations
(`coco.Nearby`), where the question only asks how many of a category there are, and the answer is the number of
its boxes in the photo. Others are rejected as `no_boxes`. The file is not held in memory.

Source: https://github.com/manoja328/TallyQA_dataset (README).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...geometry import Frame
from ...sample import Sample
from ..files import RowError, open_source, read_items
from ..outcome import Reject
from ..rows import Found, check_all, declared_size, text
from .coco import Nearby
from .made import plural
from .options import Options


def read(path: Path, options: Options) -> Iterator[Sample | Reject]:
    """One sample a record."""
    with open_source(path) as file:
        if (found := file.read(4096).lstrip()[:1]) != b"[":
            raise InputError(f"{path}: expected a JSON list of TallyQA records; it begins with {found!r}")
    photos = options.photos(path)
    coco = Nearby(path, photos)
    places = ((f"{path.name}:{number}", record) for number, record in read_items(path))

    def parse(record: dict[str, Any]) -> Found:
        count = record["answer"]
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise TypeError(f"answer must be a count, got {count!r:.80}")
        own, frame, labels = record.get("boxes") or [], Frame(record.get("frame", Frame.UNIT_XYXY)), list[str]()
        if own and len(own) != count:
            raise RowError("malformed_row", f"answer {count} with {len(own)} boxes: need one for every counted thing")
        if not own:
            if not coco.there:
                raise RowError("no_boxes", f"the record has none, and there is no {coco.looked}")
            name, own = _counted(text(record, "question"), coco.boxes(text(record, "image")) or {})
            if len(own) != count:
                raise RowError("no_boxes", f"answer {count}, but {len(own)} boxes of {name!r} in {coco.looked}")
            frame, labels = Frame.PIXEL_XYWH, [name] * count
        return Found(
            id=f"tallyqa-{text(record, 'question_id')}",
            image=text(record, "image"),
            question=text(record, "question"),
            answer=str(count),
            boxes=list(own),
            frame=frame,
            size=declared_size(record),
            meta={"task": "count", "answer_kind": "number", "simple": record.get("issimple")}
            | ({"labels": labels} if labels else {}),
        )

    yield from check_all(places, parse, photos)


_PLACE = r"(?:in|on) (?:the|this) (?:picture|image|photo|scene)"
_HOW_MANY = re.compile(rf"how many ([a-z ]+?)(?: (?:are|is))?(?: there| visible| shown| pictured| seen)?(?: {_PLACE})?")


def _counted(question: str, boxes: Mapping[str, list[Any]]) -> tuple[str, list[Any]]:
    """The category that a question asks to count, and its boxes; no boxes where it asks for something else.

    >>> _counted("How many dogs are there?", {"dog": [[0, 0, 9, 9]]})
    ('dog', [[0, 0, 9, 9]])
    >>> _counted("How many dogs are black?", {"dog": [[0, 0, 9, 9]]})
    ('dogs are black', [])
    """
    match = _HOW_MANY.fullmatch(" ".join(question.lower().strip(" ?.").split()))
    asked = match[1] if match else question
    name = next((name for name in boxes if asked in (name, plural(name))), asked)
    return name, boxes.get(name, [])
