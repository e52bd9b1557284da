"""Scores over groups of questions: closed forms, and agents that must not profit."""

import itertools

import numpy as np
import pytest

from sifthinker.errors import InputError
from sifthinker.scenes.consistency import SETTINGS, Verdict, abstention, chance, flip_circular, paired, parse_id


def test_pairs_count_when_both_are_right():
    assert paired([(1, True), (2, False), (1, True), (2, True)]) == 0.5
    assert paired([(1, False), (1, False)]) == 0.0


@pytest.mark.parametrize("rows", [[(1, True)], [(1, True)] * 3])
def test_pairs_must_be_pairs(rows):
    with pytest.raises(InputError, match=f"pair 1 has {len(rows)} answers, expected 2"):
        paired(rows)


def test_no_pairs_is_an_error():
    with pytest.raises(InputError, match="no pairs"):
        paired([])


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("AB12CD34", ("AB12CD34", False, 0)),
        ("AB12CD34-0", ("AB12CD34", False, 0)),
        ("AB12CD34-3", ("AB12CD34", False, 3)),
        ("AB12CD34-flip", ("AB12CD34", True, 0)),
        ("AB12CD34-flip-1", ("AB12CD34", True, 1)),
        ("scenes-ab12-7-000031", ("scenes-ab12-7-000031", False, 0)),
        ("scenes-ab12-7-000031-flip-1", ("scenes-ab12-7-000031", True, 1)),
        ("flip", ("flip", False, 0)),
        ("q-flipped", ("q-flipped", False, 0)),
    ],
)
def test_ids(name, parts):
    assert parse_id(name) == parts


def test_an_empty_id_is_refused():
    with pytest.raises(InputError, match="is not an id"):
        parse_id("")


def ids(base, options):
    return [base + flip + (f"-{turn}" if turn else "") for flip in ("", "-flip") for turn in range(options)]


def test_the_four_settings():
    # One wrong row of a question with two options, none wrong of one with four.
    rows = [(name, name != "a-flip") for name in ids("a", 2)] + [(name, True) for name in ids("b", 4)]
    scores = flip_circular(rows, {"a": 2, "b": 4})
    assert scores == {"vanilla": 11 / 12, "flip": 5 / 6, "circular": 3 / 4, "flip_circular": 1 / 2}
    assert tuple(scores) == SETTINGS


def test_settings_are_ordered_by_strictness():
    rng = np.random.default_rng(3)
    for _ in range(200):
        rows = [(name, bool(rng.random() < 0.8)) for q in "abc" for name in ids(q, 2)]
        scores = flip_circular(rows, dict.fromkeys("abc", 2))
        assert scores["vanilla"] >= max(scores["flip"], scores["circular"])
        assert min(scores["flip"], scores["circular"]) >= scores["flip_circular"]


def test_guessing_scores_what_chance_says():
    # Every way to guess among two options, in all four rows of a question.
    ways = list(itertools.product((True, False), repeat=4))
    scores = [flip_circular(zip(ids("a", 2), way, strict=True), {"a": 2}) for way in ways]
    assert {s: np.mean([score[s] for score in scores]) for s in SETTINGS} == chance(2)
    assert chance(4) == {"vanilla": 4**-1, "flip": 4**-2, "circular": 4**-4, "flip_circular": 4**-8}


def test_incomplete_groups_are_errors():
    complete = [(name, True) for name in ids("a", 2)]
    for row in complete:
        with pytest.raises(InputError, match="question a is not complete: missing"):
            flip_circular([r for r in complete if r != row], {"a": 2})
    with pytest.raises(InputError, match=r"not expected \['-2'\]"):
        flip_circular([*complete, ("a-2", True)], {"a": 2})
    with pytest.raises(InputError, match="a-0 occurs twice"):
        flip_circular([*complete, ("a-0", True)], {"a": 2})
    with pytest.raises(InputError, match="number of options is not given"):
        flip_circular(complete, {})
    with pytest.raises(InputError, match="no questions"):
        flip_circular([], {})


# --- abstention --------------------------------------------------------------------------------------------------


def answers(abstains):
    """Verdicts of an agent that abstains in some conditions, and is right wherever it can be."""
    for i, condition in itertools.product(range(4), ("clean", "occluded")):
        says = abstains(condition)
        yield Verdict(str(i), condition, says == (condition != "clean"), says)


def test_a_perfect_agent():
    assert abstention(answers(lambda condition: condition != "clean")) == {
        "accuracy.clean": 1.0,
        "accuracy.occluded": 1.0,
        "precision": 1.0,
        "recall": 1.0,
        "over_abstention": 0.0,
        "paired": 1.0,
    }


def test_always_abstaining_and_never_abstaining_score_nothing_on_pairs():
    always, never = abstention(answers(lambda c: True)), abstention(answers(lambda c: False))
    assert always["paired"] == never["paired"] == 0.0
    assert (always["precision"], always["recall"], always["over_abstention"]) == (0.5, 1.0, 1.0)
    assert (never["precision"], never["recall"], never["over_abstention"]) == (None, 0.0, 0.0)
    assert never["accuracy.clean"] == always["accuracy.occluded"] == 1.0


def test_a_wrong_answer_in_the_clean_picture_loses_the_pair():
    rows = [Verdict("a", "clean", False, False), Verdict("a", "ambiguous", True, True)]
    assert abstention(rows)["paired"] == 0.0


@pytest.mark.parametrize("conditions", [["clean"], ["clean", "clean"], ["occluded"], ["clean", "occluded", "occluded"]])
def test_pairs_of_abstention_must_be_pairs(conditions):
    with pytest.raises(InputError, match="expected clean and one other"):
        abstention(Verdict("a", c, True, c != "clean") for c in conditions)
