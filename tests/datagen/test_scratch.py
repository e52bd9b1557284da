"""What is spooled comes back by its key, in order, and does not fill the memory."""

import json
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sifthinker.datagen import scratch
from sifthinker.datagen.files import read_fields, read_items
from sifthinker.datagen.scratch import Spool, disk_full
from sifthinker.errors import InputError

KEYS = st.one_of(
    st.integers(-3, 3), st.sampled_from(["1", "a", ""]), st.none(), st.lists(st.integers(0, 1), max_size=1)
)
VALUES = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=3), st.lists, max_leaves=4)


@pytest.mark.parametrize("at_once", [1, 3, 1024])
@given(records=st.lists(st.tuples(KEYS, VALUES), max_size=12))
def test_records_come_back_in_order(at_once, records):
    before, scratch.AT_ONCE = scratch.AT_ONCE, at_once
    try:
        spool = Spool()
        for key, value in records:
            spool.add(key, value)
        assert list(spool) == records
        for asked, _ in records:
            assert spool.of(asked) == [value for key, value in records if key == asked]
        first = records[0][0] if records else None
        assert spool.take(first) == [value for key, value in records if key == first]
        assert spool.take(first) == []
        assert list(spool) == [(key, value) for key, value in records if key != first]
    finally:
        scratch.AT_ONCE = before


def test_numbers_and_texts_as_keys():
    spool = Spool()
    spool.add(1, "number")
    spool.add("1", "text")
    spool.add(2.0, "float")
    assert (spool.of(1.0), spool.of("1"), spool.of(2)) == (["number"], ["text"], ["float"])


def test_a_full_disk_is_said():
    with pytest.raises(InputError, match=r"no space.*set TMPDIR"), disk_full():
        raise sqlite3.OperationalError("no space")


@given(
    data=st.dictionaries(st.text(max_size=3), st.lists(VALUES, max_size=3) | st.none() | st.integers(), max_size=4),
    taken=st.integers(0, 3),
)
def test_fields_are_those_of_the_whole_file(tmp_path_factory, data, taken):
    path = tmp_path_factory.mktemp("fields") / "a.json"
    path.write_text(json.dumps(data))
    found = {name: None if entries is None else [value for _, value in entries] for name, entries in read_fields(path)}
    assert found == {name: value if isinstance(value, list) else None for name, value in data.items()}
    # Entries that nobody takes are passed over.
    for _, entries in read_fields(path):
        for _, _ in zip(range(taken), entries or (), strict=False):
            pass
    assert [name for name, _ in read_fields(path)] == list(data) == [name for name, _ in read_items(path)]


def test_what_is_no_object_is_named(tmp_path):
    (tmp_path / "a.json").write_text("[1]")
    with pytest.raises(InputError, match=r"expected a JSON object, it begins with '\['"):
        list(read_fields(tmp_path / "a.json"))
