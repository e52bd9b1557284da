"""Probes of two engines: one that answers from what it sees in its area, one that knows the answers by heart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from sifthinker.benchmarks import Score
from sifthinker.benchmarks.words import score_words
from sifthinker.depth import DepthMap
from sifthinker.engines import Reply
from sifthinker.errors import InputError
from sifthinker.geometry import WHOLE, Box
from sifthinker.probe import elsewhere, invert, occlude, probe, summary
from sifthinker.prompt import FAMILIES
from sifthinker.sample import Sample
from sifthinker.trace import Area, Step, Trace, format_trace

SIDE = 50
COLORS = {"red": (200, 0, 0), "blue": (0, 0, 200)}
N = 40


def make_sample(index: int, scale: float = 0.2) -> Sample:
    """A square of one color in a gray picture, at a depth of its own before a wall."""
    rng = np.random.default_rng(index)
    color = list(COLORS)[index % 2]
    x, y = (int(v) for v in rng.integers(1, SIDE - 1 - int(scale * SIDE), 2))
    end_x, end_y = x + int(scale * SIDE), y + int(scale * SIDE)
    pixels, depth = np.full((SIDE, SIDE, 3), 128, np.uint8), np.ones((SIDE, SIDE), np.float32)
    pixels[y:end_y, x:end_x] = COLORS[color]
    depth[y:end_y, x:end_x] = rng.uniform(0.0, 0.3)
    depth[0, 0] = 0.0
    box = Box(x / SIDE, y / SIDE, end_x / SIDE, end_y / SIDE)
    meta = {"task": "color", "answer_kind": "text"}
    image = Image.fromarray(pixels)
    return Sample(f"item-{index}", image, "What color is the square?", color, DepthMap(depth), (), (box,), meta)


@dataclass
class Squares:
    name: str = "squares"
    version: str = "1"
    n: int | None = N
    scale: float = 0.2

    def load(self) -> Iterator[Sample]:
        return (make_sample(index, self.scale) for index in range(N))

    def score(self, trace: Trace, sample: Sample) -> Score:
        return score_words(trace, sample)


class Looking:
    """Finds the square, reads its color off the photo and its depth off the picture of the map."""

    model_id, max_pixels, grid, family = "looking", SIDE * SIDE, 1, FAMILIES["qwen2.5-vl"]
    by_heart = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def generate(self, requests):
        return [Reply(r.id, format_trace(self.trace(r))) for r in requests]

    def trace(self, request):
        known = make_sample(int(request.id.rpartition("-")[2]))
        photo, depth = (np.asarray(image.convert("RGB")).astype(int) for image in request.images)
        box, answer, value = known.boxes[0], known.answer, known.depth_map().box_mean(known.boxes[0])
        if not self.by_heart:
            seen = {name: (photo == color).all(axis=2) for name, color in COLORS.items()}
            answer = next((name for name, mask in seen.items() if mask.any()), "nothing")
            if answer != "nothing":
                rows, columns = np.nonzero(seen[answer])
                box = Box(*(v / SIDE for v in (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)))
            x0, y0, x1, y1 = box.pixel_bounds((SIDE, SIDE))
            value = depth[y0:y1, x0:x1, 0].mean() / 255
        steps = (
            Step(Area((WHOLE,), (float(depth[..., 0].mean()) / 255,)), "I look for the square."),
            Step(Area((box.quantized(),), (round(float(value), 3),)), f"It is {answer}."),
        )
        return Trace(steps, answer)


class ByHeart(Looking):
    model_id, by_heart = "by heart", True


def test_a_model_that_looks(tmp_path):
    found = probe(Looking(), Squares(), tmp_path)
    occluded, other = found["changes"]["occluded"], found["changes"]["elsewhere"]
    assert (occluded["before"]["value"], occluded["after"]["value"]) == (1.0, 0.0)
    assert occluded["answer_changed"]["value"] == 1.0
    assert other["after"]["value"] == 1.0
    assert found["focus"]["high"] < 0
    assert found["depth"]["within_tolerance_of_shown"]["value"] == 1.0
    assert found["depth"]["within_tolerance_of_original"]["value"] < 0.3
    text = summary(found)
    assert "answers from where it looks" in text
    assert "stated depths follow the map" in text


def test_a_model_that_knows_by_heart(tmp_path):
    found = probe(ByHeart(), Squares(), tmp_path)
    assert found["changes"]["occluded"]["after"]["value"] == 1.0
    assert found["focus"]["value"] == 0.0
    assert found["depth"]["within_tolerance_of_shown"]["value"] < 0.3
    assert found["depth"]["within_tolerance_of_original"]["value"] == 1.0
    text = summary(found)
    assert "no sign that its answers come from its focus" in text
    assert "stated depths do not follow the map" in text


def test_a_probe_goes_on_where_it_stopped(tmp_path):
    first = probe(Looking(), Squares(), tmp_path)

    class Silent(Looking):
        def generate(self, requests):
            raise AssertionError("asked again")

    assert probe(Silent(), Squares(), tmp_path) == first


def test_areas_that_are_too_large_are_left_out(tmp_path):
    with pytest.raises(InputError, match="area larger than 50% of the picture"):
        probe(Looking(), Squares(scale=0.9), tmp_path)


def test_what_is_painted_over():
    sample = make_sample(3)
    hidden = occlude(sample, sample.boxes)
    before, after = np.asarray(sample.photo()), np.asarray(hidden.photo())
    x0, y0, x1, y1 = sample.boxes[0].pixel_bounds((SIDE, SIDE))
    assert (after[y0:y1, x0:x1] == before.reshape(-1, 3).mean(axis=0).astype(int)).all()
    outside = np.ones((SIDE, SIDE), bool)
    outside[y0:y1, x0:x1] = False
    assert (after[outside] == before[outside]).all()
    relative, covered = sample.depth_map().relative(), hidden.depth_map()
    assert np.allclose(covered.values[y0:y1, x0:x1], relative.values.mean())
    assert (covered.values[outside] == relative.values[outside]).all()


def test_turned_over_twice_is_the_same():
    depth = np.random.default_rng(0).uniform(0.5, 4.0, (20, 30))
    sample = Sample("a", Image.new("RGB", (30, 20)), "?", depth=DepthMap(depth, depth > 0.6, metric=True))
    once = invert(sample)
    twice = invert(once)
    valid, relative = depth > 0.6, sample.depth_map().relative()
    assert (twice.depth_map().valid == valid).all()
    assert np.allclose(twice.depth_map().values[valid], relative.values[valid], atol=1e-6)
    box = Box(0.2, 0.2, 0.6, 0.7)
    assert once.depth_map().box_mean(box) == pytest.approx(1 - relative.box_mean(box), abs=1e-6)


def test_places_elsewhere_have_the_same_sizes_and_touch_nothing():
    boxes = [Box(0.1, 0.1, 0.3, 0.4), Box(0.5, 0.5, 0.6, 0.9)]
    for seed in range(50):
        found = elsewhere(boxes, boxes, np.random.default_rng(seed))
        assert found is not None
        for box, other in zip(boxes, found, strict=True):
            assert (other.width, other.height) == pytest.approx((box.width, box.height))
            assert all(other.iou(b) == 0 for b in boxes)
        assert found[0].iou(found[1]) == 0
    assert elsewhere([Box(0, 0, 0.9, 0.9)], [Box(0.4, 0.4, 0.6, 0.6)], np.random.default_rng(0)) is None
