"""The pipeline: source -> depth -> screen -> expand -> annotate -> check -> data set folder.

    OUT/data-00000.parquet ...   the rows (`records`)
    OUT/rejects.jsonl            id, reason and detail of every row that was read and not kept
    OUT/manifest.json            counts, seed, prompt hash, versions, configuration, digests of the shards
    OUT/README.md                the card          OUT/contact_sheet.png   rows to look at
    OUT/replies/                 what teachers replied, if there were any (`replies`)

What is done with a row is `work`'s business, what is on the disk meanwhile `shards`'s.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..errors import InputError
from ..executors import EXECUTORS, in_order
from ..geometry import Size
from ..lookup import pick
from ..records import read_jsonl, read_manifest
from .annotators import Asking, TemplateAnnotator, open_annotator
from .annotators.mixture import without_addresses
from .annotators.replies import FOLDER as REPLIES
from .annotators.replies import cost_of
from .depths import as_stored
from .idle import refuse_idle
from .mix import MIX, open_input
from .outcome import Kept, Reject
from .screen import gold_earns_all, screen
from .shards import REJECTS, ROWS_PER_SHARD, Event, Folder, Run
from .work import Chunk, OpenPrepare, OpenWork, chunks, work

Outcomes = Callable[[int], Iterable[Kept | Reject]]
"""From a number n to the outcomes of the rows n, n + 1, ..., always the same ones."""


def build(
    source: str,
    out: Path,
    images: Path | None = None,
    depth: str | None = None,
    depth_encoding: str | None = None,
    annotator: str | Mapping[str, float] | None = None,
    limit: int | None = None,
    seed: int | None = None,
    resume: bool = False,
    rows_per_shard: int = ROWS_PER_SHARD,
    asking: Asking = Asking(),  # noqa: B008 - frozen
    columns: Mapping[str, str] | None = None,
    steps: int | None = None,
    depth_cache: Path | None = None,
    workers: int = 1,
    executor: str = "local",
    part: str | None = None,
) -> dict[str, Any]:
    """Make a SIF data set from annotated photos; returns the manifest.

    source: KIND:PATH (`sources.SOURCES`), or a recipe of several (`mix`). images: folder of the photos, None: beside
    the annotation file. depth: `source` (the default), `none`, a folder of depth files (read by `depth_encoding` or
    their sidecars), or a depth model, whose maps are kept in the folder `depth_cache`. annotator (`template` if not
    said), asking: see `annotate.open_annotator`. limit: read at most so many rows. seed: 0 if not said. columns: field
    -> column, of the source `hub`. steps: of each chain, see `expand`. resume: go on with an interrupted build.
    workers: processes, or tasks at a time; more than 1 need a main module that can be imported. executor: a key of
    `executors.EXECUTORS`. part: I/N makes every Nth shard from the Ith on; other processes make the others in the same
    folder, which may be begun already. Where shards are missing in the end, there is no manifest yet: what is there is
    counted, and `missing` has their numbers. None of these changes a byte.

    Raises `InputError` for unknown names, missing files, options that would change nothing (`idle`), a folder that is
    not empty, and a full disk; `EndpointError` when the annotator's server is gone; `Paused` when its budget is spent
    or its results are waited for. A bad row never raises: it is counted with its reason.
    """
    out = Path(out)
    if limit is not None and limit < 1:
        raise InputError(f"limit {limit}: expected at least 1 row")
    mine, parts = _part(part or "1/1")
    given = open_input(source, images, depth, depth_encoding, annotator, limit, seed, columns, steps, depth_cache)
    refuse_idle(given, depth_cache, asking)
    if part is not None and "batch:" in str(given.annotator):
        raise InputError("part: batch files are written and read by one process; leave --part out")
    config = {**given.config, "annotator": without_addresses(given.annotator)}
    if given.annotator != "template":
        config |= {"repairs": asking.repairs, "language": asking.language}
    writer = open_annotator(given.annotator, given.seed, out, asking, workers)
    run = Run(source, given.kind, given.seed, config, writer.name, rows_per_shard, given.licenses, given.wanted)
    folder = Folder(out, run)
    run_all = _work(OpenWork(folder, writer, OpenPrepare(given.seed, given.steps, given.open_depth)), workers, executor)
    if not folder.begin(resume or part is not None):
        return read_manifest(out)
    keys: list[str] = []
    done: set[int] = set()

    def todo() -> Iterator[Chunk]:
        for chunk in chunks(given.rows, folder):
            keys.append(chunk.key)
            if chunk.number % parts != mine:
                continue
            if folder.is_done(chunk.number, chunk.key):
                done.add(chunk.number)
                bar.update(len(chunk.rows))
            else:
                yield chunk

    with _bar(run, None if given.kind == MIX else limit) as bar, closing(run_all(todo())) as events:
        _follow(events, folder, done, bar)
    asked = not isinstance(writer, TemplateAnnotator)
    return folder.finish(keys, done, cost_of(out / REPLIES, asking) if asked else None)


def main_reasons(manifest: Mapping[str, Any], out: Path, most: int = 3) -> str:
    """The reasons for which most rows of a finished data set were rejected, each with an example."""
    examples: dict[str, str] = {}
    for _, reject in read_jsonl(out / REJECTS):
        examples.setdefault(reject["reason"], f"{reject['id']}: {reject['detail']}".rstrip(": "))
    counts = Counter(manifest["rejects_by_reason"])
    return "; ".join(f"{count} {reason} ({examples[reason]:.200})" for reason, count in counts.most_common(most))


def _work(open_work: OpenWork, workers: int, executor: str) -> Callable[[Iterator[Chunk]], Generator[Event]]:
    """What makes shards of chunks: this process alone, or with the help of workers."""
    if workers < 1:
        raise InputError(f"workers {workers}: expected at least 1")
    # Also where others do the work: mistakes are told, and models loaded down, before the folder is made.
    alone = open_work()
    execute = pick("executor", executor, EXECUTORS)
    if workers == 1 and executor == "local":
        return alone
    if isinstance(open_work.annotator, TemplateAnnotator):
        return partial(execute, open_work, workers=workers)
    # A teacher is asked by one process, which keeps to its limits and its budget; only the preparing is given away.
    prepared = partial(in_order, execute, open_work.open_prepare, workers=workers)
    return partial(work, folder=open_work.folder, annotator=open_work.annotator, prepared=prepared)


def build_scenes(
    out: Path,
    n: int,
    seed: int = 0,
    tasks: Sequence[str] | None = None,
    objects: tuple[int, int] | None = None,
    size: Size = (96, 96),
    workers: int = 1,
    resume: bool = False,
    style: str = "sif",
    renderer: str = "embree",
    real: str | None = None,
    split: str = "",
) -> dict[str, Any]:
    """Make a data set of `n` generated scenes with exact questions and their gold traces; returns the manifest.

    tasks, objects, size, workers, style, renderer, split: as in `scenes.generate.generate`. real: KIND:FOLDER of real
    frames (`scenes.frames`) to ask about instead, at most `n` questions. Every sample passes the checks of photos.

    Raises `InputError` for what `scene_config` and `open_frames` refuse, for seeds that are held out, and for objects,
    size or renderer of real frames.
    """
    from ..benchmarks.scenes import HELD_OUT
    from ..scenes.frames import open_frames
    from ..scenes.frames.ask import ask_frames
    from ..scenes.generate import SIZE, generate, scene_config

    if seed >= HELD_OUT:
        raise InputError(f"seed {seed}: seeds from {HELD_OUT} on are held out for evaluation; choose a smaller one")
    # Mistakes are told before the folder is made.
    scene_config(tasks, size, objects, style, renderer, split)
    if real is not None:
        open_frames(real)
        if objects is not None or tuple(size) != SIZE or renderer != "embree" or split:
            raise InputError(f"{real}: objects, size, renderer and split are for generated scenes; leave them out")
    config = {
        "n": n,
        "tasks": None if tasks is None else list(tasks),
        "objects": None if objects is None else list(objects),
        "size": list(size),
        "trace_style": style,
        "renderer": renderer,
        "real": real,
    } | ({"split": split} if split else {})

    refused: Counter[str] = Counter()

    def outcomes(start: int) -> Iterator[Kept | Reject]:
        if real is None:
            made = generate(max(0, n - start), seed, tasks, size, objects, workers, start, style, renderer, split)
        else:
            made = islice(ask_frames(open_frames(real), tasks, seed, refused=refused, style=style), start, n)
        for sample, trace in made:
            stored = as_stored(sample)
            # Several views come as one larger picture.
            shown = size if stored.image is None else stored.photo().size
            yield screen(stored, shown) or gold_earns_all(stored, trace) or Kept(stored, trace)

    folder = Folder(Path(out), Run(real or "scenes", "scenes", seed, config, "scenes"))
    manifest = write_dataset(outcomes, folder, total=n, resume=resume)
    if not manifest["read"]:
        reasons = "; ".join(f"{reason} ({count} times)" for reason, count in refused.most_common(4))
        raise InputError(f"{real}: nothing can be asked about these frames: {reasons or 'there are no frames'}")
    return manifest


def write_dataset(outcomes: Outcomes, folder: Folder, total: int | None, resume: bool) -> dict[str, Any]:
    """Write outcomes to a data set folder, one shard after the other, and return its manifest.

    total: number of rows, if known, for the progress bar. A finished folder of the same run is left as it is.
    """
    if not folder.begin(resume):
        return read_manifest(folder.out)
    size = folder.run.rows_per_shard
    start = next(n for n in count() if not folder.is_done(n, folder.key(n)))
    done = set(range(start))
    rows = iter(outcomes(start * size))

    def events() -> Iterator[Event]:
        for number, first in zip(count(start), rows, strict=False):
            yield from folder.make(number, folder.key(number), chain([first], islice(rows, size - 1)))

    with _bar(folder.run, total) as bar:
        bar.update(start * size)
        _follow(events(), folder, done, bar)
    return folder.finish([folder.key(n) for n in range(len(done))], done)


def _part(text: str) -> tuple[int, int]:
    """Which shards `--part` means: those whose number leaves the rest of the first number, divided by the second."""
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    mine, parts = map(int, found.groups()) if found else (0, 0)
    if not 1 <= mine <= parts:
        raise InputError(f"part {text!r}: expected I/N, from 1/N to N/N, as in 2/4 for the second of four parts")
    return mine - 1, parts


def _bar(run: Run, total: int | None) -> tqdm[Any]:
    return tqdm(desc=f"build {run.kind}", unit="row", total=total)


def _follow(events: Iterable[Event], folder: Folder, done: set[int], bar: tqdm[Any]) -> None:
    """Show what becomes of the rows, and note the shards that are done."""
    counts: Counter[str] = Counter()
    try:
        for event in events:
            if isinstance(event, int):
                done.add(event)
                continue
            counts[event] += 1
            bar.set_postfix(counts, refresh=False)
            bar.update()
    except FileNotFoundError:
        # Another process may have finished the data set meanwhile, and taken the records away.
        if not folder.is_finished():
            raise
