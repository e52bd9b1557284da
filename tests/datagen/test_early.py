"""Answers that come too early are found by their words, and what only repeats the question is not one."""

import pytest

from sifthinker.datagen.annotators.early import gives_away
from sifthinker.datagen.expand import Stage
from sifthinker.geometry import Box
from sifthinker.sample import Sample
from sifthinker.trace import Area

WHOLE, CONTEXT, DISTRACTOR = (
    Stage(role, Area((Box(0, 0, 1, 1),), (None,))) for role in ("whole", "context", "distractor")
)
SIDES, TRUE = ("left", "right"), 'Is this true? "The cat is on the mat"'
DOG, CAT = "Is the dog red or blue?", "Is the dog to the left or to the right of the cat?"
NEARER, LEVEL = "Which is nearer, the red cube or the ball?", "Was it lower or higher than that, or level?"
GLASS = 'In which third is "right side glass": left, middle or right?'


@pytest.mark.parametrize(
    ("question", "answer", "choices", "early", "fair"),
    [
        # Words, not parts of words.
        ("Which animal?", "A dog.", (), ["There is a dog in the grass."], ["There are dogs."]),
        ("What does the dog eat?", "dog food", (), [], ["The dog must be somewhere."]),
        # The answer is among what the question names: all of it may be said, one of it not.
        (
            DOG, "red", (),
            ["I look for the red dog.", "I can see that the dog is red."],
            ["I look whether it is red or blue.", "It is blue."],
        ),
        (LEVEL, "A", ("lower", "higher", "level"), [], [f"I am asked: {LEVEL}"]),
        ("How far is the red cube from the ball?", "red", (), [], ["I look for the red cube."]),
        ("Is the red cube to the left or to the right?", "left", (), [], ["I look for the red cube."]),
        (NEARER, "red cube", (), [], ["I look for the red cube and the ball."]),
        (NEARER, "the ball", (), ["The ball is surely nearer."], ["I look for the red cube and the ball."]),
        (CAT, "left", (), ["The dog is to the left of the cat, clearly."], []),
        (GLASS, "right", (), ["The right side glass is right."], ["I look for the right side glass."]),
        ("Which third? left, middle or right?", "middle", (), ["It sits in the middle third."], []),
        ("Which third? left, middle, or right?", "left", (), [], ["Is it left, middle, or right?"]),
        ("On the photo, is the bench left or right?", "right", (), [], ["The bench could stand left or right."]),
        # Numbers.
        ("How many?", "2", (), ["I count two of them."], ["I count 2.5 or 12 of them."]),
        ("How many?", "1", (), [], ["One of them is near."]),
        (
            "How many dogs?", "1", (),
            ["I see one dog and no other.", "There is only one."],
            ["One after the other, I look at the dogs."],
        ),
        ("How many cats?", "13", (), ["I count thirteen cats."], []),
        # Yes and no.
        (
            "Is there a dog?", "no", (),
            ["No, nothing here.", "The answer is no."],
            ["No dog comes into view at once."],
        ),
        ("Is there a dog?", "yes", (), [], ["Nothing wrong here, true to life."]),
        (
            TRUE, "yes", (),
            ["Yes, the cat is on the mat, so the statement is true.", "Here the statement is true."],
            ["I look whether the statement is true."],
        ),
        (TRUE, "no", (), [], ["I look whether the statement is true."]),
        # Options, by their letters and by their words.
        (
            "Where is it?", "A", SIDES,
            [
                "It is on the left.", "It is on the left, certainly not on the right.", "The answer: A, I am sure.",
                "So (A) it is.", "It must be A.", "Surely option A.",
            ],
            [
                "It may be left or right.", "I do not know yet whether it is left or right.", "It is A man.",
                "A man stands there.",
            ],
        ),
        ("Where is the left chair?", "A", SIDES, [], ["I look for the left chair."]),
    ],
)  # fmt: skip
def test_answers_that_come_too_early(question, answer, choices, early, fair):
    sample = Sample("a", None, question, answer, choices=choices)
    assert [text for text in early if not gives_away(text, WHOLE, sample)] == []
    assert [text for text in fair if gives_away(text, WHOLE, sample)] == []


def test_what_a_part_around_the_evidence_may_say():
    sample = Sample("a", None, "Which animal?", "a dog")
    assert not gives_away("Something like a dog is here.", CONTEXT, sample)
    assert gives_away("So the answer is a dog.", CONTEXT, sample)
    assert not gives_away("No, nothing here.", DISTRACTOR, Sample("a", None, "Is there a dog?", "no"))
