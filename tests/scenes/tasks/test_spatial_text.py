"""SpatialText: the question's text is read again, and every layout on a grid is tried, one thing after another."""

import os
import re
from collections import Counter, defaultdict
from functools import cache
from itertools import product

import pytest

from sifthinker.grading import grade_answer
from sifthinker.rewards import REWARDS
from sifthinker.scenes.floorplan import COMPASS, FloorPlan, Statement
from sifthinker.scenes.generate import generate
from sifthinker.scenes.tasks.spatial_text import AROUND, NOWHERE, TASKS
from sifthinker.scenes.worlds import world_from_json

COUNT = int(os.environ.get("SIFTHINKER_SCENES", "18"))
"""Of each task."""
WAYS = ["north", "northeast", "east", "southeast", "south", "southwest", "west", "northwest"]


@pytest.fixture(scope="module")
def made():
    return [pair for name in TASKS for pair in generate(COUNT, seed=9, tasks=[name])]


def read(text):
    """Statements as (a, way, b) and facings, from the sentences after the rules."""
    told = re.findall(r"The (\w+) is (\w+) of the (\w+)\.", text)
    return told, dict(re.findall(r"The (\w+) faces (\w+)\.", text))


@cache
def way(a, b):
    """The word for where cell a is, seen from cell b, by names put together."""
    up = "north" if a[1] > b[1] else "south" if a[1] < b[1] else ""
    return up + ("east" if a[0] > b[0] else "west" if a[0] < b[0] else "")


def seen(told, pairs, side=None):
    """The ways that layouts on a grid allow for each pair (a, b): backtracking over cells, one thing after another."""
    names = list(dict.fromkeys(n for a, _, b in told for n in (a, b)))
    cells = list(product(range(side or len(names)), repeat=2))
    found = {pair: set() for pair in pairs}

    def place(at, left):
        if not left:
            for a, b in pairs:
                found[a, b].add(way(at[a], at[b]))
            return
        name, *rest = left
        near = [(a, w, b) for a, w, b in told if name in (a, b) and {a, b} <= {*at, name}]
        for cell in cells:
            if cell in at.values():
                continue
            now = {**at, name: cell}
            if all(way(now[a], now[b]) == w for a, w, b in near):
                place(now, rest)

    # Things in the order in which statements link them, so that wrong layouts are left early.
    order = names[:1]
    while len(order) < len(names):
        linked = {n for a, _, b in told if (a in order) != (b in order) for n in (a, b)}
        order.append(next(n for n in names if n in linked and n not in order))
    place({}, order)
    return found


def turned(direction, facing):
    return AROUND[(WAYS.index(direction) - WAYS.index(facing)) % 8]


def answer_of(sample):
    told, faces = read(sample.question)
    task = sample.meta["task"].removeprefix("spatial_text_")
    asked = sample.question.rsplit(". ", 1)[1]
    if task == "egocentric":
        at, to = re.search(r"stand at the (\w+) and face the (\w+)\.", sample.question).groups()
        thing = re.search(r"is the (\w+)\?", asked)[1]
        found = seen(told, [(to, at), (thing, at)])
        (facing,) = found[to, at]
        some = found[thing, at]
    elif task == "intrinsic":
        at, thing = re.search(r"side of the (\w+), as it faces, is the (\w+)\?", asked).groups()
        facing, some = faces[at], seen(told, [(thing, at)])[thing, at]
    else:
        thing, at = re.search(r"the (\w+), seen from the (\w+)\?", asked).groups()
        facing, some = "north", seen(told, [(thing, at)])[thing, at]
    assert some, "no layout fits"
    if task == "undetermined":
        return "yes" if len(some) == 1 else "no"
    if len(some) > 1:
        return NOWHERE
    return turned(*some, facing) if task in ("egocentric", "intrinsic") else next(iter(some))


def test_answers_are_those_of_all_layouts(made):
    for sample, _ in made:
        assert answer_of(sample) == sample.answer, sample.question


def test_a_larger_grid_allows_no_more(made):
    for sample, _ in made[:: max(1, len(made) // 12)]:
        told, _ = read(sample.question)
        names = list(dict.fromkeys(n for a, _, b in told for n in (a, b)))
        if len(names) < 5:
            pairs = [(names[0], names[-1])]
            assert seen(told, pairs) == seen(told, pairs, len(names) + 1)


def test_labels_are_balanced_and_constants_are_near_chance(made):
    answers = defaultdict(Counter)
    for sample, _ in made:
        answers[sample.meta["task"]][sample.answer] += 1
    for name, counts in answers.items():
        assert set(counts) == set(TASKS[name].aims(3))
        assert max(counts.values()) <= 1.5 * min(counts.values())


def test_gold_earns_full_marks(made):
    for sample, trace in made:
        assert {reward(trace, sample) for reward in REWARDS.values()} <= {1.0, None}
        assert grade_answer(sample.answer, sample) == 1.0
        assert all(grade_answer(other, sample) == 0.0 for other in sample.choices if other != sample.answer)


def test_stated_is_stated_and_inferred_is_not(made):
    for sample, _ in made:
        told, _ = read(sample.question)
        task = sample.meta["task"]
        if task not in ("spatial_text_stated", "spatial_text_inferred", "spatial_text_undetermined"):
            continue
        thing, at = re.search(r"the (\w+), seen from the (\w+)\?", sample.question).groups()
        both = [w for a, w, b in told if {a, b} == {thing, at}]
        if task == "spatial_text_stated":
            assert (thing, sample.answer, at) in told
        else:
            assert both == []


def test_rooms_turned_by_a_quarter(made):
    """North becomes east: answers in compass words turn, those of people and things with a front stay."""
    quarter = {w: WAYS[(i + 2) % 8] for i, w in enumerate(WAYS)} | {"": ""}
    for sample, _ in made:
        world = sample.meta["world"]
        twin = world | {
            "statements": [[a, quarter[w], b] for a, w, b in world["statements"]],
            "faces": [quarter[w] for w in world["faces"]],
        }
        question = TASKS[sample.meta["task"]].ask(world_from_json(twin), sample.meta["roles"])
        turns = sample.meta["task"] in ("spatial_text_stated", "spatial_text_inferred")
        assert question.answer == (quarter.get(sample.answer, sample.answer) if turns else sample.answer)


def test_mirrored_rooms(made):
    mirrored = {w: WAYS[-i % 8] for i, w in enumerate(WAYS)} | {"": ""}
    sides = {w: AROUND[-i % 8] for i, w in enumerate(AROUND)}
    for sample, _ in made:
        world = sample.meta["world"]
        twin = world | {
            "statements": [[a, mirrored[w], b] for a, w, b in world["statements"]],
            "faces": [mirrored[w] for w in world["faces"]],
        }
        question = TASKS[sample.meta["task"]].ask(world_from_json(twin), sample.meta["roles"])
        assert question.answer == (mirrored | sides).get(sample.answer, sample.answer)


def room(*statements, faces=None):
    names = ("sofa", "lamp", "table", "rug")
    return FloorPlan(names, tuple(Statement(*s) for s in statements), faces or ("north", "", "", ""))


def test_two_things_are_never_at_one_place():
    """Sofa and rug would have to share a place if neither were anywhere else; so the free order is settled."""
    plan = room((1, "north", 0), (1, "west", 2), (3, "south", 2), (3, "east", 0))
    assert plan.directions[3, 0] == {COMPASS["east"]}
    assert plan.directions[2, 0] == {COMPASS["northeast"]}


def test_contradictions_leave_no_layout():
    plan = room((0, "north", 1), (1, "north", 2), (2, "north", 0))
    assert plan.directions[0, 1] == frozenset()
    ask = TASKS["spatial_text_inferred"].ask
    assert ask(plan, {"a": 0, "b": 3}) == "no layout fits all statements"


def test_refusals():
    plan = room((1, "northeast", 0), (2, "north", 1), (3, "west", 2))
    ask = {name.removeprefix("spatial_text_"): task.ask for name, task in TASKS.items()}
    assert ask["stated"](plan, {"a": 0, "b": 1}) == "no statement says so in these words"
    assert "nothing has to be inferred" in ask["inferred"](plan, {"a": 0, "b": 1})
    assert "nothing has to be inferred" in ask["undetermined"](plan, {"a": 0, "b": 1})
    assert ask["intrinsic"](plan, {"a": 0, "b": 1}) == "the lamp has no front"
    assert "not known to be north" in ask["egocentric"](plan, {"at": 0, "to": 1, "a": 2})
    assert ask["egocentric"](plan, {"at": 1, "to": 2, "a": 0}).answer == "back-left"
    assert ask["inferred"](plan, {"a": 3, "b": 0}).answer == NOWHERE
