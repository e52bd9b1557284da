"""A teacher model writes the words: it is shown every area in green on the photo, with the depths and the gold answer.

It replies with a list of texts, one an area, and with its answer. What fails the checks (`reading`) is shown to it
again with its fault; if that does not help either, the row is rejected. Replies are kept (`replies`), and what was
asked before is not asked again. What is asked is `chat`'s business, the server is `engines.server`'s, batch files are
`batch`'s.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from ...engines.engine import Reply, Request
from ...engines.server import Ask, ServerEngine, about_tokens, wire
from ...errors import EndpointError, InputError, SifError
from ...executors import process_pool, worker_gone
from ..outcome import Reject
from ..seeds import row_rng
from .asking import Asking
from .batch import FOLDER as BATCH
from .batch import Batch, Pending
from .budget import Budget
from .chat import MAX_TOKENS, again, draw_frames, key_of, look, messages, request_of
from .job import Answer, Item, Job, Words, settled
from .reading import BadReply, read_reply
from .replies import FOLDER as REPLIES
from .replies import Replies
from .stream import in_order

R = TypeVar("R")

WINDOW = 4
"""Samples under way for each request at the server: so many others pass a slow one before they wait for it."""
GIVE_UP = 20
"""Failures in a row after which it is the server, not the rows."""
ABOUT_THE_ROW = (200, 400, 413, 422)
"""Statuses (200: a completion without text) that are due to the row, if the server ever answered another one."""
STOP = {
    401: "set SIFTHINKER_API_KEY or OPENAI_API_KEY to a valid key",
    402: "see to the account's credit",
    403: "see what this key may do",
    404: "check the model's name and the address",
    429: "ask more slowly (--concurrency, --rpm, --tpm), or see to the account's credit",
}
"""Statuses after which no other request would succeed either, and what to do."""


def open_teacher(name: str, seed: int, out: Path, asking: Asking, account: Account, workers: int = 1) -> Teacher:
    """A teacher behind `MODEL@URL`, or `batch:MODEL` for batch files in the data set folder `out`.

    account: where replies are kept and costs are counted, shared by the teachers of a data set. workers: processes that
    draw the pictures, if more than 1.

    Raises `InputError` for other names and for settings that contradict each other, `EndpointError` for a server that
    is down.
    """
    if name.startswith("batch:") and name != "batch:":
        return Teacher(None, name, seed, out, asking, account, workers)
    if not re.fullmatch(r".+@https?://\S+", name):
        raise InputError(
            f"annotator {name!r}: expected template, MODEL@URL of an OpenAI-compatible server, batch:MODEL, or "
            "several of them with their shares, as in template:0.5,MODEL@URL:0.5"
        )
    engine = ServerEngine(
        name, concurrency=asking.concurrency, rpm=asking.rpm, tpm=asking.tpm, timeout_s=asking.timeout_s,
        retries=asking.retries, pause_s=asking.pause_s,
    )  # fmt: skip
    return Teacher(engine, name, seed, out, asking, account, workers)


@dataclass(frozen=True)
class Account:
    """What the teachers of a data set have in common: the replies that are kept, and what may be spent."""

    replies: Replies
    budget: Budget


def open_account(out: Path, asking: Asking) -> Account:
    """The account of the data set in `out`. Raises `InputError` for settings that contradict each other."""
    replies = Replies(out / REPLIES, *([asking.replies] if asking.replies else []))
    limits = (asking.budget_tokens, asking.budget, asking.price_in, asking.price_out)
    return Account(replies, Budget(*limits, replies.spent, replies.largest_prompt))


class Teacher:
    """Buys words from a server, or through batch files (no engine); whatever was bought is kept."""

    def __init__(
        self,
        engine: ServerEngine | None,
        name: str,
        seed: int,
        out: Path,
        asking: Asking,
        account: Account,
        workers: int = 1,
    ) -> None:
        self.engine, self.address, self.seed, self.asking = engine, name, seed, asking
        self.model = engine.model if engine else name.removeprefix("batch:")
        # As the data set calls it: a server may move while the data set is made.
        self.name = engine.model if engine else name
        self.window = WINDOW * asking.concurrency
        self._replies, self._budget = account.replies, account.budget
        self._batch = Batch(out / BATCH, self.model)
        self._workers = workers
        self._drawers: Executor | None = None
        self._stopped: SifError | None = None
        self._answered, self._failed = self.model in account.replies.models, 0

    def annotate(self, items: Iterable[Item]) -> Iterator[tuple[Item, Words | Reject]]:
        """Texts for every job, in order.

        Raises `EndpointError` when the server is gone or refuses what is asked, `Paused` when the budget is spent or
        results are waited for; what was bought is kept in any case.
        """
        with process_pool(self._workers) as drawers:
            yield from settled(in_order(items, partial(self.session, drawers), self.window))

    @asynccontextmanager
    async def session(self, drawers: Executor | None) -> AsyncIterator[Callable[[Item], Awaitable[Answer]]]:
        """For as long as the block lasts, the function that gets the words for one job.

        drawers: draw the pictures, if not threads of this process.
        """
        self._drawers = drawers
        # Some more than there are places at the server: the next ones are drawn and encoded meanwhile.
        ahead = asyncio.Semaphore(self.asking.concurrency * 5 // 4 + 4)
        if self.engine is None:
            self._batch.read(self._replies)
            yield lambda item: self._write(None, ahead, item)
            return
        async with self.engine.asking() as ask:
            yield lambda item: self._write(ask, ahead, item)
        if self._failed and not self._answered:
            raise EndpointError(f"{self.address}: every request failed; the last: {self._last_error}")

    async def _write(self, ask: Ask | None, ahead: asyncio.Semaphore, item: Item) -> Answer:
        if isinstance(item, Reject):
            return item
        async with ahead:
            if self._stopped:
                raise self._stopped
            try:
                return await self._converse(ask, item)
            except SifError as error:
                self._stopped = error
                raise

    async def _converse(self, ask: Ask | None, job: Job) -> Answer:
        """Ask, read, and ask again with the fault."""
        chat, fault = messages(job, self.asking.language), ""
        photo, pictures = await self._draw(look, job, not len(self._replies))
        for turn in range(1 + self.asking.repairs):
            seed = int(row_rng(self.seed, f"teacher {turn} {job.sample.id}").integers(2**31))
            key = key_of(self.model, job, photo, chat, seed)
            reply = self._replies.find(key)
            if reply is None:
                pictures = pictures or await self._draw(draw_frames, job)
                request = request_of(job.sample.id, chat, pictures, seed)
                if ask is None:
                    return self._pending(key, request)
                reply = await self._ask(ask, key, request)
            if reply.text is None:
                return Reject(job.sample.id, "annotator_failed", reply.error or "")
            try:
                if reply.finish_reason == "length":
                    raise BadReply(f"the reply was cut off after {MAX_TOKENS} tokens")
                return Words(read_reply(reply.text, job, self.asking.language), self.name)
            except BadReply as error:
                fault = str(error)
            chat = again(chat, reply.text, fault)
        return Reject(job.sample.id, "annotator_invalid", f"{1 + self.asking.repairs} replies; the last: {fault}")

    async def _draw(self, draw: Callable[..., R], job: Job, *settings: bool) -> R:
        """Draw pictures of a job in another process, or at least in another thread."""
        # Depth maps are not drawn, and large to send.
        job = replace(job, sample=replace(job.sample, depth=None))
        try:
            return await asyncio.get_running_loop().run_in_executor(self._drawers, draw, job, *settings)
        except BrokenExecutor as error:
            raise worker_gone() from error

    def _pending(self, key: str, request: Request) -> Pending | Reject:
        if self._batch.faults(key) > self.asking.repairs:
            return Reject(request.id, "annotator_failed", self._batch.errors[key])
        return Pending(key, wire(self.model, request), self._batch)

    async def _ask(self, ask: Ask, key: str, request: Request) -> Reply:
        """One request to the server, within the budget; the reply is kept."""
        prompt = about_tokens(request) - MAX_TOKENS
        async with self._budget.room_for(prompt, MAX_TOKENS) as learn:
            reply = await ask(request)
            if reply.text is None:
                await self._check(reply)
                return reply
            self._answered, self._failed = True, 0
            used = {"prompt_tokens": prompt, "completion_tokens": len(reply.text) // 3} | dict(reply.usage)
            learn(used["prompt_tokens"])
            reply = replace(reply, usage=used)
            self._replies.add(key, reply, self.model)
        return reply

    async def _check(self, reply: Reply) -> None:
        """Tell a server that is gone, or refuses everything, from rows that it cannot answer."""
        if self._answered and reply.status in ABOUT_THE_ROW:
            return
        self._failed += 1
        self._last_error = f"{reply.error}; what was bought is kept, go on with --resume"
        if advice := STOP.get(reply.status or 0):
            raise EndpointError(
                f"{self.address}: {reply.error}; {advice}; what was bought is kept, go on with --resume"
            )
        if reply.status is None and self.engine is not None:
            await self.engine.reach()
        if self._failed >= GIVE_UP:
            raise EndpointError(
                f"{self.address}: {self._failed} requests in a row failed; the last: {self._last_error}"
            )
