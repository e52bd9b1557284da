"""Depth maps: one class, readers of the encodings in use, and the protocol of estimators.

Inside the package larger is always farther. Disparity (large = near) is turned over at the edge, by the
reader that knows its source. Metric depth keeps metres and a mask of valid pixels; traces use relative
depth, 0 nearest and 1 farthest, which `DepthMap.relative` derives. Color pictures of depth are for people and
for the model's second image (`draw.depth_picture`) and are never read back.

Sources: TRAINING facts on the SUN RGB-D bit rotation, TUM 1/5000 m, KITTI 1/256 m come from those data sets'
own documentation.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from .errors import InputError
from .geometry import Box, Size
from .lookup import pick
from .png import png_bytes

CLIP = 0.005
"""Share of pixels at either end that may leave the range of relative depth, so that no noisy pixel sets it."""

KINDS = ("metric", "relative")

LEVELS = 65535
"""Levels of the 16-bit PNG in which depth maps are stored."""


@dataclass(frozen=True, eq=False)
class DepthMap:
    """Depth of every pixel of a photo; larger is farther.

    values: float32, shape (height, width). Metres if `metric`, else relative: 0 nearest, 1 farthest.
    valid: bool, same shape; where False, `values` means nothing (stored as 0).
    metric: whether values are metres.

    Raises `ValueError` for other shapes, for valid values that are not finite, and for relative values
    outside of [0, 1].
    """

    values: NDArray[np.float32]
    valid: NDArray[np.bool_]
    metric: bool = False
    _levels: ClassVar[_Levels | None] = None

    def __init__(self, values: ArrayLike, valid: ArrayLike | None = None, metric: bool = False) -> None:
        array = np.asarray(values, dtype=np.float32)
        mask = np.isfinite(array) if valid is None else np.asarray(valid, dtype=bool)
        if array.ndim != 2 or array.shape != mask.shape:
            raise ValueError(
                f"depth needs shape (height, width) and a mask of that shape, got {array.shape}, {mask.shape}"
            )
        array = np.where(mask, array, np.float32(0))
        if not np.isfinite(array).all():
            raise ValueError("depth has valid pixels that are not finite")
        if not metric and array.size and not (array.min() >= 0 and array.max() <= 1):
            raise ValueError(f"relative depth lies in [0, 1], got [{array.min()}, {array.max()}]; is it metric?")
        for name, value in (("values", array), ("valid", mask), ("metric", metric)):
            object.__setattr__(self, name, value)

    @classmethod
    def from_disparity(cls, disparity: ArrayLike, valid: ArrayLike | None = None) -> DepthMap:
        """Relative depth from disparity or inverse depth of unknown scale (large = near), as most estimators give.

        Linear in disparity, as in the released code: depth = (max - d) / (max - min).
        """
        d = np.asarray(disparity, dtype=np.float32)
        mask = np.isfinite(d) if valid is None else np.asarray(valid, dtype=bool)
        return cls(_unit_range(-np.where(mask, d, 0), mask), mask)

    @property
    def size(self) -> Size:
        """(width, height) in pixels."""
        return self.valid.shape[1], self.valid.shape[0]

    def relative(self) -> DepthMap:
        """Relative depth, linear in metres between the nearest and the farthest valid pixels (see `CLIP`)."""
        return self if not self.metric else self._relative

    @cached_property
    def _relative(self) -> DepthMap:
        if (levels := self._levels) is None:
            return DepthMap(_unit_range(self.values, self.valid), self.valid)
        table, invalid = levels.table, levels.invalid
        counts = np.bincount(levels.numbers.ravel(), minlength=table.size)
        counts[invalid] = 0
        ends = _clip_ends(table, counts)
        relative = _between(table, *ends) if ends else np.zeros_like(table)
        return DepthMap._of_levels(_Levels(levels.numbers, relative, invalid), self.valid, metric=False)

    @classmethod
    def _of_levels(cls, levels: _Levels, valid: NDArray[np.bool_], metric: bool) -> DepthMap:
        """A map whose pixels are numbers of a table that is known to hold valid depths only."""
        depth = object.__new__(cls)
        depth.__dict__.update(valid=valid, metric=metric, _levels=levels)
        return depth

    def __getattr__(self, name: str) -> Any:
        """`values` of a map of levels, when they are first asked for: often only relative ones are."""
        if name != "values" or self._levels is None:
            raise AttributeError(f"a depth map has no {name!r}")
        self.__dict__["values"] = values = self.map_values(lambda depths: depths)
        return values

    def map_values(self, function: Callable[[NDArray[np.float32]], NDArray[Any]]) -> NDArray[Any]:
        """`function` of all values, 0 where there is none; of no more than 65,536 of them where the map was stored.

        function: gives each depth of an array of any shape a number.
        """
        if self._levels is None:
            return np.where(self.valid, function(self.values), 0)
        table = function(self._levels.table).copy()
        table[self._levels.invalid] = 0
        return table.take(self._levels.numbers)

    @cached_property
    def _integral(self) -> tuple[NDArray[np.int64], NDArray[np.int32] | None, float]:
        """Summed-area tables of values and of validity (None where all pixels are), shape (height + 1, width + 1).

        Values are whole numbers of the last item, at most 2^30 of it, so finer than float32 is at the largest of them:
        then sums are exact, and made in a third of the time.
        """
        largest = float(abs(self.values).max(initial=0)) if self.metric else 1.0
        unit = float(np.spacing(np.float32(largest))) / 2**6

        def numbers(depths: NDArray[np.float32]) -> NDArray[np.int32]:
            return np.rint(depths.clip(-largest, largest).astype(np.float64) / unit).astype(np.int32)

        sums = _summed(self.map_values(numbers), np.int64)
        return sums, None if self.valid.all() else _summed(self.valid, np.int32), unit

    @cached_property
    def stored(self) -> StoredDepth:
        """The map as data sets keep it. Opened, it is this map to half a level of 65534 (see `encode_depth`)."""
        levels, meta = _to_levels(self)
        stored = StoredDepth(png_bytes(levels), meta)
        _keep(stored, _from_levels(levels, meta))
        return stored

    def box_mean(self, box: Box) -> float | None:
        """Mean over the valid pixels that `box` touches, in O(1); None when there is none."""
        left, top, right, bottom = box.pixel_bounds(self.size)
        sums, counts, unit = self._integral
        count = (right - left) * (bottom - top)
        if counts is not None:
            count = int(counts[bottom, right] - counts[top, right] - counts[bottom, left] + counts[top, left])
        if count == 0:
            return None
        total = unit * int(sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left])
        low, high = (0.0, 1.0) if not self.metric else (float(self.values.min()), float(self.values.max()))
        return min(max(total / count, low), high)

    def resized(self, size: Size) -> DepthMap:
        """The map at another size (nearest pixel: depths are never blended across edges)."""
        if size == self.size:
            return self
        rows = ((np.arange(size[1]) + 0.5) * self.size[1] / size[1]).astype(int)
        columns = ((np.arange(size[0]) + 0.5) * self.size[0] / size[0]).astype(int)
        pick = np.ix_(rows, columns)
        return DepthMap(self.values[pick], self.valid[pick], self.metric)


@dataclass(frozen=True, eq=False)
class _Levels:
    """The pixels of a map as numbers of a table of 65,536 depths: what is done to depths is done to the table alone.

    numbers: uint16, shape (height, width). table: float32, shape (65536,), rising. invalid: the number of no depth.
    """

    numbers: NDArray[np.uint16]
    table: NDArray[np.float32]
    invalid: int


def _summed(values: NDArray[Any], kind: type) -> NDArray[Any]:
    height, width = values.shape
    sums = np.zeros((height + 1, width + 1), kind)
    sums[1:, 1:] = values
    # Row by row: numpy's accumulate along the first axis, and one that changes the type, take thrice the time.
    for above, row in pairwise(sums):
        row += above
    return sums.cumsum(axis=1, out=sums)


def _unit_range(values: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    if not valid.any():
        return np.zeros_like(values, dtype=np.float32)
    low, high = np.quantile(values[valid], [CLIP, 1 - CLIP])
    if high <= low:
        low, high = values[valid].min(), values[valid].max()
    return np.where(valid, _between(values, low, high), 0).astype(np.float32)


def _between(values: NDArray[np.float32], low: Any, high: Any) -> NDArray[np.float32]:
    """Where values lie from `low` to `high`, in [0, 1]."""
    scaled = (values - low) / (high - low) if high > low else np.zeros_like(values)
    return scaled.clip(0, 1).astype(np.float32)


def _clip_ends(table: NDArray[np.float32], counts: NDArray[np.int64]) -> tuple[Any, Any] | None:
    """The ends of `_unit_range` of values that are as often in a rising table as `counts` says; None for no value.

    The quantiles are those of np.quantile, bit by bit.
    """
    until = counts.cumsum()
    total = int(until[-1])
    if total == 0:
        return None
    ends = []
    for place in np.array([CLIP, 1 - CLIP]) * (total - 1):
        first = int(place)
        a, b = table[np.searchsorted(until, [first, min(first + 1, total - 1)], side="right")]
        share = place - first
        # From the nearer of both, as numpy does.
        ends.append(a + (b - a) * share if share < 0.5 else b - (b - a) * (1 - share))
    low, high = ends
    if high <= low:
        used = np.flatnonzero(counts)
        low, high = table[used[0]], table[used[-1]]
    return low, high


# --- storage: 16-bit PNG, with what the levels mean beside it ------------------------------------------------------


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
                raise InputError(f"{self.name}: cannot be read as depth ({error})") from error
        _keep(self, depth)
        return depth


KEPT_PIXELS = 4_000_000
"""Of the maps that are kept open; with sums and relative depths each pixel takes about 25 bytes."""
_opened: dict[StoredDepth, DepthMap] = {}


def _keep(stored: StoredDepth, depth: DepthMap) -> None:
    depth.__dict__["stored"] = stored
    _opened.pop(stored, None)
    _opened[stored] = depth
    while len(_opened) > 1 and sum(kept.valid.size for kept in list(_opened.values())) > KEPT_PIXELS:
        _opened.pop(next(iter(_opened)), None)


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
    return levels, _meaning("metric" if depth.metric else "relative", scale, low - scale)


def _meaning(kind: str, scale: float, offset: float) -> dict[str, Any]:
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
    return _from_levels(levels, meta)


def write_depth(depth: DepthMap, path: str | Path) -> None:
    """Store a depth map as `path` (16-bit PNG) with the sidecar `path` + `.json`."""
    png, meta = encode_depth(depth)
    Path(path).write_bytes(png)
    Path(f"{path}.json").write_text(json.dumps(meta))


def _from_levels(levels: NDArray[Any], meta: Mapping[str, Any]) -> DepthMap:
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
    return DepthMap._of_levels(_Levels(levels, table, meta["invalid"]), valid, metric)


# --- readers of the encodings in use -------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Scaled:
    """Metres as whole numbers of `scale` metres, 0 for none."""

    scale: float

    def __call__(self, raw: NDArray[Any]) -> DepthMap:
        if raw.dtype == np.uint16:
            return _from_levels(raw, self.meta)
        return DepthMap(raw.astype(np.float64) * self.scale, raw > 0, metric=True)

    @property
    def meta(self) -> dict[str, Any]:
        """What the levels of such a file mean in the words of a sidecar."""
        return _meaning("metric", self.scale, 0.0)


def _sun(raw: NDArray[Any]) -> DepthMap:
    """SUN RGB-D rotates the bits of its millimetres by three."""
    bits = raw.astype(np.uint16)
    return _Scaled(0.001)((bits >> 3) | (bits << 13))


def _metres(raw: NDArray[Any]) -> DepthMap:
    return DepthMap(raw, np.isfinite(raw) & (raw > 0), metric=True)


def _relative_far(raw: NDArray[Any]) -> DepthMap:
    return DepthMap(raw, np.isfinite(raw))


ENCODINGS: dict[str, Callable[[NDArray[Any]], DepthMap]] = {
    "mm": _Scaled(0.001),
    "tum": _Scaled(1 / 5000),
    "kitti": _Scaled(1 / 256),
    "sun": _sun,
    "metres": _metres,
    "millimetres": _Scaled(0.001),
    "relative": _relative_far,
    "disparity": lambda raw: DepthMap.from_disparity(raw, np.isfinite(raw) & (raw > 0)),
}
"""What stored numbers mean. mm (or millimetres), tum, kitti, sun: 16-bit, 0 = no value. Others: floats;
relative has 0 nearest."""


def read_depth(path: str | Path, encoding: str | None = None) -> DepthMap:
    """Read a depth map: 16-bit PNG, PGM or TIFF, EXR, or NPY.

    encoding: a key of `ENCODINGS`. None: what the sidecar (`write_depth`) says; without a sidecar, floating-point
    files are metres, and integer files are refused because their scale cannot be known.

    Raises `InputError` for missing or unreadable files, 8-bit pictures, and unknown encodings.
    """
    path = Path(path)
    raw, png = _read_raw(path)
    sidecar = Path(f"{path}.json")
    if encoding is None and sidecar.exists():
        try:
            meta = json.loads(sidecar.read_text())
            return _with_file(_from_levels(raw, meta), png, meta)
        except (KeyError, ValueError, TypeError) as error:
            raise InputError(f"{sidecar}: not the sidecar of a depth map ({error!r})") from error
    if encoding is None and raw.dtype.kind == "f":
        encoding = "metres"
    if encoding is None:
        raise InputError(
            f"{path}: a 16-bit depth file does not say what its levels mean; name the encoding "
            f"({', '.join(ENCODINGS)}), for example --depth-encoding mm, or put a sidecar {sidecar.name} beside it"
        )
    try:
        decode = pick("depth encoding", encoding, ENCODINGS)
        return _with_file(decode(raw), png, decode.meta if isinstance(decode, _Scaled) else {})
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error


def read_stored(path: str | Path, encoding: str | None = None) -> StoredDepth:
    """`read_depth` for data sets. A file that is a stored map is not decoded: damage shows when it is opened."""
    path, sidecar = Path(path), Path(f"{path}.json")
    try:
        content = path.read_bytes()
        decode = ENCODINGS.get(encoding or "")
        meta = decode.meta if isinstance(decode, _Scaled) else {} if encoding else json.loads(sidecar.read_bytes())
        with Image.open(io.BytesIO(content)) as image:
            if (image.format, image.mode) == ("PNG", "I;16") and (kept := _kept(meta)):
                return StoredDepth(content, kept, str(path))
    except (OSError, SyntaxError, ValueError):
        pass  # `read_depth` says what is wrong
    return read_depth(path, encoding).stored


def _kept(meta: Any) -> dict[str, Any] | None:
    """What levels mean, for a file that is what `encode_depth` would make of it; None for others."""
    try:
        rising = meta["scale"] > 0 and math.isfinite(meta["offset"] + LEVELS * meta["scale"])
        if rising and (meta["polarity"], meta["invalid"]) == ("far_is_large", 0) and meta["kind"] in KINDS:
            return _meaning(meta["kind"], meta["scale"], meta["offset"])
    except (KeyError, TypeError):
        pass
    return None


def _with_file(depth: DepthMap, png: bytes | None, meta: Mapping[str, Any]) -> DepthMap:
    """The map with the file that it comes from, where that is kept as it is."""
    if png is not None and depth._levels is not None and (kept := _kept(meta)):
        _keep(StoredDepth(png, kept), depth)
    return depth


def _read_raw(path: Path) -> tuple[NDArray[Any], bytes | None]:
    """The numbers of a file, and its bytes if it is a PNG."""
    png = None
    if not path.exists():
        raise InputError(f"{path}: no such depth file")
    try:
        match path.suffix.lower():
            case ".npy":
                raw = np.load(path, allow_pickle=False)
            case ".exr":
                raw = _read_exr(path)
            case _:
                content = path.read_bytes()
                image = Image.open(io.BytesIO(content))
                png = content if image.format == "PNG" else None
                if image.mode not in ("I;16", "I;16B", "I", "F"):
                    raise InputError(
                        f"{path}: a {image.mode} picture with 8 bits is a photo or a colored depth map; "
                        "depth needs 16-bit PNG/PGM, EXR or NPY"
                    )
                raw = np.asarray(image)
    except InputError:
        raise
    except (OSError, EOFError, ValueError, SyntaxError, RuntimeError) as error:  # OpenEXR raises RuntimeError
        raise InputError(f"{path}: cannot be read as depth ({error})") from error
    if raw.ndim != 2 or raw.dtype.kind not in "iuf":
        raise InputError(f"{path}: depth needs one number a pixel, got shape {raw.shape} of {raw.dtype}")
    return raw, png


def _read_exr(path: Path) -> NDArray[Any]:
    try:
        import OpenEXR
    except ImportError as error:
        raise InputError(f"{path}: reading EXR needs OpenEXR: pip install 'sifthinker[exr]'") from error
    with OpenEXR.File(str(path)) as file:
        channels = file.channels()
        name = next((n for n in ("Z", "Y", "R", "V") if n in channels), None)
        if name is None:
            # OpenEXR joins R, G, B into one channel of shape (height, width, 3); depth renders repeat it three times.
            pixels = next(iter(channels.values())).pixels
            return pixels[..., 0] if pixels.ndim == 3 else pixels
        return channels[name].pixels


# --- points of a sensor --------------------------------------------------------------------------------------------


def project_points(points: NDArray[Any], matrix: NDArray[Any], size: Size) -> DepthMap:
    """A sparse metric depth map: the nearest of the points that fall on each pixel.

    points: shape (n, 3). matrix: shape (3, 3) or (3, 4), maps a point to (u * d, v * d, d), with d metres from the
    camera along its forward axis.
    """
    linear, offset = matrix[:, :3], matrix[:, 3:].sum(axis=1, keepdims=True)
    u, v, d = linear @ points.T.astype(np.float64) + offset
    front = d > 1e-6
    d = d[front]
    columns, rows = np.floor(u[front] / d).astype(int), np.floor(v[front] / d).astype(int)
    width, height = size
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    values = np.full((height, width), np.inf)
    np.minimum.at(values, (rows[inside], columns[inside]), d[inside])
    return DepthMap(values, np.isfinite(values), metric=True)


# --- estimators ----------------------------------------------------------------------------------------------------


class DepthEstimator(Protocol):
    """Photo -> relative depth map of the photo's size."""

    def __call__(self, photo: Image.Image, /) -> DepthMap: ...
