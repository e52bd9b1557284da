"""Maps of rooms and questions about them: from vertices of meshes, from maps alone, and over fewer frames."""

import json
import math
import re
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from sifthinker.floormap import Extent, format_map, map_score, parse_map
from sifthinker.scenes.model import Camera, mirrored, permuted, rotated, scaled
from sifthinker.scenes.render import render
from sifthinker.scenes.shapes import SHAPES, SOLIDS, unit_mesh
from sifthinker.scenes.tasks.layout_map import TASKS, from_map
from sifthinker.scenes.topdown import FRAMES, ORDER, fewer, frames, map_of
from sifthinker.scenes.views import Views, changed
from sifthinker.scenes.words import name

from ..conftest import scene, thing
from ..questions import assert_gold_earns_full_marks, blind, how_many, questions, within_chance
from .test_multiview import Facts, swapped, which_way

COUNT = how_many(5)


@pytest.fixture(scope="module")
def asked():
    """Some questions of every task, kept for the tests of twins."""
    return [(task, *found) for task in TASKS for found in questions(task, min(COUNT, 20), seed=6)]


def spans(views, index):
    """Extents of an object along the first camera's right and its way ahead, from its vertices or its box's corners."""
    item, camera = views.scene.objects[index], views.views[0].camera
    local = unit_mesh(item.shape).vertices * item.size if item.shape in SOLIDS else None
    points = item.corners() if local is None else local @ item.rotation.T + item.position
    # A level camera at the same place and heading sees the floor plan in its x and z.
    ahead = np.asarray(camera.rotation)[2] * [1, 1, 0]
    level = Camera.look_at(camera.position, camera.position + ahead, 60.0)
    x, _, y = level.to_camera(points).T
    return x.min(), x.max(), y.min(), y.max()


def metres(answer):
    return float(re.fullmatch(r"(\d+\.\d\d) m", answer)[1])


def check_map(views, question):
    floor = parse_map(question.answer)
    named = re.search(r"\.\.\.\] for (.*)\.$", question.text)[1]
    assert sorted(e.label for e in floor) == sorted(n.removeprefix("the ") for n in re.split(r", | and ", named))
    facts = Facts(views)
    visible = np.array([view.visible for view in views.views]).max(axis=0) >= 0.1
    assert {facts.thing(f"the {e.label}") for e in floor} == set(np.flatnonzero(visible))
    for e in floor:
        assert np.allclose((e.x0, e.x1, e.y0, e.y1), spans(views, facts.thing(f"the {e.label}")), atol=0.012), e


def check_distance(views, question):
    one, other = re.fullmatch(
        r"How far is (.*) from (.*), between centers along the floor, in metres\?", question.text
    ).groups()
    facts = Facts(views)
    assert metres(question.answer) == pytest.approx(math.dist(facts.place(one), facts.place(other)), abs=0.006)


def check_gap(views, question):
    one, other = re.search(r"between the rectangles of (.*) and (.*), in metres\?$", question.text).groups()
    facts = Facts(views)
    a, b = (spans(views, facts.thing(words)) for words in (one, other))
    # The least distance of points on the borders of both rectangles.
    borders = [np.array(list(border(*e))) for e in (a, b)]
    least = np.sqrt(((borders[0][:, None] - borders[1]) ** 2).sum(axis=2)).min()
    assert metres(question.answer) == pytest.approx(least, abs=0.02)


def border(x0, x1, y0, y1, steps=150):
    for t in np.linspace(0, 1, steps):
        x, y = x0 + t * (x1 - x0), y0 + t * (y1 - y0)
        yield from ((x, y0), (x, y1), (x0, y), (x1, y))


def check_size(views, question):
    words, side = re.fullmatch(
        r"Seen from above, how far does (.*) reach (.*), as the camera of .* looks, in metres\?", question.text
    ).groups()
    x0, x1, y0, y1 = spans(views, Facts(views).thing(words))
    long = {"from left to right": x1 - x0, "from near to far": y1 - y0}[side]
    assert metres(question.answer) == pytest.approx(long, abs=0.012)


def check_direction(views, question):
    facts = Facts(views)
    stand, toward, goal = map(
        facts.place,
        re.fullmatch(r"You stand at (.*) and face (.*)\. In which direction is (.*)\?", question.text).groups(),
    )
    assert which_way(stand, complex(*(toward - stand)), goal) == question.answer


CHECKS = {task: globals()[f"check_{task.removeprefix('layout_')}"] for task in TASKS}


def labels(views, roles):
    """Roles with names in place of numbers."""
    scene_ = views.scene
    return {k: name(scene_, v) if k in ("a", "b", "target", "stand", "facing") else v for k, v in roles.items()}


def check_from_map(task, views, roles, question):
    """Arithmetic on the map of the sample, whose numbers are rounded to centimetres, gives the answer."""
    if task == "layout_map":
        return
    found = from_map(
        task, {k: v for k, v in labels(views, roles).items() if k != "place"}, parse_map(question.meta["map"])
    )
    if task == "layout_direction":
        assert found == question.answer
    else:
        assert metres(found) == pytest.approx(metres(question.answer), abs=0.021)


@pytest.mark.timeout(0)
@pytest.mark.parametrize("task", TASKS)
def test_questions(task):
    answers, aims, letters = Counter(), Counter(), Counter()
    for views, roles, question in questions(task, COUNT):
        CHECKS[task](views, question)
        check_from_map(task, views, roles, question)
        assert question.facts
        assert question.meta["frames"] == len(views.views) in FRAMES
        count = len(views.scene.objects)
        for index in question.evidence:
            assert views.boxes[index] is not None
            assert views.views[index // count].visible[index % count] >= (0.1 if task == "layout_map" else 0.6)
        answers[question.answer] += 1
        aims[question.serves] += 1
        if question.choices:
            assert len(set(question.choices)) == 4
            letters[question.choices.index(question.answer)] += 1
    print(f"{task}: blind {blind(answers):.3f}; frames {dict(aims)}")
    assert max(aims.values()) <= min(aims.values()) + 1
    every = TASKS[task].aims(6)
    assert len(every) == len(set(every)) == 5 * len({aim.split()[1] for aim in every})
    if letters:
        assert within_chance(letters, 4)
        assert within_chance(answers, 8)


def test_contradictions_between_map_and_answer_are_caught(asked):
    for task, views, roles, question in asked:
        if task in ("layout_distance", "layout_gap"):
            words = {k: v for k, v in labels(views, roles).items() if k != "place"}
            floor = [
                Extent(e.label, e.x0 + 20, e.x1 + 20, e.y0, e.y1) if e.label == words["a"] else e
                for e in parse_map(question.meta["map"])
            ]
            assert abs(metres(from_map(task, words, floor)) - metres(question.answer)) > 0.021
            assert map_score(floor, parse_map(question.meta["map"])) < 1
            assert from_map(task, words, floor[:0]) is None


# --- frames ------------------------------------------------------------------------------------------------------


def test_sets_of_frames_are_nested_and_spread():
    for few, many in pairwise(FRAMES):
        assert set(frames(few)) < set(frames(many))
    for count in FRAMES:
        assert len(frames(count)) == count
        assert frames(count) == sorted(frames(count))
        assert max(np.diff([*frames(count), 16])) <= math.ceil(16 / count) * (2 if count == 12 else 1)
    assert sorted(ORDER) == list(range(16))


def test_more_frames_lose_no_object_and_move_none(asked):
    grown = 0
    for _, views, _, _ in asked:
        if len(views.views) < 16:
            continue
        maps = [map_of(fewer(views, count)) for count in FRAMES]
        for small, large in pairwise(maps):
            assert set(small) <= set(large)
        grown += len(maps[-1]) > len(maps[0])
    assert grown or COUNT < 10


def test_the_same_question_over_fewer_frames(asked):
    for task, views, roles, question in asked:
        if len(views.views) != 16 or task == "layout_map":
            continue
        for count in FRAMES:
            room = fewer(views, count)
            again = TASKS[task].ask(room, roles)
            things = {v for k, v in roles.items() if k in ("a", "b", "target", "stand", "facing")}
            if all(max(view.visible[i] for view in room.views) >= 0.6 for i in things):
                assert isinstance(again, str) or again.answer == question.answer
            else:
                assert "visible by less" in again


# --- twins -------------------------------------------------------------------------------------------------------


def test_mirrored_worlds(asked):
    for task, views, roles, question in asked:
        twin = TASKS[task].ask(changed(views, mirrored), roles)
        if task == "layout_map":
            flipped = [Extent(e.label, -e.x1, -e.x0, e.y0, e.y1) for e in parse_map(question.answer)]
            assert map_score(flipped, parse_map(twin.answer)) > 0.97
        else:
            assert twin.answer == (swapped(question.answer) if task == "layout_direction" else question.answer)


def test_turned_worlds_keep_their_answers(asked):
    for task, views, roles, question in asked:
        twin = TASKS[task].ask(changed(views, lambda s: rotated(s, 71.0)), roles)
        if task == "layout_map":
            assert map_score(parse_map(twin.answer), parse_map(question.answer)) > 0.97
        else:
            assert twin.answer == question.answer


def test_lengths_scale(asked):
    for task, views, roles, question in asked[::2]:
        twin = TASKS[task].ask(changed(views, lambda s: scaled(s, 2.0)), roles)
        if isinstance(twin, str):
            assert "about" in twin
        elif task == "layout_map":
            large = [Extent(e.label, *(2 * v for v in (e.x0, e.x1, e.y0, e.y1))) for e in parse_map(question.answer)]
            assert map_score(large, parse_map(twin.answer)) > 0.97
        elif task == "layout_direction":
            assert twin.answer == question.answer
        else:
            assert metres(twin.answer) == pytest.approx(2 * metres(question.answer), abs=0.011)


def test_the_order_of_objects_does_not_matter(asked):
    for task, views, roles, question in asked[::2]:
        order = np.random.default_rng(1).permutation(len(views.scene.objects))
        where = {int(old): new for new, old in enumerate(order)}
        found = {k: where[v] if k in ("a", "b", "target", "stand", "facing") else v for k, v in roles.items()}
        twin = TASKS[task].ask(changed(views, lambda s, order=order: permuted(s, order)), found)
        if task == "layout_map":
            assert set(parse_map(twin.answer)) == set(parse_map(question.answer))
        else:
            assert (twin.text, twin.answer) == (question.text, question.answer)


def test_gold_earns_full_marks():
    assert_gold_earns_full_marks(list(TASKS), 5)


# --- worked examples and refusals ----------------------------------------------------------------------------------


def room(*objects, eyes=((0, -6), (6, 0))):
    base = scene(*objects)
    cameras = tuple(Camera.look_at((*eye, 1.5), (0.0, 0.0, 0.4), 60.0) for eye in eyes)
    world = replace(base, cameras=cameras)
    return Views(tuple(render(world, (64, 64), k) for k in range(len(cameras))))


def ask(task, views, **roles):
    return TASKS[f"layout_{task}"].ask(views, roles)


CUBE, BALL = thing(at=(1.5, 0)), thing("sphere", "blue", (-1.5, 1), (0.6, 0.6, 0.6))


def test_worked_examples():
    views = room(CUBE, BALL, thing("cone", "green", (0, 2)))
    floor = json.loads(ask("map", views).answer)
    assert floor[0] == {"label": "cube", "x": [1.0, 2.0], "y": [5.5, 6.5]}
    assert floor[1] == {"label": "sphere", "x": [-1.8, -1.2], "y": [6.7, 7.3]}
    assert ask("distance", views, a=0, b=1).answer == "3.16 m"
    # Between x = 1 and -1.2, and y = 6.5 and 6.7.
    assert ask("gap", views, a=0, b=1).answer == f"{math.hypot(2.2, 0.2):.2f} m"
    assert ask("size", views, target=0, side="from left to right").answer == "1.00 m"
    assert ask("direction", views, stand=0, facing=1, target=2, place=2).answer == "front-right"


def test_a_turned_cube_is_wider_on_the_map():
    views = room(thing(at=(1.5, 0), yaw=45.0), BALL)
    assert ask("size", views, target=0, side="from near to far").answer == "1.41 m"
    assert ask("size", room(thing("cylinder", at=(1.5, 0), yaw=45.0), BALL), target=0,
               side="from near to far").answer == "1.00 m"  # fmt: skip
    assert SHAPES["cylinder"].round


def test_near_ties_and_hidden_things_are_refused():
    views = room(CUBE, thing("sphere", "blue", (1.5, 1.52)), thing("cone", "green", (0, 2)))
    assert "about 1.5 m" in ask("distance", views, a=0, b=1)
    assert "about 0.8 m" in ask("gap", room(CUBE, thing("sphere", "blue", (-0.3, 0))), a=0, b=1)
    assert "less than 0.2 m" in ask("gap", room(CUBE, thing("sphere", "blue", (0.4, 0))), a=0, b=1)
    assert "about 0.8 m" in ask("size", room(thing(size=(0.8, 0.8, 0.8))), target=0, side="from near to far")
    wall = thing("cube", "green", (0, 3.0), (8.0, 0.2, 6.0))
    hidden = room(wall, CUBE, thing("sphere", "blue", (0, 4)), eyes=((0, -6),))
    assert "visible by less than 60%" in ask("distance", hidden, a=1, b=2)
    assert "less than two" in ask("map", room(CUBE))
    assert format_map(map_of(hidden)).count("label") == 2
