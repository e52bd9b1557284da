"""Data sets of the `datasets` library, on the hub or in a local folder, by a mapping from our fields to their columns.

    hub:ORG/NAME   hub:ORG/NAME:SPLIT   hub:ORG/NAME:CONFIG:SPLIT   hub:FOLDER[:SPLIT]
    --columns image=photo,question=q,answer=a,boxes=objects.bbox,labels=objects.name,frame=pixel_xywh

The fields are those of the source `jsonl`. Each is read from the column of its own name unless --columns names
another; a dot goes into a struct, a number into a list (`answers.0`). `frame` is a frame, not a column, and must be
said (or be a column): the frame of boxes is never guessed. Boxes are one list of four numbers, or a list of such;
images may be pictures or file names, which are looked for below --images. The split is train if not said, and a row
without an id is called after its number. A folder may be one of `save_to_disk`; everything else is streamed, so
memory stays flat."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...errors import InputError, unknown_name
from ...geometry import Frame
from ...hub import check_name
from ...sample import Sample
from ..files import FileIndex, RowError
from ..outcome import Reject
from ..rows import Found, check_all
from .jsonl import OPTIONAL, REQUIRED, found
from .options import Options

FIELDS = frozenset((*REQUIRED, *OPTIONAL)) - {"depth", "depth_encoding", "meta"}


def read(name: str, options: Options) -> Iterator[Sample | Reject]:
    """One sample a row. Raises `InputError` for data that cannot be loaded and for columns that it does not have."""
    repository, split, data = _load(name)
    columns = _columns(name, data, options.columns)
    if "boxes" in columns and "frame" not in columns:
        raise InputError(f"hub:{name}: say in which frame its boxes are: --columns frame=F, one of {', '.join(Frame)}")
    folder = Path(repository)
    photos = FileIndex(options.images or (folder if folder.is_dir() else Path()))

    def parse(numbered: tuple[int, Mapping[str, Any]]) -> Found:
        number, row = numbered
        ours = {field: _value(row, column) for field, column in columns.items() if field != "frame"}
        ours["frame"] = columns["frame"] if columns["frame"] in list(Frame) else _value(row, columns["frame"])
        ours = {"id": f"{folder.name}-{split}-{number}"} | {k: v for k, v in ours.items() if v is not None}
        photo = ours.get("image")
        if isinstance(photo, Mapping):
            ours["image"] = photo.get("path") or f"row {number}"
        boxes = ours.get("boxes")
        if isinstance(boxes, list) and boxes and isinstance(boxes[0], (int, float)):
            ours["boxes"] = [boxes]
        return found(ours, photo=photo.get("bytes") if isinstance(photo, Mapping) else None)

    rows = ((f"hub-{folder.name}-{split}-{n}", (n, row)) for n, row in enumerate(_rows(name, data), 1))
    yield from check_all(rows, parse, photos)


def _load(name: str) -> tuple[str, str, Any]:
    """Repository or folder, split, and the data of a name, with pictures as the bytes of their files."""
    repository, *rest = name.split(":")
    if len(rest) > 2:
        raise InputError(f"hub:{name}: expected NAME, NAME:SPLIT or NAME:CONFIG:SPLIT")
    check_name(repository, "a data set", "dataset")
    try:
        import datasets
    except ImportError as error:
        raise InputError("hub: needs the datasets library: pip install 'sifthinker[train]'") from error
    split, config = rest[-1] if rest else "train", rest[0] if len(rest) == 2 else None
    folder = Path(repository)
    try:
        if any((folder / file).is_file() for file in ("state.json", "dataset_dict.json")):
            data: Any = datasets.load_from_disk(repository)
        else:
            data = datasets.load_dataset(repository, config, split=split, streaming=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"hub:{name}: cannot be loaded: {error}") from error
    if isinstance(data, datasets.DatasetDict):
        if split not in data:
            raise InputError(f"hub:{name}: has no split {split!r}; found {', '.join(map(str, data))}")
        data = data[split]
    for column, feature in (data.features or {}).items():
        if isinstance(feature, datasets.Image):
            data = data.cast_column(column, datasets.Image(decode=False))
    return repository, split, data


def _rows(name: str, data: Any) -> Iterator[Any]:
    try:
        yield from data
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"hub:{name}: cannot be read further: {error}") from error


def _columns(name: str, data: Any, asked: Mapping[str, str]) -> dict[str, str]:
    """Field -> column. Without known features (a stream of JSON lines) the first row says what there is."""
    if unknown := asked.keys() - FIELDS:
        raise InputError(f"--columns: unknown fields {', '.join(sorted(unknown))}; known: {', '.join(sorted(FIELDS))}")
    there = list(data.features or next(_rows(name, data), {}))
    missing = [
        column
        for field, column in asked.items()
        if column.partition(".")[0] not in there and not (field == "frame" and column in list(Frame))
    ]
    if (frame := asked.get("frame")) in missing:
        raise InputError(f"hub:{name}: {unknown_name('frame of boxes, or column,', str(frame), [*Frame, *there])}")
    columns = {field: field for field in FIELDS if field in there} | dict(asked)
    if unnamed := [field for field in REQUIRED[1:] if field not in columns]:
        missing.extend(unnamed)
    if missing:
        raise InputError(
            f"hub:{name}: no columns {', '.join(missing)}; found {', '.join(there)}; "
            "name them with --columns FIELD=COLUMN"
        )
    return columns


def _value(row: Any, column: str) -> Any:
    """What a row has at `a.b.0`; a list of structs gives the list of their values."""
    for part in column.split("."):
        try:
            if isinstance(row, list) and not part.isdigit():
                row = [item[part] for item in row]
            else:
                row = row[int(part)] if isinstance(row, list) else row[part]
        except (LookupError, TypeError) as error:
            raise RowError("malformed_row", f"column {column}: no {part!r} in {row!r:.80}") from error
    return row
