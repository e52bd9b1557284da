"""Keys that came before are known, also when they are many, and do not fill the memory."""

import random
import sqlite3
from pathlib import Path

import pytest

from sifthinker.datagen import scratch
from sifthinker.datagen.seen import Keys
from sifthinker.errors import InputError


def test_as_a_set_would_answer(monkeypatch):
    monkeypatch.setattr(scratch, "CACHE_KIB", 64)
    keys, before, rng = Keys(), set(), random.Random(0)
    for _ in range(20_000):
        key = str(rng.randrange(12_000))
        assert keys.add(key) == (key not in before)
        before.add(key)


def test_parts_do_not_run_into_each_other():
    keys = Keys()
    given = [("ab", "c"), ("a", "bc"), ("abc",), ("ab", b"c")]
    assert [keys.add(*parts) for parts in given] == [True, True, True, False]


def test_memory_stays_flat(monkeypatch):
    monkeypatch.setattr(scratch, "CACHE_KIB", 1024)

    def rss_mib():
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

    if not Path("/proc/self/statm").exists():
        pytest.skip("no /proc here")
    keys = Keys()
    for n in range(10_000):
        keys.add(str(n))
    before = rss_mib()
    for n in range(10_000, 250_000):
        keys.add(str(n))
    assert rss_mib() - before < 8, "a set of so many keys takes 20 MiB and more"


def test_a_full_disk_is_told(monkeypatch):
    class Full:
        def execute(self, *_):
            raise sqlite3.OperationalError("database or disk is full")

    keys = Keys()
    monkeypatch.setattr(keys, "_db", Full())
    with pytest.raises(InputError, match="database or disk is full; free some space, or set TMPDIR"):
        keys.add("a")
