"""Where a sample's depth map comes from: the source, a folder of depth files, an estimator, or nowhere."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image

from ..depth import ENCODINGS, DepthEstimator, DepthMap, StoredDepth, read_depth, read_stored
from ..errors import InputError
from ..lookup import pick
from ..records import atomic_write, digest, disk_errors
from ..sample import Sample
from .files import DEPTH_SUFFIXES, FileIndex, RowError, photo_size

Row = TypeVar("Row")
Found = TypeVar("Found", DepthMap, StoredDepth)


@dataclass(frozen=True)
class AddDepth:
    """Gives a sample its depth map: `add`, which raises `RowError` where a row has none.

    ahead: is told of the samples that come next, `batch` at a time, where it is cheaper to get many maps at once.
    forget: drops the maps that are remembered, where those that are made together differ by rounding.
    """

    add: Callable[[Sample], Sample]
    ahead: Callable[[Sequence[Sample]], None] | None = None
    batch: int = 1
    forget: Callable[[], None] = lambda: None

    def __call__(self, sample: Sample, /) -> Sample:
        return self.add(sample)

    def told(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The same rows, each after `ahead` was told of its batch. What goes together depends on these rows alone."""
        self.forget()
        if self.ahead is None:
            yield from rows
            return
        rows = iter(rows)
        while waiting := deque(islice(rows, self.batch)):
            self.ahead([row for row in waiting if isinstance(row, Sample)])
            while waiting:
                yield waiting.popleft()


def load_depth(path: Path, encoding: str | None) -> DepthMap:
    """Read a depth file. Raises `RowError`: `depth_missing`, `depth_encoding_unknown`, `depth_unreadable`."""
    return _load(read_depth, path, encoding)


def load_stored(path: Path, encoding: str | None) -> StoredDepth:
    """`load_depth` for rows, whose maps are opened only when their turn comes; damage may show only then."""
    return _load(read_stored, path, encoding)


def _load(read: Callable[[Path, str | None], Found], path: Path, encoding: str | None) -> Found:
    if not path.exists():
        raise RowError("depth_missing", f"{path}: no such depth file")
    if encoding is not None and encoding not in list(ENCODINGS):
        raise RowError("depth_encoding_unknown", f"{encoding!r} is none of {', '.join(ENCODINGS)}")
    sidecar = Path(f"{path}.json")
    if encoding is None and not sidecar.exists():
        raise RowError(
            "depth_encoding_unknown",
            f"{path} does not say what its numbers mean; name its encoding ({', '.join(ENCODINGS)}), for example "
            f"--depth-encoding mm, or put a sidecar {sidecar.name} beside it",
        )
    times = tuple(file.stat().st_mtime_ns if file.exists() else 0 for file in (path, sidecar))
    try:
        return _last_read(read, path, encoding, times)
    except InputError as error:
        raise RowError("depth_unreadable", str(error)) from error


@lru_cache(maxsize=2)
def _last_read(
    read: Callable[[Path, str | None], Any], path: Path, encoding: str | None, times: tuple[int, ...]
) -> Any:
    """Rows about one photo follow each other."""
    return read(path, encoding)


def depth_kind(depth: str) -> str:
    """What `--depth` stands for: `source`, `none`, `folder` (of depth files) or `model`."""
    if depth in ("source", "none"):
        return depth
    return "folder" if Path(depth).is_dir() and not (Path(depth) / "config.json").exists() else "model"


def depth_adder(depth: str, encoding: str | None, cache: Path | None = None) -> AddDepth:
    """What `--depth` stands for.

    source: what the source gave. none: no depth. A folder: the file with the photo's name in it, read by `encoding` or
    its sidecar. Anything else is the name of a depth estimator (`auto`, a hub id, a folder with a `config.json`), whose
    maps are kept in `cache`.

    Raises `InputError` for unknown encodings and for estimators that cannot be loaded, or be told apart in a cache.
    """
    if encoding is not None:
        pick("depth encoding", encoding, ENCODINGS)
    match depth_kind(depth):
        case "source":
            return AddDepth(lambda sample: sample)
        case "none":
            return AddDepth(lambda sample: replace(sample, depth=None))
        case "folder":
            return AddDepth(_FromFolder(FileIndex(depth, DEPTH_SUFFIXES), encoding))
    from ..engines.estimator import open_estimator

    estimate = open_estimator(depth)
    identity = getattr(estimate, "identity", None)
    if cache is not None and identity is None:
        raise InputError(
            f"depth estimator {depth!r}: has no `identity` (its name and version) by which --depth-cache could tell "
            "its maps from others; add one, or leave the cache out"
        )
    estimated = _Estimated(estimate, None if cache is None else DepthCache(cache, str(identity)))
    if estimated.batch == 1:
        return AddDepth(estimated)
    return AddDepth(estimated, estimated.ahead, estimated.batch, estimated.forget)


class _FromFolder:
    def __init__(self, files: FileIndex, encoding: str | None) -> None:
        self.files, self.encoding = files, encoding

    def __call__(self, sample: Sample) -> Sample:
        name = sample.image if isinstance(sample.image, (str, Path)) else sample.meta.get("photo")
        if name is None:
            raise RowError("depth_missing", "the photo has no file name by which to find its depth file")
        depth = load_stored(self.files.find_stem(Path(name)), self.encoding)
        size = photo_size(Path(sample.image)) if isinstance(sample.image, (str, Path)) else sample.photo().size
        if depth.size != size:
            raise RowError("size_mismatch", f"depth map is {depth.size[0]}x{depth.size[1]}, photo {size[0]}x{size[1]}")
        return replace(sample, depth=depth)


class _Estimated:
    """The maps of an estimator, by the content of the photo.

    The last ones are remembered, as they are stored: rows about one photo usually follow each other.
    """

    def __init__(self, estimate: DepthEstimator, cache: DepthCache | None) -> None:
        self.estimate, self.cache = estimate, cache
        self.batch = getattr(estimate, "batch_size", 1)
        self.keep = 64 + self.batch
        self._last: dict[str, StoredDepth | InputError] = {}

    def __call__(self, sample: Sample) -> Sample:
        key = self._key(sample)
        if self._known(key) is None:
            self._make({key: sample.photo()})
        found = self._known(key)
        if not isinstance(found, StoredDepth):
            raise RowError("depth_not_estimated", str(found))
        return replace(sample, depth=found)

    def ahead(self, samples: Sequence[Sample]) -> None:
        """Make the maps that are not there yet, all at once. Photos that cannot be read are left to be found later."""
        photos: dict[str, Image.Image] = {}
        for sample in samples:
            try:
                key = self._key(sample)
                if sample.image is not None and key not in photos and self._known(key) is None:
                    photos[key] = sample.photo()
            except (OSError, InputError):
                continue
        if photos:
            self._make(photos)

    def forget(self) -> None:
        """Make no map known that was made before, but for those of the cache."""
        self._last.clear()

    def _key(self, sample: Sample) -> str:
        return digest(sample.photo_data()).hex()

    def _known(self, key: str) -> StoredDepth | InputError | None:
        if key not in self._last and self.cache is not None and (stored := self.cache.get(key)) is not None:
            self._remember(key, stored)
        return self._last.get(key)

    def _make(self, photos: Mapping[str, Image.Image]) -> None:
        many = getattr(self.estimate, "batch", None)
        found = many(list(photos.values())) if many else [self.estimate(photo) for photo in photos.values()]
        for key, made in zip(photos, found, strict=True):
            if isinstance(made, DepthMap):
                if self.cache is not None:
                    self.cache.put(key, made.stored)
                self._remember(key, made.stored)
            else:
                self._remember(key, made)

    def _remember(self, key: str, found: StoredDepth | InputError) -> None:
        self._last[key] = found
        while len(self._last) > self.keep:
            del self._last[next(iter(self._last))]


class DepthCache:
    """Depth maps of an estimator in a folder: FOLDER/IDENTITY/ab/abcd....png, as `write_depth` writes them.

    A file appears whole or not at all, several builds may share the folder, and what was damaged counts as not there.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        self.folder = folder / re.sub(r"[^\w.@-]+", "--", identity)

    def get(self, key: str) -> StoredDepth | None:
        path = self._path(key)
        try:
            png, told = path.read_bytes(), json.loads(Path(f"{path}.json").read_bytes())
            stored = StoredDepth(png, {name: told[name] for name in told if name != "digest"})
            return stored if told["digest"] == digest(png).hex() else None
        except (OSError, ValueError, LookupError, TypeError):
            return None

    def put(self, key: str, stored: StoredDepth) -> None:
        """Raises `InputError` on a full disk."""
        path = self._path(key)
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, stored.png)
        atomic_write(f"{path}.json", json.dumps({**stored.meta, "digest": digest(stored.png).hex()}))

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.png"


def as_stored(sample: Sample) -> Sample:
    """The sample with its depth map as a data set keeps it (16 bits a pixel): gold depths are those of the set.

    Raises `RowError` `depth_unreadable` where it is damaged.
    """
    try:
        depth = sample.depth_map()
    except InputError as error:
        raise RowError("depth_unreadable", str(error)) from error
    return sample if depth is None else replace(sample, depth=depth.stored)
