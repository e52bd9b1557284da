"""`Found`: what a source says about one row; `check`: the one place where that becomes a `Sample` or a `Reject`.

Boxes are checked before the photo is looked for, so that dirty rows are reported as dirty whether or not their photo
is there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..depth import DepthMap, StoredDepth
from ..errors import BoxError, InputError
from ..geometry import Box, Frame, Size, to_box, to_pixel
from ..records import digest
from ..sample import Sample
from ..sample import photo_size as size_of_bytes
from .files import FileIndex, RowError, photo_size
from .outcome import Reject

PICTURE = "<image>"
"""Stands for the picture in chats of other data sets. Before or behind a question it is left out."""

UNKNOWN_SIZE = (1_000_000, 1_000_000)
"""Stands for the size of a photo that is not known yet, when boxes are first looked at."""


@dataclass(frozen=True, slots=True)
class Found:
    """One row as its file gives it, before any check.

    boxes: four numbers each, in `frame`. size: (width, height) if the row declares it.
    padded: the same box once more in Visual-CoT's padded square, which must agree with `boxes[0]`.
    photo: the photo's file, where the row brings it; then `image` is only its name.
    """

    id: str
    image: str
    question: str
    answer: str
    boxes: Sequence[Any]
    frame: Frame
    size: Size | None = None
    padded: Sequence[float] | None = None
    choices: tuple[str, ...] = ()
    depth: Callable[[], DepthMap | StoredDepth] | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)
    photo: bytes | None = None


def check_all(
    rows: Iterable[tuple[str, Any]], parse: Callable[[Any], Found], photos: FileIndex
) -> Iterator[Sample | Reject]:
    """`parse` and `check` every (place, row); whatever is wrong with a row becomes its `Reject`."""
    for place, row in rows:
        if isinstance(row, Reject):
            yield row
            continue
        try:
            found = parse(row)
            if not found.id.strip():
                raise ValueError("the id is empty")
        except RowError as error:
            yield Reject(place, error.reason, error.detail)
        except BoxError as error:
            yield Reject(place, error.reason, str(error))
        except InputError as error:
            yield Reject(place, "malformed_row", str(error))
        except KeyError as error:
            yield Reject(place, "malformed_row", f"KeyError: {error}{_fields(row)}")
        except (IndexError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            yield Reject(place, "malformed_row", f"{type(error).__name__}: {error}")
        else:
            yield check(found, photos)


def _fields(row: Any) -> str:
    """What a row has, where a field is missing. Sources that number their rows give (number, row)."""
    if isinstance(row, tuple):
        row = row[-1]
    return f"; found {', '.join(map(str, row)):.200}" if isinstance(row, Mapping) else ""


def storable(row: Sample | Reject) -> Sample | Reject:
    """The row as it waits for its turn, or its `Reject` if it cannot be written to a data set.

    Many rows wait, and a stored depth map takes little memory meanwhile.
    """
    if isinstance(row, Reject):
        return row
    words = (row.id, row.question, row.answer, *row.choices)
    labels = row.meta.get("labels", [])
    if not isinstance(labels, (list, tuple)) or not all(isinstance(label, str) for label in labels):
        return Reject(row.id, "malformed_row", f"labels must be a list of names, got {labels!r:.80}")
    if labels and len(labels) != len(row.boxes):
        return Reject(row.id, "malformed_row", f"{len(labels)} labels for {len(row.boxes)} boxes; expected one a box")
    try:
        json.dumps([*words, dict(row.meta)], allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, TypeError, RecursionError) as error:
        return Reject(row.id, "malformed_row", f"{type(error).__name__}: {error}"[:200])
    return replace(row, depth=row.depth.stored) if isinstance(row.depth, DepthMap) else row


def check(found: Found, photos: FileIndex) -> Sample | Reject:
    """A sample with boxes in unit xyxy, or the first thing that is wrong with the row."""
    try:
        _boxes(found, found.size or UNKNOWN_SIZE, exact=found.size is not None)
        image, size = _photo(found, photos)
        if found.size is not None and found.size != size:
            raise RowError("size_mismatch", f"the row declares {_by(found.size)}, {found.image} is {_by(size)}")
        boxes = _boxes(found, size, exact=True)
        if found.padded is not None and not frames_agree(found.boxes[0], found.padded, size):
            there = [round(v, 1) for v in to_pixel(found.padded, Frame.PADDED_UNIT_XYXY, size)]
            raise RowError("frames_disagree", f"pixel box {list(found.boxes[0])}, un-padded box {there}, {_by(size)}")
        depth = found.depth() if found.depth else None
        if depth is not None and depth.size != size:
            raise RowError("size_mismatch", f"depth map is {_by(depth.size)}, {found.image} is {_by(size)}")
    except BoxError as error:
        return Reject(found.id, error.reason, str(error))
    except RowError as error:
        return Reject(found.id, error.reason, error.detail)
    return Sample(
        id=found.id,
        image=image,
        question=found.question.strip().removeprefix(PICTURE).removesuffix(PICTURE).strip(),
        answer=found.answer.strip(),
        depth=depth,
        choices=found.choices,
        boxes=boxes,
        meta={**found.meta, "photo": found.image},
    )


def _photo(found: Found, photos: FileIndex) -> tuple[Path | bytes, Size]:
    """The photo, not decoded yet, and its size as it is seen."""
    if found.photo is None:
        path = photos.find(found.image)
        return path, photo_size(path)
    try:
        return found.photo, size_of_bytes(found.photo)
    except InputError as error:
        raise RowError("image_unreadable", str(error)) from error


def _boxes(found: Found, size: Size, exact: bool) -> tuple[Box, ...]:
    """The boxes as unit xyxy; not `exact`: the size is not known yet, and only what is wrong at any size is found."""
    if not found.boxes:
        raise RowError("no_boxes", "the row names no box of its evidence")
    frame = found.frame
    if not exact and frame is Frame.PADDED_UNIT_XYXY:
        # The padded square holds the image, but where in it is not known yet.
        frame = Frame.UNIT_XYXY
    slack = slack_px(frame, size if exact else None)
    boxes = []
    for values in found.boxes:
        if isinstance(values, str):
            raise BoxError("box_malformed", f"box {values!r:.80}: not four numbers")
        try:
            boxes.append(to_box(values, frame, size, slack))
        except OverflowError as error:
            raise BoxError("box_not_finite", f"box {values!r:.80}: {error}") from error
    return tuple(boxes)


def slack_px(frame: Frame, size: Size | None) -> float:
    """By how many pixels a box may leave an image of `size`; None: of unknown size, stood for by `UNKNOWN_SIZE`.

    It is what rounding in the file can do: a whole pixel outside is an error, three decimals of a large image are not.
    """
    if frame in (Frame.PIXEL_XYXY, Frame.PIXEL_XYWH):
        return 0.5
    return 0.05 * UNKNOWN_SIZE[0] if size is None else 0.5 + 0.0005 * max(size)


def frames_agree(pixel: Sequence[float], padded: Sequence[float], size: Size) -> bool:
    """Whether a box in pixels and one in the padded square are the same up to the rounding of three decimals.

    Tolerance an edge: 0.0025 of the long side, at least 1.5 pixels.
    """
    tolerance = max(1.5, 0.0025 * max(size))
    there = to_pixel(padded, Frame.PADDED_UNIT_XYXY, size)
    return all(abs(a - b) <= tolerance for a, b in zip(map(float, pixel), there, strict=True))


def declared_size(row: Mapping[str, Any]) -> Size | None:
    """(width, height) of a row, None when it does not declare both. Raises `ValueError` for sizes below one pixel."""
    if row.get("width") is None or row.get("height") is None:
        return None
    width, height = int(row["width"]), int(row["height"])
    if min(width, height) < 1:
        raise ValueError(f"declared size {width}x{height}")
    return width, height


def text(row: Mapping[str, Any], key: str) -> str:
    """A field that must be text; numbers are written out. Raises `KeyError` if missing, `TypeError` for other types."""
    value = row[key]
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise TypeError(f"{key} must be text, got {value!r:.80}")
    return str(value)


def listed(row: Mapping[str, Any], key: str) -> list[Any]:
    """A field that must be a list. Raises `KeyError` if missing, `TypeError` for other types."""
    value = row[key]
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"{key} must be a list, got {value!r:.80}")
    return list(value)


def digest_id(row: Any) -> str:
    """A short name for a row without one of its own, from what it says, wherever it stands in its file."""
    return digest(json.dumps(row, sort_keys=True).encode()).hex()[:16]


def _by(size: Size) -> str:
    return f"{size[0]}x{size[1]}"
