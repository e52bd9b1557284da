"""TallyQA: counting questions about photos of COCO and Visual Genome, as a JSON list of its documented records.

Fields: image, question, answer (a number), question_id. TallyQA has no boxes. A record is kept only if it carries
`boxes` (with `frame`, unit_xyxy if not said), one for every counted thing; others are rejected as `no_boxes`. The
file is not held in memory.

Source: https://github.com/manoja328/TallyQA_dataset (README).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...geometry import Frame
from ...sample import Sample
from ..files import RowError, open_source, read_items
from ..outcome import Reject
from ..rows import Found, check_all, declared_size, text
from .options import Options


def read(path: Path, options: Options) -> Iterator[Sample | Reject]:
    """One sample a record."""
    with open_source(path) as file:
        if (found := file.read(4096).lstrip()[:1]) != b"[":
            raise InputError(f"{path}: expected a JSON list of TallyQA records; it begins with {found!r}")
    places = ((f"{path.name}:{number}", record) for number, record in read_items(path))
    yield from check_all(places, _parse, options.photos(path))


def _parse(record: dict[str, Any]) -> Found:
    count = record["answer"]
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise TypeError(f"answer must be a count, got {count!r:.80}")
    boxes = record.get("boxes") or []
    if boxes and len(boxes) != count:
        raise RowError("malformed_row", f"answer {count} with {len(boxes)} boxes: need one for every counted thing")
    return Found(
        id=f"tallyqa-{text(record, 'question_id')}",
        image=text(record, "image"),
        question=text(record, "question"),
        answer=str(count),
        boxes=list(boxes),
        frame=Frame(record.get("frame", Frame.UNIT_XYXY)),
        size=declared_size(record),
        meta={"task": "count", "answer_kind": "number", "simple": record.get("issimple")},
    )
