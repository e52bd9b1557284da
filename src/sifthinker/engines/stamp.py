"""The stamp in a model folder that this package saved: the prompt and the pixel budget that the model was trained with.

A model asked in other words or shown other resolutions than it has learned from is worse, and nobody would notice.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path

from ..errors import InputError
from ..models import located
from ..prompt import prompt_hash
from ..records import atomic_write

STAMP = "sifthinker.json"
SCHEMA = 1


def write_stamp(folder: str | Path, max_pixels: int, quantize: str | None = None) -> None:
    """Write the stamp of the present prompt into a model folder.

    max_pixels: of one picture in training. quantize: how the base was rounded while its adapter was trained, if it was.
    """
    stamp = {"schema": SCHEMA, "prompt_hash": prompt_hash(), "max_pixels": max_pixels}
    stamp |= {"quantize": quantize} if quantize else {}
    atomic_write(Path(folder) / STAMP, json.dumps(stamp, indent=2))


def compare_stamp(path: str | Path, max_pixels: int) -> None:
    """Warn, in one line, when a model was trained with another prompt or pixel budget than it is used with now.

    path: model folder or hub id; without a stamp there nothing is known and nothing said.
    """
    file = Path(located(path)) / STAMP
    if not file.exists():
        return
    try:
        stamp = json.loads(file.read_text())
        then, now = (stamp["prompt_hash"], stamp["max_pixels"]), (prompt_hash(), max_pixels)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file}: not a stamp of ours ({error!r}); restore or remove it") from error
    names = ("prompt", "max_pixels")
    if differs := [f"{n} {a} (now {b})" for n, a, b in zip(names, then, now, strict=True) if a != b]:
        warnings.warn(f"{path} was trained with {', '.join(differs)}: expect worse replies", stacklevel=2)
