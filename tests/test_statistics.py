from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sifthinker.statistics import bootstrap, bootstrap_seeds, compare_paired, estimate, estimate_seeds, mcnemar, wilson


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


# --- runs of several seeds -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("units", [list(range(7)), list("aabbbcd")])
def test_with_one_seed_the_bootstrap_of_seeds_is_the_bootstrap(units: list) -> None:
    values = [0.1, 0.4, 0.9, 0.7, 0.0, 1.0, 0.3]
    assert bootstrap_seeds([values], [units]) == pytest.approx(bootstrap(values, units), abs=1e-12)
    equal = bootstrap_seeds([values] * 3, [units] * 3)
    assert equal == pytest.approx(bootstrap(values, units), abs=1e-12)  # such seeds add nothing, and take nothing away
    long = np.random.default_rng(3).random(2000).tolist()  # several blocks
    assert bootstrap_seeds([long], [list(range(2000))], 2500) == pytest.approx(bootstrap(long, None, 2500), abs=1e-12)


def test_seeds_that_differ_widen_the_interval() -> None:
    """Two seeds of which one is right about all and one about nothing: a quarter of the resamples has either alone."""
    units = list(range(20))
    assert bootstrap_seeds([[1.0] * 20, [0.0] * 20], [units] * 2) == (0.0, 1.0)
    low, high = bootstrap_seeds([[0.6] * 20, [0.4] * 20], [units] * 2)
    assert (low, high) == pytest.approx((0.4, 0.6))


def test_a_naive_loop_comes_to_the_same() -> None:
    rng = np.random.default_rng(7)
    units = [n // 2 for n in range(40)]
    runs = [(rng.random(40) + shift).tolist() for shift in (0.0, 0.1, 0.3)]
    means = []
    for _ in range(3000):
        chosen = rng.integers(0, 20, 20)
        rows = [i for unit in chosen for i, u in enumerate(units) if u == unit]
        means.append(np.mean([np.mean([runs[s][i] for i in rows]) for s in rng.integers(0, 3, 3)]))
    assert bootstrap_seeds(runs, [units] * 3) == pytest.approx(np.quantile(means, [0.025, 0.975]).tolist(), abs=0.012)


@pytest.mark.parametrize(
    ("seeds", "spread", "least", "most"),
    [(3, 0.0, 0.93, 1.0), (3, 0.02, 0.92, 1.0), (5, 0.03, 0.90, 1.0), (3, 0.3, 0.6, 0.88)],
)
def test_coverage_of_known_means(seeds: int, spread: float, least: float, most: float) -> None:
    """About 95 % while scenes are what varies; less where three seeds differ by far more than scenes can tell."""
    rng, hits, trials, n = np.random.default_rng(1), 0, 200, 50
    units = [list(range(n))] * seeds
    for _ in range(trials):
        scene, seed = rng.normal(0, 0.3, (1, n)), rng.normal(0, spread, (seeds, 1))
        values = 0.5 + scene + seed + rng.normal(0, 0.1, (seeds, n))
        low, high = bootstrap_seeds(values.tolist(), units, resamples=500)
        hits += low <= 0.5 <= high
    assert least <= hits / trials <= most


def test_means_over_seeds_that_measured_other_items() -> None:
    found = estimate_seeds([[0.2, 0.4], [], [0.9]], [["a", "b"], [], ["b"]])
    assert found.value == pytest.approx((0.3 + 0.9) / 2)
    assert found.low is not None
    assert found.high is not None
    assert 0.2 <= found.low < 0.6 < found.high <= 0.9


def test_seeds_claim_no_certainty() -> None:
    assert estimate_seeds([[], []], [[], []]).to_json() == {"value": None, "low": None, "high": None}
    all_right = estimate_seeds([[1.0] * 5] * 3, [list("abcde")] * 3)
    assert (all_right.value, all_right.low) == (1.0, pytest.approx(wilson(5, 5)[0]))
    assert estimate_seeds([[0.3], [0.5]], [["a"], ["a"]]).to_json() == {"value": 0.4, "low": 0.0, "high": 1.0}
    one = estimate_seeds([[0.3], [0.5]], [["a"], ["a"]], difference=True)
    assert (one.low, one.high) == (-1.0, 1.0)
    assert estimate_seeds([[0.0, 0.0]], [["a", "b"]], difference=True).to_json() == {"value": 0, "low": 0, "high": 0}
    with pytest.raises(ValueError, match="2 values with 1 units"):
        bootstrap_seeds([[0.1, 0.2]], [["a"]])
