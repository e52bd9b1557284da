"""Counts from masks and pixels' depth, sizes from corners."""

import re
from collections import Counter

import numpy as np
import pytest

from sifthinker.scenes.layout import PAINTS
from sifthinker.scenes.model import mirrored, permuted, rotated, scaled
from sifthinker.scenes.render import render
from sifthinker.scenes.tasks.counting import TASKS

from ..conftest import scene, thing
from ..measured import NAME, NOUN, SWAP, Measured, moved_roles, swapped, twin
from ..questions import assert_gold_earns_full_marks, blind, how_many, questions, solved, within_chance

COUNT = how_many(8)
KIND = rf"(?:({'|'.join(PAINTS)}) )?({NOUN}|object)s"


def members(known, color, noun, leave=()):
    """Objects with pixels of a kind."""
    seen = set(np.unique(known.views[0].instances).tolist()) - {-1, *leave}
    return [i for i in seen if color in (None, known.objects[i].color) and noun in ("object", known.objects[i].shape)]


def solve_simple(known, question):
    found = members(known, *re.fullmatch(rf"How many {KIND} are there\?", question.text).groups())
    return str(len(found)), found or list(range(len(known.objects)))


def stands(known, index, anchor, how):
    """By mean column or mean depth of pixels, or by the height of boxes."""
    if how == "taller than":
        return known.sides(index)[2] > known.sides(anchor)[2]
    columns = [np.nonzero(known.pixels(i))[1].mean() for i in (index, anchor)]
    depths = [known.views[0].depth.values[known.pixels(i)].mean() for i in (index, anchor)]
    return {
        "left of": columns[0] < columns[1],
        "right of": columns[0] > columns[1],
        "in front of": depths[0] < depths[1],
        "behind": depths[0] > depths[1],
    }[how]


def solve_complex(known, question):
    other, color, noun, how, name = re.fullmatch(
        rf"How many (other )?{KIND} are (left of|right of|in front of|behind|taller than) {NAME}\?", question.text
    ).groups()
    anchor = known.thing(name)
    assert bool(other) == (anchor in members(known, color, noun))
    group = members(known, color, noun, leave=(anchor,))
    found = [i for i in group if stands(known, i, anchor, how)]
    return str(len(found)), found or [anchor, *group]


def solve_size(known, question):
    pair = known.things(*re.findall(NAME, question.text))
    first, second = (sorted(known.sides(i)) for i in pair)
    ratio, volume = first[2] / second[2], np.prod(first) / np.prod(second)
    if 1 / 1.11 < ratio < 1.11:
        assert all(1 / 1.101 < a / b < 1.101 for a, b in zip(first, second, strict=True))
        return "about the same size", pair
    assert max(ratio, 1 / ratio) >= 1.3 - 1e-9
    assert (ratio > 1) == (volume > 1)
    return "larger" if ratio > 1 else "smaller", pair


def solve_tallest(known, question):
    most = re.fullmatch(r"Which object is the (tallest|shortest) in space\?", question.text)[1]
    order = sorted(range(len(known.objects)), key=lambda i: known.sides(i)[2] * (-1 if most == "tallest" else 1))
    first, second = (known.sides(i)[2] for i in order[:2])
    assert max(first, second) >= 1.15 * min(first, second) - 1e-9
    assert known.thing(question.answer) == order[0]
    return question.answer, order[:1]


SOLVE = {"tally_simple": solve_simple, "tally_complex": solve_complex, "viscot_size": solve_size,
         "viscot_tallest": solve_tallest}  # fmt: skip


@pytest.fixture(scope="module")
def asked():
    return [(task, *found) for task in TASKS for found in questions(task, min(COUNT, 30), seed=6)]


def test_every_task_is_checked():
    assert set(SOLVE) == set(TASKS)


@pytest.mark.timeout(0)
@pytest.mark.parametrize("task", TASKS)
def test_questions(task):
    aims, answers = Counter(), Counter()
    for known, world, question in solved(task, SOLVE[task], COUNT):
        for index in (*question.evidence, *question.via):
            assert np.allclose(known.shown_at(index), tuple(world.boxes[index]))
        assert question.facts
        aims[question.serves] += 1
        answers[question.answer] += 1
    print(f"{task}: {len(answers)} answers, best constant {blind(answers):.3f}")
    assert within_chance(aims, len(TASKS[task].aims(6)))
    if task.startswith("tally"):
        assert {aim.split(", ")[1] for aim in aims} == set(answers)
        assert blind(answers) < 0.35 or COUNT < 100


def mirrored_roles(roles):
    return {k: re.sub("left|right", lambda m: SWAP[m[0]], v) if k == "relation" else v for k, v in roles.items()}


def test_twins(asked):
    for task, world, roles, question in asked:
        found = TASKS[task].ask(twin(world, mirrored), mirrored_roles(roles))
        assert (found.text, found.answer) == (swapped(question.text), question.answer)
        for change in (lambda s: rotated(s, 71.0), lambda s: scaled(s, 2.0)):
            assert TASKS[task].ask(twin(world, change), roles).answer == question.answer
        order = np.random.default_rng(3).permutation(len(world.boxes))
        found = TASKS[task].ask(twin(world, lambda s, order=order: permuted(s, order)), moved_roles(roles, order))
        assert (found.text, found.answer) == (question.text, question.answer)


def test_the_check_can_fail(asked):
    for task, world, _, question in asked:
        if task == "tally_complex" and ("left" in question.text or "right" in question.text):
            known = Measured(twin(world, mirrored))
            wrong, _ = solve_complex(known, question)
            group = len(members(known, *re.match(rf"How many (?:other )?{KIND}", question.text).groups()))
            if "other" not in question.text:
                assert int(wrong) == group - int(question.answer)


def test_gold_earns_full_marks():
    assert_gold_earns_full_marks(list(TASKS), 8)


# --- by hand, and refusals ---------------------------------------------------------------------------------------


def ask(task, *objects, **roles):
    return TASKS[task].ask(render(scene(*objects), (64, 64)), roles)


CROWD = thing(at=(-2, 0)), thing(at=(-0.8, 1.8)), thing("cube", "blue", (2, 0)), thing("sphere", "green", (0.6, 0))


def test_equal_things_are_counted():
    question = ask("tally_simple", *CROWD, color="red", shape="cube")
    assert (question.text, question.answer) == ("How many red cubes are there?", "2")
    assert ask("tally_simple", *CROWD, color="", shape="").answer == "4"


def test_none_is_an_answer():
    question = ask("tally_simple", *CROWD, color="green", shape="cube")
    assert (question.answer, question.says) == ("0", "There are no green cubes.")
    assert question.evidence == (0, 1, 3, 2)
    question = ask("tally_complex", *CROWD, color="red", shape="cube", relation="right of", anchor=3)
    assert (question.text, question.answer) == ("How many red cubes are right of the sphere?", "0")
    assert question.evidence == (3, 0, 1)
    assert question.via == ()


def test_things_beside_a_landmark():
    question = ask("tally_complex", *CROWD, color="red", shape="cube", relation="left of", anchor=3)
    assert (question.text, question.answer) == ("How many red cubes are left of the sphere?", "2")
    assert (question.evidence, question.via) == ((0, 1), (3,))
    other = ask("tally_complex", *CROWD, color="", shape="cube", relation="left of", anchor=2)
    assert (other.text, other.answer) == ("How many other cubes are left of the blue cube?", "2")


def test_what_is_not_clear_is_refused():
    near = thing(at=(-2, 0)), thing("sphere", "green", (0, 0)), thing("cube", "blue", (0.05, 2.0))
    assert "nor clearly not" in ask("tally_complex", *near, color="", shape="cube", relation="left of", anchor=1)
    assert "nor clearly not" in ask("tally_complex", *near, color="", shape="cube", relation="taller than", anchor=1)
    assert (
        ask("tally_complex", *CROWD, color="", shape="cube", relation="behind", anchor=0)
        == "there are several red cubes"
    )
    assert "no green cubes" in ask("tally_complex", *CROWD, color="green", shape="cube", relation="behind", anchor=3)
    assert "unknown relation" in ask("tally_complex", *CROWD, color="", shape="", relation="near", anchor=3)


@pytest.mark.parametrize(("side", "answer"), [(1.05, 2), (1.2, None), (1.4, 1), (0.7, 0), (0.95, 2), (0.8, None)])
def test_sizes_in_words(side, answer):
    question = ask("viscot_size", thing(at=(-1, 0)), thing("sphere", "blue", (1, 0), (side,) * 3), a=0, b=1)
    if answer is None:
        assert "neither alike" in question
    else:
        assert question.answer == question.choices[answer]


def test_the_tallest_must_be_clear():
    towers = (
        thing(at=(-1, 0)),
        thing("cone", "blue", (1, 0), (0.8, 0.8, 1.1)),
        thing("ring", "green", (0, 1), (1, 1, 0.3)),
    )
    assert "taller than all others" in ask("viscot_tallest", *towers, most="tallest")
    assert ask("viscot_tallest", *towers, most="shortest").answer == "ring"
    assert "unknown superlative" in ask("viscot_tallest", *towers, most="widest")
    twins = thing(at=(-1, 0)), thing(at=(1, 0)), towers[2]
    assert "no name of its own" in ask("viscot_tallest", *twins, most="shortest")
    assert "no name of its own" in ask("viscot_size", *twins, a=0, b=2)
