"""Workers: the same bytes from any number of them, anywhere; errors, deaths and Ctrl-C are told as in one process."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest

from sifthinker.datagen.build import build
from sifthinker.depth import DepthMap, write_depth
from sifthinker.errors import InputError, SifError
from sifthinker.executors import AHEAD, EXECUTORS, in_order, in_processes
from sifthinker.records import read_manifest
from tests.openai_server import serve

from .photos import jsonl, own_rows
from .test_build import check, content
from .test_teacher import reply_to


@dataclass(frozen=True)
class Toy:
    """Work on numbers, which fails as it is told."""

    fail: str = ""

    def __call__(self):
        if self.fail == "open":
            raise InputError("no such model; give another one")
        return self.work

    def work(self, tasks):
        for task in tasks:
            for part in range(3):
                yield f"{task}.{part}"
                if task == 5 and part == 1 and self.fail:
                    self.break_down()

    def break_down(self):
        if self.fail == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fail == "hang":
            time.sleep(1000)
        if self.fail == "strange":
            raise Strange(1, 2)
        raise {"input": InputError, "bug": ZeroDivisionError}[self.fail]("for this reason")


class Strange(Exception):
    """Cannot be unpickled."""

    def __init__(self, a, b):
        super().__init__(f"{a} and {b}")


@pytest.fixture(scope="module")
def cluster():
    """A Ray cluster on this machine, which the executor finds."""
    ray = pytest.importorskip("ray", reason="needs ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture(params=EXECUTORS)
def executor(request):
    if request.param == "ray":
        request.getfixturevalue("cluster")
    return request.param


@pytest.fixture
def run(executor):
    return EXECUTORS[executor]


def test_everything_comes_once(run):
    expected = sorted(f"{task}.{part}" for task in range(9) for part in range(3))
    assert sorted(run(Toy(), range(9), 2)) == expected
    assert list(run(Toy(), [], 2)) == []


def test_errors_come_as_they_were_raised(run):
    with pytest.raises(InputError) as caught:
        list(run(Toy("input"), range(9), 2))
    assert str(caught.value) == "for this reason"
    with pytest.raises(ZeroDivisionError):
        list(run(Toy("bug"), range(9), 2))


def test_local_errors():
    with pytest.raises(InputError, match="no such model"):
        list(in_processes(Toy("open"), range(9), 2))
    with pytest.raises(SifError, match=r"a worker process ended with exit code -9; .* --resume and fewer --workers"):
        list(in_processes(Toy("die"), range(9), 2))
    with pytest.raises(RuntimeError, match="Strange: 1 and 2"):
        list(in_processes(Toy("strange"), range(9), 2))


@dataclass(frozen=True)
class Slow:
    """Counts to numbers, for the first of them slowly."""

    def __call__(self):
        return self.one

    def one(self, number):
        time.sleep(0.5 if number == 0 else 0)
        return range(number, 2 * number + 1)


def test_results_in_order(run):
    assert list(in_order(run, Slow(), range(30), 2)) == [n for k in range(30) for n in range(k, 2 * k + 1)]


def test_a_slow_one_holds_up_the_others_in_the_end():
    taken = []
    results = in_order(in_processes, Slow(), (taken.append(n) or n for n in range(1000)), 2)
    assert next(results) == 0
    assert len(taken) <= 2 + AHEAD * 2
    results.close()


def test_few_tasks_are_taken_ahead():
    taken = []
    results = in_processes(Toy(), (taken.append(n) or n for n in range(100)), 2)
    for _ in range(9):
        next(results)
    assert len(taken) < 9
    results.close()


def test_any_number_of_workers_gives_the_same_bytes(tmp_path, executor):
    rows = own_rows(tmp_path, 11)
    lines = rows.read_text().splitlines()
    # Duplicates of rows that are in other workers' shards, and rejects.
    jsonl(rows, [*lines[:7], lines[1], "{torn", *lines[7:], lines[10]])
    run = partial(build, f"jsonl:{rows}", seed=1, rows_per_shard=2)
    run(tmp_path / "one")
    assert run(tmp_path / "two", workers=2, executor=executor) == check(tmp_path / "one")
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_workers_prepare_what_a_teacher_is_asked(tmp_path, executor):
    rows = own_rows(tmp_path, 20)
    write_depth(DepthMap(np.linspace(1, 5, 4800).reshape(60, 80), metric=True), tmp_path / "d.png")
    lines = [json.loads(line) | {"depth": "d.png"} for line in rows.read_text().splitlines()]
    lines[6]["image"] = "none.png"
    jsonl(rows, lines)
    with serve(reply_to) as server:
        run = partial(build, f"jsonl:{rows}", rows_per_shard=3, annotator=f"template:0.3,m@{server.url}:0.7")
        run(tmp_path / "one")
        count = server.count
        run(tmp_path / "two", workers=2, executor=executor)
        assert server.count == 2 * count
    assert check(tmp_path / "two")["kept"] == 19
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_parts_of_several_processes_become_one_data_set(tmp_path):
    rows = own_rows(tmp_path, 11)
    run = partial(build, f"jsonl:{rows}", seed=1, rows_per_shard=2)
    whole = run(tmp_path / "whole")
    out = tmp_path / "out"
    third = run(out, part="3/3")
    assert third["missing"] == [0, 1, 3, 4]
    assert (third["read"], third["kept"]) == (3, 3)
    assert not (out / "manifest.json").exists()
    assert run(out, part="3/3") == third, "once more changes nothing"
    assert run(out, part="1/3")["missing"] == [1, 4]
    assert run(out, part="2/3") == whole
    assert content(out) == content(tmp_path / "whole")
    assert run(out, part="1/3") == whole == read_manifest(out), "who comes late finds it finished"
    # Without a part, what is missing is made.
    run(tmp_path / "rest", part="2/2")
    assert run(tmp_path / "rest", resume=True) == whole
    assert content(tmp_path / "rest") == content(out)
    with pytest.raises(InputError, match=r"begun with other settings \(seed was 1, now 2\)"):
        build(f"jsonl:{rows}", out, seed=2, rows_per_shard=2, part="1/2")


@pytest.mark.parametrize("part", ["0/2", "3/2", "2", "1/0", "a/b", "-1/2", "1/2/3"])
def test_parts_that_are_none(tmp_path, part):
    with pytest.raises(InputError, match=rf"part '{part}': expected I/N, from 1/N to N/N, as in 2/4"):
        build(f"jsonl:{own_rows(tmp_path, 2)}", tmp_path / "out", part=part)
    assert not (tmp_path / "out").exists()


def test_batch_files_have_no_parts(tmp_path):
    with pytest.raises(InputError, match="batch files are written and read by one process; leave --part out"):
        build(f"jsonl:{own_rows(tmp_path, 2)}", tmp_path / "out", annotator="batch:m", part="1/2")


def test_parts_at_the_same_time(tmp_path):
    """Three processes begin an empty folder together; whichever ends last finishes it."""
    rows, out = own_rows(tmp_path, 16), tmp_path / "out"
    code = "import sys; from pathlib import Path; from sifthinker.datagen.build import build\n"
    code += "build(sys.argv[1], Path(sys.argv[2]), seed=1, rows_per_shard=2, part=sys.argv[3])"
    command = [sys.executable, "-c", code, f"jsonl:{rows}", str(out)]
    parts = [subprocess.Popen([*command, f"{n}/3"], stderr=subprocess.DEVNULL) for n in (1, 2, 3)]
    assert [part.wait() for part in parts] == [0, 0, 0]
    build(f"jsonl:{rows}", tmp_path / "whole", seed=1, rows_per_shard=2)
    assert content(out) == content(tmp_path / "whole")
    assert check(out)["kept"] == 16


def test_unknown_executor(tmp_path):
    with pytest.raises(InputError, match="unknown executor 'slurm'"):
        build(f"jsonl:{own_rows(tmp_path, 2)}", tmp_path / "out", executor="slurm")
    with pytest.raises(InputError, match="workers 0: expected at least 1"):
        build(f"jsonl:{own_rows(tmp_path, 2)}", tmp_path / "out", workers=0)
    assert not (tmp_path / "out").exists()


def test_an_interrupt_ends_all_processes_at_once(tmp_path):
    code = (
        "import sys\nfrom sifthinker.executors import in_processes\n"
        "from tests.datagen.test_executors import Toy\n"
        "if __name__ == '__main__':\n    for x in in_processes(Toy('hang'), range(9), 2): print(x, flush=True)\n"
    )
    script = tmp_path / "script.py"
    script.write_text(code)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        # A shell that runs the tests in the background lets all of them ignore interrupts.
        start_new_session=True, preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert process.stdout is not None
    while process.stdout.readline().strip() != "5.1":
        pass
    start = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, errors = process.communicate(timeout=20)
    assert time.monotonic() - start < 10
    assert errors.count("KeyboardInterrupt") <= 2, "told once, not by every worker"
    for _ in range(50):  # Python's own helper process goes a moment later
        if not is_there(process.pid):
            return
        time.sleep(0.1)
    raise AssertionError("workers are left")


def test_a_pool_ends_when_its_parent_is_killed(tmp_path):
    code = "import os, time\nfrom sifthinker.executors import process_pool\n"
    code += "if __name__ == '__main__':\n    with process_pool(2) as pool:\n"
    code += "        print(pool.submit(os.getpid).result(), flush=True)\n        pool.submit(time.sleep, 600)\n"
    code += "        time.sleep(600)\n"
    script = tmp_path / "script.py"
    script.write_text(code)
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    worker = int(process.stdout.readline())
    os.kill(worker, 0)
    process.kill()
    process.wait()
    for _ in range(100):
        if not is_there(process.pid):
            return
        time.sleep(0.1)
    raise AssertionError("workers are left")


@dataclass(frozen=True)
class Locked:
    """Work that holds a semaphore of the system's, as a progress bar of tqdm's does."""

    def __call__(self):
        from multiprocessing import RLock

        lock = RLock()
        return lambda tasks: (str(lock) and task for task in tasks)


def test_workers_give_back_what_they_hold():
    code = "from sifthinker.executors import in_processes\nfrom tests.datagen.test_executors import Locked\n"
    code += "print(sorted(in_processes(Locked(), range(1, 5), 2)))"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert (ended.stdout, ended.stderr) == ("[1, 2, 3, 4]\n", "")


def is_there(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
