"""Each kind: identity at level 0, worse with every level, the same for a seed; closed forms where there are any."""

from __future__ import annotations

import colorsys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sifthinker.degrade import KINDS, LEVELS, degrade, degrade_sample, why_not
from sifthinker.degrade.fisheye import bent_box, bent_depth, bent_points
from sifthinker.degrade.kinds import AIRLIGHT, haze, haze_beta
from sifthinker.degrade.lens import circle_of_confusion
from sifthinker.degrade.light import FLAT_M, in_metres
from sifthinker.degrade.motion import FOV_DEG
from sifthinker.depth import DepthMap, read_depth
from sifthinker.errors import InputError
from sifthinker.geometry import Box
from sifthinker.sample import Sample
from sifthinker.scenes.generate import generate
from sifthinker.scenes.layout import COLORS
from sifthinker.scenes.render import render

from .scenes.conftest import scene, thing

SIZE = (160, 120)

PHOTOS = {
    "nyu/rgb_00000.jpg": ("nyu/depth_00000.png", "mm"),
    "nyu/rgb_00050.jpg": ("nyu/depth_00050.png", "mm"),
    "open3d_livingroom/color/00000.jpg": ("open3d_livingroom/depth/00000.png", "mm"),
    "open3d_other/TUM_color.png": ("open3d_other/TUM_depth.png", "tum"),
    "slambook_office/color/1.png": ("slambook_office/depth/1.pgm", "mm"),
    "kitti_depth/rgb_0000000050.png": ("kitti_depth/depth_0000000050.png", "kitti"),
}


@pytest.fixture(scope="module")
def view():
    objects = thing(), thing("sphere", "blue", (1.6, 2.5)), thing("cone", "green", (-1.4, -2.0), (0.7, 0.7, 0.9))
    return render(scene(*objects), SIZE)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    error = np.square(a.astype(float) - b).mean()
    return float("inf") if error == 0 else 10 * np.log10(255**2 / error)


def ladder(image: np.ndarray, depth: DepthMap | None, kind: str, seed: int) -> list[float]:
    return [psnr(image, degrade(image, depth, kind, level, seed)) for level in range(LEVELS + 1)]


@pytest.mark.parametrize("kind", KINDS)
def test_level_0_is_the_identity_and_every_level_is_worse(kind, view):
    for seed in range(3):
        found = ladder(view.image, view.depth, kind, seed)
        assert found[0] == float("inf")
        assert all(a > b + 0.05 for a, b in pairwise(found)), found


@pytest.mark.parametrize("name", PHOTOS)
def test_every_level_is_worse_on_real_photos(name, shared_data):
    depth_name, encoding = PHOTOS[name]
    photo = Image.open(shared_data / "rgbd" / name).convert("RGB")
    photo.thumbnail((200, 200))
    depth = read_depth(shared_data / "rgbd" / depth_name, encoding)
    for kind in KINDS:
        found = ladder(np.asarray(photo), depth, kind, seed=5)
        assert all(a > b for a, b in pairwise(found)), (kind, found)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_pixels_and_the_photo_stays(kind, view):
    before = view.image.copy()
    once, again = (degrade(view.image, view.depth, kind, 4, seed=7) for _ in range(2))
    assert np.array_equal(once, again)
    assert np.array_equal(view.image, before)
    assert once.shape == before.shape
    assert once.dtype == np.uint8
    drawn = kind in ("defocus", "low_light", "motion_blur", "water_droplets")
    assert np.array_equal(once, degrade(view.image, view.depth, kind, 4, seed=8)) is not drawn


def test_there_are_nine_kinds_of_five_levels():
    assert len(KINDS) == 9
    assert all(len(kind.levels) == LEVELS and kind.about and kind.source for kind in KINDS.values())


# --- air -----------------------------------------------------------------------------------------------------------


def test_haze_has_its_closed_form():
    image = np.random.default_rng(0).integers(0, 256, (8, 10, 3)).astype(np.uint8)
    metres = np.linspace(1, 9, 80).reshape(8, 10)
    found = haze(image, metres, 0.3)
    for row, column in ((0, 0), (3, 4), (7, 9)):
        t = 2.718281828459045 ** (-0.3 * metres[row, column])
        for channel in range(3):
            light = (image[row, column, channel] / 255) ** 2.2 * t + AIRLIGHT**2.2 * (1 - t)
            assert abs(found[row, column, channel] - 255 * light ** (1 / 2.2)) <= 0.51


def test_a_plane_of_known_depth_is_hazed_alike_and_farther_is_paler(view):
    gray = np.full((40, 40, 3), 60, np.uint8)
    depth = DepthMap(np.where(np.arange(40)[:, None] < 20, 2.0, 6.0) * np.ones((40, 40)), metric=True)
    found = degrade(gray, depth, "haze", 3)
    assert len(np.unique(found[:20])) == len(np.unique(found[20:])) == 1
    assert found[30, 0, 0] > found[0, 0, 0] > 60
    # Optical depth at 6 m (the 95 % quantile) is what the level says.
    assert haze_beta(depth.values, KINDS["haze"].levels[2]["density"]) * 6 == pytest.approx(1.3)
    # Three times as deep: the logarithm of what is left of the contrast is three times as large.
    air = AIRLIGHT**2.2
    left = [np.log((air - (v / 255) ** 2.2) / (air - (60 / 255) ** 2.2)) for v in (found[0, 0, 0], found[30, 0, 0])]
    assert left[1] / left[0] == pytest.approx(3, rel=0.03)


# --- lens ----------------------------------------------------------------------------------------------------------


def sharpness(image: np.ndarray) -> float:
    return float(np.abs(np.diff(image.astype(float), axis=1)).mean())


def test_what_is_in_focus_stays_sharp_and_the_rest_does_not():
    stripes = np.repeat(np.tile(np.array([30, 220], np.uint8).repeat(4), 20)[None, :, None], 60, axis=0).repeat(
        3, axis=2
    )
    # Three planes across: one of them, whichever the focus falls on, stays sharp.
    depth = np.repeat(np.array([1.0, 2.0, 6.0]), (54, 53, 53))[None] * np.ones((60, 1))
    for seed in range(6):
        found = degrade(stripes, DepthMap(depth, metric=True), "defocus", 5, seed)
        thirds = [sharpness(found[:, s]) for s in (slice(10, 44), slice(64, 97), slice(117, 150))]
        assert max(thirds) > 0.8 * sharpness(stripes)
        assert min(thirds) < 0.3 * sharpness(stripes)


def test_circles_of_confusion_are_those_of_a_thin_lens():
    # v = image distance of an object at z; circle ~ aperture * |v - v_focus| / v.
    lens, focus = 0.05, 2.0
    z = np.array([0.5, 1.0, 2.0, 4.0, 40.0])
    image_distance = 1 / (1 / lens - 1 / z)
    focused = 1 / (1 / lens - 1 / focus)
    exact = np.abs(image_distance - focused) / image_distance
    assert exact / exact[-1] == pytest.approx(circle_of_confusion(z, focus) / circle_of_confusion(z, focus)[-1])


@pytest.mark.parametrize("depth", [None, DepthMap(np.full((60, 80), 4.0), metric=True)])
def test_scenes_without_depth_are_out_of_focus_everywhere(depth):
    checks = (np.indices((60, 80)).sum(axis=0) // 3 % 2 * 200 + 20).astype(np.uint8)[..., None].repeat(3, axis=2)
    assert sharpness(degrade(checks, depth, "defocus", 5)) < 0.4 * sharpness(checks)


# --- fisheye -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", range(1, LEVELS + 1))
def test_boxes_follow_the_fisheye(level, view):
    """White boxes on black, bent as pictures, against boxes bent as boxes."""
    fov_deg = KINDS["fisheye"].levels[level - 1]["fov_deg"]
    for box in (Box(0.1, 0.1, 0.3, 0.4), Box(0.4, 0.45, 0.6, 0.5), Box(0.7, 0.6, 1.0, 1.0), Box(0.0, 0.0, 1.0, 1.0)):
        canvas = np.zeros((240, 320, 3), np.uint8)
        left, top, right, bottom = box.pixel_bounds((320, 240))
        canvas[top:bottom, left:right] = 255
        rows, columns = np.nonzero(degrade(canvas, None, "fisheye", level)[..., 0] > 127)
        x0, y0, x1, y1 = columns.min() / 320, rows.min() / 240, (columns.max() + 1) / 320, (rows.max() + 1) / 240
        assert np.allclose(tuple(bent_box(box, (320, 240), fov_deg)), (x0, y0, x1, y1), atol=2 / 240)


def test_depth_follows_the_fisheye_and_corners_have_none(view):
    marked = np.repeat(view.depth.values[..., None], 3, axis=2)
    scaled = (255 * marked / marked.max()).astype(np.uint8)
    bent = bent_depth(view.depth, KINDS["fisheye"].levels[3]["fov_deg"])
    picture = degrade(scaled, None, "fisheye", 4)[..., 0] / 255 * marked.max()
    assert not bent.valid[0, 0]
    assert bent.valid[SIZE[1] // 2, SIZE[0] // 2]
    assert np.median(np.abs(bent.values - picture)[bent.valid]) < 0.02 * marked.max()


def test_the_fisheye_is_equidistant_and_loses_nothing():
    size, fov_deg = (200, 100), 120.0
    focal = np.hypot(*size) / 2 / np.tan(np.radians(60))
    # Equal angles from the middle are equal steps in the picture.
    points = np.stack([100 + focal * np.tan(np.radians([0, 10, 20, 30])), np.full(4, 50.0)], axis=1)
    steps = np.diff(bent_points(points, size, fov_deg)[:, 0])
    assert steps == pytest.approx([steps[0]] * 3)
    corners = np.array([(0, 0), (200, 100), (0, 50), (100, 0.0)])
    bent = bent_points(corners, size, fov_deg)
    assert (bent >= -1e-9).all()
    assert (bent <= np.array(size) + 1e-9).all()
    assert bent[3] == pytest.approx((100, 0))


# --- motion and exposure -------------------------------------------------------------------------------------------


def test_near_things_are_blurred_more_by_a_moving_camera():
    """Two walls of the same stripes, at 1 m and at 10 m; the camera moves sideways and does not turn."""
    from sifthinker.degrade import motion

    stripes = (np.indices((120, 160))[1] // 8 % 2 * 200 + 20).astype(np.uint8)[..., None].repeat(3, axis=2)
    metres = np.where(np.arange(120)[:, None] < 60, 1.0, 10.0) * np.ones((120, 160))

    class Sideways:
        def normal(self, size):
            return np.array([[1.0, 0, 0], [0, 0, 1.0]])

    found = motion.motion_blur(stripes, metres, Sideways(), {"move_m": 0.06, "turn_rad": 0.0})  # type: ignore[arg-type]
    near, far = found[5:55, 20:140], found[65:115, 20:140]
    assert sharpness(far) > 0.8 * sharpness(stripes)
    # 6 cm at 1 m are 8.3 pixels, so edges are spread over a whole stripe.
    focal = 80 / np.tan(np.radians(FOV_DEG) / 2)
    assert 0.06 * focal == pytest.approx(8.3, abs=0.1)
    assert np.abs(np.diff(near.astype(float), axis=1)).max() < 0.35 * np.abs(np.diff(far.astype(float), axis=1)).max()


def test_pixels_of_a_moved_camera_come_from_where_the_point_projects():
    from sifthinker.degrade.motion import _from_pose

    metres, focal = np.full((60, 80), 4.0), 100.0
    x, y = _from_pose(metres, focal, np.array([0.2, -0.1, 0.0]), np.zeros(3))
    # A camera that moves right by 0.2 m sees at its pixel what the photo has 0.2 / 4 * 100 pixels farther right.
    assert x - np.arange(80) == pytest.approx(np.full((60, 80), 5.0))
    assert y - np.arange(60)[:, None] == pytest.approx(np.full((60, 80), -2.5))
    x, y = _from_pose(metres, focal, np.zeros(3), np.array([0.0, 0.05, 0.0]))
    assert x[30, 40] - 40 == pytest.approx(100 * np.tan(0.05), abs=0.1)


def test_exposure_is_in_linear_light():
    gray = np.full((20, 20, 3), 100, np.uint8)
    assert degrade(gray, None, "over_exposure", 2)[0, 0, 0] == round(255 * ((100 / 255) ** 2.2 * 2.3) ** (1 / 2.2))
    dark = degrade(np.full((200, 200, 3), 200, np.uint8), None, "low_light", 3)
    assert np.median(dark) == pytest.approx(255 * ((200 / 255) ** 2.2 * 0.035) ** (1 / 2.2), abs=2)
    assert dark.std() > 1  # noise


# --- depth and samples ---------------------------------------------------------------------------------------------


def test_gaps_in_depth_take_the_nearest_value():
    values = np.full((6, 6), np.nan)
    values[0, 0], values[5, 5] = 2.0, 4.0
    found = in_metres(DepthMap(values, metric=True), (6, 6))
    assert found[1, 1] == 2.0
    assert found[4, 5] == 4.0
    assert (in_metres(None, (3, 2)) == FLAT_M).all()
    relative = in_metres(DepthMap(np.array([[0.0, 1.0]])), (2, 1))
    assert relative.tolist() == [[1.0, 6.0]]


@pytest.fixture(scope="module")
def samples():
    return [sample for sample, _ in generate(6, seed=2)]


@pytest.mark.parametrize("kind", KINDS)
def test_samples_keep_question_answer_and_true_depth(kind, samples):
    for sample in samples[:2]:
        worse = degrade_sample(sample, kind, 3, seed=1)
        assert (worse.question, worse.answer, worse.choices) == (sample.question, sample.answer, sample.choices)
        assert worse.id == f"{sample.id}+{kind}3"
        assert worse.meta["group"] == f"{sample.meta['group']}+{kind}3"
        assert worse.meta["world"] == sample.meta["world"]
        assert len(worse.boxes) == len(sample.boxes)
        if kind == "fisheye":
            assert worse.depth_map().size == sample.depth_map().size
            for bent, box in zip(worse.boxes, sample.boxes, strict=True):
                before, after = sample.depth_map().box_mean(box), worse.depth_map().box_mean(bent)
                assert after == pytest.approx(before, rel=0.15)
        else:
            assert worse.boxes == sample.boxes
            assert worse.depth is sample.depth
        assert np.array_equal(worse.photo(), degrade_sample(sample, kind, 3, seed=1).photo())


def test_what_cannot_be_degraded_says_why(samples):
    words = replace(samples[0], image=None)
    with pytest.raises(InputError, match="words only, without a photo"):
        degrade_sample(words, "haze", 2)
    place = replace(samples[0], question="Which object is at (0.25, 0.5)?")
    assert why_not(place, "haze") is None
    with pytest.raises(InputError, match="by numbers, which a fisheye would move"):
        degrade_sample(place, "fisheye", 2)
    assert why_not(replace(samples[0], meta={"answer_kind": "box"}), "fisheye")


def test_over_exposed_orange_is_yellow_and_no_question_tells_them_apart(samples):
    def hue_deg(name: str, level: int) -> float:
        photo = np.full((4, 4, 3), np.array(COLORS[name]) * 200, np.uint8)
        return 360 * colorsys.rgb_to_hsv(*degrade(photo, None, "over_exposure", level)[0, 0] / 255)[0]

    apart = [hue_deg("yellow", level) - hue_deg("orange", level) for level in range(LEVELS + 1)]
    assert min(apart[:2]) > 20
    assert apart[-1] < 5
    for question, answer in (
        ("What color is the cube?", "orange"),
        ("Is the yellow cube nearer?", "yes"),
        ("Do the cube and the cone have the same color?", "no"),
    ):
        sample = replace(samples[0], question=question, answer=answer, choices=())
        assert why_not(sample, "over_exposure") == "tells orange from yellow, which over-exposure makes alike"
        assert why_not(sample, "haze") is None
    assert why_not(replace(samples[0], question="What color is the cube?", answer="blue"), "over_exposure") is None


@pytest.mark.parametrize(
    ("image", "kind", "level", "message"),
    [
        (np.zeros((9, 9, 3), np.uint8), "hase", 1, "unknown degradation 'hase': did you mean 'haze'"),
        (np.zeros((9, 9, 3), np.uint8), "haze", 6, "level 6 is not one of 0"),
        (np.zeros((9, 9, 3), np.uint8), "haze", 2.5, "level 2.5 is not one of 0"),
        (np.zeros((9, 9), np.uint8), "haze", 1, "8-bit RGB"),
        (np.zeros((9, 9, 3)), "haze", 1, "8-bit RGB of shape .height, width, 3., got float64"),
    ],
)
def test_faults(image, kind, level, message):
    with pytest.raises(InputError, match=message):
        degrade(image, None, kind, level)


def test_augmented_samples_are_samples(samples):
    worse = degrade_sample(samples[0], "jpeg", 1)
    assert isinstance(worse, Sample)
    assert worse.meta["degradation"] == {"kind": "jpeg", "level": 1, "seed": 0}


def test_the_table_of_the_docs_is_that_of_the_code():
    page = (Path(__file__).resolve().parents[1] / "docs" / "degradations.md").read_text()
    rows = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("|")]
    told, kind = {}, ""
    for first, what, *values in rows[2:]:
        kind = first or kind
        told[kind, what.partition("`")[0]] = [float(value) for value in values[:5]]
    real = {(name, key): [row[key] for row in entry.levels] for name, entry in KINDS.items() for key in entry.levels[0]}
    assert told == real
