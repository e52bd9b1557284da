"""Point clouds: points lie on the surfaces that they came from, and go back to their pixels."""

import numpy as np
import pytest

from sifthinker.depth import DepthMap
from sifthinker.scenes.layout import distance_to
from sifthinker.scenes.points import point_cloud, unproject, write_ply
from sifthinker.scenes.render import render

from .conftest import scene, thing
from .test_model import around

SIZE = (60, 40)


def view(panorama=False):
    made = scene(thing("sphere", at=(0.3, 0.2)), thing("cube", "blue", (-1.0, 0.5), yaw=25.0))
    if panorama:
        made = type(made)(made.objects, made.room, made.light, (around(made.cameras[0]),))
    return render(made, (80, 40) if panorama else SIZE)


@pytest.mark.parametrize("panorama", [False, True])
def test_points_lie_on_their_surfaces(panorama):
    seen = view(panorama)
    cloud = point_cloud(seen)
    ball = cloud.of(0).points - seen.scene.objects[0].position
    assert np.linalg.norm(ball, axis=1) == pytest.approx(np.full(len(ball), 0.5), abs=5e-3)
    box = seen.scene.objects[1]
    for point in cloud.of(1).points:
        assert distance_to(box, point) < 1e-3
        own = np.abs((point - box.position) @ box.rotation) / box.size
        assert own.max() == pytest.approx(0.5, abs=1e-3)
    rest = cloud.of(-1).points
    assert rest[:, 2].min() == pytest.approx(0.0, abs=1e-3)
    assert len(cloud.points) == seen.size[0] * seen.size[1]


@pytest.mark.parametrize("panorama", [False, True])
def test_points_go_back_to_their_pixels(panorama):
    seen = view(panorama)
    pixels = seen.camera.project(point_cloud(seen).points, seen.size).reshape(seen.size[1], seen.size[0], 2)
    rows, columns = np.indices((seen.size[1], seen.size[0]))
    assert np.abs(pixels - np.stack([columns, rows], axis=-1) - 0.5).max() < 1e-3


def test_several_views_make_one_cloud():
    seen = view()
    cloud = point_cloud(seen, seen)
    assert len(cloud.points) == 2 * SIZE[0] * SIZE[1]
    assert np.array_equal(cloud.colors[: SIZE[0]], seen.image[0])


def test_pixels_without_depth_are_left_out_and_relative_depth_is_refused():
    seen = view()
    holes = DepthMap(seen.depth.values, np.indices((40, 60))[1] > 9, metric=True)
    points = unproject(holes, seen.camera)
    assert np.isnan(points[:, :10]).all()
    assert np.isfinite(points[:, 10:]).all()
    with pytest.raises(ValueError, match="relative"):
        unproject(seen.depth.relative(), seen.camera)


def test_clouds_are_written_as_ply(tmp_path):
    trimesh = pytest.importorskip("trimesh")
    cloud = point_cloud(view())
    write_ply(cloud, tmp_path / "cloud.ply")
    back = trimesh.load(tmp_path / "cloud.ply")
    assert np.allclose(back.vertices, cloud.points, atol=1e-5)
    assert np.array_equal(np.asarray(back.colors)[:, :3], cloud.colors)
