"""Pair tasks: poses by solving, directions from unit vectors, visibility by rendering an object alone."""

import math
import re
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from sifthinker.scenes.model import Camera, mirrored, permuted, rotated, scaled
from sifthinker.scenes.render import render
from sifthinker.scenes.tasks.dge_pair import TASKS, motion, turned_deg
from sifthinker.scenes.views import Views

from ..conftest import scene, thing
from ..measured import NAME, Measured, eight_ways, moved_roles, swapped, twin
from ..questions import assert_gold_earns_full_marks, how_many, questions, within_chance

COUNT = how_many(3)
VIEW = r"view ([12]) \((?:left|right)\)"
SIDES = {"1": "(left)", "2": "(right)"}


def views_of(text):
    """The numbers (from 0) of the views that a text names, in order."""
    for number, side in re.findall(r"view ([12]) (\(\w+\))", text):
        assert side == SIDES[number]
    return [int(number) - 1 for number in re.findall(VIEW, text)]


def solve_position_cam_cam(known, question):
    of, to, *_ = views_of(question.text)
    return eight_ways(known.seen(known.views[of].camera.position, to)), None


def solve_elevation_cam_cam(known, question):
    of, to = views_of(question.text)
    heights = [known.views[v].camera.position[2] for v in (of, to)]
    assert not 0.1 < abs(heights[0] - heights[1]) < 0.2
    return "same level" if abs(heights[0] - heights[1]) < 0.15 else ("lower", "higher")[heights[0] > heights[1]], None


def solve_visibility_compare(known, question):
    index = known.thing(re.search(NAME, question.text)[1])
    scores = []
    for number, view in enumerate(known.views):
        lonely = replace(view.scene, objects=(view.scene.objects[index],))
        alone = render(lonely, view.size, view.scene.cameras.index(view.camera)).instances == 0
        share = known.pixels(index, number).sum() / alone.sum()
        x0, y0, x1, y1 = known.shown_at(index, number)
        cut = x0 == 0 or y0 == 0 or x1 == 1 or y1 == 1
        scores.append(
            0.75 * share + 0.25 * (x1 - x0) * (y1 - y0) - (0.03 if share < 0.95 else 0) - (0.02 if cut else 0)
        )
    gap = scores[0] - scores[1]
    assert not 0.03 + 1e-9 < abs(gap) < 0.07 - 1e-9
    count = len(known.objects)
    return question.choices[2 if abs(gap) < 0.05 else int(gap < 0)], [index, count + index]


def solve_position_cam_obj(known, question):
    index = known.thing(re.search(NAME, question.text)[1])
    other, to = views_of(question.text)
    assert other == 1 - to
    return eight_ways(known.seen(known.center(index), to)), [other * len(known.objects) + index]


def solve_position_cam_reg(known, question):
    pair = known.things(*re.findall(NAME, question.text))
    other, to = views_of(question.text)
    assert other == 1 - to
    assert math.dist(*(known.center(i) for i in pair)) <= 2.5 + 1e-9
    middle = np.concatenate([known.corners(i) for i in pair]).mean(axis=0)
    return eight_ways(known.seen(middle, to)), [other * len(known.objects) + i for i in pair]


def moved(known):
    """(degrees clockwise, way in the axes at the start) of the path."""
    cameras = known.views[0].scene.cameras
    total = 0.0
    for a, b in pairwise(cameras):
        step = np.array(b.rotation).T @ np.array(a.rotation)
        total -= math.degrees(math.atan2(step[1, 0] - step[0, 1], step[0, 0] + step[1, 1]))
    return total, known.seen(cameras[-1].position, 0)


def solve_motion_camera(known, question):
    assert views_of(question.text) == [0, 1]
    degrees, way = moved(known)
    assert not 6 < abs(degrees) < 10
    if abs(degrees) > 8:
        return f"turn {'right' if degrees > 0 else 'left'}", None
    length = np.linalg.norm(way)
    assert length >= 0.3
    parts = {"forward": way[2], "backward": -way[2], "right": way[0], "left": -way[0], "down": way[1], "up": -way[1]}
    first, second = sorted(parts, key=parts.get)[:-3:-1]
    # As angles: from the first axis toward the second, and from all that is not the second toward it.
    named = math.degrees(math.atan2(parts[second], parts[first])) >= math.degrees(math.atan(0.35))
    named &= math.degrees(math.asin(parts[second] / length)) >= math.degrees(math.asin(0.25))
    words = [w for w in parts if w == first or (named and w == second)]
    return "-".join(words), None


def solve_attribute_measurement(known, question):
    pair = known.things(*re.findall(NAME, question.text))
    assert views_of(question.text) == [0, 1]
    sides = [max(known.sides(i)) for i in pair]
    assert max(sides) >= 1.2 * min(sides) - 1e-9
    return question.choices[int(sides[1] > sides[0])], [pair[0], len(known.objects) + pair[1]]


SOLVE = {f"dge_{name}": globals()[f"solve_{name}"] for name in (
    "position_cam_cam", "elevation_cam_cam", "visibility_compare", "position_cam_obj", "position_cam_reg",
    "motion_camera", "attribute_measurement",
)}  # fmt: skip
DIRECTIONS = ("dge_position_cam_cam", "dge_position_cam_obj", "dge_position_cam_reg", "dge_motion_camera")


@pytest.fixture(scope="module")
def asked():
    return [(task, *found) for task in TASKS for found in questions(task, min(COUNT, 30), seed=6)]


def test_every_task_is_checked():
    assert set(SOLVE) == set(TASKS)


def seen_twice(known):
    """Objects of which both views show a tenth or more."""
    return [i for i in range(len(known.objects)) if all(v.visible[i] >= 0.1 for v in known.views)]


@pytest.mark.timeout(0)
@pytest.mark.parametrize("task", TASKS)
def test_questions(task):
    aims = Counter()
    for world, _, question in questions(task, COUNT):
        known = Measured(world)
        answer, evidence = SOLVE[task](known, question)
        assert answer == question.answer, question.text
        count = len(known.objects)
        if evidence is None:
            # Poses rest on two objects or more that both views show.
            twice = sorted({i % count for i in question.evidence})
            assert set(twice) <= set(seen_twice(known))
            assert len(twice) >= 2
            evidence = [i + offset for i in twice for offset in (0, count)]
        assert sorted(evidence) == sorted(question.evidence)
        for index in (*evidence, *question.via):
            view, item = divmod(index, count)
            assert known.views[view].visible[item] >= 0.1
            frame = world.frame(view)
            low, high = np.array((frame.x0, frame.y0)), np.array((frame.x1, frame.y1))
            box = known.shown_at(item, view).reshape(2, 2) * (high - low) + low
            assert np.allclose(box.ravel(), tuple(world.boxes[index]))
        assert answer in question.facts[-1]
        aims[question.serves] += 1
    print(f"{task}: best constant {max(aims.values()) / sum(aims.values()):.3f}")
    assert within_chance(aims, len(TASKS[task].aims(6)))


def test_mirrored_worlds(asked):
    for task, world, roles, question in asked:
        found = TASKS[task].ask(twin(world, mirrored), roles)
        assert found.answer == (swapped(question.answer) if task in DIRECTIONS else question.answer)


def test_turned_and_permuted_worlds(asked):
    for task, world, roles, question in asked:
        assert TASKS[task].ask(twin(world, lambda s: rotated(s, 71.0)), roles).answer == question.answer
        order = np.random.default_rng(3).permutation(len(world.scene.objects))
        found = TASKS[task].ask(twin(world, lambda s, order=order: permuted(s, order)), moved_roles(roles, order))
        assert found.answer == question.answer


def test_larger_worlds(asked):
    for task, world, roles, question in asked:
        if task != "dge_position_cam_reg" and question.serves != "same level":
            found = TASKS[task].ask(twin(world, lambda s: scaled(s, 2.0)), roles)
            assert found.answer == question.answer


OTHER = {"view 1 (left)": "view 2 (right)", "view 2 (right)": "view 1 (left)", "lower": "higher", "higher": "lower"}


def test_exchanged_views(asked):
    for task, world, roles, question in asked:
        if task == "dge_motion_camera":
            continue
        found = {key: 1 - v if key in ("of", "to") else v for key, v in roles.items()}
        if task == "dge_attribute_measurement":
            found = {"a": roles["b"], "b": roles["a"]}
        answer = TASKS[task].ask(Views(world.views[::-1]), found).answer
        if task == "dge_visibility_compare":
            assert answer == OTHER.get(question.answer, question.answer)
        else:
            assert answer == question.answer
        if task == "dge_elevation_cam_cam":
            assert TASKS[task].ask(world, found).answer == OTHER.get(question.answer, question.answer)


def test_the_check_can_fail(asked):
    for task, world, _, question in asked:
        if task in DIRECTIONS and ("left" in question.answer or "right" in question.answer):
            assert SOLVE[task](Measured(twin(world, mirrored)), question)[0] != question.answer


def test_gold_earns_full_marks():
    assert_gold_earns_full_marks(list(TASKS), 7)


# --- rules by hand, and refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("way", "words"),
    [
        ((0, 0, 2), "forward"), ((0, 0, -2), "backward"), ((1, 0, 0.36), "forward-right"), ((1, 0, 0.34), "right"),
        ((-1, 0.5, 0), "left-down"), ((0, -1, 0.2), "up"), ((1.0, 0.36, 0.36), "forward-right"), ((0, 0, 0), None),
        ((0.9, 0.9, 0.3), "right-down"),
    ],
)  # fmt: skip
def test_words_of_motion(way, words):
    if way == (1.0, 0.36, 0.36):
        # Of two equal second axes either may be named; questions refuse such ways.
        assert motion(way) in ("forward-right", "right-down")
    else:
        assert motion(way) == words


def test_turns_add_up_over_frames():
    looks = [Camera.look_at((0, 0, 1), (math.sin(math.radians(a)), math.cos(math.radians(a)), 0.5), 50) for a in
             (170, 176, 182, 200)]  # fmt: skip
    assert turned_deg(tuple(looks)) == pytest.approx(30)
    assert turned_deg(tuple(looks[::-1])) == pytest.approx(-30)


def two(*objects, eyes=((0, -6, 1.5), (3, -5, 1.5)), target=(0, 0, 0.5)):
    base = scene(*objects)
    world = replace(base, cameras=tuple(Camera.look_at(eye, target, 55.0) for eye in eyes))
    return Views(tuple(render(world, (64, 64), k) for k in (0, 1)))


TRIO = thing(at=(-1.2, 0)), thing("sphere", "blue", (0, 0.8)), thing("cone", "green", (1.2, 0))


def ask(task, views, **roles):
    return TASKS[f"dge_{task}"].ask(views, roles)


def test_worked_examples():
    level = two(*TRIO, eyes=((0, -6, 0.5), (4, -6, 0.5)))
    assert ask("position_cam_cam", level, of=1, to=0).answer == "right"
    assert ask("elevation_cam_cam", level, of=1, to=0).answer == "same level"
    assert ask("elevation_cam_cam", two(*TRIO, eyes=((0, -6, 1), (0, -6, 2))), of=1, to=0).answer == "higher"
    beside = two(*TRIO, eyes=((0, -6, 0.5), (0.5, -6, 0.5)), target=(0, 0, 0.5))
    assert "turns by about" in ask("motion_camera", two(*TRIO, eyes=((0, -6, 0.5), (0.8, -6, 0.5))))
    assert ask("motion_camera", beside).answer == "right"
    assert ask("position_cam_obj", level, to=0, target=2).answer == "front"


@pytest.mark.parametrize(("rise", "refused"), [(0.05, False), (0.12, True), (0.18, True), (0.25, False)])
def test_heights_near_the_border_are_refused(rise, refused):
    found = ask("elevation_cam_cam", two(*TRIO, eyes=((0, -6, 1), (1, -6, 1 + rise))), of=1, to=0)
    assert isinstance(found, str) == refused


def test_views_must_share_two_objects():
    apart = two(*TRIO, eyes=((0, -6, 1.5), (0, 6, 1.5)), target=(0, -20, 0.5))
    assert ask("position_cam_cam", apart, of=1, to=0) == "both views show 0 objects, need 2"


def test_roles_that_do_not_fit_are_refused():
    views = two(*TRIO)
    assert ask("position_cam_cam", views, of=0, to=2) == "there are two views, 0 and 1"
    assert ask("position_cam_cam", views, of=0, to=0) == "one view stands in two roles"
    assert ask("attribute_measurement", views, a=0, b=0) == "one object stands in two roles"
    assert "neither longest side" in ask("attribute_measurement", views, a=0, b=1)
    assert ask("position_cam_obj", views, to=0, target=7) == "there is no object 7: the scene has 3"
    assert ask("position_cam_reg", views, to=0, anchors=[]) == "a region needs an anchor"
    assert ask("position_cam_reg", views, to=0, anchors=[1, 1]) == "one object stands in two roles"
    far = two(thing(at=(-2, 0)), TRIO[1], thing("cone", "green", (2, 0)))
    assert "2.5 m apart" in ask("position_cam_reg", far, to=0, anchors=[0, 2])


def test_a_camera_that_rests_has_no_motion():
    assert "neither turns nor moves" in ask("motion_camera", two(*TRIO, eyes=((0, -6, 1), (0.1, -6, 1))))


def test_scores_near_the_border_are_refused():
    hidden = thing("cube", "green", (0.4, -2), (0.3, 0.3, 0.6))
    reasons = set()
    for shift in np.linspace(0, 0.8, 9):
        views = two(replace(hidden, position=(0.1 + shift, -2, 0.3)), thing("sphere", "blue", (0, 0)), TRIO[0],
                    eyes=((0, -6, 1), (2.5, -5.5, 1)))  # fmt: skip
        found = ask("visibility_compare", views, target=1)
        reasons.add(found if isinstance(found, str) else found.serves)
    assert any("scores differ" in r for r in reasons)
    assert {"view 2", "equal"} & reasons
