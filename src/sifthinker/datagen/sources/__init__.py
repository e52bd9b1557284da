"""Where samples come from. A new source is one function and one line in `SOURCES`.

A source reads one file or folder and yields, for every row in it, a `Sample` or a `Reject`: nothing that was read
disappears. It yields the same rows in the same order for the same seed, and never stops at a bad row; only a file
that cannot be read at all raises `InputError`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from ...errors import InputError
from ...lookup import lookup
from ...sample import Sample
from ..outcome import Reject
from . import coco, jsonl, refcoco, rgbd, tallyqa, viscot
from .options import Options

Rows = Iterator[Sample | Reject]


@dataclass(frozen=True, slots=True)
class Source:
    """read: (path, options) -> rows. about: one line for `sifthinker list`."""

    read: Callable[[Path, Options], Rows]
    about: str


SOURCES: dict[str, Source] = {
    "coco": Source(coco.read, "COCO instances JSON: counting and left/right questions made from the boxes"),
    "viscot": Source(viscot.read, "Visual-CoT: benchmark form (padded-square boxes), metadata form (bboxs), REC form"),
    "refcoco": Source(refcoco.read, "RefCOCO/+/g and Visual-CoT REC lines: in which third is what the words describe?"),
    "tallyqa": Source(tallyqa.read, "TallyQA records; rows without boxes are rejected"),
    "rgbd": Source(rgbd.read, "folders of photos with true depth: which marked point is nearer, where is the nearest"),
    "jsonl": Source(jsonl.read, "lines of your own: image, question, answer, boxes; frame, depth, choices if you like"),
}


def open_source(name: str, options: Options) -> Rows:
    """The rows of `KIND:PATH`, or of `module:attribute:PATH` where the attribute is a `Source`.

    Raises `InputError` for unknown kinds and for paths that do not exist.
    """
    kind, _, path = name.partition(":")
    if kind not in SOURCES and ":" in path:
        attribute, _, path = path.partition(":")
        kind = f"{kind}:{attribute}"
    if not path:
        raise InputError(f"source {name!r}: expected KIND:PATH with one of the kinds {', '.join(SOURCES)}")
    source = lookup("source", kind, SOURCES)
    if not isinstance(source, Source):
        raise InputError(f"source {kind!r} is a {type(source).__name__}; expected a sifthinker.datagen.sources.Source")
    if not Path(path).exists():
        raise InputError(f"{path}: no such file or folder (source {name!r})")
    rows = source.read(Path(path), options)
    # The first row now: a file that cannot be read at all shows before anything is written.
    return chain(list(islice(rows, 1)), rows)
