"""Temporary files of SQLite's for what does not fit into memory; they end with the process.

They are placed where SQLITE_TMPDIR or TMPDIR says.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import InputError

CACHE_KIB = 32 * 1024
AT_ONCE = 1024
"""Records that are written together."""


def scratch(table: str) -> sqlite3.Connection:
    """A database in a temporary file, with one table."""
    # Rows are read by one thread at a time, but not always by the one that began.
    db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    for setting in (f"cache_size=-{CACHE_KIB}", "journal_mode=OFF", "synchronous=OFF", "locking_mode=EXCLUSIVE"):
        db.execute(f"PRAGMA {setting}")
    db.execute(f"CREATE TABLE {table}")
    db.execute("BEGIN")
    return db


@contextmanager
def disk_full() -> Iterator[None]:
    """`InputError` where a temporary file has no room to grow."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise InputError(f"a temporary file: {error}; free some space, or set TMPDIR") from error


class Spool:
    """JSON values by key, for files that tell things in another order than they are needed.

    Keys are JSON values, too: 1 and 1.0 are the same one, "1" is another. A key may have several values. First
    all is added, then it is read.
    """

    def __init__(self) -> None:
        self._db = scratch("records (key TEXT, value TEXT)")
        self._waiting: list[tuple[str, str]] = []
        self._indexed = False

    def add(self, key: Any, value: Any) -> None:
        """Raises `InputError` on a full disk."""
        self._waiting.append((_text(key), json.dumps(value)))
        if len(self._waiting) == AT_ONCE:
            self._write()

    def of(self, key: Any) -> list[Any]:
        """The values of a key in the order in which they came."""
        self._index()
        found = self._db.execute("SELECT value FROM records WHERE key = ? ORDER BY rowid", (_text(key),))
        return [json.loads(value) for (value,) in found]

    def take(self, key: Any) -> list[Any]:
        """As `of`, and then they are gone."""
        found = self.of(key)
        if found:
            self._db.execute("DELETE FROM records WHERE key = ?", (_text(key),))
        return found

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        """All keys and values in the order in which they came."""
        self._write()
        for key, value in self._db.execute("SELECT key, value FROM records ORDER BY rowid"):
            yield json.loads(key), json.loads(value)

    def _write(self) -> None:
        with disk_full():
            self._db.executemany("INSERT INTO records VALUES (?, ?)", self._waiting)
        self._waiting.clear()

    def _index(self) -> None:
        if self._waiting:
            self._write()
        if not self._indexed:
            with disk_full():
                self._db.execute("CREATE INDEX by_key ON records (key)")
            self._indexed = True


def _text(key: Any) -> str:
    return json.dumps(int(key) if isinstance(key, float) and key.is_integer() else key)
