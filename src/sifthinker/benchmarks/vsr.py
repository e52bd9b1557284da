"""`vsr:FILE`: statements about where things are, true or false, as yes/no questions.

Rows: image, caption, label (0 false, 1 true), relation. Photos are COCO's, in a folder of their own (`--images`).
"""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError
from ..records import read_jsonl
from ..sample import Sample
from .listed import Listed
from .photos import find_photos
from .protocol import Options, file_version, need_columns, need_path

COLUMNS = ("image", "caption", "label", "relation")
CATEGORIES = "rel_meta_category_dict.txt"
"""The official map of relations to categories, if it lies beside the file."""


def open_vsr(path: str | None, options: Options) -> Listed:
    """Raises `InputError` for missing columns, labels other than 0 and 1, and photos that cannot be found."""
    file = need_path("vsr", path, "FILE")
    rows = list(read_jsonl(file))
    for line, row in rows:
        need_columns(file, line, row, COLUMNS)
        if row["label"] not in (0, 1):
            raise InputError(f"{file}:{line}: label must be 0 (false) or 1 (true), got {row['label']!r}")
    photos = find_photos((row["image"] for _, row in rows), file, options.images)
    categories = _categories(file.parent / CATEGORIES)
    samples = tuple(
        Sample(
            id=f"vsr-{file.stem}-{line}",
            image=photos[row["image"]],
            question=f'Is this statement about the photo true? "{row["caption"].strip()}" Answer yes or no.',
            answer="yes" if row["label"] else "no",
            meta={
                "task": categories.get(row["relation"], row["relation"]),
                "relation": row["relation"],
                "answer_kind": "yesno",
                "group": row["image"],
            },
        )
        for line, row in rows
    )
    return Listed("vsr", file_version(file), samples)


def _categories(path: Path) -> dict[str, str]:
    """Relation -> category; empty when the map is not there."""
    if not path.exists():
        return {}
    found = {}
    for line in path.read_text().splitlines():
        category, _, relations = line.partition(":")
        found |= {relation.strip(): category.strip() for relation in relations.split(",") if relation.strip()}
    return found
