"""Rows of a data set folder as TRL wants them: prompt, pictures at their final size, completion, and the `Sample`.

Pictures are decoded and fitted to the vision budget on access and kept for the repeats that TRL's samplers make
of a row. The shards are unpacked into a cache inside of the run folder, from which rows are read in any order
without filling the memory.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from ..errors import InputError, disk_full, unknown_name
from ..prompt import build_prompt, model_images
from ..records import from_row, read_rows, shard_paths
from ..sample import Sample
from ..trace import Trace, format_trace

if TYPE_CHECKING:
    from datasets import Dataset

CACHE = "cache"
"""Folder inside of the run folder; removed when the run has finished."""
KEEP = 256
"""Rows whose decoded pictures stay in memory."""


class _Prepare:
    """Turns stored rows into training rows; remembers the last `KEEP`."""

    def __init__(self, max_pixels: int, grid: int, target: str | None) -> None:
        self.max_pixels, self.grid, self.target = max_pixels, grid, target
        self._kept: OrderedDict[str, tuple[Sample, Trace | None, list[Image.Image]]] = OrderedDict()

    def __call__(self, columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        prepared = [self._row(row) for row in rows]
        return {key: [row[key] for row in prepared] for key in prepared[0]}

    def _row(self, row: dict[str, Any]) -> dict[str, Any]:
        if row["id"] not in self._kept:
            sample, trace = from_row(row)
            self._kept[row["id"]] = sample, trace, model_images(sample, self.max_pixels, self.grid)
            if len(self._kept) > KEEP:
                self._kept.popitem(last=False)
        sample, trace, images = self._kept[row["id"]]
        # Prompts are built anew each time: TRL's collators write into the messages they are given.
        ready: dict[str, Any] = {"prompt": build_prompt(sample), "images": list(images), "sample": sample}
        if self.target is not None:
            ready["completion"] = [{"role": "assistant", "content": _completion(self.target, sample, trace)}]
        return ready


TARGETS = ("trace", "answer")
"""What SFT teaches: the gold trace, or the final answer alone."""


def _completion(target: str, sample: Sample, trace: Trace | None) -> str:
    if target == "answer":
        return f"<answer>{sample.answer}</answer>"
    assert trace is not None, sample.id  # `load_rows` has looked
    return format_trace(trace)


def load_rows(
    folder: str | Path, max_pixels: int, grid: int, out: Path, target: str | None, limit: int | None = None
) -> Dataset:
    """A data set folder as a `datasets.Dataset` whose rows hold prompt, images, sample and, for SFT, completion.

    out: run folder; its `cache` holds a memory-mapped copy of the shards while the run goes on.
    target: what the completion is, one of `TARGETS`; None: prompts only.
    limit: take the first so many rows.
    Raises `InputError` when the folder holds no shards of ours, one cannot be read, or a row lacks what is taught.
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
    if target == "trace" and (
        empty := sum(not messages for messages in rows.select_columns("completion")["completion"])
    ):
        raise InputError(f"{folder}: {empty} rows have no completion to learn from; SFT needs rows with traces")
    rows = rows.cast_column("images", List(ImageFeature(decode=False)))
    return rows.with_transform(_Prepare(max_pixels, grid, target))
