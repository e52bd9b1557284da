"""Answers are found again by other means, from pixels, masks and the scene's numbers, not by the tasks' code."""

import re
from collections import Counter, defaultdict
from itertools import combinations

import numpy as np
import pytest

from sifthinker.grading import Kind, answer_spec, grade_answer
from sifthinker.scenes.layout import COLORS
from sifthinker.scenes.render import render
from sifthinker.scenes.shapes import SHAPES
from sifthinker.scenes.task import propose as draw
from sifthinker.scenes.tasks import BASICS as TASKS
from sifthinker.scenes.words import name
from sifthinker.scenes.worlds import world_from_json

from ..conftest import scene, thing

SHAPE, COLOR = "|".join(SHAPES), "|".join(COLORS)
NAME = rf"the ((?:(?:{COLOR}) )?(?:{SHAPE}|object))"


class Facts:
    """What can be read off a sample's scene and picture, without the code of tasks."""

    def __init__(self, sample):
        self.view = world_from_json(sample.meta["world"])
        self.objects = self.view.scene.objects
        assert np.array_equal(self.view.image, np.asarray(sample.photo()))

    def find(self, name):
        """The one object that a name means."""
        words = name.split()
        found = [
            i
            for i, o in enumerate(self.objects)
            if words[-1] in (o.shape, "object") and (len(words) == 1 or words[0] == o.color)
        ]
        assert len(found) == 1, f"{name!r} means {len(found)} objects"
        return found[0]

    def column(self, index):
        """Mean column of the object's pixels, as a share of the width."""
        return np.nonzero(self.view.instances == index)[1].mean() / self.view.size[0]

    def depth(self, index):
        """Mean metres of the object's pixels."""
        return self.view.depth.values[self.view.instances == index].mean()

    def side(self, index):
        """Longest edge of the oriented box, metres."""
        corners = self.objects[index].corners()
        origin = corners[0]
        return max(np.linalg.norm(corners[k] - origin) for k in (1, 2, 4))

    def related(self, a, b, relation):
        if relation in ("left", "right"):
            gap = self.column(a) - self.column(b)
            return gap < 0 if relation == "left" else gap > 0
        gap = self.depth(a) - self.depth(b)
        return gap < 0 if relation == "in front" else gap > 0


def check_color_of_shape(facts, question, answer):
    (name,) = re.fullmatch(rf"What color is {NAME}\?", question).groups()
    index = facts.find(name)
    assert painted(facts, index) == answer
    return [index]


def painted(facts, index):
    """The color name that an object's pixels are nearest to in hue, or black."""
    pixels = facts.view.image[facts.view.instances == index].astype(float) / 255
    mean = np.median(pixels, axis=0)
    table = {n: np.array(v) for n, v in COLORS.items() if n != "black"}
    if mean.max() < 0.36 and np.ptp(mean) < 0.12:
        return "black"
    return min(table, key=lambda n: np.linalg.norm(mean / np.linalg.norm(mean) - table[n] / np.linalg.norm(table[n])))


def check_shape_of_color(facts, question, answer):
    (name,) = re.fullmatch(rf"What shape is {NAME}\?", question).groups()
    index = facts.find(name)
    assert facts.objects[index].shape == answer
    return [index]


def check_color_at_relation(facts, question, answer):
    noun, relation, landmark = re.fullmatch(
        rf"What color is the ({SHAPE}|object) (left|right|in front|behind)(?: of)? {NAME}\?", question
    ).groups()
    anchor = facts.find(landmark)
    candidates = [i for i, o in enumerate(facts.objects) if i != anchor and noun in (o.shape, "object")]
    (index,) = [i for i in candidates if facts.related(i, anchor, relation)]
    assert painted(facts, index) == answer
    return [index]


def check_nearer(facts, question, answer):
    names = re.fullmatch(rf"Which is nearer, {NAME} or {NAME}\?", question).groups()
    a, b = map(facts.find, names)
    assert facts.depth(facts.find(answer)) == min(facts.depth(a), facts.depth(b))
    return [a, b]


def check_left_right(facts, question, answer):
    a, b = map(facts.find, re.fullmatch(rf"Is {NAME} left or right of {NAME}\?", question).groups())
    assert facts.related(a, b, answer)
    return [a, b]


def check_front_behind(facts, question, answer):
    a, b = map(facts.find, re.fullmatch(rf"Is {NAME} in front of or behind {NAME}\?", question).groups())
    assert facts.related(a, b, answer)
    return [a, b]


def check_count(facts, question, answer):
    color, noun = re.fullmatch(rf"How many (?:({COLOR}) object|({SHAPE}))s are there\?", question).groups()
    seen = set(np.unique(facts.view.instances)) - {-1}
    members = [i for i in seen if noun in (None, facts.objects[i].shape) and color in (None, facts.objects[i].color)]
    assert len(members) == int(answer)
    return members


def check_larger(facts, question, answer):
    names = re.fullmatch(rf"Which is larger, {NAME} or {NAME}\?", question).groups()
    a, b = map(facts.find, names)
    assert facts.side(facts.find(answer)) == max(facts.side(a), facts.side(b))
    return [a, b]


def check_same(facts, question, answer):
    first, second, attribute = re.fullmatch(rf"Do {NAME} and {NAME} have the same (color|shape)\?", question).groups()
    a, b = map(facts.find, (first, second))
    if attribute == "color":
        same = painted(facts, a) == painted(facts, b)
    else:
        same = facts.objects[a].shape == facts.objects[b].shape
    assert ("yes" if same else "no") == answer
    return [a, b]


CHECKS = {name: globals()[f"check_{name}"] for name in TASKS}


@pytest.fixture(scope="module")
def facts(stream):
    return [(sample, Facts(sample)) for sample, _ in stream]


def test_every_task_is_checked():
    assert len(TASKS) >= 6
    assert set(CHECKS) == set(TASKS)


def test_answers_and_evidence_are_right(facts):
    for sample, known in facts:
        evidence = CHECKS[sample.meta["task"]](known, sample.question, sample.answer)
        assert sorted(evidence) == sorted(sample.meta["evidence"]), sample.id
        for index, box in zip(sample.meta["evidence"], sample.boxes, strict=True):
            rows, columns = np.nonzero(known.view.instances == index)
            extent = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            assert np.allclose(np.array(tuple(box)) * 96, extent)


def test_near_ties_do_not_occur(facts):
    # The margins of docs/scenes.md, as numbers: changing one changes what a data set holds.
    for sample, known in facts:
        task, evidence = sample.meta["task"], sample.meta["evidence"]
        centers = known.view.camera.to_camera([o.position for o in known.objects])
        if task in ("nearer", "front_behind"):
            assert abs(np.subtract(*centers[evidence, 2])) >= 0.3
            relative = known.view.depth.relative()
            assert abs(np.subtract(*(relative.box_mean(b.quantized()) for b in sample.boxes))) >= 0.03
        if task == "left_right":
            focal = known.view.camera.focal_px((96, 96))[0] / 96
            assert abs(np.subtract(*(focal * centers[evidence, 0] / centers[evidence, 2]))) >= 0.08
        if task == "larger":
            sides = sorted(known.side(i) for i in evidence)
            assert sides[1] >= 1.3 * sides[0] - 1e-9


def test_answers_are_balanced(stream):
    answers = defaultdict(Counter)
    named_first = Counter()
    for sample, _ in stream:
        task = sample.meta["task"]
        answers[task][sample.answer] += 1
        if task in ("nearer", "larger"):
            named_first[task, re.search(NAME, sample.question)[1] == sample.answer] += 1
    share = {t: n.total() / len(stream) for t, n in answers.items()}
    assert max(share.values()) < 1.3 * min(share.values())
    for task in ("left_right", "front_behind", "same", "count"):
        assert len(answers[task]) == (3 if task == "count" else 2)
        assert max(answers[task].values()) <= 1.4 * min(answers[task].values())
    for task in ("nearer", "larger"):
        assert named_first[task, True] <= 1.4 * named_first[task, False] <= 1.96 * named_first[task, True]
    for task in ("color_of_shape", "color_at_relation"):
        assert max(answers[task].values()) < 0.4 * answers[task].total()


def test_gold_answers_earn_full_marks_and_wrong_ones_none(stream):
    wrong = {"left": "right", "right": "left", "in front": "behind", "behind": "in front", "yes": "no", "no": "yes"}
    for sample, _ in stream:
        assert answer_spec(sample).kind in Kind
        assert grade_answer(sample.answer, sample) == 1.0
        assert grade_answer(f"{sample.answer}.".capitalize(), sample) == 1.0
        other = wrong.get(sample.answer, "7" if sample.answer.isdigit() else "white tower")
        assert grade_answer(other, sample) == 0.0


# --- refusals ----------------------------------------------------------------------------------------------------


def propose(task, aim, *objects):
    """The question that the only fitting roles make, or the reason why none does."""
    found = draw(TASKS[task], render(scene(*objects), (96, 96)), np.random.default_rng(0), aim)
    return found if isinstance(found, str) else found[1]


def test_ties_in_depth_are_refused():
    pair = thing("cube", "red", (-1.0, 0.0)), thing("sphere", "blue", (1.0, 0.2))
    assert "their depths differ" in propose("nearer", "first", *pair)
    assert "their depths differ" in propose("front_behind", "behind", *pair)


def test_clear_differences_in_depth_are_asked():
    pair = thing("cube", "red", (-1.0, 0.0)), thing("sphere", "blue", (1.0, 1.5))
    assert propose("nearer", "first", *pair).text == "Which is nearer, the cube or the sphere?"
    assert propose("nearer", "second", *pair).text == "Which is nearer, the sphere or the cube?"
    assert propose("nearer", "second", *pair).answer == "cube"
    behind = propose("front_behind", "behind", *pair)
    assert (behind.text, behind.answer) == ("Is the sphere in front of or behind the cube?", "behind")


def test_ties_in_the_picture_are_refused():
    pair = thing("cube", "red", (0.1, 0.0), (0.4, 0.4, 0.4)), thing("sphere", "blue", (0.0, 2.0))
    assert "of the width" in propose("left_right", "left", *pair)


def test_left_is_left_in_the_picture():
    pair = thing("cube", "red", (-1.0, 0.0)), thing("sphere", "blue", (1.0, 0.0))
    question = propose("left_right", "left", *pair)
    assert (question.text, question.answer) == ("Is the cube left or right of the sphere?", "left")
    question = propose("left_right", "right", *pair)
    assert (question.text, question.answer) == ("Is the sphere left or right of the cube?", "right")


def test_similar_sizes_are_refused():
    small, large = (1.0, 1.0, 1.0), (1.25, 1.25, 1.25)
    assert "times as large" in propose("larger", "first", thing(size=small), thing("sphere", "blue", (2, 0), large))


def test_a_flat_ring_is_not_larger_than_a_ball_of_more_volume():
    ring, ball = thing("ring", "red", (-1.5, 0), (1.4, 1.4, 0.4)), thing("sphere", "blue", (1, 0), (1.0, 1.0, 1.0))
    assert "times as large" in propose("larger", "first", ring, ball)


def test_a_relation_must_single_out_one_object():
    anchor = thing("sphere", "blue", (1.5, 0.0))
    two_left = thing("cube", "red", (-1.5, 0.0)), thing("cube", "green", (0.0, 0.5))
    # Two cubes left of the sphere: neither can be meant; but the green cube has one object left of it.
    question = propose("color_at_relation", "left of", anchor, *two_left)
    assert (question.text, question.answer) == ("What color is the object left of the green cube?", "red") or (
        question.text == "What color is the cube left of the green cube?" and question.answer == "red"
    )
    assert question.evidence == (1,)
    assert question.via == (2,)


def test_shared_shapes_and_colors_are_not_asked_for():
    pair = thing("cube", "red", (-1.0, 0.0)), thing("cube", "blue", (1.0, 0.0))
    assert propose("color_of_shape", "", *pair) == "there are several cubes"
    pair = thing("cube", "red", (-1.0, 0.0)), thing("cone", "red", (1.0, 0.0))
    assert propose("shape_of_color", "", *pair) == "there are several red objects"


def test_names_single_out_objects():
    view = render(scene(thing(), thing("cube", "blue", (1.5, 0)), thing("cone", "red", (-1.5, 0))), (96, 96))
    names = [name(view.scene, i) for i in range(3)]
    assert names == ["red cube", "blue cube", "cone"]
    assert all(a != b for a, b in combinations(names, 2))


def test_counts_can_be_aimed_for():
    objects = thing(), thing("cube", "blue", (1.5, 0)), thing("cone", "red", (-1.5, 0))
    assert propose("count", "shape, 2", *objects).text == "How many cubes are there?"
    assert propose("count", "color, 2", *objects).text == "How many red objects are there?"
    assert propose("count", "shape, 3", *objects) == "no question whose answer is shape, 3"


def test_counted_objects_are_listed_from_left_to_right():
    objects = thing(at=(1.5, 0)), thing("cube", "blue", (-1.5, 0)), thing("cube", "red", (0, 0))
    assert propose("count", "shape, 3", *objects).evidence == (1, 2, 0)
