"""Boxes and frames: the worked examples, round trips, bad boxes, IoU."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sifthinker.errors import BoxError
from sifthinker.geometry import GRID, WHOLE, Box, Frame, box_array, from_pixel, hull, iou_matrix, to_box, to_pixel

SIZE = (640, 428)
PIXELS = (134.0, 262.0, 282.0, 421.0)
TALL, TALL_PIXELS = (391, 500), (217.0, 343.0, 242.0, 393.0)

# frame, the numbers of `PIXELS` in it, decimals given
WORKED = [
    (Frame.PIXEL_XYXY, [134, 262, 282, 421], 9),
    (Frame.PIXEL_XYWH, [134, 262, 148, 159], 9),
    (Frame.UNIT_XYXY, [0.209375, 0.612150, 0.440625, 0.983645], 6),
    (Frame.K1000_XYXY, [209.375, 612.150, 440.625, 983.645], 3),
    (Frame.PADDED_UNIT_XYXY, [0.209375, 0.575, 0.440625, 0.8234375], 9),
    (Frame.UNIT_CXCYWH, [0.325, 0.797897, 0.231250, 0.371495], 6),
]


@pytest.mark.parametrize(("frame", "numbers", "decimals"), WORKED)
def test_worked_example(frame, numbers, decimals):
    assert list(from_pixel(PIXELS, frame, SIZE)) == pytest.approx(numbers, abs=0.51 * 10**-decimals)
    assert list(to_pixel(numbers, frame, SIZE)) == pytest.approx(PIXELS, abs=640 * 10**-decimals)


@pytest.mark.parametrize(
    ("frame", "written", "pixels"),
    [
        (Frame.K1000_XYXY, [209, 612, 441, 984], [133.76, 261.936, 282.24, 421.152]),
        (Frame.PADDED_UNIT_XYXY, [0.209, 0.575, 0.441, 0.823], [133.76, 262.0, 282.24, 420.72]),
        # the same numbers read in the wrong frame: what the released data script does
        (Frame.UNIT_XYXY, [0.209, 0.575, 0.441, 0.823], [133.76, 246.10, 282.24, 352.244]),
    ],
)
def test_rounded_numbers(frame, written, pixels):
    assert list(to_pixel(written, frame, SIZE)) == pytest.approx(pixels, abs=1e-9)


def test_iou_of_the_right_and_the_wrong_frame():
    written, gold = [0.209, 0.575, 0.441, 0.823], Box(134 / 640, 262 / 428, 282 / 640, 421 / 428)
    assert to_box(written, Frame.PADDED_UNIT_XYXY, SIZE).iou(gold) == pytest.approx(0.9950, abs=5e-5)
    assert to_box(written, Frame.UNIT_XYXY, SIZE).iou(gold) == pytest.approx(0.5150, abs=5e-5)


def test_the_padding_is_rounded_down():
    assert [round(v, 3) for v in from_pixel(TALL_PIXELS, Frame.PADDED_UNIT_XYXY, TALL)] == [0.542, 0.686, 0.592, 0.786]


frames = st.sampled_from(list(Frame))
sizes = st.tuples(st.integers(1, 5000), st.integers(1, 5000))
unit_boxes = st.tuples(*[st.floats(0, 1)] * 4).map(lambda v: (*map(min, v[:2], v[2:]), *map(max, v[:2], v[2:])))


def valid(unit) -> bool:
    return unit[2] - unit[0] > 1e-6 and unit[3] - unit[1] > 1e-6


@given(unit_boxes, frames, frames, sizes)
def test_frames_round_trip(unit, a, b, size):
    pixels = to_pixel(unit, Frame.UNIT_XYXY, size)
    via_a = to_pixel(from_pixel(pixels, a, size), a, size)
    via_both = to_pixel(from_pixel(via_a, b, size), b, size)
    assert list(via_both) == pytest.approx(pixels, abs=1e-9)


@given(unit_boxes, sizes)
def test_thousandths_are_off_by_half_a_step_at_most(unit, size):
    pixels = to_pixel(unit, Frame.UNIT_XYXY, size)
    back = to_pixel([round(v) for v in from_pixel(pixels, Frame.K1000_XYXY, size)], Frame.K1000_XYXY, size)
    assert max(abs(p - q) for p, q in zip(pixels, back, strict=True)) <= max(size) / 2000 + 1e-9


@given(unit_boxes, unit_boxes, frames, sizes)
def test_iou_does_not_depend_on_the_frame(a, b, frame, size):
    assume(valid(a) and valid(b))
    one, two = (
        to_box(from_pixel(to_pixel(v, Frame.UNIT_XYXY, size), frame, size), frame, size, slack_px=1e-6) for v in (a, b)
    )
    assert one.iou(two) == pytest.approx(Box(*a).iou(Box(*b)), abs=1e-6)


@given(unit_boxes)
def test_mirror_is_an_involution(unit):
    assume(valid(unit))

    def mirror(box: Box) -> Box:
        return Box(1 - box.x1, box.y0, 1 - box.x0, box.y1)

    box = Box(*unit)
    assert list(mirror(mirror(box))) == pytest.approx(list(box), abs=1e-12)
    assert mirror(box).area == pytest.approx(box.area)


@given(unit_boxes)
def test_quantized_is_on_the_grid_close_and_never_empty(unit):
    assume(unit[0] < unit[2] and unit[1] < unit[3])
    box = Box(*unit).quantized()
    assert box.quantized() == box
    assert all(round(v * GRID) / GRID == v for v in box)
    assert all(abs(p - q) <= 1.5 / GRID for p, q in zip(unit, box, strict=True))


@given(unit_boxes, sizes)
def test_pixel_bounds_hold_the_box_and_at_least_one_pixel(unit, size):
    assume(unit[0] < unit[2] and unit[1] < unit[3])
    left, top, right, bottom = Box(*unit).pixel_bounds(size)
    assert 0 <= left < right <= size[0]
    assert 0 <= top < bottom <= size[1]
    assert left <= unit[0] * size[0] + 1e-6
    assert right >= unit[2] * size[0] - 1e-6
    assert (right - left) <= (unit[2] - unit[0]) * size[0] + 2


def test_pixel_bounds_are_floor_and_ceiling_without_float_dust():
    assert Box(0.1, 0.3, 0.3, 0.7).pixel_bounds((10, 10)) == (1, 3, 3, 7)
    assert Box(0.11, 0.0, 0.29, 0.05).pixel_bounds((10, 10)) == (1, 0, 3, 1)
    assert Box(0.0, 1 - 1e-16 * 2, 1.0, 1.0).pixel_bounds((1, 1)) == (0, 0, 1, 1)


@pytest.mark.parametrize(
    ("values", "frame", "reason"),
    [
        ([0.5, 0.1, 0.2, 0.9], Frame.UNIT_XYXY, "box_inverted"),
        ([282, 421, 134, 262], Frame.PIXEL_XYXY, "box_inverted"),
        ([10, 10, -5, 10], Frame.PIXEL_XYWH, "box_inverted"),
        ([10, 10, 0, 10], Frame.PIXEL_XYWH, "box_empty"),
        ([0.1, 0.1, 0.1, 0.9], Frame.UNIT_XYXY, "box_empty"),
        ([0.1, 0.1, 1.2, 0.9], Frame.UNIT_XYXY, "box_outside"),
        ([-3, 0, 10, 10], Frame.PIXEL_XYXY, "box_outside"),
        ([0, 0, 642, 10], Frame.PIXEL_XYXY, "box_outside"),
        ([0.2, 0.0, 0.4, 0.1], Frame.PADDED_UNIT_XYXY, "box_outside"),
        ([0, 0, float("nan"), 1], Frame.UNIT_XYXY, "box_not_finite"),
        ([0, 0, float("inf"), 1], Frame.UNIT_XYXY, "box_not_finite"),
        ([0, 0, 1], Frame.UNIT_XYXY, "box_malformed"),
        (["a", 0, 1, 1], Frame.UNIT_XYXY, "box_malformed"),
        ([None, 0, 1, 1], Frame.UNIT_XYXY, "box_malformed"),
        (None, Frame.UNIT_XYXY, "box_malformed"),
        (5, Frame.UNIT_XYXY, "box_malformed"),
    ],
)
def test_bad_boxes_have_a_reason(values, frame, reason):
    with pytest.raises(BoxError) as caught:
        to_box(values, frame, SIZE)
    assert caught.value.reason == reason
    assert frame in str(caught.value)


def test_a_pixel_of_rounding_is_clipped():
    assert to_box([-0.6, 0, 640.9, 428], Frame.PIXEL_XYXY, SIZE) == WHOLE
    with pytest.raises(BoxError, match="leaves the image"):
        to_box([-0.6, 0, 640, 428], Frame.PIXEL_XYXY, SIZE, slack_px=0.0)


@pytest.mark.parametrize("frame", list(Frame))
@given(values=st.lists(st.floats(-2000, 2000), min_size=4, max_size=4), size=sizes)
def test_to_box_gives_a_box_or_a_box_error(frame, values, size):
    try:
        box = to_box(values, frame, size)
    except BoxError:
        return
    assert 0 <= box.x0 < box.x1 <= 1
    assert 0 <= box.y0 < box.y1 <= 1


def test_a_box_that_only_touches_the_image_from_outside_is_a_box_error():
    with pytest.raises(BoxError):
        to_box([640.2, 0, 640.8, 428], Frame.PIXEL_XYXY, SIZE)


def test_box_messages():
    with pytest.raises(BoxError, match=re.escape("box [0.5, 0.0, 0.4, 1.0]: right edge left of left edge")):
        Box(0.5, 0, 0.4, 1)


@pytest.mark.parametrize(
    ("other", "iou"),
    [
        ((5, 0, 15, 10), 1 / 3),
        ((0, 0, 10, 5), 0.5),
        ((10, 0, 20, 10), 0.0),
        ((0, 0, 10, 10), 1.0),
        ((30, 30, 40, 40), 0.0),
    ],
)
def test_golden_iou(other, iou):
    assert iou_matrix([(0, 0, 10, 10)], [other])[0, 0] == pytest.approx(iou, abs=1e-9)


def test_iou_matrix_shapes_and_empty_sets():
    assert iou_matrix([], [(0, 0, 1, 1)]).shape == (0, 1)
    assert iou_matrix([WHOLE, Box(0, 0, 0.5, 1)], [WHOLE]).tolist() == [[1.0], [0.5]]
    assert iou_matrix([(1, 1, 1, 1)], [(1, 1, 1, 1)]).tolist() == [[0.0]]
    assert box_array([WHOLE, (0, 0, 1, 2)]).shape == (2, 4)


def test_hull_and_whole():
    assert hull([Box(0.1, 0.5, 0.2, 0.6), Box(0.4, 0.1, 0.5, 0.2)]) == Box(0.1, 0.1, 0.5, 0.6)
    assert WHOLE.is_whole
    assert Box(0, 0, 0.95, 1).is_whole
    assert not Box(0, 0, 0.94, 1).is_whole


# --- real rows ---


def test_padded_boxes_of_visual_cot_land_on_the_pixel_boxes(shared_data):
    checked = 0
    for path in sorted((shared_data / "viscot" / "benchmark").glob("*.json")):
        lines = (shared_data / "viscot" / "benchmark_det" / f"{path.stem}.jsonl").read_text().splitlines()
        sizes = {Path(row["img_path"]).name: (row["width"], row["height"]) for row in map(json.loads, lines)}
        for row in json.loads(path.read_text()):
            name, _, pixels = row["image"][1].partition("###")
            size = sizes[Path(name).name]
            if size[0] == size[1]:
                continue
            found = from_pixel(json.loads(pixels), Frame.PADDED_UNIT_XYXY, size)
            written = json.loads(row["conversations"][1]["value"])
            assert list(found) == pytest.approx(written, abs=0.0025), row["question_id"]
            assert list(to_pixel(written, Frame.PADDED_UNIT_XYXY, size)) == pytest.approx(
                json.loads(pixels), abs=max(size) * 0.0025
            )
            checked += 1
    assert checked == 757


def test_coco_boxes_agree_with_their_centre_form(shared_data):
    coco = json.loads((shared_data / "coco" / "instances.json").read_text())
    images = {i["id"]: i for i in coco["images"]}
    lines = {p.stem: p.read_text().split("\n") for p in (shared_data / "coco" / "yolo_labels").rglob("*.txt")}
    checked = 0
    for a in coco["annotations"]:
        image = images[a["image_id"]]
        size = (image["width"], image["height"])
        pixels = to_pixel(a["bbox"], Frame.PIXEL_XYWH, size)
        centres = [list(map(float, x.split()[1:])) for x in lines[image["file_name"].split("/")[-1][:-4]] if x.strip()]
        distances = [
            max(abs(p - q) for p, q in zip(pixels, to_pixel(c, Frame.UNIT_CXCYWH, size), strict=True)) for c in centres
        ]
        assert min(distances) < 0.01
        checked += 1
    assert checked == 259
