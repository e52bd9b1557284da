"""One pass over the rows of a data set: what a person wants to know before training on them."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..geometry import Box
from ..records import MANIFEST, Row, altered_shards, count_rows, digest, read_manifest, read_rows
from ..trace import Trace, parse_trace
from .similar import Words, fingerprint

BINS = 20
"""Bins of histograms over [0, 1]."""
GRID = 3
"""Centers of gold boxes are counted in so many columns and rows."""
MOST_COMMON, LONG = 5, 80
"""Answers listed for a task, and characters of one; what is longer is cut."""
AT_ONCE = 256
"""Photos that are decoded side by side."""


@dataclass(slots=True)
class Photo:
    """row: id of the first row that shows it. plain: whether a row shows it with nothing drawn on it, from which the
    fingerprint then is; else that of the first row. fingerprint: see `similar`."""

    row: str
    plain: bool
    fingerprint: Words | None = None


@dataclass(slots=True)
class Survey:
    """What the rows of a folder are. Photos and questions are held by digests of their bytes. A picture that was drawn
    on counts as the photo that `meta.drawn_on` names; what is asked about it is asked about the picture.

    box_side: square root of a gold box's share of the photo. centers: of gold boxes, rows from the top. depths: of
    gold boxes as traces say them. words: of traces.
    """

    folder: Path
    rows: int = 0
    with_depth: int = 0
    sources: Counter[str] = field(default_factory=Counter)
    annotators: Counter[str] = field(default_factory=Counter)
    boxes: Counter[int] = field(default_factory=Counter)
    steps: Counter[int] = field(default_factory=Counter)
    words: Counter[int] = field(default_factory=Counter)
    faulty: list[str] = field(default_factory=list)
    box_side: list[int] = field(default_factory=lambda: [0] * BINS)
    depths: list[int] = field(default_factory=lambda: [0] * BINS)
    centers: list[list[int]] = field(default_factory=lambda: [[0] * GRID for _ in range(GRID)])
    answers: dict[str, Counter[str]] = field(default_factory=dict)
    ids: set[bytes] = field(default_factory=set)
    repeated_ids: list[str] = field(default_factory=list)
    photos: dict[str, Photo] = field(default_factory=dict)
    questions: dict[bytes, tuple[str, bytes]] = field(default_factory=dict)
    repeated_questions: int = 0
    contradictions: list[tuple[str, str]] = field(default_factory=list)

    def add(self, row: Row) -> str | None:
        """Take a row; returns the digest of its photo where its fingerprint is to be taken from this row."""
        self.rows += 1
        self.with_depth += row["depth"] is not None
        self.sources[row["source"]] += 1
        self.annotators[row["annotator"]] += 1
        self.answers.setdefault(row["task"], Counter())[_answer(row)] += 1
        self.boxes[len(row["boxes"])] += 1
        for values in row["boxes"]:
            box = Box(*values)
            self.box_side[_bin(box.area**0.5, BINS)] += 1
            x, y = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
            self.centers[_bin(y, GRID)][_bin(x, GRID)] += 1
        if row["completion"]:
            self._trace(row)
        return self._twice(row)

    def _trace(self, row: Row) -> None:
        trace = trace_of(row)
        if trace.faults:
            self.faulty.append(row["id"])
        self.steps[len(trace.steps)] += 1
        self.words[sum(len(step.text.split()) for step in trace.steps)] += 1
        last = trace.last_area
        for depth in () if last is None else last.depths:
            if depth is not None:
                self.depths[_bin(depth, BINS)] += 1

    def _twice(self, row: Row) -> str | None:
        identity = digest(row["id"].encode())
        if identity in self.ids:
            self.repeated_ids.append(row["id"])
        self.ids.add(identity)
        shown = digest(row["images"][0]["bytes"]) if row["images"] else b""
        asked = "\0".join([" ".join(row["question"].casefold().split()), *row["choices"]])
        key, answer = digest(shown + asked.encode()), digest(row["answer"].casefold().encode())
        if key in self.questions:
            self.repeated_questions += 1
            first, before = self.questions[key]
            if before != answer:
                self.contradictions.append((first, row["id"]))
        else:
            self.questions[key] = (row["id"], answer)
        if not shown:
            return None
        meta = json.loads(row["meta"])
        plain = "drawn_on" not in meta
        photo = shown.hex() if plain else str(meta["drawn_on"])
        known = self.photos.get(photo)
        if known is not None and (known.plain or not plain):
            return None
        self.photos[photo] = Photo(row["id"] if known is None else known.row, plain)
        return photo

    def to_json(self) -> dict[str, Any]:
        """What the survey says, in plain values."""
        manifest = read_manifest(self.folder) if (self.folder / MANIFEST).exists() else {}
        return {
            "folder": str(self.folder),
            "rows": self.rows,
            "photos": len(self.photos),
            "with_depth": self.with_depth,
            "read": manifest.get("read"),
            "rejects_by_reason": manifest.get("rejects_by_reason", {}),
            "by_source": manifest.get("by_source", {}),
            "altered": altered_shards(self.folder),
            "sources": dict(self.sources.most_common()),
            "annotators": dict(self.annotators.most_common()),
            "tasks": {task: sum(answers.values()) for task, answers in sorted(self.answers.items())},
            "answers": {task: _balance(answers) for task, answers in sorted(self.answers.items())},
            "boxes": dict(sorted(self.boxes.items())),
            "box_side": self.box_side,
            "box_centers": self.centers,
            "gold_depth": self.depths,
            "steps": dict(sorted(self.steps.items())),
            "words": dict(sorted(self.words.items())),
            "faulty_traces": self.faulty,
            "repeated": {
                "ids": self.repeated_ids,
                "questions": self.repeated_questions,
                "contradictions": [list(pair) for pair in self.contradictions],
            },
        }


def survey(folder: str | Path) -> Survey:
    """Read a data set folder once. Raises `InputError` where there is none."""
    found = Survey(Path(folder))
    rows = read_rows(folder)
    with (
        ThreadPoolExecutor() as pool,
        tqdm(desc=f"inspect {found.folder.name}", unit="row", total=count_rows(folder)) as bar,
    ):
        while some := list(islice(rows, AT_ONCE)):
            new = {photo: row["images"][0]["bytes"] for row in some if (photo := found.add(row)) is not None}
            for photo, words in zip(new, pool.map(fingerprint, new.values()), strict=True):
                found.photos[photo].fingerprint = words
            bar.update(len(some))
    return found


def trace_of(row: Row) -> Trace:
    """The gold trace of a row, without decoding its pictures."""
    return parse_trace(
        row["completion"][0]["content"], areas=bool(row["images"]), depth_required=row["depth"] is not None
    )


def _answer(row: Row) -> str:
    """The answer; of a multiple choice with its letter and text."""
    answer = row["answer"]
    index = "ABCDEFGHIJKLMNOPQRSTUVWXYZ".find(answer) if len(answer) == 1 else -1
    said = f"{answer}: {row['choices'][index]}" if 0 <= index < len(row["choices"]) else answer
    return said if len(said) <= LONG else f"{said[: LONG - 1]}…"


def _balance(answers: Counter[str]) -> dict[str, Any]:
    """constant: the share of rows of which one and the same answer would be right."""
    n, common = answers.total(), answers.most_common(MOST_COMMON)
    return {
        "n": n,
        "distinct": len(answers),
        "most_common": [list(pair) for pair in common],
        "constant": common[0][1] / n,
    }


def _bin(value: float, bins: int) -> int:
    return min(int(value * bins), bins - 1)
