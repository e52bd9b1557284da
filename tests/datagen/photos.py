"""Small photos and annotation files for the tests of datagen."""

import json
from pathlib import Path

import numpy as np
from PIL import Image


def photo(path: Path, size=(80, 60), seed=0, **save) -> Path:
    """A photo of soft noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    small = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(small).resize(size).save(path, **save)
    return path


def jsonl(path: Path, rows) -> Path:
    """Rows as JSON lines; a string is written as it is."""
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def own_rows(folder: Path, count: int, **changes) -> Path:
    """`count` good rows of the project's own form, with their photos, in `folder`/rows.jsonl."""
    rows = []
    for i in range(count):
        photo(folder / f"p{i}.png", seed=i)
        row = {
            "id": f"row{i}",
            "image": f"p{i}.png",
            "question": "What is this?",
            "answer": f"thing {i}",
            "boxes": [[0.2, 0.3, 0.5 + i / 100, 0.7]],
            "labels": ["thing"],
        }
        rows.append(row | changes)
    return jsonl(folder / "rows.jsonl", rows)
