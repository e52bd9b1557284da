"""Visual-CoT, in the three forms in which its rows are published; the form is told by a row's fields.

conversations (`viscot_363k.json`, the 13 files of the benchmark): the box is written in the image padded to a square,
    and once more in whole pixels behind `###` in `image[1]`. The pixels are taken; the padded box must agree, else
    `frames_disagree`.
metadata (`bboxs`; *_cot_train.jsonl, also those with detailed reasoning steps): several boxes in pixel xyxy, with the
    size of the image.
REC (`expression`, `bbox`): one box in pixel xyxy and no answer, so such rows end as `empty_answer`; with
    referring expressions use the source `refcoco`.

In a folder every JSON file that has such rows is read.

Source of the frames: the benchmark files themselves, which carry both forms; github.com/deepcs233/Visual-CoT.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...geometry import Frame
from ...sample import Sample
from ..files import FileIndex, open_source, read_items, read_lines
from ..outcome import Reject
from ..rows import Found, check_all, declared_size, digest_id, listed, text
from .options import Options

REQUEST = "Please provide the bounding box coordinate of the region that can help you answer the question better."
"""What the benchmark form appends to every question."""

REC = "viscot_rec"
NO_ANSWER = (
    "has a box and no answer: of referring expressions the source refcoco asks where they are; "
    "questions have their answers in the other two forms"
)


def read(path: Path, options: Options) -> Iterator[Sample | Reject]:
    """Rows of a JSON list, of JSON lines, or of all such files in a folder; no file is held in memory."""
    if not path.is_dir():
        yield from _read(path, options.photos(path))
        return
    files = sorted(p for p in path.iterdir() if p.suffix in (".json", ".jsonl"))
    ours = {file: _is_ours(file) for file in files}
    if not any(ours.values()):
        there = ", ".join(sorted(p.name for p in path.iterdir())[:8])
        raise InputError(f"{path}: looked for *.json and *.jsonl with {LOOKED_FOR}; found {there or 'nothing'}")
    photos = options.photos(path)
    for file in files:
        if ours[file]:
            yield from _read(file, photos)
        else:
            yield Reject(file.name, "malformed_row", f"the file is passed over: it does not begin with {LOOKED_FOR}")


def _is_ours(path: Path) -> bool:
    """Whether one of the first rows of a file has the fields of any form."""
    return any(isinstance(row, dict) and FORMS.keys() & row.keys() for _, row in islice(_rows(path), 32))


def _read(path: Path, photos: FileIndex) -> Iterator[Sample | Reject]:
    rows = ((f"{path.name}:{number}", row) for number, row in _rows(path))

    def parse(row: Any) -> Found:
        if not isinstance(row, dict):
            raise TypeError(f"expected an object, got {row!r:.80}")
        form = next((form for field, form in FORMS.items() if field in row), None)
        if form is None:
            raise KeyError(f"none of {LOOKED_FOR}")
        return form(row, path.stem)

    for row in check_all(rows, parse, photos):
        if isinstance(row, Sample) and row.meta["task"] == REC and not row.answer:
            yield Reject(row.id, "empty_answer", f"{row.question!r:.80} {NO_ANSWER}")
        else:
            yield row


def _rows(path: Path) -> Iterator[tuple[str | int, Any]]:
    """Numbered rows of a JSON list, or of JSON lines: named .jsonl, or without a bracket at the start."""
    with open_source(path) as file:
        is_list = file.read(4096).lstrip()[:1] == b"["
    if not is_list or path.suffix == ".jsonl":
        yield from read_lines(path)
        return
    yield from read_items(path)


def _benchmark(row: dict[str, Any], file: str) -> Found:
    turns = [text(turn, "value") for turn in row["conversations"]]
    question, box, _, answer = turns[:4]
    padded = json.loads(box)
    if not isinstance(padded, list) or len(padded) != 4 or not all(isinstance(v, (int, float)) for v in padded):
        raise ValueError(f"conversations[1] is {box!r:.80}, expected a list of four numbers")
    image, _, exact = row["image"][-1].partition("###")
    dataset = str(row.get("dataset", "viscot"))
    number = row.get("question_id")
    return Found(
        id=_id(row, file) if number is None else f"viscot-{dataset}-{row.get('split', '')}-{number}",
        image=image,
        question=question.strip().removesuffix(REQUEST),
        answer=answer,
        boxes=[json.loads(exact)] if exact else [padded],
        frame=Frame.PIXEL_XYXY if exact else Frame.PADDED_UNIT_XYXY,
        padded=padded if exact else None,
        meta=_meta(dataset, answer),
    )


def _metadata(row: dict[str, Any], file: str) -> Found:
    dataset = str(row.get("dataset", "viscot"))
    return Found(
        id=_id(row, file),
        image=text(row, "image").partition("###")[0],
        question=text(row, "question"),
        answer=text(row, "answer"),
        boxes=listed(row, "bboxs"),
        frame=Frame.PIXEL_XYXY,
        size=declared_size(row),
        meta=_meta(dataset, text(row, "answer")),
    )


def _id(row: dict[str, Any], file: str) -> str:
    """Not the row's number, on which a draw must not depend."""
    return f"viscot-{file}-{digest_id(row)}"


def _meta(dataset: str, answer: str) -> dict[str, Any]:
    """Task and, for the many yes/no questions, the kind of answer: "Yes, it is" is right too."""
    yes_no = answer.strip(" .").casefold() in ("yes", "no")
    return {"task": f"viscot_{dataset}"} | ({"answer_kind": "yesno"} if yes_no else {})


def _rec(row: dict[str, Any], file: str) -> Found:
    return Found(
        id=_id(row, file),
        image=text(row, "img_path"),
        question=text(row, "expression"),
        answer=str(row.get("answer", "")),
        boxes=[row["bbox"]],
        frame=Frame.PIXEL_XYXY,
        size=declared_size(row),
        meta={"task": REC},
    )


FORMS = {"conversations": _benchmark, "bboxs": _metadata, "expression": _rec}
"""The field by which a form is told -> what reads its rows."""

LOOKED_FOR = "conversations (363k, benchmark), bboxs (metadata), expression (REC)"
