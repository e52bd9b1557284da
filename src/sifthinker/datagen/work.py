"""What is done with rows: cut into shards, prepared, given words, checked, written. It runs in whatever process.

Every choice is drawn from the seed and the id of a sample, so neither order nor process decides anything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain, count, islice

from ..errors import InputError, SifError
from ..records import photo_bytes
from ..sample import Sample
from .annotators import Annotator, Item, Job, Words
from .depths import AddDepth, as_stored
from .expand import expand
from .files import RowError
from .mix import MIX
from .outcome import Kept, Reject
from .screen import Seen, gold_earns_all, screen
from .seeds import row_rng
from .shards import Event, Folder

Row = Sample | Reject
"""As a source gives it."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """The rows of a shard, as the source gives them. Whoever works on them takes them out one by one."""

    number: int
    key: str
    rows: deque[Row]


def chunks(rows: Iterable[Row], folder: Folder) -> Iterator[Chunk]:
    """All rows in order, `rows_per_shard` at a time. Duplicates are found here, over all shards."""
    # A recipe says itself which questions are the same (`mix`).
    seen = Seen(questions=folder.run.kind != MIX)
    fresh = ((seen.duplicate(row) or row) if isinstance(row, Sample) else row for row in rows)
    for number in count():
        taken = deque(islice(fresh, folder.run.rows_per_shard))
        if not taken:
            return
        yield Chunk(number, folder.key(number, taken), taken)


PIECE = 64
"""Rows that are prepared one after the other by one process. Pieces are always cut at the same places of a shard, so
that a depth model sees the same photos together wherever it works."""


@dataclass(frozen=True)
class OpenPrepare:
    """Loads what preparing needs (a depth model) in the process that does it, and gives what prepares a piece."""

    seed: int
    steps: int | None
    open_depth: Callable[[], AddDepth]

    def __call__(self) -> Callable[[deque[Row]], Iterator[Item]]:
        return partial(prepare_piece, add_depth=self.open_depth(), seed=self.seed, steps=self.steps)


@dataclass(frozen=True)
class OpenWork:
    """The same for all the work on chunks, where the annotator is a function of the row alone."""

    folder: Folder
    annotator: Annotator
    open_prepare: OpenPrepare

    def __call__(self) -> Callable[[Iterable[Chunk]], Generator[Event]]:
        prepare = self.open_prepare()
        return partial(
            work,
            folder=self.folder,
            annotator=self.annotator,
            prepared=lambda pieces: chain.from_iterable(map(prepare, pieces)),
        )


def work(
    todo: Iterable[Chunk],
    folder: Folder,
    annotator: Annotator,
    prepared: Callable[[Iterator[deque[Row]]], Iterator[Item]],
) -> Generator[Event]:
    """Make the shards of these chunks.

    prepared: what the rows of all pieces become, in order. It and the annotator see one stream, so that nobody waits at
    the end of a shard.
    """
    begun: deque[tuple[int, str, int]] = deque()

    def pieces() -> Iterator[deque[Row]]:
        for chunk in todo:
            begun.append((chunk.number, chunk.key, len(chunk.rows)))
            while chunk.rows:
                yield deque(chunk.rows.popleft() for _ in range(min(PIECE, len(chunk.rows))))

    outcomes = (finish(item, words) for item, words in annotator.annotate(prepared(pieces())))
    for first in outcomes:
        number, key, size = begun.popleft()
        yield from folder.make(number, key, _all_of(chain([first], outcomes), size))


def _all_of(outcomes: Iterable[Kept | Reject], size: int) -> Iterator[Kept | Reject]:
    """The next `size` outcomes. Raises `SifError` where there are fewer: rows would go to the shard of others."""
    given = 0
    for outcome in islice(outcomes, size):
        given += 1
        yield outcome
    if given < size:
        raise SifError(f"the annotator gave back {given} of the {size} rows of a shard; it must give each, in order")


def prepare_piece(piece: deque[Row], add_depth: AddDepth, seed: int, steps: int | None) -> Iterator[Item]:
    """`prepare` for each row of a piece, which is taken from it: what is done needs no memory any more."""
    for row in add_depth.told(piece.popleft() for _ in range(len(piece))):
        yield row if isinstance(row, Reject) else prepare(row, add_depth, seed, steps)


def prepare(sample: Sample, add_depth: AddDepth, seed: int, steps: int | None) -> Item:
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


def finish(item: Item, words: Words | Reject) -> Kept | Reject:
    """What becomes of a row that was given words, or none."""
    if isinstance(words, Reject):
        return words
    if isinstance(item, Reject):
        return item
    trace = item.trace(words.texts)
    return gold_earns_all(item.sample, trace) or Kept(item.sample, trace, words.by)
