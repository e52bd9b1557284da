"""LVIS: instances JSON on COCO's photos, with more than a thousand categories that are not annotated everywhere.

Beside COCO's fields (`coco`) an image has `coco_url`, `not_exhaustive_category_ids` (some are annotated, maybe not
all) and `neg_category_ids` (there is none). A category is asked about only where it is annotated exhaustively. What
is not there has no box and is not asked about. Version 1 has no `file_name`; the photo is that of `coco_url`.

Source: https://www.lvisdataset.org/dataset; Gupta et al., LVIS (CVPR 2019), section 2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...sample import Sample
from ..outcome import Reject
from .coco import Dialect, read
from .options import Options


def _photo(record: Mapping[str, Any]) -> str:
    """`http://images.cocodataset.org/train2017/000000391895.jpg` -> `train2017/000000391895.jpg`."""
    if "coco_url" in record:
        return "/".join(str(record["coco_url"]).split("/")[-2:])
    return str(record["file_name"])


def _word(name: str) -> str:
    """`bow_(weapon)` -> `bow`; categories that then share a word are not asked about."""
    return name.partition("_(")[0].replace("_", " ")


LVIS = Dialect("lvis", _photo, _word, partly=lambda record: record["not_exhaustive_category_ids"])


def read_lvis(path: Path, options: Options) -> Iterator[Sample | Reject]:
    """As `coco.read`; an image without `not_exhaustive_category_ids` is a malformed row."""
    return read(path, options, LVIS)
