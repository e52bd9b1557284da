"""`blink:DIR`: BLINK items as folders with a photo and `request.json` (query with its options inside, answer letter).

The folder is searched for `request.json` files, so `blink:DIR` takes one task or all of them.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from ..errors import InputError
from ..sample import Sample
from .listed import Listed
from .photos import SUFFIXES
from .protocol import Options, need_columns, need_path

COLUMNS = ("query", "answer")
_PICTURE = re.compile(r"<img [^>]*>")
_OPTION = re.compile(r"^\(([A-Z])\)\s*(.+)$", re.MULTILINE)
_LEAD = re.compile(r"Select from the following choices\.?\s*$")


def open_blink(path: str | None, options: Options) -> Listed:
    """Raises `InputError` when there is no item, or an item lacks its photo, its options or its answer."""
    folder = need_path("blink", path, "DIR")
    requests = sorted(folder.rglob("request.json"))
    if not requests:
        raise InputError(f"{folder}: no request.json here or below; expected BLINK items as ITEM/request.json")
    digest = hashlib.sha256()
    samples = []
    for request in requests:
        digest.update(request.read_bytes())
        samples.append(_read(request))
    return Listed("blink", digest.hexdigest()[:12], tuple(samples))


def _read(request: Path) -> Sample:
    try:
        row = json.loads(request.read_text())
    except ValueError as error:
        raise InputError(f"{request}: not JSON ({error})") from error
    need_columns(request, 1, row, COLUMNS)
    photos = [p for p in sorted(request.parent.iterdir()) if p.suffix.lower() in SUFFIXES]
    if len(photos) != 1:
        raise InputError(f"{request.parent}: expected one photo beside request.json, found {len(photos)}")
    query = _PICTURE.sub("", row["query"])
    choices = _OPTION.findall(query)
    letter = row["answer"].strip().strip("()")
    letters = [name for name, _ in choices]
    if letters != [chr(65 + i) for i in range(len(letters))] or letter not in letters:
        raise InputError(f"{request}: answer {row['answer']!r} is none of the options {letters} (A, B, ...)")
    question = query[: _OPTION.search(query).start()]  # type: ignore[union-attr]
    return Sample(
        id=request.parent.name,
        image=photos[0],
        question=_LEAD.sub("", question.strip()).strip(),
        answer=letter,
        choices=tuple(text.strip() for _, text in choices),
        meta={"task": request.parent.name.rstrip("0123456789").rstrip("_"), "answer_kind": "choice"},
    )
