"""The folder of a data set while it is made: shards that do not depend on each other, each with its record.

    OUT/data-00007.parquet    what was kept of the rows 7 R, ..., 8 R - 1 of the source; no file where that is nothing
    OUT/.shards/run.json      what the data set is made of
    OUT/.shards/00007.json    the record of a shard: key, checksum, counts, rejects; written after the shard

The records are the only state, and nobody owns a shard: who finds one without a record that fits makes it, with the
same bytes as anybody else. So a kill costs the shards under way and no more, and processes, also on several machines
with a common disk, may share a folder without knowing of each other. `finish` folds the records into manifest,
rejects, card and sheet, and removes them; two processes may do that at the same time.

Every file is written below .shards and then given its name, so what a kill leaves there is removed with it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..depth import DepthMap, StoredDepth
from ..errors import InputError
from ..prompt import prompt_hash
from ..records import (
    MANIFEST,
    SCHEMA,
    JsonlWriter,
    altered_shards,
    atomic_write,
    digest,
    disk_errors,
    file_sha256,
    read_manifest,
    shard_bytes,
    shard_path,
    shard_paths,
    to_row,
)
from ..sample import Sample
from .mix import MIX
from .outcome import Kept, Reject
from .sheet import card, sheet

STATE = ".shards"
RUN = "run.json"
REJECTS, CARD, SHEET = "rejects.jsonl", "README.md", "contact_sheet.png"
ABOUT = {MANIFEST, REJECTS, CARD, SHEET}
"""What a data set holds beside its rows."""
ROWS_PER_SHARD = 256
VERSIONED = ("sifthinker", "numpy", "pillow", "pyarrow")

Event = str | int
"""What a build reports while it goes on: what became of a row (`KEPT`, or the reason of its reject), or the number of
a shard that is on the disk now with its record."""
KEPT = "kept"


@dataclass(slots=True)
class Run:
    """What a data set is made of; two builds with equal runs give equal bytes.

    licenses: terms by source, of all sources. wanted: rows that a source is to give, where the recipe has a total.
    """

    source: str
    kind: str
    seed: int
    config: Mapping[str, Any]
    annotator: str = ""
    rows_per_shard: int = ROWS_PER_SHARD
    licenses: Mapping[str, str] = field(default_factory=dict)
    wanted: Mapping[str, int] = field(default_factory=dict)

    def source_of(self, id_: str) -> str:
        """What the column `source` says of the row with this id."""
        return id_.partition(":")[0] if self.kind == MIX else self.kind

    def identity(self) -> dict[str, Any]:
        """What must be equal for two processes to work on the same data set, as JSON gives it back."""
        made_of = {key: value for key, value in asdict(self).items() if key not in ("licenses", "wanted")}
        identity = {"schema": SCHEMA, **made_of, "config": dict(self.config), "prompt_hash": prompt_hash()}
        return json.loads(json.dumps(identity))


@dataclass(slots=True)
class Record:
    """What became of the rows of a shard. key: of the rows. sha256: of the file, None where nothing was kept.
    by_name: rows whose photo was found by its file name, in a folder of another name than the row says; example: one.
    """

    key: str
    read: int = 0
    kept: int = 0
    with_depth: int = 0
    by_name: int = 0
    example: str = ""
    tasks: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    sha256: str | None = None
    rejects: list[dict[str, str]] = field(default_factory=list)


class Folder:
    """The folder `out` of a data set that is made of `run`."""

    def __init__(self, out: Path, run: Run) -> None:
        self.out, self.run = out, run
        self.state = out / STATE

    def begin(self, resume: bool) -> bool:
        """Make the folder, or find it; False if its data set is finished.

        Raises `InputError` for folders with something else in them or with a data set of another run, for one that is
        begun or finished unless `resume` is set, and for one whose shards were changed after it was finished.
        """
        if self.run.seed < 0:
            raise InputError(f"seed {self.run.seed}: expected 0 or more")
        if self.out.exists() and not self.out.is_dir():
            raise InputError(f"{self.out}: is a file; --out names a folder")
        with disk_errors(self.out):
            self.out.mkdir(parents=True, exist_ok=True)
        there = {path.name for path in self.out.iterdir()}
        if not resume and there <= ABOUT and MANIFEST in there and not read_manifest(self.out)["kept"]:
            # A data set without a row is nothing to lose.
            for name in there:
                (self.out / name).unlink(missing_ok=True)
            there = set()
        if there and not resume:
            raise InputError(
                f"{self.out}: not empty; choose another --out, or go on with an interrupted build with --resume"
            )
        if self.is_finished():
            if altered := altered_shards(self.out):
                raise InputError(
                    f"{self.out}: {', '.join(altered)} missing, or changed since the data set was finished; put back "
                    "what was there, or choose another --out"
                )
            return False
        before = self._begun()
        if before is None and there - {STATE}:
            if self.is_finished():  # just now, by another process
                return False
            raise InputError(f"{self.out}: not empty, and no interrupted build to go on with; choose another --out")
        if before is not None:
            self._same(before)
            return True
        # If two begin at the same time with different settings, the keys of their shards differ, and neither finishes.
        with disk_errors(self.state):
            self.state.mkdir(exist_ok=True)
        self._write(self.state / RUN, json.dumps(self.run.identity()))
        return True

    def _begun(self) -> dict[str, Any] | None:
        try:
            return json.loads((self.state / RUN).read_text())
        except (FileNotFoundError, ValueError):
            return None

    def is_finished(self) -> bool:
        """Whether the data set is finished. Raises `InputError` if it is of another run."""
        if not (self.out / MANIFEST).exists():
            return False
        manifest = read_manifest(self.out)
        self._same({key: manifest.get(key) for key in self.run.identity()})
        shutil.rmtree(self.state, ignore_errors=True)
        return True

    def _same(self, before: Mapping[str, Any]) -> None:
        """Raise `InputError` when the folder was begun with other settings."""
        changed = [f"{name} was {was!r}, now {now!r}" for name, was, now in _changes(dict(before), self.run.identity())]
        if changed:
            raise InputError(f"{self.out}: begun with other settings ({'; '.join(changed)}); choose another --out")

    # --- shards ----------------------------------------------------------------------------------------------------

    def key(self, number: int, rows: Iterable[Sample | Reject] = ()) -> str:
        """Names a shard by all that goes into it: the run, and its rows as the source gives them.

        Photos and depth files count by their names where they are files.
        """
        key = hashlib.blake2b(json.dumps([self.run.identity(), number]).encode(), digest_size=16)
        for row in rows:
            key.update(json.dumps(_facts(row)).encode())
        return key.hexdigest()

    def is_done(self, number: int, key: str) -> bool:
        """Whether the shard is there as its record says, and the record is of this key."""
        record = self._record(number)
        return record is not None and record.key == key and record.sha256 == file_sha256(shard_path(self.out, number))

    def _is_ours(self, number: int, key: str) -> bool:
        record = self._record(number)
        return record is not None and record.key == key

    def _record(self, number: int) -> Record | None:
        try:
            return Record(**json.loads(self._record_path(number).read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def _record_path(self, number: int) -> Path:
        return self.state / f"{number:05d}.json"

    def make(self, number: int, key: str, outcomes: Iterable[Kept | Reject]) -> Iterator[Event]:
        """Write a shard and its record. Raises `InputError` on a full disk."""
        record, rows = Record(key), []
        for outcome in outcomes:
            record.read += 1
            if isinstance(outcome, Reject):
                record.rejects.append(asdict(outcome))
                yield outcome.reason
                continue
            sample, name = outcome.sample, self.run.source_of(outcome.sample.id)
            rows.append(to_row(sample, outcome.trace, name, outcome.annotator or self.run.annotator))
            record.kept += 1
            record.with_depth += sample.depth is not None
            if elsewhere := _elsewhere(sample):
                record.by_name += 1
                record.example = record.example or elsewhere
            record.tasks[str(sample.meta.get("task", ""))] += 1
            record.sources[name] += 1
            yield KEPT
        path = shard_path(self.out, number)
        if rows:
            data = shard_bytes(rows)
            record.sha256 = hashlib.sha256(data).hexdigest()
            self._write(path, data)
        else:
            path.unlink(missing_ok=True)  # of rows that are different now
        self._write(self._record_path(number), json.dumps({name: getattr(record, name) for name in Record.__slots__}))
        yield number

    def _write(self, path: Path, content: bytes | memoryview | str) -> None:
        atomic_write(path, content, through=self.state)

    # --- the end ---------------------------------------------------------------------------------------------------

    def finish(
        self, keys: Sequence[str], done: Collection[int], cost: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The manifest of the finished data set; or, where shards are missing, their numbers and what there is.

        keys: of all shards. done: numbers of those whose file need not be read again. cost: of the words, if any.
        """
        try:
            missing = [n for n, key in enumerate(keys) if not (self._is_ours if n in done else self.is_done)(n, key)]
            if not missing:
                return self._end(len(keys), {} if cost is None else {"cost": dict(cost)})
            if not self.is_finished():
                there = sorted(set(range(len(keys))) - set(missing))
                counts = self._fold(there, None)
                del counts["sha256"]
                return {**counts, "missing": missing}
        except FileNotFoundError:
            if not self.is_finished():
                raise
        # Just now, by another process, which took the records away.
        return read_manifest(self.out)

    def _end(self, count: int, more: Mapping[str, Any]) -> dict[str, Any]:
        """Write rejects, sheet, card and manifest, the manifest last: a folder with a manifest is finished."""
        rejects = self.state / f"{REJECTS}.{os.urandom(8).hex()}"
        with JsonlWriter(rejects) as writer:
            counts = self._fold(range(count), writer)
        rejects.replace(self.out / REJECTS)
        files = {shard_path(self.out, n).name: sha256 for n, sha256 in counts.pop("sha256").items()}
        for path in shard_paths(self.out):
            if path.name not in files:
                path.unlink(missing_ok=True)  # of a source that had more rows
        manifest = {
            **self.run.identity(),
            **counts,
            **more,
            "licenses": dict(self.run.licenses),
            "versions": _versions(),
            "shards": [{"file": name, "sha256": sha256} for name, sha256 in files.items()],
        }
        self._write(self.out / SHEET, sheet(self.out, manifest["kept"], self.run.seed))
        self._write(self.out / CARD, card(manifest))
        self._write(self.out / MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
        shutil.rmtree(self.state, ignore_errors=True)
        return manifest

    def _fold(self, numbers: Iterable[int], rejects: JsonlWriter | None) -> dict[str, Any]:
        """The sums over the records of these shards; their rejects are written in order."""
        sums, reasons, tasks, sources = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
        rejected: defaultdict[str, Counter[str]] = defaultdict(Counter)
        files, example = {}, ""
        for number in numbers:
            record = Record(**json.loads(self._record_path(number).read_text()))
            sums.update(read=record.read, kept=record.kept, with_depth=record.with_depth, by_name=record.by_name)
            example = example or record.example
            tasks.update(record.tasks)
            sources.update(record.sources)
            for reject in record.rejects:
                reasons[reject["reason"]] += 1
                rejected[self.run.source_of(reject["id"])][reject["reason"]] += 1
            if record.sha256 is not None:
                files[number] = record.sha256
            if rejects is not None:
                for reject in record.rejects:
                    rejects.write(reject)
        return {
            "read": sums["read"],
            "kept": sums["kept"],
            "rejected": reasons.total(),
            "rejects_by_reason": dict(sorted(reasons.items())),
            "tasks": dict(sorted(tasks.items())),
            "by_source": {
                name: {
                    **({"wanted": self.run.wanted[name]} if name in self.run.wanted else {}),
                    "read": sources[name] + rejected[name].total(),
                    "kept": sources[name],
                    "rejects_by_reason": dict(sorted(rejected[name].items())),
                }
                # Also those that gave nothing.
                for name in dict.fromkeys([*self.run.licenses, *sorted(sources), *sorted(rejected)])
            },
            "with_depth": sums["with_depth"],
            **({"found_by_name": {"rows": sums["by_name"], "example": example}} if example else {}),
            "sha256": files,
        }


def _elsewhere(sample: Sample) -> str:
    """The name of a photo and where it was found, if that is in a folder of another name than the row says; else ""."""
    name, photo = sample.meta.get("photo"), sample.image
    if not isinstance(name, str) or not isinstance(photo, (str, Path)):
        return ""
    folder = Path(name).parent.name
    if not folder or folder == Path(photo).parent.name:
        return ""
    return f"{name} is {photo}".encode(errors="backslashreplace").decode()


def _facts(row: Sample | Reject) -> list[Any]:
    """A row as JSON."""
    if isinstance(row, Reject):
        return [row.id, row.reason, row.detail]
    photo, depth = row.image, row.depth.stored if isinstance(row.depth, DepthMap) else row.depth
    return [
        row.id,
        str(photo) if isinstance(photo, (str, Path)) else digest(row.photo_data()).hex(),
        row.question,
        row.answer,
        depth.digest if isinstance(depth, StoredDepth) else str(depth),
        row.choices,
        [list(box) for box in row.boxes],
        dict(row.meta),
    ]


def _changes(before: dict[str, Any], now: dict[str, Any], within: str = "") -> Iterator[tuple[str, Any, Any]]:
    """What has another value now than before, in nested settings by their paths: (a.b, before, now)."""
    for key, value in now.items():
        was = before.get(key)
        if isinstance(was, dict) and isinstance(value, dict):
            yield from _changes(was, value, f"{within}{key}.")
        elif was != value:
            yield f"{within}{key}", was, value


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in VERSIONED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
