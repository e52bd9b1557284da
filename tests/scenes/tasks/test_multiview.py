"""Questions over several views: read again, answered with cameras that look each way and by plain distances."""

import math
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from sifthinker.scenes.covisible import seen, title
from sifthinker.scenes.model import Camera, mirrored, permuted, rotated, scaled
from sifthinker.scenes.render import render
from sifthinker.scenes.tasks.multiview import TASKS as DIRECTIONS
from sifthinker.scenes.tasks.multiview_distance import TASKS as DISTANCES
from sifthinker.scenes.views import Views, changed
from sifthinker.scenes.words import name

from ..conftest import scene, thing
from ..questions import assert_gold_earns_full_marks, blind, how_many, questions, reordered, within_chance

TASKS = DIRECTIONS | DISTANCES
COUNT = how_many(6)
WORDS = ("front", "front-right", "right", "back-right", "back", "back-left", "left", "front-left")
TURN = {"turn 90 degrees to the right": 90, "turn around": 180, "turn 90 degrees to the left": -90}
VIEW = r"view (\d+) \(([^)]*)\)"


@pytest.fixture(scope="module")
def asked():
    """Some questions of every task, kept for the tests of twins."""
    return [(task, *found) for task in TASKS for found in questions(task, min(COUNT, 30), seed=6)]


class Facts:
    """What can be read off the views without the code of tasks."""

    def __init__(self, views):
        self.views = views
        self.objects = views.scene.objects

    def thing(self, words):
        """The one object that a name with its article means."""
        noun = words.removeprefix("the ")
        found = [i for i, o in enumerate(self.objects) if noun in (o.label, o.shape)]
        assert len(found) == 1, words
        return found[0]

    def view(self, text):
        """The number of a view, after a look at whether its place in the picture is as its name says."""
        number, where = re.search(VIEW, text).groups()
        index = int(number) - 1
        centers = [self.views.frame(v).center for v in range(len(self.views.views))]
        columns, rows = (sorted({round(c[axis], 6) for c in centers}) for axis in (0, 1))
        column, row = columns.index(round(centers[index][0], 6)), rows.index(round(centers[index][1], 6))
        if "row" in where:
            assert where == f"row {row + 1}, column {column + 1}"
        else:
            expected = ([["top", "bottom"][row]] if len(rows) == 2 else []) + [["left", "right"][column]]
            assert where.split() == expected
        return index

    def place(self, text):
        """Where an object stands, or a view was taken, on the floor."""
        if "view" in text:
            return np.array(self.views.views[self.view(text)].camera.position[:2])
        return np.array(self.objects[self.thing(text)].position[:2])

    def heading(self, view):
        x, y = np.asarray(self.views.views[view].camera.rotation)[2][:2]
        return complex(x, y)


def which_way(start, heading, goal):
    """The one of eight level cameras, 30 degrees wide, that has the goal in its picture."""
    hits = []
    for k, word in enumerate(WORDS):
        ahead = heading * complex(math.cos(math.pi * k / 4), -math.sin(math.pi * k / 4))
        camera = Camera.look_at((*start, 1.0), (start[0] + ahead.real, start[1] + ahead.imag, 1.0), 30.0)
        column = camera.project([(*goal, 1.0)], (100, 100))[0, 0]
        if 0 <= column <= 100:
            hits.append(word)
    assert len(hits) == 1, f"in the pictures of {hits}"
    return hits[0]


def answer_direction(facts, text):
    stand, what = re.fullmatch(r"(You stand .*?)\. In which direction is (.*)\?", text).groups()
    goal = facts.place(what.removeprefix("the place where ") if "view" in what else what)
    if match := re.fullmatch(
        rf"You stand where ({VIEW}) was taken and look the way it looks(?:, then you (.*))?", stand
    ):
        view = facts.view(match[1])
        heading = facts.heading(view) * np.exp(-1j * math.radians(TURN[match[4]] if match[4] else 0))
        return which_way(facts.place(match[1]), heading, goal)
    if match := re.fullmatch(rf"You stand where ({VIEW}) was taken and face (.*)", stand):
        start, toward = facts.place(match[1]), facts.place(match[4])
    elif match := re.fullmatch(rf"You stand at (.*) and look the same way as ({VIEW})", stand):
        start, heading = facts.place(match[1]), facts.heading(facts.view(match[2]))
        return which_way(start, heading, goal)
    elif match := re.fullmatch(r"You stand at (.*) and face the way that it faces", stand):
        item = facts.objects[facts.thing(match[1])]
        assert item.has_front
        # The front is the side at +x of the object's own box.
        x, y = (item.corners()[4:].mean(axis=0) - item.corners()[:4].mean(axis=0))[:2]
        return which_way(facts.place(match[1]), complex(x, y), goal)
    else:
        start, toward = map(facts.place, re.fullmatch(r"You stand at (.*) and face (.*)", stand).groups())
    return which_way(start, complex(*(toward - start)), goal)


def answer_turn(facts, text):
    first, turns = re.fullmatch(
        rf"All views were taken at one place\. You look as in ({VIEW}), then you (.*)\. Which view do you see now\?",
        text,
    ).group(1, 4)
    heading = facts.heading(facts.view(first))
    for turn in turns.split(", then you "):
        heading *= np.exp(-1j * math.radians(TURN[turn]))
    heads = [facts.heading(v) for v in range(4)]
    return title(facts.views, max(range(4), key=lambda v: (heads[v] / heading).real / abs(heads[v])))


def answer_distance(facts, text, choices):
    most, anchor = re.fullmatch(
        r"Which of these (?:views|objects) (?:was taken|is) (nearest to|farthest from) (.*)\? "
        r"Distances are between centers, along the floor\.",
        text,
    ).groups()
    start = facts.place(anchor)
    away = sorted((math.dist(start, facts.place(choice)), choice) for choice in choices)
    ranked = away if most == "nearest to" else away[::-1]
    small, large = sorted((ranked[0][0], ranked[1][0]))
    assert large >= 1.2 * small - 1e-9
    assert large - small >= 0.3 - 1e-9
    return ranked[0][1]


def solve(task, views, question):
    facts = Facts(views)
    if task in DISTANCES:
        return answer_distance(facts, question.text, question.choices)
    return answer_turn(facts, question.text) if task.endswith("turn") else answer_direction(facts, question.text)


def check_evidence(task, views, question):
    """Evidence is seen, and the flags say what can be seen together."""
    count = len(views.scene.objects)
    assert question.evidence
    for index in question.evidence:
        view, item = divmod(index, count)
        assert views.boxes[index] is not None
        assert views.views[view].visible[item] >= 0.1
    shown = {
        v: {i for i in range(count) if view.visible[i] >= 0.1 and (view.instances == i).any()}
        for v, view in enumerate(views.views)
    }
    meta = question.meta
    assert meta["object_num"] == len(set().union(*shown.values())) >= 3
    assert meta["query"].split("|")[0] == "-".join(task.split("_")[1:3])
    if meta["query"].startswith("view-view") or question.text.startswith("Which of these views"):
        assert meta["cross_frame"]
        return
    things = {index % count for index in question.evidence}
    about = re.search(rf"(?:look the same way as|where) ({VIEW})", question.text)
    frames = [Facts(views).view(about[1])] if about else range(len(views.views))
    assert meta["cross_frame"] == (not any(things <= shown[v] for v in frames))


@pytest.mark.timeout(0)
@pytest.mark.parametrize("task", TASKS)
def test_questions(task):
    letters, answers, changes = Counter(), Counter(), Counter()
    for views, roles, question in questions(task, COUNT):
        assert solve(task, views, question) == question.answer, (roles, question.text)
        assert len(set(question.choices)) == len(question.choices) == 4
        assert question.choices.index(question.answer) == roles["place"]
        assert question.facts
        check_evidence(task, views, question)
        letters[roles["place"]] += 1
        answers[question.answer] += 1
        changes[question.meta["pattern"], question.meta["perspective_changing"], question.meta["cross_frame"]] += 1
    print(f"{task}: blind {blind(letters):.3f} by letter, {blind(answers):.3f} by words; {dict(changes)}")
    assert within_chance(letters, 4)
    assert within_chance(answers, 4)


def test_the_check_can_fail(asked):
    for task, views, _, question in asked:
        if task in DIRECTIONS and not task.endswith("turn"):
            turned = changed(views, mirrored)
            if question.answer not in ("front", "back") and "turn" not in question.text:
                assert solve(task, turned, question) != question.answer


SIDES = {"left": "right", "right": "left"}


def swapped(text):
    """Left and right exchanged in words that are not names of views."""
    parts = re.split(rf"({VIEW})", text)
    # Splitting keeps the groups: text, whole name, number, place, text, ...
    keep = [
        re.sub(r"left|right", lambda m: SIDES[m[0]], p) if k % 4 == 0 else p for k, p in enumerate(parts) if k % 4 < 2
    ]
    return "".join(keep)


def mirrored_roles(roles):
    def turn(words):
        return swapped(words)

    found = dict(roles)
    if "turn" in found:
        found["turn"] = turn(found["turn"])
    if "turns" in found:
        found["turns"] = [turn(words) for words in found["turns"]]
    return found


def test_mirrored_worlds_swap_left_and_right(asked):
    for task, views, roles, question in asked:
        twin = TASKS[task].ask(changed(views, mirrored), mirrored_roles(roles))
        assert twin.answer == (swapped(question.answer) if task in DIRECTIONS else question.answer)
        assert twin.text == swapped(question.text)


def test_turned_worlds_keep_their_answers(asked):
    for task, views, roles, question in asked:
        twin = TASKS[task].ask(changed(views, lambda s: rotated(s, 71.0)), roles)
        assert (twin.text, twin.answer, twin.choices) == (question.text, question.answer, question.choices)


def test_larger_worlds_keep_their_answers(asked):
    for task, views, roles, question in asked[::3]:
        twin = TASKS[task].ask(changed(views, lambda s: scaled(s, 1.7)), roles)
        assert (twin.text, twin.answer) == (question.text, question.answer)


def test_the_order_of_objects_does_not_matter(asked):
    for task, views, roles, question in asked[::2]:
        count = len(views.scene.objects)
        order = np.random.default_rng(1).permutation(count)
        where = {int(old): new for new, old in enumerate(order)}
        found = {k: where[v] if k in ("target", "facing", "stand", "object") else v for k, v in roles.items()}
        if "options" in roles and "of these objects" in question.text:
            found["options"] = [where[i] for i in roles["options"]]
        twin = TASKS[task].ask(changed(views, lambda s, order=order: permuted(s, order)), found)
        assert (twin.text, twin.answer) == (question.text, question.answer)


def test_other_numbers_of_views_permute_the_answers(asked):
    for task, views, roles, question in asked:
        count = len(views.views)
        order = np.random.default_rng(2).permutation(count).tolist()
        where = {old: new for new, old in enumerate(order)}
        found = {k: where[v] if k in ("view", "other") else v for k, v in roles.items()}
        if "options" in roles and "of these views" in question.text:
            found["options"] = [where[v] for v in roles["options"]]
        shuffled = reordered(views, order)
        twin = TASKS[task].ask(shuffled, found)
        answer = question.answer
        if re.fullmatch(VIEW, answer):
            answer = title(shuffled, where[Facts(views).view(answer)])
        assert twin.answer == answer
        assert twin.meta["cross_frame"] == question.meta["cross_frame"]


def test_gold_earns_full_marks():
    assert_gold_earns_full_marks(list(TASKS), 7)


# --- refusals ----------------------------------------------------------------------------------------------------


def ring_of(*objects, eyes=((0, -6), (6, 0), (0, 6), (-6, 0)), height=1.5):
    """Objects seen from all sides."""
    base = scene(*objects)
    cameras = tuple(Camera.look_at((*eye, height), (0.0, 0.0, 0.4), 60.0) for eye in eyes)
    world = replace(base, cameras=cameras)
    return Views(tuple(render(world, (64, 64), k) for k in range(len(cameras))))


TRIO = thing(at=(1.5, 0)), thing("sphere", "blue", (-1.5, 0)), thing("cone", "green", (0, 1.5))


def ask(task, views, **roles):
    return TASKS[f"remind_{task}"].ask(views, {"place": 0, **roles})


def test_worked_examples():
    views = ring_of(*TRIO)
    assert [name(views.scene, i) for i in seen(views)] == ["cube", "sphere", "cone"]
    # View 1 looks along +y, so that the cube at +x is to its right.
    assert ask("view_object_direction", views, view=0, target=2, turn="").answer == "front"
    turned = ask("view_object_direction", views, view=0, target=2, turn="turn 90 degrees to the right")
    assert turned.answer == "left"
    assert turned.choices == ("left", "front", "right", "back")
    assert ask("object_object_direction", views, stand=1, facing=2, target=0).answer == "front-right"
    assert ask("object_object_direction", views, stand=1, view=0, target=0).answer == "right"
    assert ask("view_view_direction", views, view=0, other=2, turn="").answer == "front"
    assert ask("view_view_direction", views, view=0, other=1, turn="").answer == "front-right"
    nearest = ask("view_object_distance", views, object=0, options=[0, 1, 2, 3], most="nearest")
    assert nearest.answer == "view 2 (top right)"


def test_directions_near_a_border_are_refused():
    views = ring_of(thing(at=(math.tan(math.radians(22.5 - 7.0)) * 6, 0)), *TRIO[1:])
    assert "border between two words" in ask("view_object_direction", views, view=0, target=0, turn="")


def test_places_that_are_close_are_refused():
    views = ring_of(
        thing(at=(0, 0), size=(0.2, 0.2, 0.2)), thing("sphere", "blue", (0.3, 0.3), (0.2, 0.2, 0.2)), TRIO[2]
    )
    assert "less than 0.5 m apart" in ask("object_object_direction", views, stand=0, view=0, target=1)
    assert "less than 0.5 m apart" in ask("object_object_direction", views, stand=0, facing=1, target=2)


def test_two_objects_are_too_few():
    assert "need 3" in ask("view_object_direction", ring_of(*TRIO[:2]), view=0, target=0, turn="")


def test_distances_that_tie_are_refused():
    low = thing("cylinder", "red", (0, -1.5)), thing("ring", "green", (0, 0), (0.5, 0.5, 0.2))
    views = ring_of(*TRIO, *low, height=5.0)
    assert "than every other" in ask("object_object_distance", views, object=4, options=[0, 1, 2, 3], most="nearest")
    assert "than every other" in ask("view_object_distance", views, object=4, options=[0, 1, 2, 3], most="nearest")


def test_hidden_objects_are_refused():
    wall = thing("cube", "green", (0, 3.0), (8.0, 0.2, 6.0))
    views = ring_of(wall, thing(at=(1.5, 0)), thing("sphere", "blue", (-1.5, 0)), thing("cone", "red", (0, 4.0)),
                    eyes=((0, -6), (2, -6)))  # fmt: skip
    assert "visible by less than 10%" in ask("view_object_direction", views, view=0, target=3, turn="")


def test_things_without_a_front_face_nowhere():
    assert "has no front" in ask("object_object_direction", ring_of(*TRIO), stand=0, facing=0, target=1)


def test_views_from_several_places_are_no_pan():
    assert "one place" in ask("view_view_turn", ring_of(*TRIO), view=0, turns=["turn around"])


def test_views_without_a_common_object_are_refused():
    base = scene(thing(at=(0, -4)), thing("sphere", "blue", (1, -4)), thing("cone", "green", (0, 4)))
    cameras = (Camera.look_at((0, -1, 1), (0, -4, 0.3), 50.0), Camera.look_at((0, 1, 1), (0, 4, 0.3), 50.0))
    views = Views(tuple(render(replace(base, cameras=cameras), (64, 64), k) for k in (0, 1)))
    assert "in both views" in ask("view_view_direction", views, view=0, other=1, turn="")
