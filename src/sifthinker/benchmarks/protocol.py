"""What a benchmark is: samples, and a score for each reply. Metrics over items are `metrics`' business."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..errors import InputError
from ..grading import Extraction
from ..sample import Sample
from ..trace import Trace

UNPARSED = ("empty", "truncated", "no_answer", "ambiguous", "out_of_range", "bad_unit", "invalid_box", "refused")
"""Why no single answer could be extracted from a reply; the list is closed."""


@dataclass(frozen=True, slots=True)
class Score:
    """How good one reply is.

    value: in [0, 1]; None when the *sample* cannot be judged (it has no gold answer), never because of the reply.
    why: one of `UNPARSED` when no single answer could be extracted (`value` is 0.0 then), otherwise "".
    extraction: what was extracted and by which rule; None where the score does not rest on the answer's words.
    lenient: the value under the lenient rules of extraction; None where they do not apply.
    """

    value: float | None
    why: str = ""
    extraction: Extraction | None = None
    lenient: float | None = None

    def __post_init__(self) -> None:
        if self.value is not None and not 0.0 <= self.value <= 1.0:
            raise ValueError(f"a score lies in [0, 1], got {self.value}")
        if self.why and (self.why not in UNPARSED or self.value != 0.0):
            raise ValueError(
                f"why {self.why!r} with value {self.value}: unparsed replies count 0, for one of {UNPARSED}"
            )


class Benchmark(Protocol):
    """A set of samples and how replies to them are scored.

    name: as in the table. version: changes whenever an item, its gold or its photo may have changed.
    n: number of samples, None where only loading tells.
    """

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def n(self) -> int | None: ...

    def load(self) -> Iterable[Sample]:
        """The samples, always the same ones in the same order; photos are opened late where possible."""
        ...

    def score(self, trace: Trace, sample: Sample) -> Score:
        """Score a parsed reply. Must not raise on any trace."""
        ...


@dataclass(frozen=True, slots=True)
class Options:
    """What a benchmark may be told beside its path.

    n, seed: for generated sets. n_asked: whether n was asked for; sets whose items are given refuse it then.
    images: folder with the photos, for files that only name them.
    """

    n: int = 200
    seed: int = 0
    images: Path | None = None
    n_asked: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the table: how to open a benchmark, and what it is.

    open: (path or None, options) -> Benchmark; raises `InputError` with the list of what is missing. generated: whether
    `n` says how many items there are, here or in the benchmark inside.
    """

    open: Callable[[str | None, Options], Benchmark]
    about: str
    source: str
    licence: str
    generated: bool = True


def need_path(name: str, path: str | None, what: str) -> Path:
    """The path of a benchmark that needs one. Raises `InputError` when there is none or nothing is there."""
    if not path:
        raise InputError(f"benchmark {name} needs a path: {name}:{what}")
    found = Path(path)
    if not found.exists():
        raise InputError(f"benchmark {name}: {path}: no such file or folder; expected {name}:{what}")
    return found


def need_columns(path: Path, line: int, row: dict[str, object], columns: Iterable[str]) -> None:
    """Raise `InputError` with the list of `columns` that `row` lacks."""
    if missing := [c for c in columns if c not in row]:
        raise InputError(f"{path}:{line}: columns are missing: {', '.join(missing)}; found {', '.join(sorted(row))}")


def file_version(path: Path) -> str:
    """Twelve hex digits of the file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]
