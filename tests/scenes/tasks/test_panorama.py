"""Questions about panoramas: answered with narrow level cameras, by turning step by step, and from finer pictures."""

import math
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from sifthinker.bfov import mask_bfov, parse_bfov, wrapped
from sifthinker.scenes.model import Camera, mirrored, permuted, rotated
from sifthinker.scenes.render import render
from sifthinker.scenes.seam import SeamView, turned
from sifthinker.scenes.tasks.panorama import BANDS
from sifthinker.scenes.tasks.panorama import TASKS as AROUND
from sifthinker.scenes.tasks.panorama_seam import TASKS as SEAM
from sifthinker.scenes.views import changed

from ..conftest import scene, thing
from ..questions import assert_gold_earns_full_marks, blind, how_many, questions, within_chance
from .test_multiview import WORDS, which_way

TASKS = AROUND | SEAM
COUNT = how_many(8)
AHEAD = "The middle of this panorama is straight ahead of you. "


@pytest.fixture(scope="module")
def asked():
    """Some questions of every task, kept for the tests of twins."""
    return [(task, *found) for task in TASKS for found in questions(task, min(COUNT, 24), seed=6)]


def picture(world):
    return world.view if isinstance(world, SeamView) else world


class Facts:
    """What can be read off a panorama without the code of tasks."""

    def __init__(self, world):
        self.view = picture(world)
        self.objects = self.view.scene.objects
        self.eye = np.array(self.view.camera.position[:2])
        self.heading = complex(*np.asarray(self.view.camera.rotation)[2][:2])

    def thing(self, words):
        noun = words.removeprefix("the ")
        found = [i for i, o in enumerate(self.objects) if noun in (o.label, o.shape)]
        assert len(found) == 1, words
        return found[0]

    def way(self, words, right_deg=0.0, heading=None):
        """The direction of an object after a turn, or for another heading."""
        heading = self.heading if heading is None else heading
        heading *= np.exp(-1j * math.radians(right_deg))
        return which_way(self.eye, heading, np.array(self.objects[self.thing(words)].position[:2]))

    def toward(self, words):
        return complex(*(np.array(self.objects[self.thing(words)].position[:2]) - self.eye))

    def turns(self, first, second):
        """Left or right, by turning in small steps both ways until the second object is ahead; and in how many."""
        for steps in range(1, 1000):
            for side, sign in (("left", 1), ("right", -1)):
                heading = self.toward(first) * np.exp(1j * math.radians(sign * steps * 0.2))
                if abs(np.angle(self.toward(second) / heading)) < math.radians(0.2):
                    return side, steps * 0.2
        raise AssertionError("never ahead")

    def finer(self, factor=4):
        """The same panorama in more pixels."""
        width, height = self.view.size
        return render(
            self.view.scene, (width * factor, height * factor), self.view.scene.cameras.index(self.view.camera)
        )


def check_absolute_direction(facts, question):
    (words,) = re.fullmatch(rf"{AHEAD}In which direction is (.*)\?", question.text).groups()
    assert facts.way(words) == question.answer


def check_camera_rotation(facts, question):
    turn, words = re.fullmatch(rf"{AHEAD}You turn (.*)\. In which direction is (.*) then\?", question.text).groups()
    degrees = int(turn.split()[0]) * (-1 if turn.endswith("left") else 1)
    assert facts.way(words, degrees) == question.answer


def check_object_reorientation(facts, question):
    first, second = re.fullmatch(
        rf"{AHEAD}You turn until you face (.*)\. In which direction is (.*) then\?", question.text
    ).groups()
    assert facts.way(second, heading=facts.toward(first)) == question.answer


def check_relative_direction(facts, question):
    first, second = re.fullmatch(
        r"You face (.*) and turn the shorter way to (.*)\. Do you turn left or right\?", question.text
    ).groups()
    side, degrees = facts.turns(first, second)
    assert side == question.answer
    assert 14.5 <= degrees <= 165.5
    # In the picture, the order of the columns tells the side just where the way does not cross the edges.
    a, b = (facts.view.columns[facts.thing(words)] for words in (first, second))
    assert ((b > a) == (side == "right")) != question.meta["across_seam"]


def medians(facts, *names):
    fine = facts.finer()
    return [float(np.median(fine.depth.values[fine.instances == facts.thing(words)])) for words in names]


def check_observer_distance(facts, question):
    (words,) = re.fullmatch(r"How far is (.*) from the camera\?", question.text).groups()
    (away,) = medians(facts, words)
    numbers = [float(n) for n in re.findall(r"\d\.\d", question.answer)]
    low, high = numbers if len(numbers) == 2 else (0, numbers[0]) if "less" in question.answer else (numbers[0], 99)
    assert low < away < high


def check_relative_3d(facts, question):
    first, second = re.fullmatch(
        r"You face (.*)\. Where is (.*), the shorter way round: to the left or right of (?:.*), and nearer to you or "
        r"farther\?",
        question.text,
    ).groups()
    near, far = medians(facts, first, second)
    assert max(near, far) > 1.1 * min(near, far)
    assert question.answer == f"{facts.turns(first, second)[0]} and {'farther' if far > near else 'nearer'}"


def check_bfov_localization(facts, question):
    (words,) = re.search(r"that just holds (.*), as \[yaw", question.text).groups()
    fine, width = facts.finer(), facts.view.size[0]
    rows, columns = np.nonzero(fine.instances == facts.thing(words))
    yaws, pitches = (columns + 0.5) / fine.size[0] * 360 - 180, 90 - (rows + 0.5) / fine.size[1] * 180
    field = parse_bfov(question.answer)
    off = (yaws - field.yaw + 180) % 360 - 180
    pixel = 360 / width
    edges = [(off.min(), -field.width / 2), (off.max(), field.width / 2)]
    edges += [(pitches.min(), field.latitudes[0]), (pitches.max(), field.latitudes[1])]
    assert all(abs(a - b) < 1.1 * pixel for a, b in edges), edges
    truth = mask_bfov(fine.instances == facts.thing(words))
    assert field.iou(truth, sphere=True) > 0.6
    assert question.meta["across_seam"] == (columns.min() == 0 and columns.max() == fine.size[0] - 1)


def check_seam_continuity(facts, question):
    assert (
        question.text == "The left and right edges of this panorama meet behind you. Which object do they cut in two?"
    )
    fine = facts.finer()
    edges = [set(np.unique(fine.instances[:, column])) - {-1} for column in (0, -1)]
    cut = edges[0] & edges[1]
    assert edges[0] == edges[1] == cut
    assert question.choices[-1] == "none of them"
    assert {facts.thing(question.answer)} == cut if question.answer != "none of them" else not cut


CHECKS = {task: globals()[f"check_{task.removeprefix('pano_')}"] for task in TASKS}


def check_evidence(world, question):
    """Evidence boxes hold what is asked about: all of its pixels, in one part or in two."""
    view, count = picture(world), len(picture(world).scene.objects)
    covered = np.zeros(view.instances.shape, dtype=bool)
    for index in question.evidence:
        left, top, right, bottom = world.boxes[index].pixel_bounds(view.size)
        covered[top:bottom, left:right] = True
        inside = view.instances[top:bottom, left:right] == index % count
        assert inside[0].any()
        assert inside[-1].any()
        assert inside[:, 0].any()
        assert inside[:, -1].any()
    for thing_ in {index % count for index in question.evidence}:
        assert covered[view.instances == thing_].all()


@pytest.mark.timeout(0)
@pytest.mark.parametrize("task", TASKS)
def test_questions(task):
    answers, aims = Counter(), Counter()
    for world, _, question in questions(task, COUNT):
        CHECKS[task](Facts(world), question)
        check_evidence(world, question)
        assert question.facts
        assert not question.choices or question.answer in question.choices
        answers[question.answer] += 1
        aims[question.serves] += 1
    print(f"{task}: blind {blind(answers):.3f}; {dict(aims)}")
    if task != "pano_bfov_localization":
        assert within_chance(answers, len(question.choices) or 2)
    wanted = Counter(TASKS[task].aims(6))
    # An aim that is named several times has its turn as often.
    turns = [aims[aim] / times for aim, times in wanted.items()]
    assert max(turns) - min(turns) <= 1


def test_the_checks_can_fail(asked):
    for task, world, _, question in asked:
        view = picture(world)
        if task not in ("pano_observer_distance", "pano_seam_continuity"):
            with pytest.raises(AssertionError):
                CHECKS[task](Facts(changed(view, mirrored)), question)
            break


# --- twins -------------------------------------------------------------------------------------------------------

SIDES = {"left": "right", "right": "left"}


def swapped(text):
    return re.sub(r"left|right", lambda m: SIDES[m[0]], text)


def twin_of(task, world, roles, change):
    view = changed(picture(world), change)
    return TASKS[task].ask(SeamView(view) if task in SEAM else view, roles)


def test_mirrored_worlds_swap_left_and_right(asked):
    for task, world, roles, question in asked:
        found = roles | ({"turn": swapped(roles["turn"])} if "turn" in roles else {})
        twin = twin_of(task, world, found, mirrored)
        if task == "pano_bfov_localization":
            a, b = map(parse_bfov, (question.answer, twin.answer))
            assert wrapped(b.yaw + a.yaw) == pytest.approx(0, abs=0.11)
            assert (b.pitch, b.width, b.height) == (a.pitch, a.width, a.height)
        else:
            assert twin.answer == (swapped(question.answer) if "edges" not in question.text else question.answer)


def test_turned_worlds_keep_their_answers(asked):
    for task, world, roles, question in asked:
        twin = twin_of(task, world, roles, lambda s: rotated(s, 30.0))
        assert (twin.text, twin.answer) == (question.text, question.answer)


def test_the_order_of_objects_does_not_matter(asked):
    for task, world, roles, question in asked[::2]:
        order = np.random.default_rng(1).permutation(len(picture(world).scene.objects))
        where = {int(old): new for new, old in enumerate(order)}
        found = {k: where[v] if k in ("target", "a", "b") else v for k, v in roles.items()}
        if "options" in roles:
            found["options"] = [where[i] for i in roles["options"]]
        twin = twin_of(task, world, found, lambda s, order=order: permuted(s, order))
        assert (twin.text, twin.answer, twin.choices) == (question.text, question.answer, question.choices)


def test_turned_cameras_shift_what_depends_on_them(asked):
    kept = 0
    for task, world, roles, question in asked:
        twin = twin_of(
            task, world, roles, lambda s: replace(s, cameras=tuple(turned(c, 90.0) for c in s.cameras))
        )  # fmt: skip
        if isinstance(twin, str):
            assert "seam" in twin or task == "pano_seam_continuity"
            continue
        kept += 1
        if task in ("pano_absolute_direction", "pano_camera_rotation"):
            assert WORDS[(WORDS.index(question.answer) - 2) % 8] == twin.answer
        elif task == "pano_bfov_localization":
            a, b = map(parse_bfov, (question.answer, twin.answer))
            assert wrapped(a.yaw - b.yaw) == pytest.approx(90, abs=0.11)
            assert (b.pitch, b.width, b.height) == (a.pitch, a.width, a.height)
        elif task != "pano_seam_continuity":
            assert twin.answer == question.answer
    assert kept > len(asked) / 2


def test_gold_earns_full_marks():
    assert_gold_earns_full_marks(list(TASKS), 8)


# --- refusals ----------------------------------------------------------------------------------------------------


def around_me(*objects, eye=(0.0, 0.0, 1.5), heading=(0.0, 1.0)):
    """Objects around a level panoramic camera that looks along +y."""
    base = scene(*objects)
    camera = Camera.look_at(eye, (eye[0] + heading[0], eye[1] + heading[1], eye[2]), 360.0)
    return render(replace(base, cameras=(camera,)), (128, 64))


def ask(task, world, **roles):
    return TASKS[f"pano_{task}"].ask(world, roles)


FRONT, RIGHT = thing(at=(0, 3)), thing("sphere", "blue", (2, 0))


def test_worked_examples():
    view = around_me(FRONT, RIGHT, thing("cone", "green", (0.4, -3)))
    assert ask("absolute_direction", SeamView(view), target=0).answer == "front"
    assert ask("absolute_direction", SeamView(view), target=1).answer == "right"
    assert ask("camera_rotation", view, target=1, turn="90 degrees to the right").answer == "front"
    assert ask("camera_rotation", view, target=1, turn="135 degrees to the left").answer == "back-left"
    assert ask("object_reorientation", view, a=1, b=0).answer == "left"
    assert ask("relative_direction", view, a=0, b=1).answer == "right"
    assert ask("relative_3d", view, a=0, b=1).answer == "right and nearer"
    assert ask("relative_3d", view, a=1, b=0).answer == "left and farther"


def test_what_the_seam_cuts_has_two_boxes():
    world = SeamView(around_me(FRONT, RIGHT, thing("cone", "green", (0.1, -3))))
    question = ask("seam_continuity", world, options=[2, 0, 1], place=0)
    assert question.answer == "the cone"
    assert question.evidence == (2, 5)
    assert world.boxes[2].x0 == 0
    assert world.boxes[5].x1 == 1
    assert ask("bfov_localization", world, target=2).evidence == (2, 5)
    assert "cut by the seam" in ask("camera_rotation", world.view, target=2, turn="180 degrees")
    assert "not where the roles have it" in ask("seam_continuity", world, options=[2, 0, 1], place=1)


def test_what_ends_near_the_seam_is_refused():
    near = thing("cone", "green", (3 * math.tan(math.radians(11.5)), -3), (1.0, 1.0, 1.0))
    assert "of the seam" in ask("seam_continuity", SeamView(around_me(FRONT, RIGHT, near)), options=[2, 0, 1], place=0)
    nothing = ask("seam_continuity", SeamView(around_me(FRONT, RIGHT, thing("cone", "green", (2, -3)))),
                  options=[0, 1, 2], place=0)  # fmt: skip
    assert nothing.answer == "none of them"
    assert nothing.facts[-1] == "So the edges cut none of them."


def test_directions_near_a_border_are_refused():
    view = around_me(thing(at=(math.tan(math.radians(20)) * 3, 3)), RIGHT)
    assert "border between two words" in ask("absolute_direction", SeamView(view), target=0)
    assert "border between two words" in ask("camera_rotation", view, target=0, turn="180 degrees")
    assert "border between two words" in ask("object_reorientation", view, a=1, b=0)


def test_near_ties_are_refused():
    view = around_me(FRONT, thing("sphere", "blue", (0.3, 5)), thing("cone", "green", (0.3, -3)))
    assert "degrees apart" in ask("relative_direction", view, a=0, b=1)
    level = around_me(FRONT, thing("sphere", "blue", (3, 0)))
    assert "less than 15%" in ask("relative_3d", level, a=0, b=1)
    assert "border of a band" in ask("observer_distance", at_distance(2.05), target=0)
    assert ask("observer_distance", at_distance(2.3), target=0).answer == BANDS[2]


def at_distance(metres):
    """A plate at eye level, so far from the camera."""
    return around_me(thing("cube", "red", (0, metres + 0.025), (0.6, 0.05, 0.6), z=1.5), RIGHT)


def test_hidden_and_small_things_are_refused():
    view = around_me(thing(at=(0, 2), size=(2, 0.2, 3)), thing("sphere", "blue", (0, 4)))
    assert "hidden" in ask("camera_rotation", view, target=1, turn="180 degrees")
    assert "hidden" in ask("bfov_localization", SeamView(view), target=1)
    far = SeamView(around_me(FRONT, thing("sphere", "blue", (8, 0), (0.6, 0.6, 0.6))))
    assert "smaller than 4 pixels" in ask("bfov_localization", far, target=1)


def test_photos_are_no_panoramas():
    view = render(scene(FRONT, RIGHT), (64, 64))
    assert "no panorama" in ask("camera_rotation", view, target=0, turn="180 degrees")
    assert "no panorama" in ask("bfov_localization", SeamView(view), target=0)
