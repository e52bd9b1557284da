"""Scenes survive JSON; cameras follow the OpenCV convention."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sifthinker.errors import InputError
from sifthinker.scenes.model import Camera, Scene

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
