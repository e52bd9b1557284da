"""Picture tasks: directions from unit vectors, distances from grids on boxes, order in depth from corners."""

import re
from collections import Counter
from itertools import product

import numpy as np
import pytest

from sifthinker.mra import FORMS
from sifthinker.scenes.model import mirrored, permuted, rotated, scaled
from sifthinker.scenes.render import render
from sifthinker.scenes.tasks.dge_image import NEAREST_M, TASKS

from ..conftest import scene, thing
from ..measured import NAME, Measured, best_constant, eight_ways, moved_roles, number, swapped, twin
from ..questions import assert_gold_earns_full_marks, blind, how_many, questions, solved, within_chance

COUNT = how_many(8)


def solve_single_image_relative_direction(known, question):
    pair = known.things(*re.match(rf"Where is {NAME} relative to {NAME},", question.text).groups())
    target, anchor = (known.seen(known.center(i)) for i in pair)
    return eight_ways(target - anchor), pair


def on_a_grid(low, high, eye):
    """Least distance from a point to a grid of points in a box."""
    lines = [np.linspace(a, b, 40) for a, b in zip(low, high, strict=True)]
    points = np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1).reshape(-1, 3)
    return float(np.linalg.norm(points - eye, axis=1).min())


def solve_distance_cam_obj(known, question):
    index = known.thing(re.search(NAME, question.text)[1])
    corners, eye = known.corners(index), np.array(known.views[0].camera.position)
    around = on_a_grid(corners.min(axis=0), corners.max(axis=0), eye)
    # The object's own box, in axes along its edges.
    edges = np.stack([corners[k] - corners[0] for k in (4, 2, 1)])
    axes = edges / np.linalg.norm(edges, axis=1, keepdims=True)
    own = on_a_grid(np.zeros(3), np.linalg.norm(edges, axis=1), axes @ (eye - corners[0]))
    assert max(around, own) <= 1.06 * min(around, own)
    assert number(question.answer) == pytest.approx(around, abs=0.03)
    # The object lies inside of its box, so no ray may meet it before.
    view = known.views[0]
    width, height = view.size
    columns, rows = np.meshgrid((np.arange(width) + 0.5), (np.arange(height) + 0.5))
    focal = width / 2 / np.tan(np.radians(view.camera.fov_deg) / 2)
    slant = np.hypot(np.hypot(columns - width / 2, rows - height / 2) / focal, 1)
    assert (view.depth.values * slant)[known.pixels(index)].min() >= own - 0.02
    return question.answer, [index]


def solve_depth_order_obj_obj(known, question):
    pair = known.things(*re.findall(NAME, question.text))
    gap = float(np.subtract(*(known.seen(known.center(i))[2] for i in pair)))
    assert not 0.1 < abs(gap) < 0.2
    return question.choices[2 if abs(gap) < 0.15 else int(gap > 0)], pair


SOLVE = {f"dge_{name}": globals()[f"solve_{name}"] for name in (
    "single_image_relative_direction", "distance_cam_obj", "depth_order_obj_obj",
)}  # fmt: skip


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
        answer = question.answer
        for index in question.evidence:
            assert np.allclose(known.shown_at(index), tuple(world.boxes[index]))
        assert answer.split()[0] in question.facts[-1]
        aims[question.serves] += 1
        answers[answer] += 1
        if task == "dge_distance_cam_obj":
            # The aim counts before rounding.
            places = {sum(number(answer) + e >= b for b in NEAREST_M) for e in (-0.005, 0.005)}
            assert TASKS[task].aims(6).index(question.serves) in places
    constant = blind(aims)
    if task == "dge_distance_cam_obj":
        constant = best_constant(list(answers.elements()), lambda a, g: FORMS["dge"](number(a), number(g)))
    print(f"{task}: {len(answers)} answers, best constant {constant:.3f}")
    assert within_chance(aims, len(TASKS[task].aims(6)))


def test_directions_keep_their_names_when_turned(asked):
    rng = np.random.default_rng(0)
    for task, world, _, question in asked:
        if "direction" in task:
            known = Measured(world)
            target, anchor = (known.seen(known.center(i)) for i in question.evidence)
            for _ in range(20):
                aside = rng.normal(size=3)
                way = target - anchor
                aside -= way * (aside @ way) / (way @ way)
                turned = way + np.tan(np.radians(4.5)) * np.linalg.norm(way) * aside / np.linalg.norm(aside)
                assert eight_ways(turned) == question.answer


def test_mirrored_worlds(asked):
    for task, world, roles, question in asked:
        found = TASKS[task].ask(twin(world, mirrored), roles)
        assert found.answer == (swapped(question.answer) if "direction" in task else question.answer)


def test_turned_and_permuted_worlds(asked):
    for task, world, roles, question in asked:
        # Boxes along the world's axes stay so only in quarter turns.
        deg = 90.0 if task == "dge_distance_cam_obj" else 71.0
        assert TASKS[task].ask(twin(world, lambda s, deg=deg: rotated(s, deg)), roles).answer == question.answer
        order = np.random.default_rng(3).permutation(len(world.boxes))
        found = TASKS[task].ask(twin(world, lambda s, order=order: permuted(s, order)), moved_roles(roles, order))
        assert (found.text, found.answer) == (question.text, question.answer)


def test_larger_worlds(asked):
    for task, world, roles, question in asked:
        found = TASKS[task].ask(twin(world, lambda s: scaled(s, 2.0)), roles)
        if "distance" in task:
            assert number(found.answer) == pytest.approx(2 * number(question.answer), abs=0.021)
        elif question.serves != "same":
            assert found.answer == question.answer


def test_the_check_can_fail(asked):
    for task, world, _, question in asked:
        if "direction" in task and ("left" in question.answer or "right" in question.answer):
            assert SOLVE[task](Measured(twin(world, mirrored)), question)[0] != question.answer


def test_gold_earns_full_marks():
    assert_gold_earns_full_marks(list(TASKS), 6)


# --- refusals ----------------------------------------------------------------------------------------------------


def ask(task, *objects, **roles):
    return TASKS[f"dge_{task}"].ask(render(scene(*objects, target=(0, 0, 1.5)), (64, 64)), roles)


def pair_at(x, y):
    """Two cubes' worth of things, the second at an offset from the first as a level camera at -y sees it."""
    return thing(size=(0.5,) * 3), thing("sphere", "blue", (x, y), (0.5,) * 3)


@pytest.mark.parametrize(
    ("x", "y", "answer"),
    [(1.0, 0.0, "right"), (1.0, 1.0, "front-right"), (-0.8, -0.7, "back-left"), (0.0, 1.8, "front"), (1.0, 0.37, None)],
)
def test_worked_examples(x, y, answer):
    question = ask("single_image_relative_direction", *pair_at(x, y), a=1, b=0)
    if answer is None:
        assert "changes its name" in question
    else:
        assert (question.answer, question.meta) == (answer, {"scheme": "dge_camera"})


@pytest.mark.parametrize(("y", "answer"), [(0.09, 2), (0.12, None), (0.19, None), (0.22, 0), (-0.3, 1), (-0.05, 2)])
def test_the_same_depth(y, answer):
    question = ask("depth_order_obj_obj", *pair_at(1.2, y), a=0, b=1)
    if answer is None:
        assert question == "their depths differ by 0.15 m, up to 0.05 m"
    else:
        assert question.answer == question.choices[answer]


def test_boxes_that_disagree_are_refused():
    plank = thing(at=(0.0, -2.0), size=(3.0, 0.2, 0.5), yaw=40.0)
    assert "its two boxes are" in ask("distance_cam_obj", plank, target=0)


def test_one_thing_in_two_roles_is_refused():
    for task, (a, b) in product(("single_image_relative_direction", "depth_order_obj_obj"), ((0, 0), (0, 5))):
        assert ask(task, *pair_at(1, 0), a=a, b=b) in (
            "one object stands in two roles",
            "there is no object 5: the scene has 2",
        )
