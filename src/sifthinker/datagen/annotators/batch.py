"""Batch files of OpenAI-compatible services: requests are written to files, and read again as results.

    OUT/batch/requests-000.jsonl     one request a line: {"custom_id", "method", "url", "body"}
    OUT/batch/results*.jsonl         what the service gave back; placed there by the user

The `custom_id` is the key under which a reply is kept (`replies`). Sending files to a service is the user's business.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ...engines.engine import Reply
from ...engines.server import FIELDS, refused_field, reply_of, without_fields
from ...errors import InputError, Paused
from ...records import disk_errors, read_jsonl
from .replies import Replies

FOLDER = "batch"
MOST_LINES = 50_000
MOST_BYTES = 190 * 2**20
"""A file of the OpenAI batch API holds at most 50,000 requests and 200 MB."""
_HEAD = b'{"custom_id": "'


@dataclass(frozen=True, slots=True, eq=False)
class Pending:
    """A request whose reply is not there yet."""

    key: str
    body: Mapping[str, Any]
    batch: Batch


class Batch:
    """The batch files of a data set.

    `failed` counts the results of a key that were errors; `refused` has the fields of its requests that such an error
    refused, and `left_out` those of any key: requests are written without them from then on.
    Raises `InputError` for result files that are none.
    """

    def __init__(self, folder: Path, model: str) -> None:
        self.folder, self.model = folder, model
        self.failed: Counter[str] = Counter()
        self.refused: defaultdict[str, set[str]] = defaultdict(set)
        self.left_out: set[str] = set()
        self.errors: dict[str, str] = {}
        self.waiting = 0
        self._asked: Counter[str] = Counter()
        self._unfinished = folder / ".requests.tmp"
        self._file: BinaryIO | None = None
        self._lines = self._size = 0
        self._written: list[Path] = []

    def faults(self, key: str) -> int:
        """How many errors of a key were about more than a field that is left out the next time."""
        return self.failed[key] - len(self.refused[key])

    def read(self, replies: Replies) -> None:
        """Put what the result files hold into `replies`, and note which requests were written before."""
        for path in sorted(self.folder.glob("requests-*.jsonl")):
            with path.open("rb") as file:
                # Not parsed: a line holds pictures, and its first field is all that is wanted.
                self._asked.update(line[len(_HEAD) :].partition(b'"')[0].decode() for line in file)
        answered: set[str] = set()
        for key, reply in self._results(replies):
            if reply.text is None:
                self.failed[key] += 1
                self.errors[key] = reply.error or ""
                if field := refused_field(self.errors[key], FIELDS):
                    self.refused[key].add(field)
                    self.left_out.add(field)
            elif key not in answered and replies.find(key) is None:
                answered.add(key)
                replies.add(key, reply, self.model)
        replies.reload()

    def _results(self, replies: Replies) -> Iterator[tuple[str, Reply]]:
        for path in sorted(self.folder.glob("results*.jsonl")):
            for number, line in read_jsonl(path):
                key = str(line.get("custom_id"))
                if key not in self._asked:
                    if replies.find(key):
                        continue  # taken before; its requests were deleted, as one may
                    raise InputError(
                        f"{path}:{number}: custom_id {key!r} is in none of the requests-*.jsonl beside it; "
                        "are these the results of this data set?"
                    )
                response = line.get("response") or {}
                error = line.get("error") or (response.get("body") if response.get("status_code") != 200 else None)
                if error:
                    yield key, Reply(key, None, error=f"HTTP {response.get('status_code')}: {json.dumps(error)[:300]}")
                else:
                    yield key, reply_of(key, response.get("body"))

    def add(self, pending: Pending) -> None:
        """Write a request, unless one with its key is with the service still."""
        self.waiting += 1
        if self._asked[pending.key] > self.failed[pending.key]:
            return
        body = without_fields(pending.body, self.left_out)
        line = {"custom_id": pending.key, "method": "POST", "url": "/v1/chat/completions", "body": body}
        data = json.dumps(line, ensure_ascii=False).encode() + b"\n"
        if self._lines and (self._lines >= MOST_LINES or self._size + len(data) > MOST_BYTES):
            self._finish()
        with disk_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file = self._file or self._unfinished.open("wb")
            self._file.write(data)
        self._lines += 1
        self._size += len(data)

    def _finish(self) -> None:
        """Give the file its name: from here on it is complete."""
        if self._file is None:
            return
        with disk_errors(self.folder):
            self._file.close()
        number = len(list(self.folder.glob("requests-*.jsonl")))
        path = self.folder / f"requests-{number:03d}.jsonl"
        while path.exists():  # one before it was deleted
            number += 1
            path = self.folder / f"requests-{number:03d}.jsonl"
        self._unfinished.replace(path)
        self._written.append(path)
        self._file, self._lines, self._size = None, 0, 0

    def pause(self) -> Paused:
        """Write what is left; the message says what to do."""
        self._finish()
        names = ", ".join(path.name for path in self._written)
        new = f"new requests are in {names}" if names else "no request is new"
        return Paused(
            f"{self.waiting} requests wait for their results; {new}. Send the requests-*.jsonl of {self.folder} that "
            "were not sent yet to the service's batch API, place what it gives back there as results-*.jsonl (keep the "
            "earlier ones), and run the same command with --resume. To have requests written again, delete their file"
        )
