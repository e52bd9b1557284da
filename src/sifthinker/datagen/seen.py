"""Which keys have come before, in memory that does not grow with their number."""

from __future__ import annotations

import hashlib

from .scratch import disk_full, scratch
from .seeds import name_bytes


class Keys:
    """The keys so far, by 128 bits of each, in a temporary file of SQLite's that ends with the process.

    10 us a key for the first million, 20 for the tenth. Sorted arrays of numpy are no faster, and grow by 8 bytes a
    key; a set grows by 90.
    """

    def __init__(self) -> None:
        self._db = scratch("keys (key BLOB PRIMARY KEY) WITHOUT ROWID")

    def add(self, *parts: str | bytes) -> bool:
        """Whether the key of these parts is new; from now on it is not. Raises `InputError` on a full disk."""
        digest = hashlib.blake2b(digest_size=16)
        for part in parts:
            data = name_bytes(part) if isinstance(part, str) else part
            digest.update(b"%d:" % len(data))
            digest.update(data)
        with disk_full():
            return self._db.execute("INSERT OR IGNORE INTO keys VALUES (?)", (digest.digest(),)).rowcount == 1
