"""Generated StepGame stories: the text is read again by other patterns, and solved by another method."""

import os
import re
from collections import Counter

import numpy as np
import pytest

from sifthinker.grading import grade_answer
from sifthinker.rewards import REWARDS
from sifthinker.scenes.generate import generate
from sifthinker.scenes.stepgame_sentences import OFFSETS
from sifthinker.scenes.story import Story
from sifthinker.scenes.tasks.stepgame import TASKS
from sifthinker.scenes.worlds import world_from_json

COUNT = int(os.environ.get("SIFTHINKER_SCENES", "400"))
TASK = TASKS["stepgame"]

WORDS = {
    "to the upper left of": (-1, 1), "to the upper right of": (1, 1), "to the lower left of": (-1, -1),
    "to the lower right of": (1, -1), "left of": (-1, 0), "right of": (1, 0), "above": (0, 1), "below": (0, -1),
    "up and to the left": (-1, 1), "up and to the right": (1, 1), "down and to the left": (-1, -1),
    "down and to the right": (1, -1), "to the left": (-1, 0), "to the right": (1, 0), "up": (0, 1), "down": (0, -1),
    "northwest": (-1, 1), "northeast": (1, 1), "southwest": (-1, -1), "southeast": (1, -1), "west": (-1, 0),
    "east": (1, 0), "north": (0, 1), "south": (0, -1),
}  # fmt: skip


@pytest.fixture(scope="module")
def made():
    return list(generate(COUNT, seed=5, tasks=["stepgame"]))


def read(sentence):
    """(a, b, step from b to a), by the letters' order in the sentence and the longest known words."""
    first, second = re.findall(r"\b[A-Z]\b", sentence)
    if clock := re.search(r"points to (\d+) o'clock", sentence):
        angle = np.radians(30 * int(clock[1]))
        # 10, 2, 4 and 8 are 30 degrees off the diagonals' neighbors; rounding finds the diagonal.
        step = tuple(int(v) for v in np.rint(np.array([np.sin(angle), np.cos(angle)]) * 1.01))
        return second, first, step
    step = WORDS[max((w for w in WORDS if re.search(rf"\b{w}\b", sentence)), key=len)]
    reversed_ = sentence.startswith(("Look", "Go")) or " has " in sentence
    return (second, first, step) if reversed_ else (first, second, step)


def test_answers_are_those_of_least_squares(made):
    """All sentences as equations, solved at once."""
    for sample, _ in made:
        *story, question = sample.question.split("\n")
        facts = [read(sentence) for sentence in story]
        letters = sorted({x for a, b, _ in facts for x in (a, b)})
        matrix, steps = np.zeros((len(facts), len(letters))), np.zeros((len(facts), 2))
        for row, (a, b, step) in enumerate(facts):
            matrix[row, letters.index(a)], matrix[row, letters.index(b)], steps[row] = 1, -1, step
        places = np.linalg.lstsq(matrix, steps, rcond=None)[0]
        assert np.abs(matrix @ places - steps).max() < 1e-6, "the story contradicts itself"
        x, y = re.search(r"agent ([A-Z]) to the agent ([A-Z])\?", question).groups()
        gap = np.rint(places[letters.index(x)] - places[letters.index(y)]).astype(int)
        assert tuple(np.sign(gap)) == OFFSETS[sample.answer], sample.id


def test_hops_and_labels_are_balanced(made):
    labels, hops = (Counter(values) for values in zip(*((s.answer, s.meta["hops"]) for s, _ in made), strict=True))
    assert set(labels) == set(OFFSETS)
    assert set(hops) == set(range(1, 11))
    assert max(labels.values()) <= 1.4 * min(labels.values())
    assert max(hops.values()) <= 1.4 * min(hops.values())
    noisy = sum(s.meta["noise"] > 0 for s, _ in made) / len(made)
    assert 0.4 < noisy < 0.6
    # Blind: the most common label.
    assert max(labels.values()) / len(made) < 0.15


def test_gold_earns_full_marks(made):
    for sample, trace in made:
        assert {reward(trace, sample) for reward in REWARDS.values()} <= {1.0, None}
        assert grade_answer(sample.answer, sample) == 1.0
        assert all(grade_answer(other, sample) == 0.0 for other in sample.meta["distractors"])
        assert len(trace.steps) == sample.meta["hops"] + 2


def test_mirrored_and_turned_stories(made):
    mirror = {label: next(k for k, v in OFFSETS.items() if v == (-x, y)) for label, (x, y) in OFFSETS.items()}
    turn = {label: next(k for k, v in OFFSETS.items() if v == (y, -x)) for label, (x, y) in OFFSETS.items()}
    for sample, _ in made[::5]:
        world = sample.meta["world"]
        for change in (mirror, turn):
            links = [[a, change[label], b] for a, label, b in world["links"]]
            twin = TASK.ask(world_from_json(world | {"links": links}), sample.meta["roles"])
            assert twin.answer == change[sample.answer]
        swapped = {"x": sample.meta["roles"]["y"], "y": sample.meta["roles"]["x"]}
        assert TASK.ask(world_from_json(world), swapped).answer == mirror[turn[turn[mirror[sample.answer]]]]


def test_order_of_telling_does_not_matter(made):
    for sample, _ in made[::5]:
        world = sample.meta["world"]
        shuffled = world | {"links": world["links"][::-1], "forms": world["forms"][::-1]}
        assert TASK.ask(world_from_json(shuffled), sample.meta["roles"]).answer == sample.answer


def test_refusals():
    links = [["A", "left", "B"], ["C", "above", "D"]]
    story = Story.from_json({"links": links, "forms": [0, 1]})
    assert TASK.ask(story, {"x": "A", "y": "C"}) == "no links lead from C to A"
    assert TASK.ask(story, {"x": "A", "y": "Z"}) == "nothing is said about Z"
    broken = Story.from_json({"links": [*links, ["A", "right", "B"]], "forms": [0, 1, 2]})
    assert "contradicts the rest" in TASK.ask(broken, {"x": "C", "y": "D"})
    assert story.to_json() == world_from_json(story.to_json()).to_json()
