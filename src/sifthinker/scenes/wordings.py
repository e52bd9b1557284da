"""Questions of the nine families in words that training never used: said differently, and turned round.

What a question is about, its evidence and its roles stay. A question that is turned round ("farther" for "nearer")
has another answer, which follows from the question as it was.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from .task import Question


@dataclass(frozen=True, slots=True)
class Wording:
    """text: with the places of the usual question's parts. turn: the question with the answer to the new words."""

    text: str
    turn: Callable[[Question], Question] = lambda question: question


def _farther(question: Question) -> Question:
    return _other(question, "The {} has more depth, so it is farther.")


def _smaller(question: Question) -> Question:
    return _other(question, f"The {{}} is smaller than the {question.answer}.")


def _other(question: Question, says: str) -> Question:
    (other,) = question.distractors
    aim = {"first": "second", "second": "first"}[question.serves]
    return replace(question, answer=other, distractors=(question.answer,), says=says.format(other), aim=aim)


def _different(question: Question) -> Question:
    answer, attribute = question.serves.split()
    turned = {"yes": "no", "no": "yes"}[answer]
    return replace(question, answer=turned, aim=f"{turned} {attribute}")


WORDINGS: dict[str, tuple[str, tuple[Wording, ...]]] = {
    "color_of_shape": (
        r"What color is the (.+)\?",
        (Wording("The {0} has which color?"), Wording("Name the color of the {0}.")),
    ),
    "shape_of_color": (
        r"What shape is the (.+)\?",
        (Wording("The {0} has which shape?"), Wording("Name the shape of the {0}.")),
    ),
    "color_at_relation": (
        r"What color is the (.+) (left of|right of|in front of|behind) the (.+)\?",
        (Wording("The {0} {1} the {2} has which color?"), Wording("Find the {2}. What color is the {0} {1} it?")),
    ),
    "nearer": (
        r"Which is nearer, the (.+) or the (.+)\?",
        (Wording("Is the {0} or the {1} nearer?"), Wording("Which is farther, the {0} or the {1}?", _farther)),
    ),
    "left_right": (
        r"Is the (.+) left or right of the (.+)\?",
        (
            Wording("On which side of the {1} is the {0}, left or right?"),
            Wording("Where is the {0}, left or right of the {1}?"),
        ),
    ),
    "front_behind": (
        r"Is the (.+) in front of or behind the (.+)\?",
        (
            Wording("Does the {0} stand in front of or behind the {1}?"),
            Wording("Where is the {0}, in front of the {1} or behind it?"),
        ),
    ),
    "count": (
        r"How many (.+)s are there\?",
        (Wording("Count the {0}s."), Wording("What is the number of {0}s?")),
    ),
    "larger": (
        r"Which is larger, the (.+) or the (.+)\?",
        (Wording("Is the {0} or the {1} larger?"), Wording("Which is smaller, the {0} or the {1}?", _smaller)),
    ),
    "same": (
        r"Do (.+) and (.+) have the same (color|shape)\?",
        (Wording("Is the {2} of {0} and {1} the same?"), Wording("Do {0} and {1} have different {2}s?", _different)),
    ),
}
"""Of each family: the usual words as a pattern with its parts, and others in their place."""


def reworded(task: str, question: Question, number: int) -> Question:
    """The question in wording `number` of its task (of those in turn), with the answer that belongs to it."""
    usual, wordings = WORDINGS[task]
    found = re.fullmatch(usual, question.text)
    assert found, (task, question.text)
    wording = wordings[number % len(wordings)]
    meta = {**(question.meta or {}), "wording": number % len(wordings)}
    return replace(wording.turn(question), text=wording.text.format(*found.groups()), meta=meta)
