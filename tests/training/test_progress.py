"""The progress store, and what the bonus does to advantages."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from sifthinker.errors import InputError
from sifthinker.rewards.progress import bonus
from sifthinker.training.progress import FILE, ProgressStore


def test_previous_is_the_mean_of_the_visit_before() -> None:
    store = ProgressStore()
    assert store.previous("a", 0) is None
    store.update(["a", "a", "b", "b"], [1.0, 0.0, 0.0, 0.0], 0)
    assert store.previous("a", 0) is None, "the same window is not an earlier visit"
    assert store.previous("a", 1) == 0.5
    assert store.previous("b", 1) == 0.0, "zero is a score"


def test_a_window_that_is_generated_again_overwrites_itself() -> None:
    store = ProgressStore()
    store.update(["a"], [0.2], 0)
    store.update(["a"], [0.9], 3)
    store.update(["a"], [0.4], 3)
    assert store.previous("a", 3) == 0.2
    assert store.previous("a", 4) == 0.4


def test_unjudged_rows_do_not_enter() -> None:
    store = ProgressStore()
    store.update(["a", "a"], [math.nan, 1.0], 0)
    store.update(["a"], [math.nan], 1)
    assert store.previous("a", 2) == 1.0


def test_the_released_store_ratchets_and_skips_zeros() -> None:
    """The two faults of the authors' store, kept for comparisons: what ours does in the same place is beside it."""
    for released, stored in ((False, (0.75, 0.0)), (True, (1.0, 0.5))):
        store = ProgressStore(released)
        store.update(["a", "a"], [1.0, 0.0], 0)
        store.update(["a", "a"], [1.0, 0.5], 1)
        assert store.previous("a", 2) == stored[0], "the bonus of 0.5 for the 1.0 is in it"
        store.update(["b"], [0.5], 0)
        store.update(["b"], [0.0], 1)
        assert store.previous("b", 2) == stored[1]


def test_saved_and_loaded(tmp_path: Path) -> None:
    store = ProgressStore()
    store.update(["a", "b"], [1.0, 0.0], 0)
    store.save(tmp_path, 7)
    again = ProgressStore()
    again.load(tmp_path)
    assert (again.previous("a", 1), again.previous("b", 1), len(again)) == (1.0, 0.0, 2)
    (tmp_path / FILE).unlink()
    with pytest.raises(InputError, match=r"progress.json is missing"):
        again.load(tmp_path)


def scaled(rewards: np.ndarray) -> np.ndarray:
    return (rewards - rewards.mean()) / rewards.std()


@pytest.mark.parametrize(("before", "acts"), [([0.0, 0.0], False), ([1.0, 1.0], False), ([1.0, 0.0], True)])
def test_bonus_acts_only_where_the_group_straddles_its_past(before: list[float], acts: bool) -> None:
    """A group wholly above or below its past gets an affine bonus or none, which group scaling cancels."""
    store = ProgressStore()
    store.update(["a"] * len(before), before, 0)
    accuracy = np.array([1.0, 0.6, 0.0, 0.0])
    shaped = accuracy + [bonus(a, store.previous("a", 1)) for a in accuracy]
    assert np.allclose(scaled(accuracy), scaled(shaped)) is not acts
