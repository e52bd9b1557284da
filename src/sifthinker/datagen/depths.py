"""Where a sample's depth map comes from: the source, a folder of depth files, an estimator, or nowhere."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from ..depth import ENCODINGS, DepthMap, read_depth
from ..errors import InputError
from ..lookup import pick
from ..sample import Sample
from .files import DEPTH_SUFFIXES, FileIndex, RowError, photo_size

AddDepth = Callable[[Sample], Sample]
"""Gives a sample its depth map. Raises `RowError` where a row has none."""


def load_depth(path: Path, encoding: str | None) -> DepthMap:
    """Read a depth file. Raises `RowError`: `depth_missing`, `depth_encoding_unknown`, `depth_unreadable`."""
    if not path.exists():
        raise RowError("depth_missing", f"{path}: no such depth file")
    if encoding is not None and encoding not in list(ENCODINGS):
        raise RowError("depth_encoding_unknown", f"{encoding!r} is none of {', '.join(ENCODINGS)}")
    if encoding is None and not Path(f"{path}.json").exists() and path.suffix.lower() not in (".npy", ".exr"):
        raise RowError("depth_encoding_unknown", f"{path} does not say what its levels mean; name its encoding")
    times = tuple(file.stat().st_mtime_ns if file.exists() else 0 for file in (path, Path(f"{path}.json")))
    try:
        return _read(path, encoding, times)
    except InputError as error:
        raise RowError("depth_unreadable", str(error)) from error


@lru_cache(maxsize=2)
def _read(path: Path, encoding: str | None, times: tuple[int, ...]) -> DepthMap:
    """Rows about one photo follow each other."""
    return read_depth(path, encoding)


def depth_adder(depth: str, encoding: str | None) -> AddDepth:
    """What `--depth` stands for.

    source: what the source gave. none: no depth. A folder: the file with the photo's name in it, read by `encoding` or
    its sidecar. Anything else is the name of a depth estimator (`auto`, a hub id).
    Raises `InputError` for unknown encodings and for estimators that cannot be loaded.
    """
    if encoding is not None:
        pick("depth encoding", encoding, ENCODINGS)
    if depth == "source":
        return lambda sample: sample
    if depth == "none":
        return lambda sample: replace(sample, depth=None)
    if Path(depth).is_dir():
        return _FromFolder(FileIndex(depth, DEPTH_SUFFIXES), encoding)
    from ..engines.estimator import open_estimator

    estimate = open_estimator(depth)
    return _PerPhoto(lambda sample: replace(sample, depth=estimate(sample.photo())))


class _FromFolder:
    def __init__(self, files: FileIndex, encoding: str | None) -> None:
        self.files, self.encoding = files, encoding

    def __call__(self, sample: Sample) -> Sample:
        name = sample.image if isinstance(sample.image, (str, Path)) else sample.meta.get("photo")
        if name is None:
            raise RowError("depth_missing", "the photo has no file name by which to find its depth file")
        depth = load_depth(self.files.find_stem(Path(name)), self.encoding)
        size = photo_size(Path(sample.image)) if isinstance(sample.image, (str, Path)) else sample.photo().size
        if depth.size != size:
            raise RowError("size_mismatch", f"depth map is {depth.size[0]}x{depth.size[1]}, photo {size[0]}x{size[1]}")
        return replace(sample, depth=depth)


class _PerPhoto:
    """Remembers the depth maps of the last photos: rows about one photo usually follow each other."""

    KEEP = 8

    def __init__(self, add: AddDepth) -> None:
        self.add = add
        self._last: OrderedDict[str, DepthMap | None] = OrderedDict()

    def __call__(self, sample: Sample) -> Sample:
        key = str(sample.image) if isinstance(sample.image, (str, Path)) else sample.id
        if key in self._last:
            return replace(sample, depth=self._last[key])
        added = self.add(sample)
        self._last[key] = added.depth_map()
        if len(self._last) > self.KEEP:
            self._last.popitem(last=False)
        return added


def as_stored(sample: Sample) -> Sample:
    """The sample with its depth map as a data set keeps it (16 bits a pixel): gold depths are those of the set."""
    depth = sample.depth_map()
    return sample if depth is None else replace(sample, depth=depth.stored)
