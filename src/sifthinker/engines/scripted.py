"""Replies that were written before: for tests, for demonstrations, and for reading recorded replies again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ..errors import InputError
from ..prompt import DEFAULT_MAX_PIXELS, FAMILIES, Family
from ..records import read_jsonl
from .engine import Reply, Request, chat_text

Answer = Callable[[Request], str]
FIELDS = {"id", "question", "reply", "error", "finish_reason"}


class ScriptedEngine:
    """Answers from a JSON lines file, or from a function of the request.

    Each line is an object with `reply` (the text) or `error`, and optionally `id` or `question` (the request it
    answers, as often as it comes) and `finish_reason`. Lines without `id` and `question` answer in order the requests
    that no other line names. A request that nothing answers gets an error. A function's exceptions pass through.
    """

    def __init__(
        self,
        script: str | Path | Answer,
        *,
        family: str = "generic",
        max_pixels: int = DEFAULT_MAX_PIXELS,
        grid: int | None = None,
    ) -> None:
        self.family: Family = FAMILIES[family]
        self.max_pixels = max_pixels
        self.grid = grid or self.family.grid
        self._answer = script if callable(script) else None
        self._by_id: dict[str, dict[str, Any]] = {}
        self._by_question: dict[str, dict[str, Any]] = {}
        self._in_order: deque[dict[str, Any]] = deque()
        if callable(script):
            self.model_id = f"scripted:{getattr(script, '__name__', 'function')}"
        else:
            self.model_id = f"scripted:{Path(script).name}"
            self._read(Path(script))

    def _read(self, path: Path) -> None:
        for number, line in read_jsonl(path):
            where = f"{path}:{number}"
            if unknown := line.keys() - FIELDS:
                raise InputError(f"{where}: unknown field {sorted(unknown)[0]!r}; known: {', '.join(sorted(FIELDS))}")
            if wrong := [k for k, v in line.items() if not isinstance(v, str) and v is not None]:
                raise InputError(f"{where}: {wrong[0]} must be a string")
            if (line.get("reply") is None) == (line.get("error") is None):
                raise InputError(f"{where}: expected either 'reply' (a text) or 'error'")
            if line.get("id") is not None:
                self._by_id[line["id"]] = line
            elif line.get("question") is not None:
                self._by_question[line["question"].strip()] = line
            else:
                self._in_order.append(line)

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply a request, in order."""
        return [self._reply(request) for request in requests]

    def _reply(self, request: Request) -> Reply:
        if self._answer is not None:
            return Reply(request.id, self._answer(request), "stop")
        line = self._by_id.get(request.id) or self._asked(chat_text(request.messages))
        if line is None and self._in_order:
            line = self._in_order.popleft()
        if line is None:
            return Reply(request.id, None, error=f"{self.model_id} has no reply for this request")
        if line.get("error") is not None:
            return Reply(request.id, None, error=line["error"])
        return Reply(request.id, line["reply"], line.get("finish_reason") or "stop")

    def _asked(self, text: str) -> Mapping[str, Any] | None:
        """The line whose question stands in the prompt on lines of its own."""
        return next((line for q, line in self._by_question.items() if f"\n{q}\n" in f"\n{text}\n"), None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close."""
