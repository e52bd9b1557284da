"""3DSRBench's types: answers found again from points on meshes, drawn at random, and from masks; mirrored twins."""

import os
import re
from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pytest
from shapely import MultiPoint, contains_xy
from shapely.affinity import rotate, translate

from sifthinker.engines.blind import questions as words_only
from sifthinker.errors import InputError
from sifthinker.scenes.consistency import chance, flip_circular, parse_id
from sifthinker.scenes.generate import generate
from sifthinker.scenes.model import SceneObject, mirrored, rotated, scaled
from sifthinker.scenes.render import render
from sifthinker.scenes.shapes import FURNITURE
from sifthinker.scenes.tasks.srd3 import KINDS, TASKS
from sifthinker.scenes.tasks.srd3_rules import footprint_gap
from sifthinker.scenes.twins import mirror_image, variants
from sifthinker.scenes.words import name
from sifthinker.scenes.worlds import world_from_json

from ..conftest import scene
from ..questions import assert_only_gold_earns

COUNT = int(os.environ.get("SIFTHINKER_SCENES", "2"))
"""Questions of each task."""
SWAP = {"left": "right", "right": "left"}


@pytest.fixture(scope="module")
def questions():
    """(sample, gold trace) of every task. Worlds are read back where they are needed: they are large."""
    return list(generate(COUNT * len(TASKS), seed=9, tasks=list(TASKS), objects=(3, 4)))


class Facts:
    """Objects of a world as clouds of points, found by the words of a question."""

    def __init__(self, view, text):
        self.view, self.text = view, text.lower()
        names = {i: name(view.scene, i) for i in range(len(view.boxes))}
        # In the order in which they are named first; longer names first, so that "red chair" is not read as "chair".
        places = {}
        for i, words in sorted(names.items(), key=lambda item: -len(item[1])):
            match = re.search(rf"\bthe {words}\b", self.text)
            if match and not any(a <= match.start() < b for a, b in places.values()):
                places[i] = match.span()
        self.named = sorted(places, key=places.get)
        self.names = names

    def cloud(self, index, count=3000, shrink=1.0):
        """Points in an object's oriented box, shape (count, 3)."""
        thing = self.view.scene.objects[index]
        inside = np.random.default_rng(index).uniform(-0.5, 0.5, (count, 3)) * thing.size * shrink
        angle = np.radians(thing.yaw_deg)
        x = np.cos(angle) * inside[:, 0] - np.sin(angle) * inside[:, 1]
        y = np.sin(angle) * inside[:, 0] + np.cos(angle) * inside[:, 1]
        return np.stack([x, y, inside[:, 2]], axis=1) + thing.position

    def middle(self, index):
        return self.cloud(index, 20000).mean(axis=0)

    def outline(self, index):
        """The footprint as a polygon: the hull of the box's points, seen from above."""
        corners = [(x, y) for x in (-0.5, 0.5) for y in (-0.5, 0.5)]
        thing = self.view.scene.objects[index]
        hull = MultiPoint(np.array(corners) * thing.size[:2]).convex_hull
        return translate(rotate(hull, thing.yaw_deg, origin=(0, 0)), *thing.position[:2])

    def off(self, index, point):
        """Degrees from an object's front to a point, counter-clockwise from above, by complex numbers."""
        thing = self.view.scene.objects[index]
        way = complex(*(np.asarray(point)[:2] - thing.position[:2]))
        return np.degrees(np.angle(way / np.exp(1j * np.radians(thing.yaw_deg))))


def check_height_higher(facts, answer):
    a, b = facts.named
    higher = max((a, b), key=lambda i: facts.middle(i)[2])
    assert answer == f"the {facts.names[higher]}"
    assert abs(facts.middle(a)[2] - facts.middle(b)[2]) >= 0.29


def check_location_above(facts, answer):
    a, b = facts.named
    # Straight down from the first: whether rays meet the second.
    below = contains_xy(facts.outline(b), *facts.middle(a)[:2])
    assert (answer == "yes") == bool(below and facts.cloud(a)[:, 2].min() > facts.cloud(b)[:, 2].max() - 0.05)


def check_location_closer_to_camera(facts, answer):
    reach = {i: np.linalg.norm(facts.middle(i) - facts.view.camera.position) for i in facts.named}
    assert answer == f"the {facts.names[min(reach, key=reach.get)]}"


def check_location_next_to(facts, answer):
    a, b = facts.named
    gap = facts.outline(a).distance(facts.outline(b))
    assert gap < 0.32 if answer == "next to each other" else gap > 1.18


def check_orientation_in_front_of(facts, answer):
    a, b = facts.named
    assert (abs(facts.off(b, facts.middle(a))) < 90) == (answer == "in front")


def check_orientation_on_the_left(facts, answer):
    b, a = facts.named
    assert (facts.off(b, facts.middle(a)) > 0) == (answer == "left")


def side(off):
    return min(
        ("front", 0), ("left", 90), ("back", 180), ("right", -90), key=lambda s: abs((off - s[1] + 180) % 360 - 180)
    )[0]


def check_orientation_viewpoint(facts, answer):
    (a,) = facts.named
    assert answer == side(facts.off(a, facts.view.camera.position))


def check_multi_object_closer_to(facts, answer):
    a, *others = facts.named
    reach = {i: np.linalg.norm(facts.middle(a) - facts.middle(i)) for i in others}
    assert answer == f"the {facts.names[min(reach, key=reach.get)]}"
    assert max(reach.values()) > 1.2 * min(reach.values())


def check_multi_object_facing(facts, answer):
    a, *others = facts.named
    off = {i: abs(facts.off(a, facts.middle(i))) for i in others}
    assert answer == f"the {facts.names[min(off, key=off.get)]}"
    assert min(off.values()) < 21
    assert max(off.values()) > 49


def check_multi_object_viewpoint_towards_object(facts, answer):
    a, b = facts.named
    assert answer == side(facts.off(a, facts.middle(b)))


def fronts(facts):
    """Cosine of the angle between the fronts of the two named objects."""
    (a, b), objects = facts.named, facts.view.scene.objects
    return float(objects[a].front @ objects[b].front)


def check_multi_object_parallel(facts, answer):
    assert (abs(fronts(facts)) > 0.98) == (answer == "parallel")
    assert (abs(fronts(facts)) < 0.18) == (answer == "perpendicular")


def check_multi_object_same_direction(facts, answer):
    assert (fronts(facts) > 0.93) == (answer == "the same direction")
    assert (fronts(facts) <= 1e-9) == (answer == "very different directions")


CHECKS = {key: globals()[f"check_{key}"] for key in KINDS}


def kind_of(sample):
    return sample.meta["task"].removeprefix("srd3_")


def test_answers_and_evidence(questions):
    assert len(TASKS) == 12
    for sample, _ in questions:
        view = world_from_json(sample.meta["world"])
        facts = Facts(view, sample.question)
        CHECKS[kind_of(sample)](facts, sample.answer)
        assert sorted(facts.named) == sorted(sample.meta["evidence"])
        assert all(view.visible[i] >= 0.6 for i in facts.named)
        assert sample.answer in sample.choices


def test_gold_earns_full_marks(questions):
    assert_only_gold_earns(questions)


def test_labels_are_balanced(questions):
    aims = defaultdict(Counter)
    for sample, _ in questions:
        aims[kind_of(sample)][sample.meta["aim"]] += 1
    for key, counts in aims.items():
        assert set(counts) <= set(KINDS[key].outcomes)
        assert max(counts.values()) - min(counts.get(o, 0) for o in KINDS[key].outcomes) <= max(
            2, 0.03 * counts.total()
        )


def test_mirrored_worlds_swap_left_and_right_and_nothing_else(questions):
    for sample, _ in questions:
        view = world_from_json(sample.meta["world"])
        mirror = mirror_image(view)
        assert mirrored(mirrored(view.scene)) == view.scene
        assert np.abs(mirror.image[:, ::-1].astype(int) - view.image).mean() < 3
        question = TASKS[sample.meta["task"]].ask(mirror, sample.meta["roles"])
        assert question.answer == SWAP.get(sample.answer, sample.answer)
        CHECKS[kind_of(sample)](Facts(mirror, question.text), question.answer)


def test_turned_and_scaled_worlds_give_the_same_answer(questions):
    for sample, _ in questions:
        view = world_from_json(sample.meta["world"])
        task, roles = TASKS[sample.meta["task"]], sample.meta["roles"]
        assert task.ask(render(rotated(view.scene, 140.0), view.size), roles).answer == sample.answer
        larger = task.ask(render(scaled(view.scene, 1.05), view.size), roles)
        # Lengths in metres may leave the margins.
        assert larger in ("it is too close to call",) or larger.answer == sample.answer


def test_permuted_objects_give_the_same_answer(questions):
    for sample, _ in questions:
        view = world_from_json(sample.meta["world"])
        count = len(view.scene.objects)
        turned = render(replace(view.scene, objects=view.scene.objects[::-1]), view.size)
        roles = {**sample.meta["roles"], "things": [count - 1 - i for i in sample.meta["roles"]["things"]]}
        question = TASKS[sample.meta["task"]].ask(turned, roles)
        assert (question.text, question.answer) == (sample.question, sample.answer)


def test_variants_are_complete_groups(questions):
    scored, options = [], {}
    for sample, _ in questions[:12]:
        rows = variants(sample)
        options[sample.id] = len(sample.choices)
        assert len(rows) == 2 * len(sample.choices)
        assert rows[0].question == sample.question
        assert rows[0].choices == sample.choices
        for side in (False, True):
            group = [row for row in rows if parse_id(row.id)[1] == side]
            assert len({row.answer for row in group}) == 1
            assert len({row.choices.index(row.answer) for row in group}) == len(sample.choices)
        # Somebody who always takes the first option.
        scored += [(row.id, row.choices[0] == row.answer) for row in rows]
    scores = flip_circular(scored, options)
    assert scores["circular"] == scores["flip_circular"] == 0.0
    assert scores["vanilla"] == pytest.approx(
        np.average([1 / n for n in options.values()], weights=[*options.values()])
    )
    assert chance(2)["flip_circular"] == 1 / 16


def test_variants_need_options(questions):
    sample = questions[0][0]
    with pytest.raises(InputError, match="has no mirror image with options in turn"):
        variants(replace(sample, choices=()))


@pytest.mark.parametrize("key", KINDS)
def test_words_alone_do_not_tell(key):
    """The best guess from the classes of the named objects, learned on one half and tried on the other."""
    rows = words_only(f"srd3_{key}", (96, 96), (3, 4), max(COUNT, 120))
    votes = defaultdict(Counter)
    right = []
    for number, sample in enumerate(rows):
        view = world_from_json(sample.meta["world"])
        facts = Facts(view, sample.question)
        classes = [*enumerate(view.scene.objects[i].shape for i in facts.named)]
        if number < len(rows) / 2:
            for named in classes:
                votes[named][sample.meta["aim"]] += 1
        elif said := sum((votes[named] for named in classes), Counter()):
            right.append(said.most_common(1)[0][0] == sample.meta["aim"])
    assert len(right) > len(rows) / 3
    assert np.mean(right) < 1 / len(KINDS[key].outcomes) + 0.25, key


# --- refusals ----------------------------------------------------------------------------------------------------


def piece(shape, color="red", at=(0.0, 0.0), yaw=0.0, z=None):
    size = tuple(sum(limits) / 2 for limits in FURNITURE[shape].size)
    height = size[2] / 2 if z is None else z
    return SceneObject(shape, color, (0.5, 0.5, 0.5), size, (*at, height), yaw, FURNITURE[shape].front)


def ask(key, *things, order=None, turn=0):
    view = render(scene(*things), (96, 96))
    return TASKS[f"srd3_{key}"].ask(view, {"things": order or list(range(KINDS[key].members)), "turn": turn})


@pytest.mark.parametrize(
    ("key", "things"),
    [
        ("height_higher", [piece("vase"), piece("vase", "blue", (1, 0), z=0.4)]),
        ("height_higher", [piece("lamp"), piece("stool", at=(1, 0))]),
        ("location_above", [piece("vase", at=(0, -1)), piece("table", at=(0, 1))]),
        ("location_closer_to_camera", [piece("stool", at=(-1, 0)), piece("stool", "blue", (1, 0.2))]),
        ("location_next_to", [piece("stool", at=(-0.5, 0)), piece("stool", "blue", (0.6, 0))]),
        ("orientation_in_front_of", [piece("stool", at=(0, 1)), piece("chair")]),
        ("orientation_on_the_left", [piece("stool", at=(1, 0.2)), piece("chair")]),
        ("orientation_viewpoint", [piece("chair", yaw=-45)]),
        ("multi_object_closer_to", [piece("stool"), piece("lamp", at=(1, 0)), piece("plant", at=(-1.1, 0))]),
        ("multi_object_facing", [piece("chair"), piece("lamp", at=(1, 0)), piece("plant", at=(1.5, 0.8))]),
        ("multi_object_viewpoint_towards_object", [piece("chair"), piece("lamp", at=(1, 1))]),
        ("multi_object_parallel", [piece("chair"), piece("sofa", at=(1, 2), yaw=40)]),
        ("multi_object_same_direction", [piece("chair"), piece("sofa", at=(1, 2), yaw=50)]),
    ],
)
def test_what_is_too_close_to_call(key, things):
    assert ask(key, *things) == "it is too close to call"


@pytest.mark.parametrize(
    ("key", "things", "answer"),
    [
        ("location_above", [piece("vase", z=0.735 + 0.165), piece("table")], "yes"),
        ("location_above", [piece("vase", at=(0, 2.5)), piece("table", at=(0, -1))], "no"),
        ("orientation_in_front_of", [piece("stool", at=(2, 0.5)), piece("chair")], "in front"),
        ("orientation_in_front_of", [piece("stool", at=(2, 0.5)), piece("chair", yaw=180)], "behind"),
        ("orientation_on_the_left", [piece("stool", at=(0, 1)), piece("chair")], "left"),
        ("orientation_on_the_left", [piece("stool", at=(0, 1)), piece("chair", yaw=170)], "right"),
        ("orientation_viewpoint", [piece("chair", yaw=-90)], "front"),
        ("orientation_viewpoint", [piece("chair", yaw=0)], "right"),
        ("orientation_viewpoint", [piece("chair", yaw=90)], "back"),
        ("multi_object_parallel", [piece("chair"), piece("sofa", at=(1, 2), yaw=176)], "parallel"),
        (
            "multi_object_same_direction",
            [piece("chair"), piece("sofa", at=(1, 2), yaw=176)],
            "very different directions",
        ),
    ],
)
def test_what_is_clear(key, things, answer):
    assert ask(key, *things).answer == answer


def test_roles_must_fit():
    things = piece("chair"), piece("stool", at=(1, 0))
    assert ask("orientation_viewpoint", *things, order=[1]) == "an object has no front"
    assert ask("location_next_to", *things, order=[0, 0]) == "it takes 2 different objects"


def test_gaps_of_footprints():
    rng = np.random.default_rng(0)
    for _ in range(40):
        a = piece("table", at=(0, 0), yaw=rng.uniform(0, 360))
        b = piece("bed", at=rng.uniform(-3, 3, 2), yaw=rng.uniform(0, 360))
        facts = Facts(render(scene(a, b), (32, 32)), "")
        assert footprint_gap(a, b) == pytest.approx(facts.outline(0).distance(facts.outline(1)), abs=1e-9)
