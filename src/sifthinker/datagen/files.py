"""Find the photos and depth maps that rows only name, and read lines without stopping at bad ones."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from PIL import Image, UnidentifiedImageError

from ..errors import InputError
from ..geometry import Size
from .outcome import Reject
from .scratch import Spool

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
DEPTH_SUFFIXES = frozenset({".png", ".pgm", ".npy", ".exr", ".tif", ".tiff"})

_COCO_2014 = re.compile(r"COCO_(?:train|val|test)20\d\d_(?=\d{12}\.)")
"""The prefix that COCO dropped from its file names in 2017; the photos are the same."""

_ORIENTATION = 0x0112


class RowError(Exception):
    """A row that cannot be used; carries the reason for its `Reject`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class FileIndex:
    """Files below a folder, found by the names that annotation files use. The folder is listed once, when first asked,
    into a temporary file.

    A name is looked up as a path in the folder, then by its last component in any subfolder, where the longest
    common end of the path decides between several; COCO's 2014 names (COCO_train2014_X.jpg) also find X.jpg.

    Raises `InputError` when there is no such folder.
    """

    def __init__(self, folder: str | Path, suffixes: frozenset[str] = PHOTO_SUFFIXES) -> None:
        self.folder = Path(folder)
        self.suffixes = suffixes
        if not self.folder.is_dir():
            raise InputError(f"{folder}: no such folder")

    @cached_property
    def _by_name(self) -> Spool:
        found = Spool()
        for folder, _, names in os.walk(self.folder):
            for name in names:
                path = Path(folder, name)
                if path.suffix.lower() in self.suffixes and path.is_file():
                    found.add(name, str(path))
        return found

    @cached_property
    def _by_stem(self) -> Spool:
        found = Spool()
        for name, path in self._by_name:
            found.add(Path(name).stem, path)
        return found

    def find(self, name: str) -> Path:
        """The file that `name` stands for. Raises `RowError`: `image_missing`, `image_ambiguous`, and
        `image_unreadable` for kinds of files that are not read."""
        direct = self.folder / name
        if direct.suffix and direct.suffix.lower() not in self.suffixes:
            kinds = ", ".join(sorted(self.suffixes))
            raise RowError("image_unreadable", f"{name:.80}: {direct.suffix:.20} files are not read, only {kinds}")
        try:
            if direct.suffix.lower() in self.suffixes and direct.is_file():
                return direct
        except (OSError, ValueError) as error:  # no file can have this name
            raise RowError("image_missing", f"{name:.80}: {error.__class__.__name__}") from error
        last = Path(name).name
        candidates = self._by_name.of(last) or self._by_name.of(plain_name(last))
        return _closest(name, candidates, "image", self.folder)

    def find_stem(self, name: Path, what: str = "depth", endings: tuple[str, ...] = ("", "_d", "_depth")) -> Path:
        """The file with this name up to the suffix, with one of `endings` behind it; what: `depth` or `image`.

        Raises `RowError`: `depth_missing`, `depth_ambiguous` (`image_...`).
        """
        for stem in (f"{name.stem}{ending}" for ending in endings):
            if candidates := self._by_stem.of(stem):
                return _closest(str(name.with_name(stem)), candidates, what, self.folder)
        raise RowError(f"{what}_missing", f"no {what} file for {name.name} in {self.folder}")


def plain_name(name: str) -> str:
    """A photo's file name, that of 2017 for COCO's photos."""
    return _COCO_2014.sub("", name)


def _closest(name: str, found: list[str], what: str, folder: Path) -> Path:
    """The path that shares most trailing components with `name`."""
    candidates = sorted(map(Path, found))
    if not candidates:
        raise RowError(f"{what}_missing", f"{name} is not in {folder} or its subfolders")
    if len(candidates) == 1:
        return candidates[0]
    parents = Path(name).parts[:-1][::-1]

    def shared(path: Path) -> int:
        count = 0
        for a, b in zip(parents, path.parts[:-1][::-1], strict=False):
            if a != b:
                break
            count += 1
        return count

    ranked = sorted(candidates, key=shared, reverse=True)
    if shared(ranked[0]) == shared(ranked[1]):
        raise RowError(f"{what}_ambiguous", f"{name} may be {ranked[0]} or {ranked[1]}")
    return ranked[0]


@lru_cache(maxsize=4096)
def photo_size(path: Path) -> Size:
    """(width, height) as the photo is seen, after EXIF rotation, read from the file's header.

    Raises `RowError` `image_unreadable`; damage behind the header shows only when the photo is opened.
    """
    try:
        with Image.open(path) as image:
            turned = image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
            return (image.height, image.width) if turned else image.size
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise RowError("image_unreadable", f"{path}: {error}") from error


def read_json(path: Path) -> Any:
    """A JSON file. Raises `InputError` for a missing file and for one that is not JSON."""
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: {_why(error)}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error}); is the file complete?") from error


CHUNK = 1 << 20
"""Characters that `read_items` reads at once."""


def read_items(path: Path) -> Iterator[tuple[str, Any]]:
    """Number (from 1) and value of every entry of a JSON list, or key and value of an object, one after another.

    Memory does not grow with the file. Raises `InputError` for a missing file, for one that ends too early (before
    the first entry), and where it stops being JSON.
    """
    with _text_of(path) as text:
        if (opening := text.peek()) not in "[{":
            raise InputError(f"{path}: expected a JSON list or object, it begins with {opening!r}")
        for key in text.entries():
            yield key, text.value()


def read_fields(path: Path) -> Iterator[tuple[str, Iterator[tuple[str, Any]] | None]]:
    """The fields of a JSON object one after another, each with the numbers (from 1) and values of its list, which are
    to be read before the next field; None for a field that holds no list.

    Memory does not grow with the file. Raises as `read_items`.
    """
    with _text_of(path) as text:
        if (opening := text.peek()) != "{":
            raise InputError(f"{path}: expected a JSON object, it begins with {opening!r}")
        for field in text.entries():
            if text.peek() != "[":
                text.value()
                yield field, None
                continue
            entries = ((number, text.value()) for number in text.entries())
            yield field, entries
            for _ in entries:
                pass


@contextmanager
def _text_of(path: Path) -> Iterator[_Text]:
    _ends_well(path)
    with path.open(encoding="utf-8-sig") as file:
        yield _Text(path, file)


def _ends_well(path: Path) -> None:
    with open_source(path) as file:
        file.seek(max(0, file.seek(0, 2) - 64))
        end = file.read().rstrip()[-1:]
    if end not in (b"]", b"}"):
        raise InputError(f"{path}: not JSON (it ends with {end!r}, expected ] or }}); is the file complete?")


class _Text:
    """JSON values from a file, with no more of it in memory than the value at hand.

    ijson 3.6, which does the same, refuses integers above 64 bits and ends the process on deeply nested input.
    """

    def __init__(self, path: Path, file: TextIO) -> None:
        self.path, self.file = path, file
        self.text, self.at = "", 0
        self.decode = json.JSONDecoder().raw_decode

    def _more(self) -> bool:
        chunk = self.file.read(max(CHUNK, len(self.text) - self.at))
        self.text, self.at = self.text[self.at :] + chunk, 0
        return bool(chunk)

    def peek(self) -> str:
        """The next character that is no space, which is not taken."""
        while True:
            while self.at < len(self.text) and self.text[self.at].isspace():
                self.at += 1
            if self.at < len(self.text):
                return self.text[self.at]
            if not self._more():
                raise InputError(f"{self.path}: not JSON (it ends inside of an entry); is the file complete?")

    def next_character(self) -> str:
        character = self.peek()
        self.at += 1
        return character

    def expect(self, character: str) -> None:
        found = self.next_character()
        if found != character:
            raise InputError(f"{self.path}: not JSON (expected {character!r}, found {found!r})")

    def entries(self) -> Iterator[str]:
        """Keys of the object, or numbers from 1 of the list, that begins here; each value is to be taken meanwhile."""
        opening = self.next_character()
        number = 0
        while self.peek() != "]}"[opening == "{"]:
            if number:
                self.expect(",")
            number += 1
            key = str(number)
            if opening == "{":
                key = str(self.value())
                self.expect(":")
            yield key
        self.next_character()

    def value(self) -> Any:
        self.peek()
        while True:
            try:
                value, end = self.decode(self.text, self.at)
            except RecursionError as error:
                raise InputError(f"{self.path}: not JSON that can be read ({error})") from error
            except ValueError as error:
                if not self._more():
                    raise InputError(f"{self.path}: not JSON ({error}); is the file complete?") from error
                continue
            # A number at the end of what was read may go on.
            if end == len(self.text) and self._more():
                continue
            self.at = end
            return value


def _why(error: OSError) -> str:
    match error:
        case FileNotFoundError():
            return "no such file"
        case IsADirectoryError():
            there = sorted(path.name for path in Path(error.filename).iterdir())
            return f"a folder; expected the file of annotations; found in it {', '.join(there[:8]) or 'nothing'}"
        case _:
            return f"not a readable file ({error.strerror})"


def open_source(path: Path) -> BinaryIO:
    """A file to read. Raises `InputError` when it is missing, a folder, or not readable."""
    try:
        return path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: {_why(error)}") from error


LONGEST = 1 << 23
"""Bytes of a line at most: a longer one is a whole file without ends of lines, and no row."""


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file, of a longer one than `LONGEST` one byte more than that."""
    while line := file.readline(LONGEST + 1):
        yield line
        while len(line) > LONGEST and line[-1:] != b"\n":
            line = file.readline(LONGEST + 1)


def read_lines(path: Path) -> Iterator[tuple[int, dict[str, Any] | Reject]]:
    """Line number (from 1) and object of every non-empty line; a bad line is a `Reject` and reading goes on.

    Raises `InputError` for a file that cannot be read, or is no text.
    """
    with open_source(path) as file:
        if b"\0" in file.read(4096):
            raise InputError(f"{path}: not a text file (it has zero bytes); expected one JSON object a line, in UTF-8")
        file.seek(0)
        for number, line in enumerate(_lines(file), 1):
            if not line.strip():
                continue
            if number == 1 and re.fullmatch(rb"\s*\[\s*(\{.*)?", line, re.DOTALL):
                detail = "a JSON array begins; expected one JSON object a line (jq -c '.[]' FILE makes such lines)"
                yield number, Reject(f"{path.name}:{number}", "bad_json", detail)
                continue
            if len(line) > LONGEST and line[-1:] != b"\n":
                detail = f"over {LONGEST >> 20} MiB without the end of a line; expected one JSON object a line"
                yield number, Reject(f"{path.name}:{number}", "bad_json", detail)
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                yield number, Reject(f"{path.name}:{number}", "bad_json", str(error))
                continue
            if isinstance(row, dict):
                yield number, row
            else:
                yield number, Reject(f"{path.name}:{number}", "bad_json", f"expected an object, got {row!r:.80}")
