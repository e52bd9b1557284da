"""The pipeline as one function: source -> depth -> screen -> expand -> annotate -> check -> data set folder.

    OUT/data-00000.parquet ...   the rows (`records`)
    OUT/rejects.jsonl            id, reason and detail of every row that was read and not kept
    OUT/manifest.json            counts, seed, prompt hash, versions, configuration, digests of the shards
    OUT/README.md                the card          OUT/contact_sheet.png   rows to look at
    OUT/replies/                 what teachers replied, if there were any (`replies`)

While a build runs, `.state.json` says how far the finished shards reach. A killed build goes on from there with
`resume=True` and ends with the same bytes as one that was never killed.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import islice
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..depth import DepthMap
from ..errors import InputError
from ..geometry import Size
from ..prompt import prompt_hash
from ..records import (
    MANIFEST,
    SCHEMA,
    JsonlWriter,
    ShardWriter,
    atomic_write,
    disk_errors,
    read_manifest,
    shard_paths,
    to_row,
)
from ..sample import Sample
from .annotators import Annotator, Asking, Job, Words, open_annotator
from .depths import as_stored
from .expand import expand
from .files import RowError
from .mix import MIX, Input, open_input
from .outcome import Kept, Reject
from .screen import Seen, gold_earns_all, screen
from .seeds import row_rng
from .sheet import card, sheet

STATE = ".state.json"
REJECTS = "rejects.jsonl"
ROWS_PER_SHARD = 256
VERSIONED = ("sifthinker", "numpy", "pillow", "pyarrow")

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
) -> dict[str, Any]:
    """Make a SIF data set from annotated photos; returns the manifest.

    source: KIND:PATH (`sources.SOURCES`), or a recipe of several (`mix`). images: folder of the photos, None: beside
    the annotation file. depth: `source` (the default), `none`, a folder of depth files (read by `depth_encoding` or
    their sidecars), or a depth model. annotator (`template` if not said), asking: see `annotate.open_annotator`. limit:
    read at most so many rows. seed: 0 if not said. columns: field -> column, of the source `hub`. steps: of each
    chain, see `expand`. resume: go on with an interrupted build.

    Raises `InputError` for unknown names, missing files, a folder that is not empty, and a full disk; `EndpointError`
    when the annotator's server is gone; `Paused` when its budget is spent or its results are waited for. A bad row
    never raises: it is counted with its reason.
    """
    out = Path(out)
    if limit is not None and limit < 1:
        raise InputError(f"limit {limit}: expected at least 1 row")
    given = open_input(source, images, depth, depth_encoding, annotator, limit, seed, columns, steps)
    config = {**given.config, "annotator": given.annotator}
    if given.annotator != "template":
        config |= {"repairs": asking.repairs, "language": asking.language}
    run = Run(source, given.kind, given.seed, config, rows_per_shard=rows_per_shard, licenses=given.licenses)
    writer = open_annotator(given.annotator, given.seed, out, asking)
    run.annotator = writer.name

    def outcomes(start: int) -> Iterator[Kept | Reject]:
        return _outcomes(given, start, writer)

    return write_dataset(outcomes, out, run, total=None if given.kind == MIX else limit, resume=resume)


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
            made = generate(n - start, seed, tasks, size, objects, workers, start, style, renderer, split)
        else:
            made = islice(ask_frames(open_frames(real), tasks, seed, refused=refused, style=style), start, n)
        for sample, trace in made:
            stored = as_stored(sample)
            # Several views come as one larger picture.
            shown = size if stored.image is None else stored.photo().size
            yield screen(stored, shown) or gold_earns_all(stored, trace) or Kept(stored, trace)

    manifest = write_dataset(
        outcomes, Path(out), Run(real or "scenes", "scenes", seed, config, "scenes"), total=n, resume=resume
    )
    if not manifest["read"]:
        reasons = "; ".join(f"{reason} ({count} times)" for reason, count in refused.most_common(4))
        raise InputError(f"{real}: nothing can be asked about these frames: {reasons or 'there are no frames'}")
    return manifest


# --- from rows to outcomes -----------------------------------------------------------------------------------------


def _outcomes(given: Input, start: int, annotator: Annotator) -> Iterator[Kept | Reject]:
    """What becomes of each row, in order. Rows before `start` are only looked at for duplicates."""
    for item, words in annotator.annotate(_items(given, start)):
        yield words if isinstance(words, Reject) else _finish(item, words)


def _items(given: Input, start: int) -> Iterator[Job | Reject]:
    seen = Seen()
    for number, row in enumerate(given.rows):
        duplicate = seen.duplicate(row) if isinstance(row, Sample) else None
        if number >= start:
            yield duplicate or (_prepare(row, given) if isinstance(row, Sample) else row)


def _prepare(sample: Sample, given: Input) -> Job | Reject:
    """Everything that is done before words are asked for."""
    try:
        # Decoding the whole photo finds files that are cut off.
        size = sample.photo().size
    except InputError as error:
        return Reject(sample.id, "image_unreadable", str(error))
    try:
        sample = as_stored(given.add_depth(sample))
    except RowError as error:
        return Reject(sample.id, error.reason, error.detail)
    if reject := screen(sample, size):
        return reject
    depth = sample.depth_map()
    stages = expand(sample.boxes, depth, row_rng(given.seed, f"chain {sample.id}"), given.steps)
    if depth is not None:
        # Without the sums that depths of boxes are read from: many jobs wait for words at the same time.
        sample = replace(sample, depth=DepthMap(depth.values, depth.valid, depth.metric))
    return Job(sample, tuple(stages))


def _finish(item: Job | Reject, words: Words) -> Kept | Reject:
    if isinstance(item, Reject):
        return item
    trace = item.trace(words.texts)
    return gold_earns_all(item.sample, trace) or Kept(item.sample, trace, words.by)


# --- from outcomes to a folder -------------------------------------------------------------------------------------


@dataclass(slots=True)
class Run:
    """What a data set is made of; two builds with equal runs give equal bytes."""

    source: str
    kind: str
    seed: int
    config: Mapping[str, Any]
    annotator: str = ""
    rows_per_shard: int = ROWS_PER_SHARD
    licenses: Mapping[str, str] = field(default_factory=dict)

    def source_of(self, sample: Sample) -> str:
        """What the column `source` says of a sample."""
        return sample.meta["source"] if self.kind == MIX else self.kind


@dataclass(slots=True)
class _State:
    """How far the finished shards reach."""

    read: int = 0
    kept: int = 0
    with_depth: int = 0
    shards: int = 0
    reject_bytes: int = 0
    rejects_by_reason: Counter[str] = field(default_factory=Counter)
    tasks: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)


def write_dataset(
    outcomes: Outcomes,
    out: Path,
    run: Run,
    total: int | None = None,
    resume: bool = False,
) -> dict[str, Any]:
    """Write outcomes to a data set folder and return its manifest; see the module's docstring for the files.

    total: number of rows, if known, for the progress bar. A finished folder of the same run is left as it is.
    """
    state = _begin(out, run, resume)
    if state is None:
        return read_manifest(out)
    with (
        JsonlWriter(out / REJECTS, keep=state.reject_bytes) as rejects,
        ShardWriter(out, run.rows_per_shard, start=state.shards) as shards,
        tqdm(desc=f"build {run.kind}", unit="row", total=total, initial=state.read) as bar,
    ):
        for outcome in outcomes(state.read):
            state.read += 1
            if isinstance(outcome, Reject):
                rejects.write(asdict(outcome))
                state.rejects_by_reason[outcome.reason] += 1
            else:
                state.kept += 1
                state.with_depth += outcome.sample.depth is not None
                state.tasks[str(outcome.sample.meta.get("task", ""))] += 1
                name = run.source_of(outcome.sample)
                state.sources[name] += 1
                if shards.add(to_row(outcome.sample, outcome.trace, name, outcome.annotator or run.annotator)):
                    state.shards, state.reject_bytes = shards.shards, rejects.position
                    _save(out, run, state)
            bar.set_postfix({"kept": state.kept, **state.rejects_by_reason}, refresh=False)
            bar.update()
    return _end(out, run, state)


def _identity(run: Run) -> dict[str, Any]:
    made_of = {key: value for key, value in asdict(run).items() if key != "licenses"}
    return {"schema": SCHEMA, **made_of, "config": dict(run.config), "prompt_hash": prompt_hash()}


def _save(out: Path, run: Run, state: _State) -> None:
    # Not `asdict`: it rebuilds a Counter from pairs, and counts the pairs.
    reached = {f.name: getattr(state, f.name) for f in fields(state)}
    atomic_write(out / STATE, json.dumps({"run": _identity(run), "state": reached}))


def _begin(out: Path, run: Run, resume: bool) -> _State | None:
    """The state to start from; None when the folder is finished."""
    if run.seed < 0:
        raise InputError(f"seed {run.seed}: expected 0 or more")
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file; --out names a folder")
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    if not any(out.iterdir()):
        _save(out, run, _State())
        return _State()
    if not resume:
        raise InputError(f"{out}: not empty; choose another --out, or go on with an interrupted build with --resume")
    if (out / MANIFEST).exists():
        manifest = read_manifest(out)
        _same(out, run, {key: manifest.get(key) for key in _identity(run)})
        _clean(out)
        return None
    try:
        saved = json.loads((out / STATE).read_text())
    except (FileNotFoundError, ValueError) as error:
        raise InputError(f"{out}: not empty, and no interrupted build to go on with; choose another --out") from error
    _same(out, run, saved["run"])
    state = _State(**saved["state"])
    state.rejects_by_reason, state.tasks = Counter(state.rejects_by_reason), Counter(state.tasks)
    state.sources = Counter(state.sources)
    for path in shard_paths(out)[state.shards :]:
        path.unlink()
    return state


def _same(out: Path, run: Run, before: Mapping[str, Any]) -> None:
    """Raise `InputError` when a folder was begun with other settings."""
    now = json.loads(json.dumps(_identity(run)))
    changed = [
        f"{key} was {before.get(key)!r}, now {value!r}" for key, value in now.items() if before.get(key) != value
    ]
    if changed:
        raise InputError(f"{out}: begun with other settings ({'; '.join(changed)}); choose another --out")


def _end(out: Path, run: Run, state: _State) -> dict[str, Any]:
    """Write sheet, card and manifest, the manifest last: a folder with a manifest is finished."""
    rejected = sum(state.rejects_by_reason.values())
    manifest = {
        **_identity(run),
        "read": state.read,
        "kept": state.kept,
        "rejected": rejected,
        "rejects_by_reason": dict(sorted(state.rejects_by_reason.items())),
        "tasks": dict(sorted(state.tasks.items())),
        "sources": dict(sorted(state.sources.items())),
        "licenses": dict(run.licenses),
        "with_depth": state.with_depth,
        "versions": _versions(),
        "shards": [{"file": path.name, "sha256": _sha256(path)} for path in shard_paths(out)],
    }
    atomic_write(out / "contact_sheet.png", sheet(out, state.kept))
    atomic_write(out / "README.md", card(manifest))
    atomic_write(out / MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
    _clean(out)
    return manifest


def _clean(out: Path) -> None:
    (out / STATE).unlink(missing_ok=True)


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in VERSIONED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
