"""Abstention: 1 for right, 0 for giving up, -1 for wrong; None where nothing abstains."""

import pytest

from sifthinker.grading import grade_answer
from sifthinker.rewards.abstain import PENALTY, abstained, abstaining, abstention_reward
from sifthinker.sample import Sample
from sifthinker.trace import Trace

OPTIONS = ("red", "cannot be determined", "blue")


def sample(answer, choices=OPTIONS):
    return Sample("s", None, "What color is it?", answer, choices=choices, meta={"answer_kind": "choice"})


@pytest.mark.parametrize(
    ("said", "clean", "opened"),
    [
        ("red", 1.0, -PENALTY),
        ("A", 1.0, -PENALTY),
        ("blue", -PENALTY, -PENALTY),
        ("B", 0.0, 1.0),
        ("cannot be determined", 0.0, 1.0),
        ("It cannot be determined from this picture.", 0.0, 1.0),
        ("There is not enough information.", 0.0, 1.0),
        ("", -PENALTY, -PENALTY),
        (None, -PENALTY, -PENALTY),
        ("I like trees", -PENALTY, -PENALTY),
    ],
)
def test_values(said, clean, opened):
    for answer, value in (("red", clean), ("cannot be determined", opened)):
        assert abstention_reward(Trace((), said), sample(answer)) == value
        assert (grade_answer(said, sample(answer)) == 1.0) == (value == 1.0)


def test_other_words_abstain_too():
    assert abstained("impossible to tell", sample("red"))
    assert abstained("(B)", sample("red"))
    assert not abstained("A", sample("red"))
    assert not abstained(None, sample("red"))


@pytest.mark.parametrize("choices", [("red", "blue"), ("cannot be determined", "impossible to tell", "red")])
def test_samples_without_one_option_that_abstains(choices):
    assert abstaining(sample("red", choices)) is None
    assert abstention_reward(Trace((), "red"), sample("red", choices)) is None


def test_no_gold_answer():
    assert abstention_reward(Trace((), "red"), sample("")) is None
