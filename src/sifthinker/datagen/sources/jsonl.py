"""The project's own lines, for data of your own.

    {"id": "kitchen-1", "image": "kitchen.jpg", "question": "What stands on the stove?", "answer": "a kettle",
     "boxes": [[0.41, 0.22, 0.55, 0.48]]}

image: path, found below --images or beside the file. boxes: the evidence, four numbers each.
Optional: frame (a `geometry.Frame`; unit_xyxy if not said), width and height (checked), choices (a list; then answer is
a letter, A for the first), depth (path of a depth file) with depth_encoding (a key of `depth.ENCODINGS`), task,
answer_kind, labels (a name for each box), meta (kept as it is; its drawn_on names the photo from which a picture with
marks was made). Unknown fields are refused, so that a misspelled one is not lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ...depth import StoredDepth
from ...geometry import Frame
from ...sample import Sample
from ..depths import load_stored
from ..files import RowError, read_lines
from ..outcome import Reject
from ..rows import Found, check_all, declared_size, listed, text
from .options import Options

REQUIRED = ("id", "image", "question", "answer", "boxes")
OPTIONAL = ("frame", "width", "height", "choices", "depth", "depth_encoding", "task", "answer_kind", "labels", "meta")
FIELDS = frozenset(REQUIRED + OPTIONAL)


def read(path: Path, options: Options) -> Iterator[Sample | Reject]:
    """One sample a line."""
    photos = options.photos(path)
    rows = ((f"{path.name}:{number}", row) for number, row in read_lines(path))

    def depth_of(row: dict[str, Any]) -> Callable[[], StoredDepth] | None:
        if row.get("depth") is None:
            return None
        name = Path(text(row, "depth"))
        candidates = [folder / name for folder in (photos.folder, path.parent)]
        file = next((p for p in candidates if p.exists()), candidates[0])
        encoding = row.get("depth_encoding", options.depth_encoding)
        return lambda: load_stored(file, encoding)

    yield from check_all(rows, lambda row: found(row, depth_of(row)), photos)


def found(row: Mapping[str, Any], depth: Callable[[], StoredDepth] | None = None, photo: bytes | None = None) -> Found:
    """What a row in these fields says. photo: its file, where the row brings it."""
    if unknown := row.keys() - FIELDS:
        raise KeyError(f"unknown fields {', '.join(sorted(unknown))}; known: {', '.join(sorted(FIELDS))}")
    choices = row.get("choices") or []
    if not isinstance(choices, list):
        raise TypeError(f"choices must be a list of options, got {choices!r:.80}")
    meta = row.get("meta") or {}
    if not isinstance(meta, Mapping):
        raise TypeError(f"meta must be an object with fields, got {meta!r:.80}")
    extra = {key: row[key] for key in ("task", "answer_kind", "labels") if row.get(key) is not None}
    return Found(
        id=text(row, "id"),
        image=text(row, "image"),
        question=text(row, "question"),
        answer=_answer(row, len(choices)),
        boxes=listed(row, "boxes"),
        frame=Frame(row.get("frame", Frame.UNIT_XYXY)),
        size=declared_size(row),
        choices=tuple(map(str, choices)),
        depth=depth,
        meta={**meta, **extra},
        photo=photo,
    )


def _answer(row: Mapping[str, Any], choices: int) -> str:
    answer = text(row, "answer")
    letters = [chr(65 + i) for i in range(choices)]
    if letters and answer.strip() not in letters:
        detail = f"{answer!r:.80}: where there are choices, the answer is the letter of one, A to {letters[-1]}"
        raise RowError("answer_unreadable", detail)
    return answer
