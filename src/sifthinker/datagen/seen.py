"""Which keys have come before, in memory that does not grow with their number."""

from __future__ import annotations

import hashlib
import sqlite3

from ..errors import InputError

CACHE_KIB = 32 * 1024


class Keys:
    """The keys so far, by 128 bits of each, in a temporary file of SQLite's that ends with the process.

    10 us a key for the first million, 20 for the tenth. Sorted arrays of numpy are no faster, and grow by 8 bytes a
    key; a set grows by 90. The file is placed where SQLITE_TMPDIR or TMPDIR says.
    """

    def __init__(self) -> None:
        # Rows are read by one thread at a time, but not always by the one that began.
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        for setting in (f"cache_size=-{CACHE_KIB}", "journal_mode=OFF", "synchronous=OFF", "locking_mode=EXCLUSIVE"):
            self._db.execute(f"PRAGMA {setting}")
        self._db.execute("CREATE TABLE keys (key BLOB PRIMARY KEY) WITHOUT ROWID")
        self._db.execute("BEGIN")

    def add(self, *parts: str | bytes) -> bool:
        """Whether the key of these parts is new; from now on it is not. Raises `InputError` on a full disk."""
        digest = hashlib.blake2b(digest_size=16)
        for part in parts:
            data = part.encode() if isinstance(part, str) else part
            digest.update(b"%d:" % len(data))
            digest.update(data)
        try:
            return self._db.execute("INSERT OR IGNORE INTO keys VALUES (?)", (digest.digest(),)).rowcount == 1
        except sqlite3.OperationalError as error:
            raise InputError(f"the temporary file of keys: {error}; free some space, or set TMPDIR") from error
