from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sifthinker.statistics import bootstrap, compare_paired, estimate, mcnemar, wilson


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [(0, 10, 0.0, 0.277533), (8, 10, 0.490162, 0.943318), (27, 45, 0.454519, 0.729751), (120, 191, 0.557839, 0.693647)],
)
def test_wilson_golden(k: int, n: int, low: float, high: float) -> None:
    assert wilson(k, n) == pytest.approx((low, high), abs=5e-7)


@pytest.mark.parametrize(
    ("b", "c", "p"), [(10, 2, 0.038574), (6, 0, 0.03125), (15, 5, 0.041389), (5, 5, 1.0), (0, 0, 1.0)]
)
def test_mcnemar_golden(b: int, c: int, p: float) -> None:
    assert mcnemar(b, c) == pytest.approx(p, abs=5e-7)
    assert mcnemar(c, b) == mcnemar(b, c)


def test_mcnemar_of_thousands_of_items_stays_exact() -> None:
    assert 0 < mcnemar(1600, 1400) < 0.001
    assert mcnemar(3000, 0) == pytest.approx(0.0, abs=1e-300)


@pytest.mark.parametrize(("k", "n"), [(0, 0), (3, 2), (-1, 2)])
def test_wilson_refuses_impossible_counts(k: int, n: int) -> None:
    with pytest.raises(ValueError, match="need 0 <= successes <= n"):
        wilson(k, n)


def test_no_values_is_null_not_nan() -> None:
    assert estimate([]).to_json() == {"value": None, "low": None, "high": None}


def test_binary_scores_get_wilson_and_graded_the_bootstrap() -> None:
    assert (estimate([1] * 27 + [0] * 18).low, estimate([1] * 27 + [0] * 18).high) == pytest.approx(wilson(27, 45))
    graded = [0.1, 0.4, 0.9, 0.7]
    assert (estimate(graded).low, estimate(graded).high) == bootstrap(graded)


def test_bootstrap_is_deterministic_and_near_the_normal_interval() -> None:
    values = np.random.default_rng(0).normal(0.5, 0.1, 400).tolist()
    low, high = bootstrap(values)
    assert (low, high) == bootstrap(values)
    half = 1.96 * np.std(values) / 20
    assert high - low == pytest.approx(2 * half, rel=0.05)
    assert bootstrap(values, seed=1) != (low, high)


def test_rows_of_one_unit_do_not_narrow_the_interval() -> None:
    """Ten copies of each photo's score are no more knowledge than one."""
    values = [0.0, 0.2, 0.9, 1.0, 0.4]
    once = bootstrap(values)
    copied = bootstrap([v for v in values for _ in range(10)], [i for i in range(5) for _ in range(10)])
    assert copied == pytest.approx(once)
    naive = bootstrap([v for v in values for _ in range(10)])
    assert naive[1] - naive[0] < (once[1] - once[0]) / 2


def test_bootstrap_in_blocks_matches_itself_for_unequal_units() -> None:
    values, units = [1.0, 0.0, 0.0, 0.0], ["a", "a", "a", "b"]
    low, high = bootstrap(values, units)
    assert (low, high) == (0.0, pytest.approx(1 / 3))


def test_one_unit_and_unanimous_units_claim_no_certainty() -> None:
    assert estimate([0.3, 0.5], ["x", "x"]).to_json() == {"value": 0.4, "low": 0.0, "high": 1.0}
    same = estimate([1.0] * 6, ["a", "a", "b", "b", "c", "c"])
    assert (same.value, same.low) == (1.0, pytest.approx(wilson(3, 3)[0]))


def test_paired_comparison() -> None:
    first, second = [1] * 2 + [0] * 10 + [1] * 8, [0] * 2 + [1] * 10 + [1] * 8
    found = compare_paired(first, second)
    assert (found.wins, found.losses) == (10, 2)
    assert found.p == pytest.approx(0.038574, abs=5e-7)
    assert found.difference.value == pytest.approx(0.4)
    assert found.difference.low is not None
    assert found.difference.low > 0


def test_graded_pairs_have_no_mcnemar_and_empty_pairs_no_difference() -> None:
    assert compare_paired([0.5, 0.2], [0.6, 0.1]).p is None
    assert compare_paired([], []).difference.value is None


def test_unequal_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in number"):
        compare_paired([1], [1, 0])
    with pytest.raises(ValueError, match="units"):
        bootstrap([1, 0], ["a"])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.data())
def test_interval_holds_the_value_and_stays_in_range(values: list[float], data: st.DataObject) -> None:
    units = data.draw(st.lists(st.integers(0, 4), min_size=len(values), max_size=len(values)))
    found = estimate(values, units)
    assert found.low is not None
    assert found.value is not None
    assert found.high is not None
    assert -1e-9 <= found.low <= found.value <= found.high <= 1 + 1e-9


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_a_probability(b: int, c: int) -> None:
    assert 0 < mcnemar(b, c) <= 1
