"""Scenes survive JSON; cameras follow the OpenCV convention."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sifthinker.errors import InputError
from sifthinker.scenes.layout import Plan, sample_scene
from sifthinker.scenes.model import (
    FULL_TURN,
    Camera,
    Scene,
    mirrored,
    permuted,
    rotated,
    scaled,
    standing_on,
)
from sifthinker.scenes.render import render

from .conftest import scene, thing

SIZE = (120, 80)
coordinate = st.floats(-5, 5)
cameras = st.builds(
    Camera.look_at,
    st.tuples(coordinate, coordinate, st.floats(1, 4)),
    st.tuples(st.floats(6, 9), coordinate, coordinate),
    st.floats(20, 100),
    st.floats(-180, 180),
)


@given(cameras, st.floats(0.1, 2.0), st.floats(-180, 180))
def test_json_round_trip_is_exact(camera, width, yaw):
    made = scene(thing(size=(width, width, 0.3), yaw=yaw), thing("ring", "blue", (2.0, 1.0)))
    made = Scene(made.objects, made.room, made.light, (*made.cameras, camera))
    assert Scene.from_json(json.loads(json.dumps(made.to_json()))) == made


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: d.update(schema=1), "schema 1, this version reads 2"),
        (lambda d: d.pop("room"), "not a scene: 'room'"),
        (lambda d: d["objects"][0].update(weight=3), "weight"),
        (lambda d: d["objects"][0].pop("size"), "size"),
    ],
)
def test_damaged_json_is_refused(damage, message):
    data = scene(thing()).to_json()
    damage(data)
    with pytest.raises(InputError, match=message):
        Scene.from_json(data)


@given(cameras)
def test_rotation_is_a_rotation(camera):
    rotation = np.array(camera.rotation)
    assert np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)
    assert np.isclose(np.linalg.det(rotation), 1.0)


def test_axes_are_right_down_forward():
    camera = Camera.look_at((0, 0, 1), (0, 5, 1), 60)  # looks along +y
    assert np.allclose(camera.to_camera([(1, 0, 1), (0, 0, 2), (0, 3, 1)]), [(1, 0, 0), (0, -1, 0), (0, 0, 3)])


def test_positive_roll_turns_the_picture_counter_clockwise():
    camera = Camera.look_at((0, 0, 1), (0, 5, 1), 60, roll_deg=10)
    (x, y), (middle_x, middle_y) = camera.project([(1, 5, 1), (0, 5, 1)], SIZE)
    assert (middle_x, middle_y) == pytest.approx((60, 40))
    assert x > 60
    assert y < 40


@given(cameras, st.tuples(st.floats(0, 120), st.floats(0, 80)), st.floats(0.5, 20))
def test_rays_invert_projection(camera, pixel, depth):
    (ray,) = camera.rays([pixel], SIZE)
    world = depth * ray @ np.array(camera.rotation) + camera.position
    assert camera.to_camera([world])[0, 2] == pytest.approx(depth)
    assert camera.project([world], SIZE)[0] == pytest.approx(pixel, abs=1e-6)


def test_fov_is_horizontal():
    camera = Camera.look_at((0, 0, 1), (0, 1, 1), 90)
    assert camera.project([(1, 1, 1)], SIZE)[0] == pytest.approx((120, 40))


def test_points_behind_the_camera_have_no_pixel():
    assert np.isnan(Camera.look_at((0, 0, 1), (0, 1, 1), 90).project([(0, -1, 1)], SIZE)).all()


def test_looking_straight_down_is_refused():
    with pytest.raises(ValueError, match="vertical"):
        Camera.look_at((0, 0, 3), (0, 0, 0), 60)


def test_corners_span_the_turned_box():
    corners = thing(size=(2.0, 1.0, 0.5), at=(3.0, 0.0), yaw=90.0).corners()
    assert corners.min(axis=0) == pytest.approx((2.5, -1.0, 0.0))
    assert corners.max(axis=0) == pytest.approx((3.5, 1.0, 0.5))


# --- panoramas ---------------------------------------------------------------------------------------------------

WIDE = (240, 120)
everywhere = st.tuples(st.floats(0.01, 239.99), st.floats(0.5, 119.5))


def around(camera):
    return replace(camera, fov_deg=FULL_TURN)


@given(cameras, everywhere, st.floats(0.5, 20))
def test_rays_invert_projection_in_panoramas(camera, pixel, depth):
    eye = around(camera)
    (ray,) = eye.rays([pixel], WIDE)
    world = depth * ray @ np.array(eye.rotation) + eye.position
    assert np.linalg.norm(ray) == pytest.approx(1.0)
    assert eye.depths([world])[0] == pytest.approx(depth)
    assert eye.project([world], WIDE)[0] == pytest.approx(pixel, abs=1e-5)


def test_a_panorama_has_ahead_in_the_middle_and_behind_at_the_seam():
    eye = around(Camera.look_at((0, 0, 1), (0, 5, 1), 60))
    ahead, right, left, up, down = eye.project([(0, 5, 1), (5, 0, 1), (-5, 0, 1), (0, 1e-9, 9), (0, 1e-9, -9)], WIDE)
    assert ahead == pytest.approx((120, 60))
    assert right == pytest.approx((180, 60))
    assert left == pytest.approx((60, 60))
    assert (up[1], down[1]) == pytest.approx((0, 120), abs=1e-6)
    just_left, just_right = eye.project([(-1e-6, -5, 1), (1e-6, -5, 1)], WIDE)
    assert just_left[0] == pytest.approx(0, abs=1e-4)
    assert just_right[0] == pytest.approx(240, abs=1e-4)


# --- twins -------------------------------------------------------------------------------------------------------


def drawn(seed, **plan):
    rng = np.random.default_rng(seed)
    return next(s for _ in range(50) if not isinstance(s := sample_scene(rng, Plan(3, **plan), (96, 96)), str))


POOLS = ("solids", "furniture", "vehicles")


@pytest.mark.parametrize("pool", POOLS)
def test_mirroring_flips_the_picture_and_is_its_own_inverse(pool):
    for seed in range(3):
        made = drawn(seed, pool=pool)
        twin = mirrored(made)
        assert mirrored(twin) == made
        assert Scene.from_json(json.loads(json.dumps(twin.to_json()))) == twin
        first, second = render(made, SIZE), render(twin, SIZE)
        flipped = first.instances[:, ::-1]
        assert (flipped != second.instances).mean() < 2e-3
        same = flipped == second.instances
        assert np.abs(first.depth.values[:, ::-1] - second.depth.values)[same].mean() < 1e-3
        off = np.abs(first.image[:, ::-1].astype(int) - second.image).max(axis=2) > 12
        assert off.mean() < 0.01
        for a, b in zip(first.boxes, second.boxes, strict=True):
            assert (a.x0, a.y0, a.x1, a.y1) == pytest.approx((1 - b.x1, b.y0, 1 - b.x0, b.y1), abs=1.01 / 80)
        assert np.allclose(first.centers * (-1, 1, 1), second.centers)
        for a, b in zip(made.objects, twin.objects, strict=True):
            assert a.size == b.size
            if a.has_front:
                assert np.allclose(a.front * (1, -1, 1), b.front)


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("deg", [37.0, -90.0, 180.0])
def test_turning_everything_changes_no_picture(pool, deg):
    made = drawn(5, pool=pool)
    first, second = render(made, SIZE), render(rotated(made, deg), SIZE)
    assert (first.instances != second.instances).mean() < 2e-3
    assert np.allclose(first.centers, second.centers)
    off = np.abs(first.image.astype(int) - second.image).max(axis=2) > 12
    assert off.mean() < 0.06  # soft edges of shadows
    fronts = [(a.front, b.front) for a, b in zip(made.objects, rotated(made, deg).objects, strict=True) if a.has_front]
    for a, b in fronts:
        assert np.degrees(np.arctan2(a[0] * b[1] - a[1] * b[0], a @ b)) % 360 == pytest.approx(deg % 360)


def test_scaling_scales_lengths_only():
    made = drawn(2, pool="furniture")
    first, second = render(made, SIZE), render(scaled(made, 2.0), SIZE)
    assert (first.instances != second.instances).mean() < 2e-3
    assert np.allclose(2 * first.centers, second.centers)
    assert np.median(second.depth.values / first.depth.values) == pytest.approx(2.0, abs=1e-4)


def test_the_order_of_objects_is_a_matter_of_names():
    made = drawn(3)
    twin = permuted(made, (2, 0, 1))
    assert [o.label for o in twin.objects] == [made.objects[i].label for i in (2, 0, 1)]
    first, second = render(made, SIZE), render(twin, SIZE)
    assert [second.boxes[i] for i in range(3)] == [first.boxes[i] for i in (2, 0, 1)]


def test_what_stands_on_what():
    table, vase = thing(size=(2.0, 1.0, 0.8), yaw=30), thing("cone", "blue", size=(0.2, 0.2, 0.3), z=0.95)
    assert standing_on(vase, (vase, table)) is table
    assert standing_on(table, (vase, table)) is None
    assert standing_on(replace(vase, position=(0.0, 0.0, 1.2)), (table,)) is None
    assert standing_on(replace(vase, position=(1.4, 0.0, 0.95)), (table,)) is None
    # Over the axis-aligned box around the table, but not over the table.
    assert standing_on(replace(vase, position=(0.9, -0.4, 0.95)), (table,)) is None


def test_people_wear_their_color():
    person = replace(thing(), shape="person")
    assert person.label == "person in red"
    assert replace(person, color="").label == "person"
