"""Where the work on the rows of a shard is done: in this process, in others on this machine, or on a Ray cluster.

An executor takes tasks one after the other, gives each to a worker that is free, and hands on what the workers yield,
in no particular order. Few tasks are in memory at a time. What a worker needs (a depth model) it loads once, itself.
If the reader stops, by Ctrl-C or an error, the workers end at once.

`concurrent.futures` would do for less: its workers outlive a parent that is killed, and nothing is handed on before a
task is done, so that a task of many rows would wait in memory.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import lru_cache, partial
from multiprocessing import connection, get_context, parent_process
from multiprocessing.context import SpawnProcess
from threading import Thread
from typing import Any, TypeVar, cast

from .errors import InputError, SifError

T = TypeVar("T")
R = TypeVar("R")
Work = Callable[[Iterable[T]], Iterator[R]]
Open = Callable[[], Work[T, R]]
"""Gives the work on tasks; can be pickled, as can tasks and what is yielded for them, which is never None."""

END_S = 10.0
"""So long a worker may take to end when there are no more tasks."""


def in_processes(open_work: Open[T, R], tasks: Iterable[T], workers: int, ahead: int | None = None) -> Generator[R]:
    """The work in `workers` processes of this machine.

    ahead: tasks that may be given after the oldest one that is not done; None: any number.

    The caller's main module must be importable (guard it with `if __name__ == "__main__":`). A worker's error is raised
    here; a worker that dies raises `SifError`. Workers end by themselves when this process is killed.
    """
    context = get_context("spawn")
    # By our end of the pipe to each.
    crew: dict[Any, SpawnProcess] = {}
    busy: dict[Any, int] = {}
    free: list[Any] = []

    def hire() -> None:
        ours, theirs = context.Pipe()
        crew[ours] = context.Process(target=_serve, args=(theirs, open_work, workers), daemon=True)
        crew[ours].start()
        # Else their end would stay open when they die.
        theirs.close()

    def received() -> Iterator[R]:
        for pipe in cast(list[Any], connection.wait(list(crew))):
            try:
                message = pipe.recv()
            except (EOFError, ConnectionError) as error:
                raise _died(crew[pipe]) from error
            if message is None:
                busy.pop(pipe, None)
                free.append(pipe)
            elif isinstance(message, BaseException):
                raise message
            else:
                yield message

    try:
        for number, task in enumerate(tasks):
            while len(crew) < workers:
                hire()
            while not free or _too_far(number, busy.values(), ahead):
                yield from received()
            pipe = free.pop()
            try:
                pipe.send(task)
            except ConnectionError as error:
                raise _died(crew[pipe]) from error
            busy[pipe] = number
        while busy:
            yield from received()
        # Not killed: whatever they loaded (tqdm's locks, for one) wants to give back its semaphores.
        for pipe in crew:
            pipe.close()
        for process in crew.values():
            process.join(END_S)
    finally:
        for process in crew.values():
            process.kill()
        for pipe, process in crew.items():
            process.join()
            pipe.close()


def _too_far(number: int, under_way: Iterable[int], ahead: int | None) -> bool:
    return ahead is not None and number - min(under_way, default=number) > ahead


def _died(process: SpawnProcess) -> SifError:
    process.join()
    return worker_gone(f"with exit code {process.exitcode}")


def worker_gone(how: str = "") -> SifError:
    """The error for a worker that died."""
    return SifError(
        f"a worker process ended{' ' * bool(how)}{how}; was it killed because memory ran out? "
        "Go on with --resume and fewer --workers"
    )


@contextmanager
def process_pool(workers: int) -> Iterator[ProcessPoolExecutor | None]:
    """Processes for single calls, at most as many as there are cores; None where this one is to do everything."""
    if workers == 1:
        yield None
        return
    with ProcessPoolExecutor(min(workers, os.cpu_count() or 1), get_context("spawn"), _end_with_parent) as pool:
        yield pool


def _end_with_parent() -> None:
    """In a process of a pool, which would outlive a parent that is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def _serve(pipe: Any, open_work: Open[Any, Any], workers: int) -> None:
    """A worker: says that it is free (None), takes a task, sends what comes of it, and so on."""
    # Ctrl-C reaches all processes of a terminal; the first one ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # For depth models: all workers together use the cores once.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))
    try:
        work = open_work()
        while True:
            pipe.send(None)
            for result in work([pipe.recv()]):
                pipe.send(result)
    except (EOFError, ConnectionError):
        return  # who gave the tasks is gone
    except BaseException as error:  # noqa: BLE001 - raised again where the tasks come from
        with contextlib.suppress(ConnectionError):
            pipe.send(_sendable(error))


def _sendable(error: BaseException) -> BaseException:
    error.add_note(f"in a worker process:\n{''.join(traceback.format_tb(error.__traceback__))}")
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 - whatever its class does
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def on_ray(open_work: Open[T, R], tasks: Iterable[T], workers: int, ahead: int | None = None) -> Generator[R]:
    """The work as tasks of Ray, at most `workers` at a time, on the cluster that `ray.init` finds, or a local one.

    ahead: as for `in_processes`.

    The package, the sources and the folder must be there under the same paths on all nodes. A task that is lost with
    its node is given to another one.

    Not Ray Data: it wants the whole input as a data set of its own, while rows come from one stream that must be read
    in order (duplicates, caps), and it collects rows, while here shards are on the disk when a task ends.
    """
    try:
        import ray
        from ray.exceptions import RayTaskError
    except ImportError as error:
        raise InputError("--executor ray: needs Ray: pip install 'sifthinker[ray]'") from error
    ours = not ray.is_initialized()
    if ours:
        ray.init(log_to_driver=False)
    give = ray.remote(max_retries=-1)(_on_node).remote
    opener, here = pickle.dumps(open_work), os.getcwd()
    busy: dict[Any, int] = {}

    def finished() -> Iterator[R]:
        (first, *_), _ = ray.wait(list(busy), num_returns=1)
        del busy[first]
        try:
            yield from ray.get(first)
        except RayTaskError as error:
            raise error.cause or error from error

    try:
        for number, task in enumerate(tasks):
            while len(busy) >= workers or _too_far(number, busy.values(), ahead):
                yield from finished()
            busy[give(opener, here, task)] = number
        while busy:
            yield from finished()
    finally:
        for left in busy:
            ray.cancel(left, force=True)
        if ours:
            ray.shutdown()


def _on_node(opener: bytes, folder: str, task: Any) -> list[Any]:
    return list(_opened(opener, folder)([task]))


@lru_cache(maxsize=1)
def _opened(opener: bytes, folder: str) -> Work[Any, Any]:
    """Once a process, of which Ray uses each for many tasks."""
    os.chdir(folder)
    return pickle.loads(opener)()


Execute = Callable[..., Generator[Any]]
EXECUTORS: dict[str, Execute] = {"local": in_processes, "ray": on_ray}

AHEAD = 4
"""Tasks for each worker after the oldest one, where the results are wanted in order."""


def in_order(
    execute: Execute, open_one: Callable[[], Callable[[T], Iterable[R]]], tasks: Iterable[T], workers: int
) -> Iterator[R]:
    """The results of all tasks in the order of the tasks, from the workers of an executor.

    open_one: gives the function from a task to its results; can be pickled, as can tasks and results.
    """
    done: dict[int, list[R]] = {}
    next_number = 0
    for number, results in execute(partial(_open_numbered, open_one), enumerate(tasks), workers, AHEAD * workers):
        done[number] = results
        while next_number in done:
            yield from done.pop(next_number)
            next_number += 1


def _open_numbered(open_one: Callable[[], Callable[[T], Iterable[R]]]) -> Work[tuple[int, T], tuple[int, list[R]]]:
    one = open_one()
    return lambda tasks: ((number, list(one(task))) for number, task in tasks)
