from __future__ import annotations

import colorsys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sifthinker.depth import DepthMap, read_depth
from sifthinker.draw import (
    GREEN,
    INVALID_COLOR,
    MAX_STEPS,
    NO_DEPTH,
    WHITE,
    _font,
    color_depth,
    contact_sheet,
    depth_picture,
    draw_boxes,
    draw_trace,
    wrap,
)
from sifthinker.geometry import WHOLE, Box
from sifthinker.sample import Sample, open_photo
from sifthinker.trace import Area, Step, Trace, parse_trace

BLUE = (10, 20, 200)


def gray(size: tuple[int, int] = (640, 480)) -> Image.Image:
    return Image.new("RGB", size, (90, 90, 90))


def count(image: Image.Image, color: tuple[int, int, int]) -> int:
    return int((np.asarray(image) == color).all(axis=2).sum())


def ramp(size: tuple[int, int] = (64, 48)) -> DepthMap:
    return DepthMap(np.tile(np.linspace(0, 1, size[0], dtype=np.float32), (size[1], 1)))


# --- depth ---------------------------------------------------------------------------------------------------------


def test_depth_picture_is_dark_where_near() -> None:
    depth = DepthMap(np.array([[0.0, 0.5, 1.0, 0.2]]), np.array([[True, True, True, False]]))
    assert np.asarray(depth_picture(depth))[0].tolist() == [
        [0, 0, 0],
        [128, 128, 128],
        [255, 255, 255],
        [*INVALID_COLOR],
    ]


def test_color_depth_falls_evenly_in_lightness_from_near_to_far() -> None:
    pixels = np.asarray(color_depth(ramp((512, 1))))[0] / 255
    lightness = pixels @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) <= 1e-3).all()
    assert lightness[0] > 0.9
    assert lightness[-1] < 0.1
    hues = {round(colorsys.rgb_to_hsv(*p)[0], 1) for p in pixels}
    assert len(hues) > 3, "colors, not gray"


def test_color_depth_marks_pixels_without_depth() -> None:
    depth = DepthMap(np.array([[0.0, 1.0]]), np.array([[True, False]]))
    assert tuple(np.asarray(color_depth(depth))[0, 1]) == NO_DEPTH


# --- boxes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(448, 448), (1000, 700), (4000, 3000)])
def test_box_lies_on_its_pixels(size: tuple[int, int]) -> None:
    drawn = np.asarray(draw_boxes(gray(size), [Box(0.25, 0.5, 0.75, 1.0)], color=BLUE))
    rows, columns = np.nonzero((drawn == BLUE).all(axis=2))
    assert (columns.min(), columns.max() + 1) == (size[0] // 4, size[0] * 3 // 4)
    assert (rows.min(), rows.max() + 1) == (size[1] // 2, size[1])
    inside = drawn[size[1] * 3 // 4, size[0] // 2]
    assert tuple(inside) == (90, 90, 90), "not filled"


def test_lines_grow_with_the_picture() -> None:
    small, large = (count(draw_boxes(gray(s), [WHOLE]), GREEN) / sum(s) for s in ((480, 360), (4800, 3600)))
    assert large > 5 * small


def test_small_pictures_are_enlarged_and_the_original_is_left_alone() -> None:
    image = gray((64, 48))
    assert draw_boxes(image, [WHOLE]).size == (448, 336)
    assert draw_boxes(image, [WHOLE], min_side=0).size == (64, 48)
    assert count(image, (90, 90, 90)) == 64 * 48
    large = gray()
    assert draw_boxes(large, [WHOLE]) is not large
    assert count(large, GREEN) == 0


def test_labels_do_not_hide_each_other() -> None:
    box = Box(0.2, 0.2, 0.6, 0.6)
    one = count(draw_boxes(gray(), [box], ["label"]), GREEN)
    two = count(draw_boxes(gray(), [box, box], ["label", "label"]), GREEN)
    without = count(draw_boxes(gray(), [box]), GREEN)
    assert one > without + 500
    assert two - one > 0.8 * (one - without)


def test_dashed_boxes_have_gaps() -> None:
    solid, dashed = (count(draw_boxes(gray(), [Box(0.1, 0.1, 0.9, 0.9)], color=WHITE, dashed=d), WHITE) for d in (0, 1))
    assert 0.3 * solid < dashed < 0.7 * solid


def test_labels_and_boxes_must_match() -> None:
    with pytest.raises(ValueError, match="2 boxes with 1 labels"):
        draw_boxes(gray(), [WHOLE, WHOLE], ["a"])


units = st.integers(0, 1000).map(lambda n: n / 1000)
boxes = st.tuples(units, units, units, units).filter(lambda b: b[0] < b[2] and b[1] < b[3]).map(lambda b: Box(*b))


@given(boxes=st.lists(boxes, max_size=4), label=st.text(max_size=200), width=st.integers(1, 700), dashed=st.booleans())
@settings(max_examples=60, deadline=None)
def test_anything_can_be_drawn(boxes: list[Box], label: str, width: int, dashed: bool) -> None:
    image = draw_boxes(gray((width, 37)), boxes, [label] * len(boxes), dashed=dashed)
    assert image.width >= width


# --- words ---------------------------------------------------------------------------------------------------------


@given(text=st.text(alphabet=st.characters(codec="latin-1"), max_size=300), width=st.integers(30, 400))
@settings(max_examples=60, deadline=None)
def test_wrapped_lines_fit_and_lose_no_letter(text: str, width: int) -> None:
    font = _font(16)
    lines = wrap(text, font, width)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(font.getlength(line) <= width for line in lines)


def test_cut_text_says_so() -> None:
    lines = wrap("word " * 100, _font(16), 200, max_lines=3)
    assert len(lines) == 3
    assert lines[-1].endswith("...")
    assert _font(16).getlength(lines[-1]) <= 200


# --- traces --------------------------------------------------------------------------------------------------------


def trace(steps: int = 2, faults: bool = False) -> Trace:
    area = '<area>[{"bbox_2d":[0.200,0.200,0.600,0.700],"depth":0.500}]</area>\n<text>Some words.</text>\n'
    return parse_trace(f"<think>\n{area * steps}{'' if faults else '</think>'}<answer>yes</answer>")


def test_each_step_has_a_row_with_photo_and_depth() -> None:
    with_depth = draw_trace(gray(), ramp((640, 480)), trace())
    without = draw_trace(gray(), None, trace())
    assert with_depth.width == without.width == 1000
    one, three = (draw_trace(gray(), ramp((640, 480)), trace(n)).height for n in (1, 3))
    row = (three - one) / 2
    assert row > 350
    photo, depth = (with_depth.crop((x, 0, x + 500, with_depth.height)) for x in (0, 500))
    assert count(photo, GREEN) == count(depth, GREEN) > 1000
    assert count(depth, (90, 90, 90)) == 0 < count(photo, (90, 90, 90))


def test_faults_are_shown_in_red() -> None:
    def reds(image: Image.Image) -> int:
        r, g, b = np.asarray(image, dtype=int).transpose(2, 0, 1)
        return int(((r > 150) & (g < 80) & (b < 90)).sum())

    good, broken = draw_trace(gray(), None, trace()), draw_trace(gray(), None, trace(faults=True), reply="x" * 500)
    assert reds(good) == 0
    assert reds(broken) > 200
    assert broken.height > good.height


def test_gold_is_drawn_on_the_last_step_and_taken_from_the_sample() -> None:
    sample = Sample("s", gray(), "where?", depth=ramp((640, 480)), boxes=(Box(0.7, 0.7, 0.95, 0.95),))
    from_sample = draw_trace(sample, None, trace(1))
    given = draw_trace(gray(), ramp((640, 480)), trace(1), sample.boxes, question="where?")
    assert np.array_equal(np.asarray(from_sample), np.asarray(given))
    without = draw_trace(gray(), ramp((640, 480)), trace(1), (), question="where?")
    assert count(from_sample.crop((0, 0, 1000, 420)), WHITE) > count(without.crop((0, 0, 1000, 420)), WHITE)


def test_nothing_readable_still_gives_the_photo() -> None:
    image = draw_trace(gray(), None, parse_trace("I will not look."), reply="I will not look.")
    assert count(image, (90, 90, 90)) > 50_000


def test_hundreds_of_steps_stay_drawable() -> None:
    step = Step(Area((WHOLE,), (None,)), "words " * 300)
    shown = draw_trace(gray((64, 48)), None, Trace((step,) * 300, "x"))
    assert shown.height < 2 * draw_trace(gray((64, 48)), None, Trace((step,) * MAX_STEPS, "x")).height


@given(words=st.text(max_size=80), answer=st.none() | st.text(max_size=30), size=st.tuples(*[st.integers(1, 300)] * 2))
@settings(max_examples=25, deadline=None)
def test_any_reply_can_be_drawn(words: str, answer: str | None, size: tuple[int, int]) -> None:
    step = Step(Area((Box(0.1, 0.1, 0.2, 0.9),), (0.5,)), words)
    image = draw_trace(gray(size), ramp(size), Trace((step,), answer), question=words, reply=words)
    assert image.width == 1000


def test_lone_surrogates_and_control_characters() -> None:
    reply = "<think>\ud800\x00\u202e" + "x" * 3000
    draw_trace(gray(), None, parse_trace(reply), question="\ud83d", reply=reply)


# --- contact sheets ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("tiles", "columns", "grid"), [(1, 4, (1, 1)), (4, 4, (4, 1)), (5, 4, (4, 2)), (7, 3, (3, 3))])
def test_sheet_has_its_grid(tiles: int, columns: int, grid: tuple[int, int]) -> None:
    sheet = contact_sheet([(gray((60, 90)), f"caption {n}") for n in range(tiles)], columns=columns)
    assert sheet.width == 40 + grid[0] * 320 + (grid[0] - 1) * 16
    assert sheet.height > 40 + grid[1] * 240
    assert count(sheet, (90, 90, 90)) > tiles * 35_000


def test_sheet_needs_tiles() -> None:
    with pytest.raises(ValueError, match="at least one tile"):
        contact_sheet([])


def test_real_photo_and_depth(shared_data: Path) -> None:
    photo = open_photo(shared_data / "rgbd/nyu/rgb_00000.jpg")
    depth = read_depth(shared_data / "rgbd/nyu/depth_00000.png", "mm")
    image = draw_trace(photo, depth, trace())
    assert count(image, GREEN) > 1000
    assert count(image, NO_DEPTH) > 10_000, "NYU has a border without depth"
