"""Rows of a data set folder as TRL wants them: prompt, pictures at their final size, completion, and the `Sample`.

Pictures are decoded and fitted to the vision budget on access and kept for the repeats that TRL's samplers make
of a row. Nothing is written to a cache outside of the run folder.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from ..errors import InputError
from ..prompt import build_prompt, model_images
from ..records import from_row
from ..sample import Sample
from ..trace import Trace, format_trace

if TYPE_CHECKING:
    from datasets import Dataset

KEEP = 256
"""Rows whose decoded pictures stay in memory."""


class _Prepare:
    """Turns stored rows into training rows; remembers the last `KEEP`."""

    def __init__(self, max_pixels: int, grid: int, completion: bool) -> None:
        self.max_pixels, self.grid, self.completion = max_pixels, grid, completion
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
        if self.completion:
            if trace is None:
                raise InputError(f"row {row['id']} has no completion to learn from; SFT needs rows with traces")
            ready["completion"] = [{"role": "assistant", "content": format_trace(trace)}]
        return ready


def load_rows(
    folder: str | Path, max_pixels: int, grid: int, cache: Path, completion: bool, limit: int | None = None
) -> Dataset:
    """A data set folder as a `datasets.Dataset` whose rows hold prompt, images, sample and, for SFT, completion.

    cache: where the memory-mapped copy of the shards may lie.
    limit: take the first so many rows.
    Raises `InputError` when the folder holds no shards.
    """
    from datasets import Dataset, List, disable_progress_bars
    from datasets import Image as ImageFeature

    disable_progress_bars()
    shards = sorted(str(p) for p in Path(folder).glob("*.parquet"))
    if not shards:
        raise InputError(f"{folder}: no data set here (no *.parquet); make one with `sifthinker build` or `scenes`")
    rows = Dataset.from_parquet(shards, cache_dir=str(cache))  # type: ignore[arg-type]
    if limit is not None:
        rows = rows.select(range(min(limit, len(rows))))
    rows = rows.cast_column("images", List(ImageFeature(decode=False)))
    return rows.with_transform(_Prepare(max_pixels, grid, completion))
