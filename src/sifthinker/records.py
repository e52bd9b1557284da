"""Files: JSON lines, atomic writes, and the rows and Parquet shards of data sets.

A data set is a folder of `data-00000.parquet`, ... beside `manifest.json`, `rejects.jsonl`, a card and a contact
sheet. A row carries everything that training needs (prompt, completion, pictures) and everything that rewards need
(answer, boxes, depth), so a folder can be moved and read by itself, also by `datasets.load_dataset`. How rows are
made is `datagen`'s business.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO

from PIL import Image

from .depth import StoredDepth, decode_depth
from .draw import SHADES, depth_shades
from .errors import InputError, words_of
from .geometry import Box, Size
from .png import png_bytes
from .prompt import build_prompt
from .sample import ORIENTATION, Sample, open_photo, parse_reply
from .trace import Trace, format_trace

if TYPE_CHECKING:
    import pyarrow
    import pyarrow.parquet

SCHEMA = 1
"""Version of the rows; a reader refuses newer ones."""

MANIFEST = "manifest.json"

Row = dict[str, Any]
"""One row of a data set; the columns are listed in `_FEATURES`."""

_STRING = {"dtype": "string", "_type": "Value"}
_BINARY = {"dtype": "binary", "_type": "Value"}
_FEATURES: dict[str, Any] = {
    "id": _STRING,
    "source": _STRING,
    "task": _STRING,
    "question": _STRING,
    "answer": _STRING,
    "choices": {"feature": _STRING, "_type": "List"},
    "boxes": {"feature": {"feature": {"dtype": "float64", "_type": "Value"}, "_type": "List"}, "_type": "List"},
    "prompt": {
        "feature": {"role": _STRING, "content": {"feature": {"type": _STRING, "text": _STRING}, "_type": "List"}},
        "_type": "List",
    },
    "completion": {"feature": {"role": _STRING, "content": _STRING}, "_type": "List"},
    "images": {"feature": {"mode": "RGB", "_type": "Image"}, "_type": "List"},
    "depth": {"png": _BINARY, "meta": _STRING},
    "annotator": _STRING,
    "meta": _STRING,
    "schema": {"dtype": "int32", "_type": "Value"},
}
"""The columns in the notation of the `datasets` library, which is stored in the files so that it decodes the images."""


# --- bytes on disk -------------------------------------------------------------------------------------------------


@contextmanager
def disk_errors(path: str | Path) -> Iterator[None]:
    """Turn a full or unwritable disk into an `InputError` that names the path."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise InputError(f"{path}: disk full; free some space and run again") from error
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EEXIST):
            raise InputError(f"{path}: cannot be written ({error.strerror}); choose another folder") from error
        raise


def atomic_write(path: str | Path, content: bytes | memoryview | str, through: Path | None = None) -> None:
    """Write a file so that a crash leaves either the old or the new content. Raises `InputError` on a full disk.

    through: a folder on the same disk in which the file is written before it gets its name, and in which a kill may
    leave a piece of it; None: beside the file.
    """
    path = Path(path)
    data = content.encode() if isinstance(content, str) else content
    # Not the process's number, which another machine may give to a process as well.
    temporary = (through or path.parent) / f".{path.name}.{os.urandom(8).hex()}.tmp"
    with disk_errors(path):
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def digest(content: bytes) -> bytes:
    """16 bytes that tell contents apart."""
    return hashlib.blake2b(content, digest_size=16).digest()


def file_sha256(path: str | Path) -> str | None:
    """None where there is no such file."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None


def read_jsonl(path: str | Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number (from 1) and object of every non-empty line.

    Raises `InputError` with file and line for a missing file, for text that is not UTF-8 or not JSON, and for lines
    that are not objects.
    """
    try:
        with Path(path).open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    value = json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise InputError(f"{path}:{number}: expected one JSON object a line; not JSON: {error}") from error
                if not isinstance(value, dict):
                    raise InputError(f"{path}:{number}: expected a JSON object, got {type(value).__name__}")
                yield number, value
    except (FileNotFoundError, IsADirectoryError) as error:
        raise InputError(f"{path}: no such file") from error


class JsonlWriter:
    """Appends JSON lines; each line is handed to the system at once, so a killed process loses no finished line.

    Reopening drops a last line that was torn by a crash.
    Raises `InputError` on a full disk.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        with disk_errors(self.path):
            self._file: BinaryIO = self.path.open("ab+")
            end = self._end_of_lines()
            self._file.truncate(end)
            self._file.seek(end)

    def _end_of_lines(self) -> int:
        """Position after the last newline."""
        position = self._file.seek(0, os.SEEK_END)
        while position > 0:
            start = max(0, position - 65536)
            self._file.seek(start)
            newline = self._file.read(position - start).rfind(b"\n")
            if newline >= 0:
                return start + newline + 1
            position = start
        return 0

    def write(self, value: Mapping[str, Any]) -> None:
        """Append one object."""
        # Half a character (a surrogate alone) has no UTF-8; a backslash escape of it is JSON again.
        line = json.dumps(value, ensure_ascii=False, allow_nan=False).encode(errors="backslashreplace")
        with disk_errors(self.path):
            self._file.write(line + b"\n")
            self._file.flush()

    def __enter__(self) -> JsonlWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        with disk_errors(self.path):
            self._file.close()


# --- rows ----------------------------------------------------------------------------------------------------------


def to_row(sample: Sample, trace: Trace | None, source: str, annotator: str) -> Row:
    """A sample and its gold trace (None: no completion, for sets that are only asked) as a row.

    source: where it comes from, for example `coco`. annotator: who wrote the words, for example `template-4`.
    Raises `InputError` when photo or depth cannot be read, and `ValueError` for a trace that cannot be written.
    """
    depth = sample.depth_map()
    images = [] if sample.image is None else [{"bytes": photo_bytes(sample.image)[0], "path": None}]
    stored = None
    if depth is not None:
        images.append({"bytes": _depth_png(depth.stored), "path": None})
        stored = {"png": depth.stored.png, "meta": json.dumps(depth.stored.meta)}
    messages = [
        {"role": m["role"], "content": [{"type": b["type"], "text": b.get("text")} for b in m["content"]]}
        for m in build_prompt(sample)
    ]
    return {
        "id": sample.id,
        "source": source,
        "task": str(sample.meta.get("task", "")),
        "question": sample.question,
        "answer": sample.answer,
        "choices": list(sample.choices),
        "boxes": [list(box) for box in sample.boxes],
        "prompt": messages,
        "completion": [] if trace is None else [{"role": "assistant", "content": format_trace(trace)}],
        "images": images,
        "depth": stored,
        "annotator": annotator,
        "meta": json.dumps(dict(sample.meta), ensure_ascii=False, allow_nan=False),
        "schema": SCHEMA,
    }


def from_row(row: Row) -> tuple[Sample, Trace | None]:
    """Inverse of `to_row`; the sample holds the opened photo and depth map. Also takes rows that `datasets` decoded.

    Raises `InputError` for pictures that cannot be decoded.
    """
    photo = row["images"][0] if row["images"] else None
    stored = row["depth"]
    try:
        image = None if photo is None else open_photo(photo["bytes"] if isinstance(photo, dict) else photo)
        depth = None if stored is None else decode_depth(stored["png"], json.loads(stored["meta"]))
    except (OSError, SyntaxError, ValueError) as error:
        why = words_of(error)
        raise InputError(f"row {row['id']}: its pictures cannot be decoded ({why}); build this row again") from error
    sample = Sample(
        id=row["id"],
        image=image,
        question=row["question"],
        answer=row["answer"],
        depth=depth,
        choices=tuple(row["choices"]),
        boxes=tuple(Box(*box) for box in row["boxes"]),
        meta=json.loads(row["meta"]),
    )
    if not row["completion"]:
        return sample, None
    return sample, parse_reply(row["completion"][0]["content"], sample)


def photo_bytes(image: Image.Image | bytes | str | Path) -> tuple[bytes, Size]:
    """A photo as rows hold it, and the size of its picture: its file as it is where that shows the same picture
    everywhere; otherwise (rotated, gray, ...) a PNG. Raises `InputError` for photos that cannot be read to their end.
    """
    if isinstance(image, Image.Image):
        photo = open_photo(image)
        return _png(photo), photo.size
    try:
        if isinstance(image, bytes):
            return _photo_of_file(image)
        status = os.stat(image)
        return _photo_at(image, status.st_mtime_ns, status.st_size)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, InputError):
        photo = open_photo(image)  # says which file it is that cannot be read
        return _png(photo), photo.size


# Rows about one photo follow each other.
@lru_cache(maxsize=8)
def _photo_at(path: str | Path, *_changed: int) -> tuple[bytes, Size]:
    """`photo_bytes` of the file at `path`; other times or sizes are another file."""
    return _photo_of_file(Path(path).read_bytes())


@lru_cache(maxsize=8)
def _photo_of_file(content: bytes) -> tuple[bytes, Size]:
    with Image.open(io.BytesIO(content)) as file:
        if file.format in ("JPEG", "PNG") and file.mode == "RGB" and file.getexif().get(ORIENTATION, 1) == 1:
            size = file.size
            # Files that are cut off show when they are decoded; an eighth of a JPEG's size takes half the time.
            file.draft("RGB", (1, 1))
            file.load()
            return content, size
    photo = open_photo(content)
    return _png(photo), photo.size


@lru_cache(maxsize=8)
def _depth_png(depth: StoredDepth) -> bytes:
    """The picture of a depth map; rows about one photo follow each other."""
    return png_bytes(depth_shades(depth.open()), SHADES)


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


# --- data set folders ----------------------------------------------------------------------------------------------


def arrow_schema() -> pyarrow.Schema:
    """The schema of the shards, with the note from which `datasets` knows that `images` are images."""
    import pyarrow as pa

    fields = [pa.field(name, _arrow_type(feature)) for name, feature in _FEATURES.items()]
    note = json.dumps({"info": {"features": _FEATURES}})
    return pa.schema(fields, metadata={"huggingface": note, "sifthinker": json.dumps({"schema": SCHEMA})})


def _arrow_type(feature: dict[str, Any]) -> pyarrow.DataType:
    import pyarrow as pa

    match feature:
        case {"_type": "Value", "dtype": str(dtype)}:
            return {"string": pa.string(), "binary": pa.binary(), "float64": pa.float64(), "int32": pa.int32()}[dtype]
        case {"_type": "Image"}:
            return pa.struct({"bytes": pa.binary(), "path": pa.string()})
        case {"_type": "List", "feature": dict(inner)}:
            return pa.list_(_arrow_type(inner))
    return pa.struct({name: _arrow_type(inner) for name, inner in feature.items()})


class ShardWriter:
    """Writes rows to `data-00000.parquet`, ... in a folder; a shard appears whole or not at all.

    rows_per_shard: rows of every shard but the last. start: number of the first shard (resume).
    """

    def __init__(self, folder: str | Path, rows_per_shard: int = 256, start: int = 0) -> None:
        self.folder = Path(folder)
        self.rows_per_shard = rows_per_shard
        self.shards = start
        self._rows: list[Row] = []

    def add(self, row: Row) -> bool:
        """Take a row; returns whether this completed a shard on disk."""
        self._rows.append(row)
        if len(self._rows) < self.rows_per_shard:
            return False
        self.flush()
        return True

    def flush(self) -> None:
        """Write what is left as the last shard."""
        if not self._rows:
            return
        atomic_write(shard_path(self.folder, self.shards), shard_bytes(self._rows))
        self.shards += 1
        self._rows = []

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if kind is None:
            self.flush()


def shard_bytes(rows: Sequence[Row]) -> memoryview:
    """The file of a shard."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    # Its memory is used again for the next shard, and nothing is copied out of it.
    stream = pa.BufferOutputStream()
    table = pa.Table.from_pylist(rows, schema=arrow_schema())  # pyright: ignore[reportArgumentType] - any mappings
    # Small row groups: readers hold few pictures at a time.
    pq.write_table(table, stream, compression="zstd", row_group_size=64)
    return memoryview(stream.getvalue())


def shard_path(folder: str | Path, number: int) -> Path:
    """The file of the shard with this number, from 0."""
    return Path(folder) / f"data-{number:05d}.parquet"


def shard_paths(folder: str | Path) -> list[Path]:
    """The shards of a data set folder in order."""
    # By length first: from 100,000 on, numbers have six digits.
    return sorted(Path(folder).glob("data-*.parquet"), key=lambda path: (len(path.name), path.name))


@contextmanager
def _parquet(shard: Path) -> Iterator[pyarrow.parquet.ParquetFile]:
    """A shard to read. Raises `InputError` where it is no Parquet file, or damaged, also while it is read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(shard) as file:
            yield file
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{shard}: not a Parquet file, or not as it was when the data set was finished ({error}); put back what "
            "was there, or build the data set again"
        ) from error


def read_rows(path: str | Path) -> Iterator[Row]:
    """The rows of a data set folder or of one shard, in order.

    Raises `InputError` for a missing or empty folder, unreadable files, and rows of a newer schema.
    """
    path = Path(path)
    shards = shard_paths(path) if path.is_dir() else [path]
    if not path.exists() or not shards:
        raise InputError(f"{path}: no data set here; expected a folder with data-*.parquet (see `sifthinker build`)")
    for shard in shards:
        with _parquet(shard) as file:
            if missing := _FEATURES.keys() - set(file.schema_arrow.names):
                raise InputError(f"{shard}: columns are missing: {', '.join(sorted(missing))}; not a data set of ours")
            for batch in file.iter_batches(batch_size=64):
                for row in batch.to_pylist():
                    if row["schema"] > SCHEMA:
                        raise InputError(f"{shard}: schema {row['schema']} is newer than {SCHEMA}; update sifthinker")
                    yield row


def count_rows(folder: str | Path, limit: int | None = None) -> int:
    """Rows of a data set folder, at most `limit`."""
    rows = 0
    for shard in shard_paths(folder):
        with _parquet(shard) as file:
            rows += file.metadata.num_rows
    return rows if limit is None else min(rows, limit)


def rows_at(folder: str | Path, numbers: Sequence[int]) -> Iterator[Row]:
    """The rows with the given numbers (from 0, ascending) of a data set folder; reads only the parts that hold them."""
    wanted, first = list(numbers), 0
    for shard in shard_paths(folder):
        with _parquet(shard) as file:
            for group in range(file.num_row_groups):
                end = first + file.metadata.row_group(group).num_rows
                here = [n - first for n in wanted if first <= n < end]
                if here:
                    yield from file.read_row_group(group).take(here).to_pylist()
                first = end


def read_samples(path: str | Path, limit: int | None = None) -> list[tuple[Sample, Trace | None]]:
    """Samples and gold traces of a data set, at most `limit`, with photos and depth maps in memory."""
    return [from_row(row) for row in islice(read_rows(path), limit)]


def read_manifest(folder: str | Path) -> dict[str, Any]:
    """`manifest.json` of a data set folder. Raises `InputError` when there is none or it cannot be read."""
    path = Path(folder) / MANIFEST
    try:
        manifest = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise InputError(f"{path}: no manifest; no data set, or its build was not finished (--resume)") from error
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error})") from error
    if manifest.get("schema", 0) > SCHEMA:
        raise InputError(f"{path}: schema {manifest['schema']} is newer than {SCHEMA}; update sifthinker")
    return manifest


def altered_shards(folder: str | Path) -> list[str]:
    """Shards of a finished data set that are not there, or not as they were when its manifest was written. None where
    there is no manifest, which alone knows."""
    folder = Path(folder)
    return [shard["file"] for shard in _told(folder) if file_sha256(folder / shard["file"]) != shard["sha256"]]


def missing_shards(folder: str | Path) -> list[str]:
    """Shards that a data set's manifest names and that are not there. None where there is no manifest."""
    folder = Path(folder)
    return [shard["file"] for shard in _told(folder) if not (folder / shard["file"]).exists()]


def _told(folder: Path) -> list[dict[str, Any]]:
    """Shards as the manifest describes them; none where there is no manifest."""
    return read_manifest(folder).get("shards", []) if (folder / MANIFEST).exists() else []
