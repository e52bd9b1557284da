"""Rendered depth, masks, boxes and visible fractions against geometry worked out another way."""

from dataclasses import replace

import numpy as np
import pytest

from sifthinker.errors import InputError
from sifthinker.geometry import Box
from sifthinker.scenes.layout import Plan, sample_scene
from sifthinker.scenes.model import FULL_TURN, Camera, Light, Room, Scene, rotated
from sifthinker.scenes.render import MATERIALS, render
from sifthinker.scenes.shapes import SHAPES, unit_mesh

from .conftest import HALL, scene, thing

SIZE = (120, 80)


def world_rays(view):
    """Origin and directions (z-depth 1 each) of the pixel centers, shape (h, w, 3), from the matrix of the camera."""
    width, height = view.size
    focal = width / 2 / np.tan(np.radians(view.camera.fov_deg) / 2)
    matrix = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]]) @ np.array(view.camera.rotation)
    pixels = np.array([[(x + 0.5, y + 0.5, 1.0) for x in range(width)] for y in range(height)])
    return np.array(view.camera.position), np.linalg.solve(matrix, pixels.reshape(-1, 3).T).T.reshape(pixels.shape)


def random_scenes(count, objects=3, seed=5):
    rng = np.random.default_rng(seed)
    found = (sample_scene(rng, Plan(objects), (96, 96)) for _ in range(10 * count))
    return [s for s in found if not isinstance(s, str)][:count]


def test_depth_of_the_floor_is_that_of_the_plane():
    view = render(scene(thing("cone")), SIZE)
    eye, rays = world_rays(view)
    with np.errstate(divide="ignore"):
        plane = -eye[2] / rays[..., 2]
    floor = (view.instances == -1) & (plane > 0) & (plane < 15)
    assert floor.sum() > 3000
    assert np.abs(view.depth.values - plane)[floor].max() < 1e-3


def test_depth_of_a_sphere_is_that_of_the_quadric():
    view = render(scene(thing("sphere", size=(1.2, 1.2, 1.2))), SIZE)
    eye, rays = world_rays(view)
    offset = eye - (0, 0, 0.6)
    a, b, c = (rays**2).sum(-1), (rays * offset).sum(-1), (offset**2).sum() - 0.36
    root = b * b - a * c
    expected = root > 0
    assert (expected != (view.instances == 0)).sum() <= 4  # a pixel at the rim may fall either way
    inner = root > 0.2 * root.max()  # the mesh is a polyhedron; at the rim its depth is off by more
    exact = (-b - np.sqrt(root.clip(0))) / a
    assert np.abs(view.depth.values - exact)[inner].max() < 2e-3
    # The nearest point of the sphere lies on the line to its center.
    nearest = np.linalg.norm(offset) - 0.6
    distance = (view.depth.values * np.linalg.norm(rays, axis=-1))[inner]
    assert distance.min() == pytest.approx(nearest, abs=2e-3)


def test_depth_of_a_cube_is_that_of_its_slabs():
    view = render(scene(thing(size=(1.0, 0.8, 1.4), yaw=33.0)), SIZE)
    eye, rays = world_rays(view)
    c, s = np.cos(np.radians(33)), np.sin(np.radians(33))
    own = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
    start, along = own @ (eye - (0, 0, 0.7)), rays @ own.T
    first, second = (-np.array([0.5, 0.4, 0.7]) - start) / along, (np.array([0.5, 0.4, 0.7]) - start) / along
    enter, leave = np.minimum(first, second).max(-1), np.maximum(first, second).min(-1)
    seen = view.instances == 0
    assert ((enter < leave) != seen).sum() <= 2
    both = seen & (leave - enter > 1e-3)
    assert np.abs(view.depth.values - enter)[both].max() < 1e-4


@pytest.mark.parametrize("shape", SHAPES)
def test_the_mesh_fills_its_box(shape):
    n = 201
    grid = np.linspace(-0.499, 0.499, n)
    for axis in range(3):
        others = [a for a in range(3) if a != axis]
        origins = np.full((n * n, 3), -2.0)
        origins[:, others] = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
        directions = np.zeros((n * n, 3))
        directions[:, axis] = 1.0
        hits = unit_mesh(shape).cast(origins, directions)
        hit = np.isfinite(hits.t)
        reached = origins[hit][:, others]
        assert reached.min(axis=0) == pytest.approx([-0.5, -0.5], abs=0.02)
        assert reached.max(axis=0) == pytest.approx([0.5, 0.5], abs=0.02)
        assert (hits.normals[hit][:, axis] < 0.05).all()  # the surface that is met faces the ray


def test_the_ring_has_a_hole():
    view = render(scene(thing("ring", size=(2.0, 2.0, 0.5)), eye=(0.0, -1.0, 5.0), target=(0.0, 0.0, 0.0)), SIZE)
    x, y = view.camera.project([(0.0, 0.0, 0.0)], SIZE)[0].astype(int)
    assert view.instances[y, x] == -1
    assert view.visible == (1.0,)


def test_centers_of_solid_objects_project_into_their_masks():
    for made in random_scenes(25, objects=1):
        view = render(made, (96, 96))
        x, y = made.cameras[0].project([made.objects[0].position], (96, 96))[0].astype(int)
        if made.objects[0].shape != "ring":  # whose center is a hole
            assert view.instances[y, x] == 0


def test_boxes_are_the_extents_of_the_masks():
    for made in random_scenes(10):
        view = render(made, (96, 72))
        for index, box in enumerate(view.boxes):
            points = [(x, y) for y in range(72) for x in range(96) if view.instances[y, x] == index]
            xs, ys = zip(*points, strict=True)
            assert tuple(box) == pytest.approx((min(xs) / 96, min(ys) / 72, (max(xs) + 1) / 96, (max(ys) + 1) / 72))


def test_visible_fraction_is_that_of_rendering_each_object_alone():
    some_hidden = 0
    for made in random_scenes(15, objects=4, seed=8):
        view = render(made, (96, 96))
        for index, only in enumerate(made.objects):
            alone = render(Scene((only,), made.room, made.light, made.cameras), (96, 96), smooth=False)
            share = (view.instances == index).sum() / (alone.instances == 0).sum()
            assert view.visible[index] == pytest.approx(share, abs=1e-12)
            some_hidden += share < 1
    assert some_hidden > 3


def test_visible_fraction_of_a_half_hidden_board():
    # Boards that face the camera squarely; the nearer one ends on the line from the eye to the middle of the farther.
    far = thing(size=(2.0, 0.001, 1.0), at=(0.0, 0.0), z=1.0)
    for share in (0.25, 0.5, 0.75):
        edge = (-1.0 + 2.0 * share) * 5 / 6
        near = thing(size=(4.0, 0.001, 3.0), at=(edge - 2.0, -1.0), z=1.0, color="blue")
        view = render(scene(far, near, eye=(0.0, -6.0, 1.0), target=(0.0, 0.0, 1.0), fov=30.0), (200, 100))
        assert view.visible[0] == pytest.approx(1 - share, abs=0.02)
        assert view.visible[1] == 1.0


def test_a_hidden_object_has_no_box():
    wall = thing(size=(3.0, 0.2, 3.0), at=(0.0, -2.0), color="blue")
    view = render(scene(thing(), wall), SIZE)
    assert view.visible == (0.0, 1.0)
    assert view.boxes[0] is None
    assert view.nearness[0] is None


def test_an_object_out_of_frame_is_not_visible():
    view = render(scene(thing(), thing(at=(0.0, -12.0), color="blue"), thing(at=(15.0, 0.0), color="green")), SIZE)
    assert view.visible == (1.0, 0.0, 0.0)
    assert view.boxes[1:] == (None, None)


def test_an_object_around_the_camera_plane_is_seen():
    view = render(scene(thing(size=(0.5, 20.0, 0.5), at=(1.0, -6.0))), SIZE)
    assert view.visible == (1.0,)
    assert (view.instances == 0).sum() > 100


def test_a_camera_outside_of_the_room_that_looks_away_sees_nothing():
    view = render(scene(thing(), eye=(0.0, -30.0, 2.0), target=(0.0, -40.0, 2.0)), SIZE)
    assert not view.depth.valid.any()
    assert view.boxes == (None,)


def test_depth_is_valid_everywhere_inside_of_the_room():
    for made in random_scenes(20):
        view = render(made, (96, 96))
        assert view.depth.metric
        assert view.depth.valid.all()
        assert view.depth.values.max() < 12


def test_a_mirrored_scene_gives_the_mirrored_view():
    things = (
        thing("cone", at=(0.7, 0.4)),
        thing("cube", "blue", (-1.0, 0.2), yaw=20.0),
        thing("ring", "green", (0, -1)),
    )
    twins = (
        thing("cone", at=(-0.7, 0.4)),
        thing("cube", "blue", (1.0, 0.2), yaw=-20.0),
        thing("ring", "green", (0, -1)),
    )
    first = render(scene(*things), SIZE)
    second = render(scene(*twins, lamp=(-3.0, -3.0, 8.0)), SIZE)
    same = first.instances == second.instances[:, ::-1]
    assert (~same).sum() <= 4
    assert np.abs(first.depth.values - second.depth.values[:, ::-1])[same].max() < 0.05
    close = np.abs(first.image.astype(int) - second.image[:, ::-1]).max(axis=2)[same] < 12
    assert close.mean() > 0.99


def test_objects_cast_shadows_away_from_the_lamp():
    lamp = (4.0, 0.0, 4.0)
    empty, full = (render(scene(*t, lamp=lamp, eye=(0.0, -6.0, 3.0)), SIZE) for t in ((), (thing(),)))
    # The top edge of the cube at x = -0.5, z = 1 throws its shadow to x = -2; the other side stays as it was.
    shadow, lit = ((x, 0.0, 0.0) for x in (-1.0, 1.2))
    (sx, sy), (lx, ly) = empty.camera.project([shadow, lit], SIZE).astype(int)
    assert full.image[sy, sx].mean() < 0.75 * empty.image[sy, sx].mean()
    assert full.image[ly, lx] == pytest.approx(empty.image[ly, lx], abs=1)


def test_faces_toward_the_lamp_are_brighter():
    view = render(scene(thing(), lamp=(0.0, -2.0, 8.0)), SIZE)
    (tx, ty), (fx, fy) = view.camera.project([(0.0, 0.0, 1.0), (0.0, -0.5, 0.4)], SIZE).astype(int)
    assert view.image[ty, tx, 0] > view.image[fy, fx, 0] + 15


def test_anti_aliasing_changes_edges_of_the_photo_only():
    made = random_scenes(1)[0]
    rough, smooth = render(made, (96, 96), smooth=False), render(made, (96, 96))
    assert np.array_equal(rough.depth.values, smooth.depth.values)
    assert np.array_equal(rough.instances, smooth.instances)
    changed = (rough.image != smooth.image).any(axis=2).mean()
    assert 0.005 < changed < 0.3


def test_rendering_is_repeatable():
    made = random_scenes(1)[0]
    assert np.array_equal(render(made, (96, 96)).image, render(made, (96, 96)).image)


def test_textures_are_on_the_floor_only():
    def hall(texture):
        return Room((0.0, 0.0), (40.0, 40.0, 20.0), 0.0, HALL.floor_rgb, HALL.wall_rgb, texture)

    plain, checker = (render(scene(thing(), room=hall(t)), SIZE) for t in ("plain", "checker"))
    changed = (plain.image != checker.image).any(axis=2)
    assert changed.any()
    assert changed[: SIZE[1] // 4].sum() == 0


def test_any_of_several_cameras():
    made = scene(thing())
    made = Scene(made.objects, made.room, Light((0, 0, 5)), (*made.cameras, Camera.look_at((4, 0, 2), (0, 0, 0.5), 40)))
    assert render(made, SIZE, camera=1).centers[0, 2] == pytest.approx(np.hypot(4, 1.5))


def test_unknown_shapes_are_refused_with_a_hint():
    with pytest.raises(InputError, match=r"unknown shape 'cubes': did you mean 'cube'"):
        render(scene(thing("cubes")), SIZE)


def test_box_of_a_board_is_exact():
    board = thing(size=(2.0, 0.001, 1.0), z=1.0)
    view = render(scene(board, eye=(0.0, -6.0, 1.0), target=(0.0, 0.0, 1.0), fov=53.13010235), (120, 80))
    # Focal length 120 px, the front at 5.9995 m: 40 px wide, 20 px high around the middle.
    assert view.boxes == (Box(40 / 120, 30 / 80, 80 / 120, 50 / 80),)


# --- parts and materials -----------------------------------------------------------------------------------------


def test_parts_keep_their_own_colors():
    beds = [replace(thing("bed", color, size=(2.0, 1.4, 1.0)), yaw_deg=-60.0) for color in ("red", "blue")]
    red, blue = (render(scene(bed, eye=(0.0, -4.0, 2.5)), SIZE).image.astype(int) for bed in beds)
    pillow = (np.abs(red - blue).max(axis=2) <= 1) & (red.min(axis=2) > 150) & (np.arange(SIZE[1])[:, None] > 25)
    assert pillow.sum() > 20
    blanket = red[..., 0] - blue[..., 0] > 60
    assert blanket.sum() > 200


def glowing(material, shape="sphere"):
    """The picture of an object of a material, as floats."""
    return render(scene(replace(thing(shape), material=material)), SIZE).image.astype(float)


@pytest.mark.parametrize("material", MATERIALS)
def test_materials_change_the_object_only(material):
    matte, other = glowing("matte"), glowing(material)
    mask = render(scene(thing("sphere")), SIZE).instances == 0
    edge = (
        mask ^ np.roll(mask, 1, 0)
        | mask ^ np.roll(mask, 1, 1)
        | mask ^ np.roll(mask, -1, 0)
        | mask ^ np.roll(mask, -1, 1)
    )
    changed = np.abs(matte - other).max(axis=2) > 1
    assert not changed[~mask & ~edge].any()
    assert changed[mask].any() == (material != "matte")


def test_gloss_is_brighter_and_narrower():
    seen = render(scene(thing("sphere")), SIZE).instances == 0
    mask = np.all([np.roll(seen, step, axis) for step in (-2, 2) for axis in (0, 1)], axis=0)
    matte, glossy, rubber = (glowing(m)[mask][:, 1] for m in ("matte", "glossy", "rubber"))
    assert glossy.max() > matte.max() > rubber.max()


def test_metal_reflects_in_its_own_color():
    made = scene(replace(thing("sphere"), material="metal"))
    view = render(made, SIZE)
    red = view.image[view.instances == 0].astype(float)
    assert np.median(red[:, 0]) > 3 * np.median(red[:, 2])
    up, down = red[:150].mean(), red[-150:].mean()
    assert up > down, "the room above is brighter than the floor below"


def test_patterns_stay_on_the_object_when_everything_turns():
    made = scene(replace(thing("cube", yaw=20.0), material="wood"))
    first, second = render(made, SIZE), render(rotated(made, 50.0), SIZE)
    inside = (first.instances == 0) & (second.instances == 0)
    close = np.abs(first.image.astype(int) - second.image).max(axis=2)[inside] < 16
    assert close.mean() > 0.97
    assert np.std(first.image[inside][:, 0].astype(float)) > 3


def test_unknown_materials_are_refused_with_a_hint():
    with pytest.raises(InputError, match=r"unknown material 'metals': did you mean 'metal'"):
        _ = render(scene(replace(thing(), material="metals")), SIZE).image


# --- panoramas ---------------------------------------------------------------------------------------------------

WIDE = (160, 80)


def panorama(*objects, eye=(0.0, 0.0, 1.5), ahead=(0.0, 1.0, 1.5), room=HALL):
    camera = replace(Camera.look_at(eye, ahead, 90.0), fov_deg=FULL_TURN)
    return render(Scene(objects, room, Light((3.0, 3.0, 8.0)), (camera,)), WIDE)


def test_depth_of_a_panorama_is_the_distance():
    view = panorama()
    rows, columns = np.indices((80, 160)) + 0.5
    lift, heading = (0.5 - rows / 80) * np.pi, (columns / 160 - 0.5) * 2 * np.pi
    floor = 1.5 / np.maximum(np.sin(-lift), 1e-9)
    below = (lift < 0) & (floor * np.cos(lift) < 19)
    assert below.sum() > 3000
    assert np.abs(view.depth.values - floor)[below].max() < 1e-3
    wall = 20 / np.maximum(np.cos(heading) * np.cos(lift), 1e-9)
    ahead = (np.abs(heading) < 0.7) & (np.abs(lift) < 0.05)
    assert np.abs(view.depth.values - wall)[ahead].max() < 1e-3
    assert view.depth.valid.all()


def test_a_panorama_has_no_seam():
    things = (
        thing("cone", at=(0.7, 3.0)),
        thing("cube", "blue", (-2.0, 0.2), yaw=20.0),
        thing("ring", "green", (2, -2)),
    )
    ahead, behind = panorama(*things), panorama(*things, ahead=(0.0, -1.0, 1.5))
    for a, b in ((ahead.instances, behind.instances), (ahead.depth.values, behind.depth.values)):
        assert np.isclose(np.roll(a, 80, axis=1), b, atol=1e-3).mean() > 0.999
    off = np.abs(np.roll(ahead.image, 80, axis=1).astype(int) - behind.image).max(axis=2)
    assert (off > 12).mean() < 0.01


def test_objects_across_the_seam_have_no_box():
    view = panorama(thing(at=(0.0, -3.0)), thing("cone", "blue", (0.0, 3.0)))
    assert view.boxes[0] is None
    assert view.visible[0] == pytest.approx(1.0)
    assert (view.instances[:, [0, -1]] == 0).any()
    box = view.boxes[1]
    assert box is not None
    assert box.center[0] == pytest.approx(0.5, abs=0.01)


def test_every_pixel_of_an_object_is_found_in_a_panorama():
    """Rays near the poles and around the camera: against casting every ray at every object."""
    things = (
        thing(size=(4.0, 4.0, 0.3)),  # under the camera
        thing(size=(1.0, 1.0, 0.5), z=4.0, color="blue"),  # over it
        thing(size=(3.0, 0.2, 3.0), at=(0.3, -1.5), color="green"),  # close, across the seam
    )
    view = panorama(*things)
    directions = view.camera.rays((np.indices((80, 160)) + 0.5)[::-1].reshape(2, -1).T, WIDE) @ np.array(
        view.camera.rotation
    )
    for index, solid in enumerate(things):
        half, start = np.array(solid.size) / 2, np.array(view.camera.position) - solid.position
        with np.errstate(divide="ignore"):
            first, second = (-half - start) / directions, (half - start) / directions
        enter, leave = np.minimum(first, second).max(axis=1), np.maximum(first, second).min(axis=1)
        hit = ((enter < leave) & (leave > 0)).reshape(80, 160)
        seen = view.instances == index
        if index == 1:
            assert (hit != seen).sum() < 8
        assert not (seen & ~hit).sum() > 4


def test_visible_fractions_of_a_panorama_count_solid_angle():
    # A board overhead whose half that is nearer to the zenith is hidden: few steradians, many pixels.
    far, near = thing(size=(8.0, 2.0, 0.01), at=(0.0, 0.0), z=5.0), thing(size=(1.0, 1.0, 0.01), z=3.0, color="blue")
    view = panorama(far, near, eye=(0.0, 0.0, 1.0), ahead=(0.0, 1.0, 1.0))
    rng = np.random.default_rng(0)
    rays = rng.normal(size=(400_000, 3))
    up = rays[:, 2] > 0

    def meets(height, x, y):
        at = rays[:, :2] / np.where(up, rays[:, 2], 1)[:, None] * height
        return up & (np.abs(at[:, 0]) < x) & (np.abs(at[:, 1]) < y)

    whole, hidden = meets(4.0, 4.0, 1.0), meets(2.0, 0.5, 0.5)
    assert view.visible[0] == pytest.approx((whole & ~hidden).sum() / whole.sum(), abs=0.03)
    by_pixels = (view.instances == 0).sum() / ((view.instances == 0).sum() + (view.instances == 1).sum())
    assert abs(by_pixels - view.visible[0]) > 0.1, "pixels alone would say something else"
