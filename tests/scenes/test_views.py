"""Worlds of several views and panoramas: the cameras of each pattern, and that everything is seen."""

import json
import os
from itertools import pairwise

import numpy as np
import pytest

from sifthinker.scenes.generate import SceneConfig
from sifthinker.scenes.layout import MIN_VISIBLE, Plan, distance_to
from sifthinker.scenes.model import mirrored
from sifthinker.scenes.patterns import HEIGHT_STEP, PATTERNS, WALKS
from sifthinker.scenes.views import SEEN, Views, changed, one_view, panorama, several_views
from sifthinker.scenes.worlds import world_from_json

COUNT = int(os.environ.get("SIFTHINKER_SCENES", "60")) // 15
CONFIG = SceneConfig(("any",), (64, 64), (3, 5))
POOLS = ("solids", "furniture", "vehicles")


def planner(pool):
    return lambda rng, aim, low, high: Plan(int(rng.integers(low, high + 1)), pool=pool)


def worlds(make, count=COUNT, seed=3, aim="", most_losses=0.8):
    """Worlds, and that not too many draws were lost."""
    rng, found, tries = np.random.default_rng(seed), [], 0
    while len(found) < count:
        world, tries = make(rng, aim, CONFIG), tries + 1
        if not isinstance(world, str):
            found.append(world)
        assert len(found) > (1 - most_losses) * tries - 10, world
    return found


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize(("pattern", "count"), [("pair", 2), ("orbit", 4), ("pan", 4), ("walk", 5)])
def test_every_object_is_seen_and_no_camera_is_in_one(pattern, count, pool):
    for world in worlds(several_views(pattern, count, planner(pool))):
        assert len(world.views) == len(world.scene.cameras) == count
        for index, thing in enumerate(world.scene.objects):
            assert max(view.visible[index] for view in world.views) >= SEEN
            assert any(view.boxes[index] is not None for view in world.views)
            assert min(distance_to(thing, c.position) for c in world.scene.cameras) > 0.5
        if PATTERNS[pattern].shared:
            shares = np.array([view.visible for view in world.views]).min(axis=0)
            assert shares.max() >= MIN_VISIBLE
        room = world.scene.room
        for view in world.views:
            assert view.depth.valid.all()
            assert view.camera.position[2] < room.size[2]


def heading(camera):
    x, y, _ = camera.rotation[2]
    return np.degrees(np.arctan2(y, x))


def turns(cameras):
    """Counter-clockwise turns from each camera to the next, degrees in [-180, 180)."""
    return [(heading(b) - heading(a) + 180) % 360 - 180 for a, b in pairwise(cameras)]


def drawn(pattern, count, aim="", seed=5, pool="solids"):
    rng = np.random.default_rng(seed)
    stage = Plan(1, pool=pool).stage
    return [PATTERNS[pattern].cameras(rng, stage, count, aim) for _ in range(40)]


@pytest.mark.parametrize("pool", POOLS)
def test_pairs_differ_in_place_and_height(pool):
    for cameras in drawn("pair", 2, pool=pool):
        a, b = (np.array(c.position) for c in cameras)
        distance = (np.hypot(*a[:2]) + np.hypot(*b[:2])) / 2
        assert abs(a[2] - b[2]) > 0.5 * HEIGHT_STEP * distance
        assert np.linalg.norm((a - b)[:2]) > 0.3 * distance
        assert min(a[2], b[2]) > 0.4
    ups = [cameras[1].position[2] > cameras[0].position[2] for cameras in drawn("pair", 2)]
    assert 0.25 < np.mean(ups) < 0.75


@pytest.mark.parametrize("count", [3, 4, 6])
def test_orbits_go_round_at_equal_angles(count):
    for cameras in drawn("orbit", count):
        places = np.array([c.position for c in cameras])
        assert np.ptp(places[:, 2]) < 1e-3
        assert np.ptp(np.hypot(*places[:, :2].T)) < 1e-3
        bearings = np.degrees(np.arctan2(places[:, 1], places[:, 0]))
        steps = np.diff(bearings) % 360
        assert steps == pytest.approx([360 / count] * (count - 1), abs=0.05)


def test_pans_stay_and_turn_left():
    for cameras in drawn("pan", 4):
        assert len({c.position for c in cameras}) == 1
        assert [t % 360 for t in turns(cameras)] == pytest.approx([90.0] * 3, abs=0.01)


def test_each_heading_of_a_pan_has_an_object_where_there_are_enough():
    for world in worlds(several_views("pan", 4, planner("furniture"), at_least=4)):
        assert all(any(box is not None for box in view.boxes) for view in world.views)


@pytest.mark.parametrize("aim", WALKS)
def test_walks_are_smooth_and_go_where_they_say(aim):
    ahead, left, turning = WALKS[aim]
    for cameras in drawn("walk", 6, aim)[:10]:
        places = np.array([c.position for c in cameras])
        steps = np.diff(places, axis=0)
        assert np.linalg.norm(np.diff(steps, axis=0), axis=1).max() < 0.35 * np.linalg.norm(steps, axis=1).max() + 1e-3
        assert np.ptp(places[:, 2]) == 0
        local = np.array([np.array(c.rotation) @ s for c, s in zip(cameras, steps, strict=False)])
        assert np.sign(np.round(local[:, 2], 2)).tolist() == [ahead] * 5
        assert np.sign(np.round(-local[:, 0], 2)).tolist() == [left] * 5
        assert np.sign(np.round(turns(cameras), 2)).tolist() == [turning] * 5
        if turning:
            assert 19 < abs(sum(turns(cameras))) < 46


def test_random_walks_are_of_all_kinds():
    kinds = set()
    for cameras in drawn("walk", 3) + drawn("walk", 3, seed=6):
        step = np.array(cameras[0].rotation) @ np.subtract(cameras[1].position, cameras[0].position)
        kinds.add(tuple(np.sign(np.round([step[0], step[2], turns(cameras)[0]], 2))))
    assert len(kinds) == len(WALKS)


@pytest.mark.parametrize(
    "make", [several_views("pair", 2), several_views("walk", 3, planner("furniture")), panorama(), one_view()]
)
def test_worlds_come_back_from_json_and_seeds(make):
    first, second = worlds(make, 2)
    (again, *_) = worlds(make, 1)
    back = world_from_json(json.loads(json.dumps(first.to_json())))
    for twin in (again, back):
        assert np.array_equal(first.image, twin.image)
        assert np.array_equal(first.depth.values, twin.depth.values)
        assert first.boxes == twin.boxes
        assert twin.to_json() == first.to_json()
    assert first.to_json() != second.to_json()


def test_the_mosaic_holds_each_view_where_its_boxes_say():
    (world,) = worlds(several_views("orbit", 4), 1)
    count = len(world.scene.objects)
    assert len(world.boxes) == len(world.labels) == 4 * count
    width, height = world.size
    for number, view in enumerate(world.views):
        frame = world.frame(number)
        left, top = round(frame.x0 * width), round(frame.y0 * height)
        assert np.array_equal(world.image[top : top + 64, left : left + 64], view.image)
        assert np.array_equal(world.depth.values[top : top + 64, left : left + 64], view.depth.values)
        for index, box in enumerate(view.boxes):
            whole = world.boxes[number * count + index]
            assert (whole is None) == (box is None)
            if box is not None:
                assert whole.x0 * width - left == pytest.approx(box.x0 * 64, abs=1e-6)
                assert whole.y1 * height - top == pytest.approx(box.y1 * 64, abs=1e-6)
    assert not world.depth.valid[:, 64:66].any()


@pytest.mark.parametrize("pool", POOLS)
def test_panoramas_are_twice_as_wide_and_leave_the_seam_free(pool):
    for world in worlds(panorama(planner(pool)), 2 * COUNT, most_losses=0.9):
        assert world.size == (128, 64)
        assert all(box is not None for box in world.boxes)
        assert (world.instances[:, [0, -1]] == -1).all()
        assert world.camera.panorama
        assert world.camera.rotation[1] == pytest.approx((0.0, 0.0, -1.0))


def test_objects_of_panoramas_are_all_around():
    places = [x for world in worlds(panorama(), 20) for x in world.columns]
    counts = np.histogram(places, 4, (0, 1))[0]
    assert counts.min() > 0.5 * counts.mean()


def test_at_least_raises_the_number_of_objects():
    config = SceneConfig(("any",), (64, 64), (1, 2))
    rng = np.random.default_rng(0)
    for make in (one_view(at_least=4), several_views("pair", 2, at_least=4), panorama(at_least=4)):
        world = next(w for _ in range(40) if not isinstance(w := make(rng, "", config), str))
        assert len(world.scene.objects) == 4


def test_views_that_miss_an_object_are_refused_with_its_name():
    (world,) = worlds(several_views("pan", 4), 1)
    seen = [max(view.visible[i] for view in world.views[:1]) for i in range(len(world.scene.objects))]
    assert min(seen) < SEEN, "one heading does not show everything"
    assert "is visible by" in Views(world.views[:1]).unseen(SEEN)
    assert "in all views" in world.apart(MIN_VISIBLE)


def test_a_changed_world_is_seen_by_the_same_cameras():
    (world,) = worlds(several_views("pair", 2), 1)
    twin = changed(world, mirrored)
    assert len(twin.views) == 2
    for a, b in zip(world.views, twin.views, strict=True):
        assert (a.instances[:, ::-1] != b.instances).mean() < 5e-3
    (view,) = worlds(one_view(), 1)
    assert (changed(view, mirrored).instances[:, ::-1] != view.instances).mean() < 5e-3
