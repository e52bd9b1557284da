"""Raw replies of teachers, kept under the digest of the request, so that nothing that was paid for is asked again.

    OUT/replies/00000.jsonl      one reply a line, in the order in which they came:
    {"key", "id", "model", "text", "finish_reason", "usage"}

Every process that asks begins a file of its own, and a line is written when its reply comes: a killed process loses
no reply that had come, and several can share a folder. A line that was torn at the end of a file is left aside.
"""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ...engines import Reply
from ...errors import InputError
from ...records import JsonlWriter, digest, disk_errors
from ..seeds import name_bytes
from .asking import Asking

FOLDER = "replies"
USAGE = ("prompt_tokens", "completion_tokens")


class Replies:
    """The replies in a folder, and a new file for those to come.

    others: further folders (of replies, or of data sets that have some) to look in. spent: tokens of prompts and of
    completions that the replies in `folder` took, kept up to date. When the folder was read: models: who replied, also
    in `others`; largest_prompt: in tokens, of the replies in `folder`; None: there are none. Memory: 16 bytes a reply.
    Raises `InputError` for other folders without replies.
    """

    def __init__(self, folder: Path, *others: Path) -> None:
        self.folder = folder
        self.spent = [0, 0]
        self._others = [path for other in others for path in _found(other)]
        self._writer: JsonlWriter | None = None
        self.reload()

    def reload(self) -> None:
        """Find also what was added since the folder was opened."""
        self.spent[:] = [0, 0]
        self.models: set[str] = set()
        self.largest_prompt: int | None = None
        self._files: list[BinaryIO] = []
        heads, places = array("Q"), array("Q")
        for number, path in enumerate([*_files(self.folder), *self._others]):
            self._files.append(path.open("rb"))
            for position, entry in _lines(self._files[-1]):
                heads.append(_head(entry["key"]))
                places.append(number << 48 | position)
                self.models.add(entry["model"])
                if path.parent == self.folder:
                    self._count(entry["usage"])
                    self.largest_prompt = max(self.largest_prompt or 0, entry["usage"].get("prompt_tokens", 0))
        order = np.argsort(np.frombuffer(heads, np.uint64), kind="stable") if heads else []
        self._heads, self._places = (np.array(values, np.uint64)[order] for values in (heads, places))

    def _count(self, usage: Mapping[str, int]) -> None:
        self.spent[0] += usage.get("prompt_tokens", 0)
        self.spent[1] += usage.get("completion_tokens", 0)

    def __len__(self) -> int:
        return len(self._heads)

    def find(self, key: str) -> Reply | None:
        """The reply that was kept under `key` when the folder was read."""
        start = int(np.searchsorted(self._heads, np.uint64(_head(key))))
        for place in self._places[start:].tolist() if start < len(self._heads) else ():
            file = self._files[place >> 48]
            file.seek(place & ((1 << 48) - 1))
            entry = json.loads(file.readline())
            if entry["key"] == key:
                return Reply(entry["id"], entry["text"], entry["finish_reason"], usage=entry["usage"])
            if _head(entry["key"]) != _head(key):
                break
        return None

    def add(self, key: str, reply: Reply, model: str) -> None:
        """Keep a reply. Raises `InputError` on a full disk."""
        if self._writer is None:
            self._writer = JsonlWriter(self._new_file())
        entry = {"key": key, "id": reply.id, "model": model, "text": reply.text, "finish_reason": reply.finish_reason}
        self._writer.write(entry | {"usage": dict(reply.usage)})
        self._count(reply.usage)

    def _new_file(self) -> Path:
        with disk_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        for number in count():
            path = self.folder / f"{number:05d}.jsonl"
            try:
                with disk_errors(path.parent):
                    path.open("xb").close()
            except InputError:
                if path.exists():
                    continue  # another process has it
                raise
            return path
        raise AssertionError("unreachable")


def cost_of(folder: Path, asking: Asking) -> dict[str, Any]:
    """What the replies in `folder` cost: how many there are, their tokens, and money where both prices are said."""
    replies, spent = 0, Counter[str]()
    for path in _files(folder):
        with path.open("rb") as file:
            for _, entry in _lines(file):
                replies += 1
                spent.update({name: entry["usage"].get(name, 0) for name in USAGE})
    tokens = {name: spent[name] for name in USAGE}
    prices = (asking.price_in, asking.price_out)
    money = None if None in prices else sum(n * (p or 0) for n, p in zip(tokens.values(), prices, strict=True)) / 1e6
    return {"replies": replies, **tokens, "money": money}


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jsonl"))


def _found(folder: Path) -> list[Path]:
    files = _files(folder / FOLDER) or _files(folder)
    if not files:
        raise InputError(f"{folder}: no replies here; expected the folder of a data set, or its {FOLDER}/")
    return files


def _lines(file: BinaryIO) -> Iterator[tuple[int, dict[str, Any]]]:
    """Position and object of every line that was finished."""
    position = 0
    for line in file:
        if line.endswith(b"\n"):
            try:
                entry = json.loads(line)
                if {"key", "id", "model", "text", "finish_reason", "usage"} <= entry.keys():
                    yield position, entry
            except (ValueError, AttributeError):
                raise InputError(f"{file.name}: byte {position}: not a reply; is this a file of replies?") from None
        position += len(line)


def _head(key: str) -> int:
    """64 bits of a key, which may be any word: strangers are looked for, too."""
    return int.from_bytes(digest(name_bytes(key))[:8])
