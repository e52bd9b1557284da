"""Readers of depth files in the encodings in use.

Sources: the documentation of SUN RGB-D (millimetres, bits rotated by three), TUM (1/5000 m) and KITTI (1/256 m).
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import InputError, words_of
from ..lookup import pick
from .levels import LevelsMap
from .map import DepthMap
from .stored import KINDS, LEVELS, StoredDepth, from_levels, keep, meaning


@dataclass(frozen=True)
class _Scaled:
    """Metres as whole numbers of `scale` metres, 0 for none."""

    scale: float

    def __call__(self, raw: NDArray[Any]) -> DepthMap:
        if raw.dtype == np.uint16:
            return from_levels(raw, self.meta)
        return DepthMap(raw.astype(np.float64) * self.scale, raw > 0, metric=True)

    @property
    def meta(self) -> dict[str, Any]:
        """What the levels of such a file mean in the words of a sidecar."""
        return meaning("metric", self.scale, 0.0)


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

    encoding: a key of `ENCODINGS`. None: what the sidecar (`write_depth`) says; a file without one is refused, since
    its numbers may be of any scale, and floating-point ones metres as well as disparity.

    Raises `InputError` for missing or unreadable files, 8-bit pictures, unknown encodings, and an encoding that the
    sidecar contradicts.
    """
    path = Path(path)
    raw, png = _read_raw(path)
    sidecar = Path(f"{path}.json")
    if encoding is None and sidecar.exists():
        return _by_sidecar(raw, png, sidecar)
    if encoding is None:
        raise InputError(
            f"{path}: a depth file does not say what its numbers mean; name the encoding ({', '.join(ENCODINGS)}), for "
            f"example --depth-encoding {_example(raw)}, or put a sidecar {sidecar.name} beside it"
        )
    try:
        decode = pick("depth encoding", encoding, ENCODINGS)
        depth = _with_file(decode(raw), png, decode.meta if isinstance(decode, _Scaled) else {})
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error
    if sidecar.exists() and _contradicts(sidecar, raw, depth):
        raise InputError(
            f"{path}: read as {encoding}, it is another map than its sidecar {sidecar.name} says; leave the encoding "
            "out, or the sidecar"
        )
    return depth


def _example(raw: NDArray[Any]) -> str:
    return "metres" if raw.dtype.kind == "f" else "mm"


def _by_sidecar(raw: NDArray[Any], png: bytes | None, sidecar: Path) -> DepthMap:
    try:
        meta = json.loads(sidecar.read_text())
        return _with_file(from_levels(raw, meta), png, meta)
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"{sidecar}: not the sidecar of a depth map ({error!r})") from error


def _contradicts(sidecar: Path, raw: NDArray[Any], depth: DepthMap) -> bool:
    """Whether a sidecar says another map than `depth`. JSON of something else says nothing."""
    try:
        told = _by_sidecar(raw, None, sidecar)
    except InputError:
        return False
    same = np.array_equal(told.valid, depth.valid) and np.array_equal(told.values, depth.values)
    return told.metric != depth.metric or not same


def read_stored(path: str | Path, encoding: str | None = None) -> StoredDepth:
    """`read_depth` for data sets. A file that is a stored map is not decoded: damage shows when it is opened."""
    path, sidecar = Path(path), Path(f"{path}.json")
    if encoding is not None and sidecar.exists():
        return read_depth(path, encoding).stored  # which compares the two
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
            return meaning(meta["kind"], float(meta["scale"]), float(meta["offset"]))
    except (KeyError, TypeError):
        pass
    return None


def _with_file(depth: DepthMap, png: bytes | None, meta: Mapping[str, Any]) -> DepthMap:
    """The map with the file that it comes from, where that is kept as it is."""
    if png is not None and isinstance(depth, LevelsMap) and (kept := _kept(meta)):
        keep(StoredDepth(png, kept), depth)
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
        raise InputError(f"{path}: cannot be read as depth ({words_of(error)})") from error
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
