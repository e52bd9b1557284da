"""What is in a data set folder: counts, balance, duplicates, photos that also stand in another folder, rows to look at.

survey.py    one pass over the rows: what a person wants to know before training on them
similar.py   the same photo in another size, quality or crop: fingerprints and the pairs that are near
page.py      all of it as one self-contained HTML page, with rows drawn step by step
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..records import atomic_write, disk_errors
from .page import page
from .similar import WORDS, Words, near_pairs, nearest
from .survey import Photo, Survey, survey

__all__ = ["Survey", "inspect", "near_pairs", "summary", "survey"]


def inspect(
    folder: str | Path, others: Sequence[str | Path] = (), out: str | Path | None = None, rows: int = 48, seed: int = 0
) -> dict[str, Any]:
    """Describe a data set folder and write its page (`inspect.html` in the folder, or `out`).

    others: further folders, an evaluation's for example, whose photos and questions are looked for in the first.
    rows: as many are drawn, chosen by `seed`.

    Returns what the page says, without pictures; see `Survey.to_json`. `near_pairs`: how many pairs of photos are near.
    `near`: each photo with a later one that is near, and the nearest of those; without the first of each there are no
    near photos left. `pairs` of `shared`: each photo that is near to one of the other folder, and the nearest there. A
    photo is named by the first row that shows it. `page`: its path.
    Raises `InputError` for folders that hold no data set, or the same one twice.
    """
    folders = [Path(folder), *map(Path, others)]
    if len({path.resolve() for path in folders}) < len(folders):
        raise InputError(f"{folder}: named twice; the others are folders to be compared with it")
    found = [survey(path) for path in folders]
    first = found[0]
    result = first.to_json()
    result["near"], result["near_pairs"] = _pairs(first, first)
    result["shared"] = [_shared(first, other) for other in found[1:]]
    path = folders[0] / "inspect.html" if out is None else Path(out)
    with disk_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, page(first, result, rows, seed))
    return {**result, "page": str(path)}


def _pairs(one: Survey, other: Survey) -> tuple[list[dict[str, Any]], int]:
    """Each photo of a folder that is near to one of another, or to a later one of its own, with the nearest, and the
    number of all near pairs. `same`: the other folder has the same file."""
    first = [(digest, photo) for digest, photo in one.photos.items() if photo.fingerprint is not None]
    second = [(digest, photo) for digest, photo in other.photos.items() if photo.fingerprint is not None]
    near = nearest(_words(first), None if one is other else _words(second))
    pairs = []
    for i in np.flatnonzero(near.nearest >= 0).tolist():
        digest, photo = first[i]
        same = one is not other and digest in other.photos
        there = other.photos[digest] if same else second[near.nearest[i]][1]
        pairs.append({"rows": [photo.row, there.row], "distance": int(near.bits[i]), "same": same})
    return pairs, near.pairs


def _words(photos: Sequence[tuple[str, Photo]]) -> Words:
    return np.array([photo.fingerprint for _, photo in photos], dtype=np.uint16).reshape(-1, WORDS)


def _shared(one: Survey, other: Survey) -> dict[str, Any]:
    pairs, _ = _pairs(one, other)
    return {
        "folder": str(other.folder),
        "rows": other.rows,
        "photos": len(other.photos),
        "same_photos": len(one.photos.keys() & other.photos.keys()),
        "near_photos": sum(not pair["same"] for pair in pairs),
        "same_questions": len(one.questions.keys() & other.questions.keys()),
        "pairs": pairs,
    }


def summary(result: dict[str, Any]) -> str:
    """The result in words."""
    lines = [
        f"{result['folder']}: {result['rows']} rows about {result['photos']} photos, {result['with_depth']} with depth",
        *(f"{name}: not as it was when the data set was finished" for name in result["altered"]),
        *(f"rejected: {reason} {count}" for reason, count in result["rejects_by_reason"].items()),
    ]
    if len(result["by_source"]) > 1:
        for name, one in result["by_source"].items():
            reasons = "".join(f", {reason} {count}" for reason, count in one["rejects_by_reason"].items())
            lines.append(f"source {name}: read {one['read']}, kept {one['kept']}{reasons}")
    for task, answers in result["answers"].items():
        most, share = answers["most_common"][0][0], answers["constant"]
        lines.append(f"task {task or '(none)'}: {answers['n']} rows; always {most!r:.60} would be right in {share:.0%}")
    twice = result["repeated"]
    lines.append(
        f"repeated: {len(twice['ids'])} ids, {twice['questions']} questions about the same photo, "
        f"{len(twice['contradictions'])} of them with another answer; {result['near_pairs']} pairs of near photos"
    )
    for other in result["shared"]:
        lines.append(
            f"also in {other['folder']}: {other['same_photos']} photos as they are, {other['near_photos']} nearly, "
            f"{other['same_questions']} questions about them"
        )
    return "\n".join([*lines, result["page"]])
