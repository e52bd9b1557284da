"""`kill -9` of the real command at random moments: the data set ends as one that was never interrupted.

SIFTHINKER_KILLS says how many moments; three of them in the usual run.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from .photos import jsonl, photo
from .test_build import check, content

KILLS = int(os.environ.get("SIFTHINKER_KILLS", "3"))


def rows_of(folder, count=1400):
    """Rows of several shards that share a few photos, with duplicates, bad rows and torn lines among them."""
    for n in range(12):
        photo(folder / f"p{n}.png", (64, 48), seed=n)
    rows = []
    for n in range(count):
        row = {
            "id": f"row{n % 1360}",
            "image": f"p{n % 12}.png",
            "question": f"What is thing {n % 1308}?",
            "answer": f"answer {n}",
            "boxes": [[0.2, 0.3, 0.5 + (n % 40) / 100, 0.7]] if n % 11 else [],
            "labels": ["thing"],
        }
        rows.append("{torn" if n % 101 == 0 else json.dumps(row))
    return jsonl(folder / "rows.jsonl", rows)


def end(process, victim):
    """Kill the first process alone, all of them, or one of its workers."""
    if victim == "all":
        os.killpg(process.pid, signal.SIGKILL)
    elif victim == "first" or not (workers := children(process.pid)):
        process.kill()
    else:
        os.kill(random.Random(0).choice(workers), signal.SIGKILL)


def children(pid):
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True).stdout
    return [int(line) for line in found.split()]


@pytest.mark.timeout(1800)
def test_kills_at_random_moments(tmp_path):
    if shutil.which("ps") is None:
        pytest.skip("needs ps")
    source, whole, out = f"jsonl:{rows_of(tmp_path)}", tmp_path / "whole", tmp_path / "out"
    command = [sys.executable, "-m", "sifthinker", "build", source, "--seed", "3", "--resume"]
    begun = time.monotonic()
    subprocess.run([*command, "--out", str(whole)], check=True, capture_output=True)
    took = time.monotonic() - begun
    expected = content(whole)
    rng, kills, finished = random.Random(KILLS), 0, 0
    while kills < KILLS:
        process = subprocess.Popen(
            [*command, "--out", str(out), "--workers", rng.choice("12")],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            code = process.wait(rng.uniform(0.1, 1.0) * took)
        except subprocess.TimeoutExpired:
            end(process, rng.choice(["first", "all", "worker"]))
            code = process.wait()
            kills += 1
        if code == 0:
            finished += 1
            assert content(out) == expected
            shutil.rmtree(out)
    subprocess.run([*command, "--out", str(out), "--workers", "2"], check=True, capture_output=True)
    assert content(out) == expected
    assert check(out)["rejects_by_reason"].keys() == {"bad_json", "duplicate_id", "duplicate_question", "no_boxes"}
    print(f"{kills} kills, {finished} runs that ended before theirs, an unbroken run takes {took:.1f} s")
