"""What is done with rows: cut into shards, prepared, given words, checked, written. It runs in whatever process.

Every choice is drawn from the seed and the id of a sample, so neither order nor process decides anything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, count, islice

from ..errors import InputError
from ..records import photo_bytes
from ..sample import Sample
from .annotators import Annotator, Job, Words
from .depths import AddDepth, as_stored
from .expand import expand
from .files import RowError
from .outcome import Kept, Reject
from .screen import Seen, gold_earns_all, screen
from .seeds import row_rng
from .shards import Event, Folder


@dataclass(frozen=True, slots=True)
class Chunk:
    """The rows of a shard, as the source gives them. Whoever works on them takes them out one by one."""

    number: int
    key: str
    rows: deque[Sample | Reject]


def chunks(rows: Iterable[Sample | Reject], folder: Folder) -> Iterator[Chunk]:
    """All rows in order, `rows_per_shard` at a time. Duplicates are found here, over all shards."""
    seen = Seen()
    fresh = ((seen.duplicate(row) or row) if isinstance(row, Sample) else row for row in rows)
    for number in count():
        taken = deque(islice(fresh, folder.run.rows_per_shard))
        if not taken:
            return
        yield Chunk(number, folder.key(number, taken), taken)


Work = Callable[[Iterable[Chunk]], Iterator[Event]]


@dataclass(frozen=True)
class OpenWork:
    """Loads what the work on rows needs, in the process that does it."""

    folder: Folder
    steps: int | None
    annotator: Annotator
    open_depth: Callable[[], AddDepth]

    def __call__(self) -> Work:
        add_depth = self.open_depth()
        return lambda todo: make(todo, self.folder, self.steps, self.annotator, add_depth)


def make(
    todo: Iterable[Chunk], folder: Folder, steps: int | None, annotator: Annotator, add_depth: AddDepth
) -> Iterator[Event]:
    """The shards of these chunks. The annotator sees one stream, so that it need not wait at the end of a shard."""
    begun: deque[tuple[int, str, int]] = deque()

    def items() -> Iterator[Job | Reject]:
        for chunk in todo:
            begun.append((chunk.number, chunk.key, len(chunk.rows)))
            rows = (chunk.rows.popleft() for _ in range(len(chunk.rows)))
            for row in add_depth.told(rows):
                yield prepare(row, add_depth, folder.run.seed, steps) if isinstance(row, Sample) else row

    outcomes = (finish(item, words) for item, words in annotator.annotate(items()))
    for first in outcomes:
        number, key, size = begun.popleft()
        yield from folder.make(number, key, chain([first], islice(outcomes, size - 1)))


def prepare(sample: Sample, add_depth: AddDepth, seed: int, steps: int | None) -> Job | Reject:
    """Everything that is done before words are asked for."""
    try:
        size = sample.photo().size if sample.image is None else photo_bytes(sample.image)[1]
    except InputError as error:
        return Reject(sample.id, "image_unreadable", str(error))
    try:
        sample = as_stored(add_depth(sample))
    except RowError as error:
        return Reject(sample.id, error.reason, error.detail)
    if reject := screen(sample, size):
        return reject
    stages = expand(sample.boxes, sample.depth_map(), row_rng(seed, f"chain {sample.id}"), steps)
    return Job(sample, tuple(stages))


def finish(item: Job | Reject, words: Words | Reject) -> Kept | Reject:
    """What becomes of a row that was given words, or none."""
    if isinstance(words, Reject):
        return words
    if isinstance(item, Reject):
        return item
    trace = item.trace(words.texts)
    return gold_earns_all(item.sample, trace) or Kept(item.sample, trace, words.by)
