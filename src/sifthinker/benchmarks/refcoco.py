"""`refcoco:FILE`: referring expressions; the answer is the box of the last area.

Rows as in Visual-CoT's REC files: img_path, expression, bbox (pixel xyxy), width, height. The frame asked of the
model is the frame of traces: unit xyxy. The score is Acc@0.5 by RefCOCO's convention, IoU > 0.5; the mean IoU of the
sets of boxes is the metric `hiou`.
"""

from __future__ import annotations

from ..errors import BoxError, InputError
from ..geometry import Box, Frame, to_box
from ..records import read_jsonl
from ..sample import Sample
from ..trace import Trace
from .listed import Listed
from .photos import find_photos
from .protocol import Options, Score, file_version, need_columns, need_path

COLUMNS = ("img_path", "expression", "bbox", "width", "height")
RIGHT = 0.5
"""A box is right when its IoU with the gold box is greater than this."""


def open_refcoco(path: str | None, options: Options) -> Listed:
    """Raises `InputError` for missing columns, boxes that leave the photo, and photos that cannot be found."""
    file = need_path("refcoco", path, "FILE")
    rows = list(read_jsonl(file))
    for line, row in rows:
        need_columns(file, line, row, COLUMNS)
    photos = find_photos((row["img_path"] for _, row in rows), file, options.images)
    samples = []
    for line, row in rows:
        samples.append(
            Sample(
                id=f"refcoco-{file.stem}-{line}",
                image=photos[row["img_path"]],
                question=f"Find this in the photo: {row['expression'].strip()}. End with one box around it.",
                boxes=(_gold(row, f"{file}:{line}"),),
                meta={
                    "task": str(row.get("dataset_name", "refcoco")).rsplit("/", 1)[-1],
                    "split": row.get("split", ""),
                    "group": row["img_path"],
                },
            )
        )
    return Listed("refcoco", file_version(file), tuple(samples), score_box)


def score_box(trace: Trace, sample: Sample) -> Score:
    """1 when the one box of the last area has IoU > 0.5 with the gold box.

    Two boxes where one is asked for are ambiguous: no box is picked with an eye on the gold. The lenient rule takes the
    last.
    """
    boxes = trace.last_area.boxes if trace.last_area else ()
    if not boxes:
        return Score(0.0, "invalid_box" if trace.steps else "no_answer", lenient=0.0)
    gold = sample.boxes[0].quantized()
    lenient = float(boxes[-1].iou(gold) > RIGHT)
    return Score(0.0, "ambiguous", lenient=lenient) if len(boxes) > 1 else Score(lenient, lenient=lenient)


def _gold(row: dict, where: str) -> Box:
    try:
        return to_box(row["bbox"], Frame.PIXEL_XYXY, (int(row["width"]), int(row["height"])))
    except BoxError as error:
        raise InputError(f"{where}: {error}") from error
