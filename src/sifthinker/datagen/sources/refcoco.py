"""Referring expressions (RefCOCO, RefCOCO+, RefCOCOg) in the lines that Visual-CoT evaluates on.

An expression is no question and has no answer. It becomes one whose answer follows exactly from the box: in which
third of the picture is what the words describe: left, middle or right? The third is that of the box's center; boxes
whose center lies within `MARGIN` of a border between thirds are rejected as `ambiguous_position`, and expressions that
name a third ("left man") as `answer_in_question`, whichever it is: else a third that is named would be a wrong one.

Fields: img_path, expression, bbox (pixel xyxy); height, width, dataset_name, split, sent_id where they are known.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...geometry import Frame
from ...sample import Sample
from ..files import read_lines
from ..outcome import Reject
from ..rows import Found, check_all, declared_size, digest_id, text
from .options import Options

MARGIN = 0.04
"""Distance of a box's center from the border between two thirds, as a share of the width, that makes an answer safe."""

THIRDS = ("left", "middle", "right")

NAMED = re.compile(r"\b(?:left|right|middle|center|centre|(?:lft|rt|mid)\b)", re.IGNORECASE)
"""Words that name a third ("leftmost", too), also as those write them who have little time."""

QUESTION = 'In which third of the picture is "{}": left, middle or right?'


def third(x: float) -> str | None:
    """The third in which a unit x coordinate lies; None within `MARGIN` of a border.

    >>> third(0.1), third(0.5), third(0.65)
    ('left', 'middle', None)
    """
    if min(abs(x - 1 / 3), abs(x - 2 / 3)) < MARGIN:
        return None
    return THIRDS[min(int(3 * x), 2)]


def read(path: Path, options: Options) -> Iterator[Sample | Reject]:
    """One sample an expression."""
    rows = ((f"{path.name}:{number}", row) for number, row in read_lines(path))

    def parse(row: dict[str, Any]) -> Found:
        name = text(row, "dataset_name").rpartition("/")[2] if "dataset_name" in row else path.stem
        key = row["sent_id"] if "sent_id" in row else digest_id(row)
        expression = text(row, "expression").strip().strip('"')
        return Found(
            id=f"{name}-{row.get('split', '')}-{key}",
            image=text(row, "img_path"),
            question=QUESTION.format(expression) if expression else "",
            answer="",
            boxes=[row["bbox"]],
            frame=Frame.PIXEL_XYXY,
            size=declared_size(row),
            meta={"task": "refer", "labels": [expression]},
        )

    for outcome in check_all(rows, parse, options.photos(path)):
        yield answered(outcome) if isinstance(outcome, Sample) else outcome


def answered(sample: Sample) -> Sample | Reject:
    """The sample with the third of its box for an answer; or `answer_in_question`, `ambiguous_position`."""
    (label,) = sample.meta["labels"]
    if found := NAMED.search(label):
        return Reject(sample.id, "answer_in_question", f"{label!r:.80} names a third: {found[0]}")
    x = sample.boxes[0].center[0]
    answer = third(x)
    if answer is None:
        return Reject(sample.id, "ambiguous_position", f"center at {x:.3f} of the width, thirds at 0.333 and 0.667")
    return replace(sample, answer=answer)
