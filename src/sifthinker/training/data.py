"""Rows of a data set folder as TRL wants them: prompt, pictures at their final size, completion, and the `Sample`.

Pictures are decoded and fitted to the vision budget on access and kept for the repeats that TRL's samplers make
of a row. A row whose pictures cannot be decoded is replaced by the next that can. The shards are unpacked into a cache
inside of the run folder, from which rows are read in any order without filling the memory.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from ..errors import InputError, SifError, disk_full, unknown_name
from ..prompt import build_prompt, model_images
from ..records import Row, from_row, missing_shards, read_rows, shard_paths
from ..sample import Sample
from ..trace import Area, Trace, format_trace, parse_trace
from .parts import refuse_without

if TYPE_CHECKING:
    from datasets import Dataset

    from .lengths import Ruler

CACHE = "cache"
"""Folder inside of the run folder; removed when the run has finished."""
LENGTH = "length"
"""Column of the tokens of prompt and completion, by which transformers' `group_by_length` makes its batches."""
KEEP = 256
"""Rows whose decoded pictures stay in memory."""


def allowed_unreadable(rows: int) -> int:
    """Rows of a data set that a run goes on without: one in a hundred; in small sets up to ten, but one in ten at most.

    >>> [allowed_unreadable(rows) for rows in (6, 50, 500, 50_000)]
    [0, 5, 10, 500]
    """
    return max(rows // 100, min(10, rows // 10))


class _Prepare:
    """Turns stored rows into training rows; remembers the last `KEEP`.

    rows: all stored rows, of which the next stands in for one whose pictures cannot be decoded.
    pixels: of some ids, a budget below `max_pixels`. depth: one of `DEPTHS`.
    unreadable: ids of rows that had to be replaced.
    """

    def __init__(
        self, rows: Dataset, max_pixels: int, grid: int, target: str | None, pixels: Mapping[str, int], depth: str
    ) -> None:
        self.rows, self.max_pixels, self.grid, self.target, self.pixels = rows, max_pixels, grid, target, pixels
        self.depth = depth
        self.unreadable: set[str] = set()
        self._kept: OrderedDict[str, tuple[Sample, Trace | None, list[Image.Image]]] = OrderedDict()

    def __deepcopy__(self, _: Any) -> _Prepare:
        return self  # `datasets` copies it with each view; all views count together

    def __call__(self, columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        prepared = [self._row(row) for row in rows]
        return {key: [row[key] for row in prepared] for key in prepared[0]}

    def _row(self, row: dict[str, Any]) -> dict[str, Any]:
        if row["id"] not in self._kept:
            self._kept[row["id"]] = self._decoded(row) or self._next(row["id"])
            if len(self._kept) > KEEP:
                self._kept.popitem(last=False)
        sample, trace, images = self._kept[row["id"]]
        # Prompts are built anew each time: TRL's collators write into the messages they are given.
        ready: dict[str, Any] = {"prompt": build_prompt(sample), "images": list(images), "sample": sample}
        if self.target is not None:
            ready["completion"] = [{"role": "assistant", "content": taught_text(self.target, sample.answer, trace)}]
        return ready

    def _decoded(self, row: dict[str, Any]) -> tuple[Sample, Trace | None, list[Image.Image]] | None:
        """Sample, trace and pictures of a row; None, counted and told once, where they cannot be decoded."""
        try:
            sample, trace = from_row(as_asked(row, self.depth))
            return sample, trace, model_images(sample, self.pixels.get(row["id"], self.max_pixels), self.grid)
        except InputError as error:
            if row["id"] in self.unreadable:
                return None
            self.unreadable.add(row["id"])
            warnings.warn(f"{error}; the next row that can be decoded stands in for it", stacklevel=2)
        if len(self.unreadable) > (allowed := allowed_unreadable(len(self.rows))):
            raise SifError(
                f"{len(self.unreadable)} rows with pictures that cannot be decoded, {allowed} of {len(self.rows)} may "
                f"be ({', '.join(sorted(self.unreadable)[:5])}, ...): look at the data; `sifthinker check` finds all"
            )
        return None

    def _next(self, sample_id: str) -> tuple[Sample, Trace | None, list[Image.Image]]:
        """The first row after `sample_id` that can be decoded; the same at each visit."""
        number = list(self.rows.select_columns("id")["id"]).index(sample_id)
        later = ((number + step) % len(self.rows) for step in range(1, len(self.rows)))
        return next(found for n in later if (found := self._decoded(self.rows[n])))


def unreadable_rows(rows: Dataset) -> int:
    """How many rows of `load_rows` could not be decoded so far, in this process."""
    transform = rows.format["format_kwargs"].get("transform")
    return len(transform.unreadable) if isinstance(transform, _Prepare) else 0


TARGETS = ("trace", "words", "answer")
"""What SFT teaches: the gold trace, its sentences without areas, or the final answer alone."""

DEPTHS = ("source", "none")
"""What depth a model is trained with: that of the data set, or none."""


def taught_text(target: str, answer: str, trace: Trace | None) -> str:
    """What a row teaches. target: one of `TARGETS`. trace: None for `answer` alone."""
    if target == "answer":
        return f"<answer>{answer}</answer>"
    assert trace is not None  # `load_rows` has looked
    return format_trace(_words(trace) if target == "words" else trace)


def stored_text(target: str, row: Row) -> str:
    """What a stored row teaches. target: one of `TARGETS`; rows of the others than `answer` have a trace."""
    said = row["completion"][0]["content"] if row["completion"] else ""
    if target == "trace":
        return said
    return taught_text(target, row["answer"], parse_trace(said, areas=bool(row["images"])))


def _words(trace: Trace) -> Trace:
    """The sentences of a trace in order, each once, without areas."""
    steps = {step.text: replace(step, area=Area((), ())) for step in trace.steps}
    return replace(trace, steps=tuple(steps.values()))


def as_asked(row: Row, depth: str) -> Row:
    """A stored row as it is trained on. depth: of `DEPTHS`; `none` takes away map, picture, and depths of traces."""
    if depth == "source" or row["depth"] is None:
        return row
    said = row["completion"]
    if said:
        trace = parse_trace(said[0]["content"], areas=bool(row["images"]))
        bare = [replace(s, area=Area(s.area.boxes, (None,) * len(s.area.boxes))) for s in trace.steps]
        said = [{**said[0], "content": format_trace(replace(trace, steps=tuple(bare)))}]
    return {**row, "images": row["images"][:1], "depth": None, "completion": said}


def load_rows(
    folder: str | Path,
    max_pixels: int,
    grid: int,
    out: Path,
    *,
    target: str | None,
    limit: int | None = None,
    ruler: Ruler | None = None,
    depth: str = "source",
    only: str | None = None,
) -> Dataset:
    """A data set folder as a `datasets.Dataset` whose rows hold prompt, images, sample and, for SFT, completion.

    out: run folder; its `cache` holds a memory-mapped copy of the shards while the run goes on.
    target: what the completion is, one of `TARGETS`; None: prompts only.
    limit: take the first so many rows.
    ruler: says how long rows are, and what becomes of those whose prompt is too long; None: nothing is done about them.
    depth: one of `DEPTHS`.
    only: pattern that the text of each completion must match; see `parts`.
    Raises `InputError` when the folder holds no shards of ours, one is missing or cannot be read, a row lacks what is
    taught, or is too long for the ruler.
    """
    from datasets import Dataset, List, disable_progress_bars
    from datasets import Image as ImageFeature
    from datasets.exceptions import DatasetGenerationError

    if target is not None and target not in TARGETS:
        raise unknown_name("target", target, TARGETS)
    shards = shard_paths(folder)
    if not shards:
        raise InputError(
            f"{folder}: no data set here (no data-*.parquet); make one with `sifthinker build` or `scenes`"
        )
    if missing := missing_shards(folder):
        raise InputError(
            f"{folder}: {len(missing)} of its shards are not there ({', '.join(missing[:3])}): put them back, or build "
            "the data set again"
        )
    for shard in shards:
        next(read_rows(shard), None)  # a look at its end, its columns and its first rows
    disable_progress_bars()
    try:
        rows = Dataset.from_parquet([str(s) for s in shards], cache_dir=str(out / CACHE))  # type: ignore[arg-type]
    except DatasetGenerationError as error:
        if disk_full(error):
            raise
        raise InputError(
            f"{folder}: a shard is damaged ({error.__cause__ or error}); build the data set again"
        ) from error
    if limit is not None:
        rows = rows.select(range(min(limit, len(rows))))
    if not len(rows):
        raise InputError(f"{folder}: the data set has no rows")
    if target in ("trace", "words") and (
        empty := sum(not messages for messages in rows.select_columns("completion")["completion"])
    ):
        raise InputError(f"{folder}: {empty} rows have no completion to learn from; SFT needs rows with traces")
    rows = rows.cast_column("images", List(ImageFeature(decode=False)))
    if only is not None and target is not None:
        refuse_without(only, folder, (stored_text(target, as_asked(row, depth)) for row in rows))  # type: ignore[arg-type]
    pixels = {}
    if ruler is not None:
        lengths = ruler.lengths((as_asked(row, depth) for row in rows), len(rows))  # type: ignore[arg-type]
        fit = ruler.fit(lengths)
        ruler.refuse(lengths, fit)
        if told := ruler.says(lengths, fit):
            warnings.warn(f"{folder}: {told}", stacklevel=2)
        rows, pixels = rows.select(fit.keep), fit.pixels
        tokens = [(lengths[number].prompt or 0) + lengths[number].completion for number in fit.keep]
        rows = rows.add_column(LENGTH, tokens)  # type: ignore[call-arg]
    return rows.with_transform(_Prepare(rows, max_pixels, grid, target, pixels, depth))
