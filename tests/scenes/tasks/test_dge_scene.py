"""Scene tasks: counts from pixels, lengths from corners, directions from angles, rooms from hulls of their walls."""

import cmath
import math
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import ConvexHull

from sifthinker.mra import FORMS
from sifthinker.scenes.model import mirrored, permuted, rotated, scaled
from sifthinker.scenes.render import render
from sifthinker.scenes.rooms import corners
from sifthinker.scenes.tasks import TASKS as ALL
from sifthinker.scenes.tasks.dge_scene import AREAS_M2, DISTANCES_M, LENGTHS_CM, TASKS

from ..conftest import scene, thing
from ..measured import NAME, NOUN, Measured, best_constant, moved_roles, number, swapped, twin
from ..questions import assert_gold_earns_full_marks, blind, how_many, questions, solved, within_chance

COUNT = how_many(6)


def solve_object_counting(known, question):
    noun = re.fullmatch(rf"How many ({NOUN})s are there in the scene\?", question.text)[1]
    members = [i for i in np.unique(known.views[0].instances) if i >= 0 and known.objects[i].shape == noun]
    return str(len(members)), members


def near(question, value, error):
    """The answer, if it is so near to a number: rounding a tie depends on the last bits."""
    return question.answer if abs(number(question.answer) - value) <= error else f"{value}"


def solve_object_size(known, question):
    target = known.thing(re.search(NAME, question.text)[1])
    return near(question, 100 * max(known.sides(target)), 0.51), [target]


def solve_absolute_distance(known, question):
    pair = known.things(*re.findall(NAME, question.text))
    return near(question, math.dist(*(known.center(i) for i in pair)), 0.0051), pair


def solve_relative_distance(known, question):
    anchor, *three = known.things(*re.findall(NAME, question.text))
    away = sorted((math.dist(known.center(anchor), known.center(i)), i) for i in three)
    assert away[1][0] - away[0][0] >= 0.25 - 1e-9
    (answer,) = [c for c in question.choices if known.thing(c.removeprefix("the ")) == away[0][1]]
    return answer, [anchor, *three]


def solve_relative_direction_hard(known, question):
    three = known.things(*re.findall(NAME, question.text))
    stand, face, target = (complex(*known.center(i)[:2]) for i in three)
    # Degrees counter-clockwise from the gaze; parts below 0.3 are within asin(0.3) of an axis.
    degrees, band = math.degrees(cmath.phase((target - stand) / (face - stand))), math.degrees(math.asin(0.3))
    words = ("back", "back-right", "right", "front-right", "front", "front-left", "left", "back-left", "back")
    borders = [-180 + band, -90 - band, -90 + band, -band, band, 90 - band, 90 + band, 180 - band]
    assert min(abs(degrees - b) for b in borders) >= 5 - 1e-6
    return words[sum(degrees > b for b in borders)], three


def solve_room_size(known, question):
    view = known.views[0]
    width, height = view.size
    columns, rows = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    turn, lift = (columns - 0.5) * 2 * np.pi, (0.5 - rows) * np.pi
    rays = np.stack([np.cos(lift) * np.sin(turn), -np.sin(lift), np.cos(lift) * np.cos(turn)], axis=-1)
    points = view.camera.position + (rays * view.depth.values[..., None]) @ np.array(view.camera.rotation)
    walls = points[(view.instances < 0) & (points[..., 2] > 0.05) & (points[..., 2] < 2.4)]
    area = ConvexHull(walls[:, :2]).volume
    assert area == pytest.approx(number(question.answer), rel=0.04)
    return question.answer, [len(known.objects)]


SOLVE = {f"dge_{name}": globals()[f"solve_{name}"] for name in (
    "object_counting", "object_size", "absolute_distance", "relative_distance", "relative_direction_hard", "room_size",
)}  # fmt: skip
BINS = {"dge_object_size": LENGTHS_CM, "dge_absolute_distance": DISTANCES_M, "dge_room_size": AREAS_M2}


@pytest.fixture(scope="module")
def asked():
    return [(task, *found) for task in TASKS for found in questions(task, min(COUNT, 30), seed=6)]


def test_every_task_is_checked():
    assert set(SOLVE) == set(TASKS)
    assert {*TASKS} <= {*ALL}


@pytest.mark.timeout(0)
@pytest.mark.parametrize("task", TASKS)
def test_questions(task):
    aims, answers = Counter(), Counter()
    for _, _, question in solved(task, SOLVE[task], COUNT):
        answer = question.answer
        assert question.facts
        assert question.facts[-1].find(re.sub(r" (cm|m)$", "", answer)) >= 0
        aims[question.serves] += 1
        answers[question.answer] += 1
        if task in BINS:
            # The aim counts before rounding.
            places = {sum(number(answer) + e >= b for b in BINS[task]) for e in (-0.05, 0.05)}
            assert TASKS[task].aims(6).index(question.serves) in places
    constant = blind(aims if task == "dge_relative_distance" else answers)
    if task in BINS:
        constant = best_constant(list(answers.elements()), lambda a, g: FORMS["dge"](number(a), number(g)))
    print(f"{task}: {len(answers)} answers, best constant {constant:.3f}")
    assert within_chance(aims, len(TASKS[task].aims(6)))


def test_mirrored_worlds(asked):
    for task, world, roles, question in asked:
        found = TASKS[task].ask(twin(world, mirrored), roles)
        assert found.text == question.text
        assert found.answer == (swapped(question.answer) if "direction" in task else question.answer)


def test_turned_and_permuted_worlds(asked):
    for task, world, roles, question in asked:
        assert TASKS[task].ask(twin(world, lambda s: rotated(s, 71.0)), roles).answer == question.answer
        order = np.random.default_rng(3).permutation(len(world.boxes) - (task == "dge_room_size"))
        found = TASKS[task].ask(twin(world, lambda s, order=order: permuted(s, order)), moved_roles(roles, order))
        assert (found.text, found.answer) == (question.text, question.answer)


def test_larger_worlds(asked):
    for task, world, roles, question in asked:
        found = TASKS[task].ask(twin(world, lambda s: scaled(s, 2.0)), roles)
        if task in BINS:
            grown = number(question.answer) * (4 if task == "dge_room_size" else 2)
            assert number(found.answer) == pytest.approx(grown, abs=1.01 if task == "dge_object_size" else 0.21)
        else:
            assert found.answer == question.answer


def test_the_check_can_fail(asked):
    for task, world, _, question in asked:
        if task == "dge_relative_direction_hard" and question.answer not in ("front", "back"):
            assert SOLVE[task](Measured(twin(world, mirrored)), question)[0] != question.answer


def test_gold_earns_full_marks():
    assert_gold_earns_full_marks(list(TASKS), 6)


# --- refusals ----------------------------------------------------------------------------------------------------


def ask(task, *objects, **roles):
    return TASKS[f"dge_{task}"].ask(render(scene(*objects), (64, 64)), roles)


TRIO = thing(at=(-1.5, 0)), thing("sphere", "blue", (0, 0)), thing("cone", "green", (1.0, 2.0))


def test_worked_example():
    question = ask("relative_direction_hard", *TRIO, stand=0, face=1, target=2)
    assert question.answer == "front-left"
    assert ask("absolute_distance", *TRIO, a=0, b=1).answer == "1.50 m"
    assert ask("object_size", *TRIO, target=0).answer == "100 cm"


def test_roles_that_do_not_fit_are_refused():
    assert ask("absolute_distance", *TRIO, a=0, b=3) == "there is no object 3: the scene has 3"
    assert ask("absolute_distance", *TRIO, a=1, b=1) == "one object stands in two roles"
    assert ask("object_counting", *TRIO, noun="ring") == "there is no ring"
    assert "among the candidates" in ask("relative_distance", *TRIO, anchor=0, candidates=[0, 1, 2])
    assert "not 2" in ask("relative_distance", *TRIO, anchor=0, candidates=[1, 2])
    assert "two roles" in ask("relative_distance", *TRIO, anchor=0, candidates=[1, 1, 2])


def test_names_must_be_unique():
    twins = thing(at=(-1.5, 0)), thing(at=(1.5, 0)), thing("cone", "green")
    assert ask("object_size", *twins, target=0) == "there are several red cubes"
    assert ask("object_counting", *twins, noun="cube").answer == "2"


def test_hidden_things_are_refused():
    hidden = thing(size=(3, 0.5, 3)), thing("sphere", "blue", (0, 2.0), (0.4, 0.4, 0.4))
    assert "visible by 0%" in ask("object_size", *hidden, target=1)


def test_ties_are_refused():
    ring = thing("ring", "green", (0, -1.4), (0.5, 0.5, 0.2))
    objects = thing(at=(-1.5, 0)), thing("sphere", "blue", (0, 0)), thing("cone", "green", (1.5, 0)), ring
    assert "within 0.25 m" in ask("relative_distance", *objects, anchor=1, candidates=[0, 2, 3])
    border = math.sqrt(1 - 0.09)
    objects = (
        thing(at=(-1.5, 0)),
        thing("sphere", "blue", (0, 0)),
        thing("cone", "green", (-1.5 + border, 0.3), (0.2,) * 3),
    )
    assert "changes its name" in ask("relative_direction_hard", *objects, stand=0, face=1, target=2)


def test_a_hidden_corner_of_the_floor_is_refused():
    world, roles, _ = next(questions("dge_room_size", 1, objects=(1, 1)))
    room = world.view.scene.room
    camera = np.array(world.view.camera.position)

    def blocked(s):
        """With a wall between the camera and a corner."""
        spot = camera + 0.5 * (corners(room)[0] - camera)
        wall = replace(s.objects[0], shape="cube", position=(*spot[:2].tolist(), 0.5), size=(0.5, 0.5, 1.0))
        return replace(s, objects=(wall,))

    assert "hides a corner" in TASKS["dge_room_size"].ask(twin(world, blocked), roles)
    assert "not the floor" in TASKS["dge_room_size"].ask(world, {"floor": 0})
