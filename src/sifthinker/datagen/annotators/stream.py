"""Items in, results out in the same order, while many of them wait for something slow at the same time.

What an item waits for is the caller's business (`teacher`).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractAsyncContextManager
from queue import SimpleQueue
from threading import Event, Semaphore, Thread
from typing import Any, TypeVar

from ...errors import Paused, SifError

T = TypeVar("T")
R = TypeVar("R")
V = TypeVar("V")

Session = Callable[[], AbstractAsyncContextManager[Callable[[T], Awaitable[R]]]]
"""Opens what the work needs (connections) and gives the work on one item."""

DRAIN_S, GONE_S = 300.0, 30.0
"""So long what is under way may take to end after a pause, and after an error that the others may well share."""


def in_order(items: Iterable[T], session: Session[T, R], window: int) -> Iterator[tuple[T, R]]:
    """Each item with its result, in the order of `items`.

    items: read by one thread, ahead of the results. window: items between reading and handing on at most, so that a
    slow one holds up no other until the window is full, and memory does not grow.

    An error of `items` or of the work is raised in its place; work under way ends first if the error is the package's
    own (what it buys is kept), and is cut off otherwise.
    """
    loop = asyncio.new_event_loop()
    # As many as there are cores: more would only keep the loop from its turn.
    loop.set_default_executor(ThreadPoolExecutor(max(2, os.cpu_count() or 1)))
    thread = Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def run(coroutine: Coroutine[Any, Any, V]) -> V:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result()

    try:
        opened = session()
        work = run(opened.__aenter__())
        try:
            yield from _in_order(items, work, window, loop)
        except BaseException:
            # Not the error itself: a KeyboardInterrupt would end the loop before its connections are closed.
            run(opened.__aexit__(GeneratorExit, GeneratorExit(), None))
            raise
        run(opened.__aexit__(None, None, None))
    finally:
        run(_rest())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _rest() -> None:
    """Cut off what is left in this loop, connections among it."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    loop = asyncio.get_running_loop()
    await loop.shutdown_asyncgens()
    await loop.shutdown_default_executor()


def _in_order(
    items: Iterable[T], work: Callable[[T], Awaitable[R]], window: int, loop: asyncio.AbstractEventLoop
) -> Iterator[tuple[T, R]]:
    queue: SimpleQueue[tuple[T, Future[R]] | BaseException | None] = SimpleQueue()
    room, stop = Semaphore(window), Event()

    async def begin(item: T) -> R:
        return await work(item)

    def feed() -> None:
        end: BaseException | None = None
        try:
            for item in items:
                room.acquire()
                if stop.is_set():
                    break
                queue.put((item, asyncio.run_coroutine_threadsafe(begin(item), loop)))
        except BaseException as error:  # noqa: BLE001 - raised again where the results are read
            end = error
        queue.put(end)

    feeder = Thread(target=feed, daemon=True)
    feeder.start()
    drain_s = 0.0
    try:
        while (found := queue.get()) is not None:
            if isinstance(found, BaseException):
                raise found
            item, future = found
            yield item, future.result()
            room.release()
    except SifError as error:
        drain_s = DRAIN_S if isinstance(error, Paused) else GONE_S
        raise
    finally:
        stop.set()
        room.release()
        feeder.join()
        _end(queue, drain_s)


def _end(queue: SimpleQueue[tuple[T, Future[R]] | BaseException | None], drain_s: float) -> None:
    """Wait for the work under way, and cut off what is left of it."""
    left: list[Future[R]] = []
    while not queue.empty():
        found = queue.get()
        if isinstance(found, tuple):
            left.append(found[1])
    for future in wait(left, drain_s).not_done:
        future.cancel()
