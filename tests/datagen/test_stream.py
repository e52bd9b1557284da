"""Results come in order, a slow item holds up no other, memory is bounded, and errors come in their place."""

import asyncio
import threading
import time
from contextlib import asynccontextmanager
from itertools import count

import pytest

from sifthinker.datagen.annotators.stream import in_order
from sifthinker.errors import SifError


def session(work):
    @asynccontextmanager
    async def opened():
        yield work

    return opened


def test_order_is_kept_and_a_slow_item_holds_up_no_other():
    done = []

    async def work(item):
        await asyncio.sleep(0.3 if item == 0 else 0.001)
        done.append(item)
        return item * item

    found = list(in_order(range(50), session(work), window=100))
    assert found == [(n, n * n) for n in range(50)]
    assert done[-1] == 0


def test_no_more_is_read_than_the_window_holds():
    read, threads = [], threading.active_count()

    def items():
        for number in count():
            read.append(number)
            yield number

    async def work(item):
        return item

    results = in_order(items(), session(work), window=5)
    assert [next(results) for _ in range(3)] == [(0, 0), (1, 1), (2, 2)]
    time.sleep(0.05)
    assert len(read) <= 3 + 5 + 1
    results.close()
    assert threading.active_count() == threads


def test_errors_of_items_and_of_work_come_in_their_place():
    finished = []

    async def work(item):
        if item == 2:
            raise SifError("no more")
        await asyncio.sleep(0.05)
        finished.append(item)
        return item

    results = in_order(range(10), session(work), window=10)
    assert [next(results), next(results)] == [(0, 0), (1, 1)]
    with pytest.raises(SifError, match="no more"):
        next(results)
    assert len(finished) == 9, "what was under way came to its end"

    def items():
        yield 1
        raise ValueError("bad source")

    results = in_order(items(), session(work), window=10)
    assert next(results) == (1, 1)
    with pytest.raises(ValueError, match="bad source"):
        next(results)


@pytest.mark.timeout(20)
def test_an_interrupt_cuts_off_what_is_under_way():
    closed, threads = [], threading.active_count()

    @asynccontextmanager
    async def opened():
        try:
            yield lambda item: asyncio.sleep(60 if item else 0)
        finally:
            closed.append(True)

    results = in_order(range(10), opened, window=5)
    assert next(results) == (0, None)
    with pytest.raises(KeyboardInterrupt):
        results.throw(KeyboardInterrupt)
    assert closed == [True]
    assert threading.active_count() == threads


def test_inside_of_a_running_loop():
    async def work(item):
        return item

    async def notebook():
        return list(in_order([1, 2], session(work), window=2))

    assert asyncio.run(notebook()) == [(1, 1), (2, 2)]
