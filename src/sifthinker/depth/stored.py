"""Depth maps in data sets: a 16-bit PNG, and beside it what its levels mean."""

from __future__ import annotations

import hashlib
import io
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import InputError, words_of
from ..geometry import Size
from ..png import png_bytes
from .levels import LevelsMap
from .map import DepthMap

KINDS = ("metric", "relative")

LEVELS = 65535
"""Levels of the 16-bit PNG in which depth maps are stored."""


@dataclass(frozen=True, eq=False)
class StoredDepth:
    """A depth map as data sets keep it: a 16-bit PNG, and what its levels mean (`encode_depth`).

    It takes the memory of the file until it is opened; the maps that were opened last are kept open.
    """

    png: bytes
    meta: Mapping[str, Any]
    name: str = "stored depth map"

    @property
    def size(self) -> Size:
        """(width, height) in pixels."""
        width, height = struct.unpack(">II", self.png[16:24])
        return width, height

    @cached_property
    def digest(self) -> str:
        """Tells the map from others."""
        told = json.dumps(dict(self.meta), sort_keys=True).encode()
        return hashlib.blake2b(told + self.png, digest_size=16).hexdigest()

    def open(self) -> DepthMap:
        """The map. Raises `InputError` for a damaged one."""
        depth = _opened.get(self)
        if depth is None:
            try:
                depth = decode_depth(self.png, self.meta)
            except (OSError, SyntaxError, ValueError, KeyError, TypeError) as error:
                raise InputError(f"{self.name}: cannot be read as depth ({words_of(error)})") from error
        keep(self, depth)
        return depth


KEPT_PIXELS = 4_000_000
"""Of the maps that are kept open; with sums and relative depths each pixel takes about 25 bytes."""
_opened: dict[StoredDepth, DepthMap] = {}


def keep(stored: StoredDepth, depth: DepthMap) -> None:
    """Let `depth` be the map that `stored` opens to."""
    depth.__dict__["stored"] = stored
    _opened.pop(stored, None)
    _opened[stored] = depth
    while len(_opened) > 1 and sum(kept.valid.size for kept in list(_opened.values())) > KEPT_PIXELS:
        _opened.pop(next(iter(_opened)), None)


def store(depth: DepthMap) -> StoredDepth:
    """`DepthMap.stored`."""
    levels, meta = _to_levels(depth)
    stored = StoredDepth(png_bytes(levels), meta)
    keep(stored, from_levels(levels, meta))
    return stored


def encode_depth(depth: DepthMap) -> tuple[bytes, dict[str, Any]]:
    """A depth map as a 16-bit PNG (level 0 = not valid) and the sidecar that says what the levels mean.

    Depth = offset + level * scale; exact to half a `scale`, which is 1/65534 of the range. A map that comes from such
    a file is that file, unchanged.
    """
    return depth.stored.png, dict(depth.stored.meta)


def _to_levels(depth: DepthMap) -> tuple[NDArray[np.uint16], dict[str, Any]]:
    found = depth.values[depth.valid]
    low, high = (
        (0.0, 1.0) if not depth.metric else (float(found.min()), float(found.max())) if found.size else (0.0, 1.0)
    )
    scale = (high - low) / (LEVELS - 1) or 1.0
    levels = np.where(depth.valid, np.rint((depth.values.astype(np.float64) - low) / scale) + 1, 0).astype(np.uint16)
    return levels, meaning("metric" if depth.metric else "relative", scale, low - scale)


def meaning(kind: str, scale: float, offset: float) -> dict[str, Any]:
    """The sidecar of levels whose depth is offset + level * scale."""
    return {
        "schema": 1,
        "kind": kind,
        "scale": scale,
        "offset": offset,
        "polarity": "far_is_large",
        "invalid": 0,
    }


def decode_depth(png: bytes, meta: Mapping[str, Any]) -> DepthMap:
    """Inverse of `encode_depth`."""
    levels = np.asarray(Image.open(io.BytesIO(png)))
    return from_levels(levels, meta)


def write_depth(depth: DepthMap, path: str | Path) -> None:
    """Store a depth map as `path` (16-bit PNG) with the sidecar `path` + `.json`."""
    png, meta = encode_depth(depth)
    Path(path).write_bytes(png)
    Path(f"{path}.json").write_text(json.dumps(meta))


def from_levels(levels: NDArray[Any], meta: Mapping[str, Any]) -> DepthMap:
    """The map of the levels of a file. Raises `ValueError` and `KeyError` for a sidecar that is none."""
    if meta["polarity"] not in ("far_is_large", "near_is_large") or meta["kind"] not in KINDS:
        raise ValueError(f"polarity {meta['polarity']!r}, kind {meta['kind']!r}")
    metric, near_is_large = meta["kind"] == "metric", meta["polarity"] == "near_is_large"
    valid = levels != meta["invalid"]
    rising = meta["scale"] > 0 and 0 <= meta["invalid"] <= LEVELS
    if levels.ndim != 2 or levels.dtype != np.uint16 or near_is_large or not rising:
        values = meta["offset"] + levels.astype(np.float64) * meta["scale"]
        if near_is_large:
            return DepthMap.from_disparity(values, valid)
        return DepthMap(values if metric else values.clip(0, 1), valid, metric)
    table = meta["offset"] + np.arange(LEVELS + 1, dtype=np.float64) * meta["scale"]
    table = (table if metric else table.clip(0, 1)).astype(np.float32)
    if not np.isfinite(table).all():
        raise ValueError(f"scale {meta['scale']}, offset {meta['offset']}")
    return LevelsMap(levels, table, meta["invalid"], metric)
