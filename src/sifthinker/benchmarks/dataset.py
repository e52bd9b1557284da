"""`dataset:DIR`: any folder that `sifthinker build` or `sifthinker scenes` wrote."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..records import MANIFEST, from_row, read_manifest, read_rows
from ..sample import Sample
from ..trace import Trace
from .protocol import Options, Score, need_path
from .words import score_words


@dataclass(frozen=True)
class Dataset:
    """The samples of a data set folder, scored by their gold answers."""

    folder: Path
    name: str
    version: str
    n: int | None

    def load(self) -> Iterator[Sample]:
        """One sample at a time, so that large sets do not fill the memory."""
        for row in read_rows(self.folder):
            yield from_row(row)[0]

    def score(self, trace: Trace, sample: Sample) -> Score:
        """The gold answer against the trace's."""
        return score_words(trace, sample)


def open_dataset(path: str | None, options: Options) -> Dataset:
    """Raises `InputError` for a folder that holds no finished data set."""
    folder = need_path("dataset", path, "DIR")
    manifest = read_manifest(folder)
    version = hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()[:12]
    return Dataset(folder, f"dataset:{folder.name}", version, manifest.get("kept"))
