"""Find photos that an annotation file only names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from ..errors import InputError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})

_COCO_2014 = re.compile(r"COCO_(?:train|val|test)20\d\d_(?=\d{12}\.)")
"""The prefix that COCO dropped from its file names in 2017; the photos are the same."""


def find_photos(names: Iterable[str], annotations: Path, images: Path | None) -> dict[str, Path]:
    """The file of every name, by its last component, in `images` (or beside the annotation file) and its subfolders.

    Raises `InputError` that lists the names without a file, and for names that stand for two different files.
    """
    folder = images or annotations.parent
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of photos")
    index: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            known = index.setdefault(path.name, path)
            if known != path and known.read_bytes() != path.read_bytes():
                raise InputError(f"{known} and {path} are different photos of one name; give a folder with one of them")
    found: dict[str, Path] = {}
    missing: list[str] = []
    for name in dict.fromkeys(names):
        last = Path(name).name
        path = index.get(last) or index.get(_COCO_2014.sub("", last))
        if path is None:
            missing.append(name)
        else:
            found[name] = path
    if missing:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise InputError(
            f"{annotations}: {len(missing)} photos are not in {folder}: {', '.join(missing[:5])}{more}; "
            "name their folder with --images"
        )
    return found
