"""SpatialUncertain: both worlds are built again, in larger pictures; pairs, views, abstention."""

import os
from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pytest

from sifthinker.grading import grade_answer
from sifthinker.rewards.abstain import abstained
from sifthinker.scenes.consistency import Verdict, abstention
from sifthinker.scenes.doubt import Doubt, same_picture
from sifthinker.scenes.generate import generate
from sifthinker.scenes.model import mirrored, rotated
from sifthinker.scenes.render import render
from sifthinker.scenes.tasks.uncertain import CANNOT, TASKS, VIEWS
from sifthinker.scenes.twins import twin
from sifthinker.scenes.words import name
from sifthinker.scenes.worlds import world_from_json

from ..questions import assert_only_gold_earns

COUNT = int(os.environ.get("SIFTHINKER_SCENES", "4"))
"""Questions of each task."""
LARGE = (256, 256)


@pytest.fixture(scope="module")
def questions():
    """(sample, gold trace) of every task. Worlds are read back where they are needed: they are large."""
    return list(generate(COUNT * len(TASKS), seed=3, tasks=list(TASKS), objects=(2, 4)))


def world_of(sample):
    return world_from_json(sample.meta["world"])


def asks(sample):
    return sample.meta["aim"].split()[1] if sample.meta["task"] != "unc_view" else sample.meta["asks"]


def seen(view, index):
    """Share of an object that is seen, with everything else taken away and put back."""
    scene = view.scene
    camera = scene.cameras.index(view.camera)
    alone = render(replace(scene, objects=(scene.objects[index],)), view.size, camera)
    return (view.instances == index).sum() / max((alone.instances == 0).sum(), 1)


def truth(scene, camera, sample, names):
    """The answer in a scene, from depth maps of single objects and from the scene's numbers."""
    things = {n: i for i, n in enumerate(names) if f"the {n}" in sample.question}
    if asks(sample) == "color":
        (index,) = [i for n, i in things.items() if f"the {n}?" in sample.question]
        return scene.objects[index].color
    if asks(sample) == "taller":
        return max(things, key=lambda n: np.ptp(scene.objects[things[n]].corners()[:, 2]))
    eye = np.array(camera.position)
    rng = np.random.default_rng(0)
    middle = {n: (rng.uniform(-0.5, 0.5, (2000, 3)) * scene.objects[i].size).mean(axis=0) for n, i in things.items()}
    reach = {n: np.linalg.norm(middle[n] + scene.objects[i].position - eye) for n, i in things.items()}
    return min(reach, key=reach.get)


def test_open_questions_are_open(questions):
    """Another world gives the same picture, also in a larger one, and another answer."""
    for sample, _ in questions:
        world = world_of(sample)
        names = [name(world.clean, i) for i in range(len(world.clean.objects))]
        one, two = (render(s, LARGE) for s in (world.challenged, world.other))
        far = np.abs(one.image.astype(int) - two.image).max(axis=2) > 12
        assert far.mean() < 0.002
        answers = {truth(s, s.cameras[0], sample, names) for s in (world.challenged, world.other)}
        assert len(answers) == 2
        if sample.choices != VIEWS:
            assert answers <= set(sample.choices)


def test_clean_questions_have_their_answer(questions):
    for sample, _ in questions:
        if sample.meta["task"] == "unc_view":
            continue
        world = world_of(sample)
        names = [name(world.clean, i) for i in range(len(world.clean.objects))]
        assert (sample.answer == CANNOT) == (sample.meta["condition"] != "clean")
        if sample.meta["condition"] == "clean":
            assert sample.answer == truth(world.clean, world.clean.cameras[0], sample, names)
        assert np.array_equal(np.asarray(sample.photo()), world.image)


def test_visibility(questions):
    for sample, _ in questions:
        world = world_of(sample)
        clean, challenged = (render(s, LARGE) for s in (world.clean, world.challenged))
        assert seen(clean, world.target) >= 0.55
        if world.why == "occluded":
            assert seen(challenged, world.target) <= 0.05
            # Only the block has moved.
            moved = [
                i for i, (a, b) in enumerate(zip(world.clean.objects, world.challenged.objects, strict=True)) if a != b
            ]
            assert moved == [world.occluder]
            assert world.clean.objects[world.occluder].size == world.challenged.objects[world.occluder].size
            assert sample.depth is not None
        else:
            assert sample.depth is None
            rows = [np.flatnonzero((challenged.instances == i).any(axis=1)) for i in (0, 1)]
            assert all(r.max() == LARGE[1] - 1 for r in rows)
            # They end at the same height in the picture, and do not in the clean one.
            assert abs(rows[0].min() - rows[1].min()) <= 4
            assert all(box.y1 < 1 for box in clean.boxes)


def test_one_view_settles_it(questions):
    for sample, _ in questions:
        if sample.meta["task"] != "unc_view":
            continue
        world = world_of(sample)
        settling = []
        for number in range(1, 4):
            one, two = (render(s, LARGE, number) for s in (world.challenged, world.other))
            far = (np.abs(one.image.astype(int) - two.image).max(axis=2) > 12).mean()
            assert far < 0.002 or far > 0.0025
            if far > 0.002:
                settling.append(f"view {number + 1}")
                assert seen(one, world.target) >= 0.55
                if world.why == "ambiguous":
                    rows = [np.ptp(np.flatnonzero((one.instances == i).any(axis=1))) + 1 for i in (0, 1)]
                    tall = [world.challenged.objects[i].size[2] for i in (0, 1)]
                    assert rows[0] / rows[1] / (tall[0] / tall[1]) == pytest.approx(1, abs=0.09)
        assert settling == [sample.answer]


def test_difference_from_view_1_does_not_tell_which_view_settles_it():
    """Of pixels or of brightness. Chance is 20 of 60.

    Measured: 26 by the largest difference of pixels, 16 by the smallest; 14 and 22 by that of brightness.
    """
    right = Counter()
    for sample, _ in generate(60, seed=21, tasks=["unc_view"], size=(96, 96)):
        picture = np.asarray(sample.photo()).astype(float)
        first, *others = (picture[y, x] for y in (slice(96), slice(-96, None)) for x in (slice(96), slice(-96, None)))
        pixels = np.array([np.abs(other - first).mean() for other in others])
        light = np.array([abs(other.mean() - first.mean()) for other in others])
        for key, values in (("largest", pixels), ("smallest", -pixels), ("brightness", light), ("as bright", -light)):
            right[key] += VIEWS[values.argmax()] == sample.answer
    assert max(right.values()) <= 36, right


def test_pairs_differ_in_their_condition_only(questions):
    for sample, _ in questions:
        if sample.meta["task"] == "unc_view":
            continue
        other = twin(sample)
        assert (other.meta["group"], other.meta["pair"]) == (sample.meta["group"], sample.meta["pair"])
        assert (other.question, other.choices) == (sample.question, sample.choices)
        assert {other.meta["condition"], sample.meta["condition"]} == {"clean", world_of(sample).why}
        assert (other.answer == CANNOT) != (sample.answer == CANNOT)
        assert not np.array_equal(np.asarray(other.photo()), np.asarray(sample.photo()))
        assert twin(other).answer == sample.answer


def verdict(sample, answer):
    return Verdict(
        sample.meta["group"], sample.meta["condition"], grade_answer(answer, sample) == 1.0, abstained(answer, sample)
    )


def test_agents_without_eyes_score_nothing_on_pairs(questions):
    several = [s for s, _ in questions if s.meta["task"] != "unc_view"]
    several += [twin(s) for s in several]
    always = abstention(verdict(s, CANNOT) for s in several)
    never = abstention(verdict(s, next(c for c in s.choices if c != CANNOT)) for s in several)
    perfect = abstention(verdict(s, s.answer) for s in several)
    assert always["paired"] == never["paired"] == 0.0
    assert (perfect["paired"], perfect["precision"], perfect["over_abstention"]) == (1.0, 1.0, 0.0)


def test_gold_earns_full_marks(questions):
    assert_only_gold_earns(questions)


def test_labels_are_balanced(questions):
    aims, letters = defaultdict(Counter), defaultdict(Counter)
    for sample, _ in questions:
        aims[sample.meta["task"]][sample.meta["aim"]] += 1
        letters[sample.meta["task"]][sample.choices.index(sample.answer)] += 1
    for task, counts in aims.items():
        assert set(counts) <= set(TASKS[task].aims(4))
        assert max(counts.values()) - min(counts.values()) <= max(2, 0.05 * counts.total())
        assert max(letters[task].values()) <= 0.7 * letters[task].total()


@pytest.mark.parametrize("change", [mirrored, lambda scene: rotated(scene, 60.0)])
def test_mirrored_and_turned_worlds_give_the_same_answer(questions, change):
    for sample, _ in questions[:12]:
        world = world_of(sample)
        scenes = {key: change(getattr(world, key)) for key in ("clean", "challenged", "other")}
        question = TASKS[sample.meta["task"]].ask(replace(world, **scenes), sample.meta["roles"])
        assert question.answer == sample.answer


def test_worlds_come_back_from_json(questions):
    for sample, _ in questions[:6]:
        world = world_of(sample)
        assert Doubt.from_json(world.to_json()).to_json() == sample.meta["world"]


# --- refusals ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def worlds(questions):
    """An occluded and an ambiguous world with their roles."""
    found = {}
    for sample, _ in questions:
        if sample.meta["task"] != "unc_view":
            found.setdefault((world_of(sample).why, asks(sample)), (world_of(sample), sample.meta["roles"]))
    return found


def ask(world, roles):
    return TASKS["unc_occlusion"].ask(world, roles)


def test_what_is_not_open_is_refused(worlds):
    world, roles = worlds["occluded", "color"]
    assert ask(replace(world, other=world.challenged), roles) == "the two worlds differ in more than one object"
    # Where the block stands aside, both worlds are told apart.
    aside = replace(world, challenged=world.clean, other=replace(world.other, objects=_in(world)))
    assert ask(aside, roles) == "the two worlds do not give the same picture"


def _in(world):
    """The clean scene's objects with the other world's target."""
    return tuple(world.other.objects[i] if i == world.target else o for i, o in enumerate(world.clean.objects))


def test_feet_settle_an_ambiguous_picture(worlds):
    world, roles = worlds["ambiguous", "taller"]
    clean = replace(world, clean=replace(world.clean, cameras=world.challenged.cameras))
    assert ask(clean, roles) == "feet are not in the clean picture"


def test_similar_posts_are_refused(worlds):
    world, roles = worlds["ambiguous", "taller"]
    # Both change, so that neither is taken for what hides the other.
    alike = tuple(replace(o, size=(*o.size[:2], 2.0), position=(*o.position[:2], 1.0)) for o in world.clean.objects)
    assert ask(replace(world, clean=replace(world.clean, objects=alike)), roles) == "the two are too similar"


def test_same_picture():
    from ..conftest import scene, thing

    one, two = render(scene(thing()), (64, 64)), render(scene(thing(color="blue")), (64, 64))
    assert same_picture(one, render(scene(thing()), (64, 64)))
    assert not same_picture(one, two)
