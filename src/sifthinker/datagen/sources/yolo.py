"""YOLO folders: one text file of labels for each photo.

    data.yaml                   names: [dog, ...] or {0: dog, ...}; path: where the folders are, if not here
    images/train/0001.jpg       labels/train/0001.txt, or the text files beside the photos

A line is `class cx cy w h` (center and size as shares of the image), or a polygon `class x1 y1 x2 y2 x3 y3 ...`,
whose bounding box is taken; with `kpt_shape` in data.yaml key points follow the four numbers. Names may stand in
`classes.txt` or a `.names` file instead, one a line. Questions are made from the boxes (`made`); every thing of a
named class is taken to be annotated. A photo without a text file is background, and no row.

Source: https://docs.ultralytics.com/datasets/detect/ and /datasets/segment/.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ...errors import BoxError, InputError
from ...geometry import Frame
from ...sample import Sample
from ..files import RowError
from ..outcome import Reject
from .made import Annotated, questions
from .options import Options

NAMES = ("data.yaml", "dataset.yaml", "classes.txt", "obj.names")


@dataclass(frozen=True, slots=True)
class _Folder:
    root: Path
    names: dict[int, str]
    key_points: bool = False


def read(path: Path, options: Options) -> Iterator[Sample | Reject]:
    """Rejected lines and the questions, label file by label file in the order of their paths.

    path: the folder, or its YAML file. Photos are looked for below `--images`, or below the folder.
    """
    folder = _open(path)
    photos = Options(options.images or folder.root).photos(path)
    labels = _labels(folder.root)
    if not labels:
        raise InputError(f"{folder.root}: no label files found; looked for labels/**/*.txt, else *.txt beside photos")
    for file in labels:
        key = file.relative_to(folder.root).with_suffix("").as_posix()
        try:
            photo = photos.find_stem(file, "image", ("",))
        except RowError as error:
            yield Reject(f"yolo-{key}", error.reason, error.detail)
            continue
        image = Annotated(f"yolo-{key}", photo.relative_to(photos.folder).as_posix(), Frame.UNIT_CXCYWH)
        yield from _read_lines(file, image, folder)
        yield from questions(image, photos, options.seed)


def _open(path: Path) -> _Folder:
    """Raises `InputError` where nothing names the classes."""
    candidates = [path] if path.is_file() else [p for name in NAMES if (p := path / name).is_file()]
    if not candidates:
        there = ", ".join(sorted(p.name for p in path.iterdir())[:8])
        raise InputError(
            f"{path}: nothing names the classes; looked for {', '.join(NAMES)}; found {there or 'nothing'}"
        )
    file = candidates[0]
    try:
        data: Any = yaml.safe_load(file.read_text()) if file.suffix in (".yaml", ".yml") else None
        if data is None:
            return _Folder(file.parent, dict(enumerate(_lines(file))))
        names = data["names"]
        named = enumerate(names) if isinstance(names, list) else names.items()
        root = file.parent / str(data.get("path") or ".")
        # `path` is often that of the machine on which the set was made.
        return _Folder(root if root.is_dir() else file.parent, {int(k): str(v) for k, v in named}, "kpt_shape" in data)
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError, UnicodeDecodeError) as error:
        raise InputError(
            f"{file}: expected `names: [dog, ...]` or `names: {{0: dog, ...}}` ({type(error).__name__}: {error})"
        ) from error


def _lines(file: Path) -> list[str]:
    return [line.strip() for line in file.read_text().splitlines() if line.strip()]


def _labels(root: Path) -> list[Path]:
    """Text files below folders named `labels`; where there are none, all that have no other meaning."""
    files = sorted(p for p in root.rglob("*.txt") if p.name not in (*NAMES, "train.txt", "val.txt", "test.txt"))
    return [p for p in files if "labels" in p.relative_to(root).parts] or files


def _read_lines(file: Path, image: Annotated, folder: _Folder) -> Iterator[Reject]:
    for number, line in enumerate(file.read_bytes().decode("utf-8", "replace").splitlines(), 1):
        if not line.strip():
            continue
        place = f"{image.key}:{number}"
        try:
            index, *numbers = line.split()
            name = folder.names[int(index)]
            image.add(name, _box([float(v) for v in numbers], folder.key_points))
        except BoxError as error:
            yield Reject(place, error.reason, str(error))
        except (KeyError, ValueError) as error:
            yield Reject(
                place,
                "malformed_row",
                f"{line!r:.80}: {type(error).__name__}: {error}; classes 0..{len(folder.names) - 1}",
            )


def _box(numbers: list[float], key_points: bool) -> list[float]:
    """Center form of a line's numbers."""
    if len(numbers) == 4 or (key_points and len(numbers) > 4):
        return numbers[:4]
    if len(numbers) < 6 or len(numbers) % 2:
        raise ValueError(f"expected 4 numbers, or 3 and more points, got {len(numbers)} numbers")
    xs, ys = numbers[::2], numbers[1::2]
    return [(min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2, max(xs) - min(xs), max(ys) - min(ys)]
