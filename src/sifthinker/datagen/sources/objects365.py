"""Objects365 (versions 1 and 2): COCO's instances form (`coco`), with `isfake` for things that are only depicted.

`file_name` is `images/v1/patch8/objects365_v1_00420917.jpg`; photos are found by their last part, wherever the
patches were unpacked. Names are capitalized. A name with a slash ("Cabinet/shelf") or "Other" in it is no word for
one kind of thing, and is not asked about; a category with a crowd region or a depicted thing is not asked about in
that image.

Source: https://www.objects365.org/download.html; the fields of its annotation files.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ...sample import Sample
from ..outcome import Reject
from .coco import Dialect, read
from .options import Options


def _word(name: str) -> str | None:
    return None if "/" in name or "other" in name.casefold() else name.strip().lower()


OBJECTS365 = Dialect("objects365", word=_word, several=lambda a: bool(a.get("iscrowd") or a.get("isfake")))


def read_objects365(path: Path, options: Options) -> Iterator[Sample | Reject]:
    """As `coco.read`."""
    return read(path, options, OBJECTS365)
