"""Maps are painted pixel by pixel, four times as fine: centers, distances and relations are read off the masks."""

import os
import re
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage

from sifthinker.grading import grade_answer
from sifthinker.rewards import REWARDS
from sifthinker.scenes.flat.land import AREAS, Land, Shape
from sifthinker.scenes.flat.topology import RELATIONS, relation
from sifthinker.scenes.generate import generate
from sifthinker.scenes.tasks import earth, earth_relations
from sifthinker.scenes.tasks.earth import REFERENCES
from sifthinker.scenes.worlds import world_from_json

N = int(os.environ.get("SIFTHINKER_SCENES", "9"))
TASKS = {**earth.TASKS, **earth_relations.TASKS}
FINE = 4
WINDS = ["north", "northeast", "east", "southeast", "south", "southwest", "west", "northwest"]
NAME = r"(the polygon [\d(), ]+\)|the line [\d(), ]+\)|the [a-z]+|[a-z]+ [A-F])"


@pytest.fixture(scope="module")
def made():
    return {name: list(generate(N, seed=37, tasks=[name])) for name in TASKS}


# --- masks ---------------------------------------------------------------------------------------------------------


def mask_of(shape, side):
    """Where a shape is, on pixels a fourth as wide: even-odd rule for polygons, points along the line for lines."""
    corners = np.array(shape["corners"], float) * FINE
    mask = np.zeros((side * FINE,) * 2, bool)
    if shape["what"] not in AREAS:
        for a, b in pairwise(corners):
            x, y = (a + np.linspace(0, 1, 3 * len(mask))[:, None] * (b - a)).astype(int).T
            mask[y, x] = True
        return mask
    x, y = np.meshgrid(np.arange(len(mask)) + 0.5, np.arange(len(mask)) + 0.5, sparse=True)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y0 != y1:
            mask ^= ((y0 > y) != (y1 > y)) & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    return mask


class Facts:
    def __init__(self, sample):
        world = sample.meta["world"]
        self.side, self.shapes = world["side"], world["shapes"]
        self.masks = [mask_of(shape, self.side) for shape in self.shapes]
        wide = re.search(r"The picture is ([\d.]+) m wide", sample.question)
        self.metres = float(wide[1]) / self.side if wide else None
        self.distances = {}

    def find(self, name):
        """The one shape that a question means."""
        if "(" in name:
            corners = [[int(v) for v in pair] for pair in re.findall(r"\((\d+), (\d+)\)", name)]
            found = [i for i, s in enumerate(self.shapes) if s["corners"] == corners]
        elif name.startswith("the "):
            found = [i for i, s in enumerate(self.shapes) if s["what"] == name[4:]]
        else:
            found = [i for i, s in enumerate(self.shapes) if f"{s['what']} {s['letter']}" == name]
        assert len(found) == 1, name
        return found[0]

    def center(self, index):
        y, x = np.nonzero(self.masks[index])
        return np.array([x.mean() + 0.5, y.mean() + 0.5]) / FINE

    def gap(self, a, b):
        """Pixels of the picture between two masks; 0 where they share a fine pixel."""
        if a not in self.distances:
            self.distances[a] = ndimage.distance_transform_edt(~self.masks[a])
        return self.distances[a][self.masks[b]].min() / FINE

    def relation(self, a, b):
        one, two = self.masks[a], self.masks[b]
        areas = [self.shapes[i]["what"] in AREAS for i in (a, b)]
        both = int((one & two).sum())
        if self.gap(a, b) > 1:
            return "disjoint"
        if all(areas):
            if both < 0.02 * min(one.sum(), two.sum()):
                return "touches"
            alone, other = int((one & ~two).sum()), int((two & ~one).sum())
            return {(0, 0): "equals", (0, 1): "within", (1, 0): "contains", (1, 1): "overlaps"}[
                (int(alone > 0), int(other > 0))
            ]
        if not any(areas):
            return "crosses"
        line, area = (two, one) if areas[0] else (one, two)
        if ndimage.distance_transform_edt(area)[line].max() / FINE < 1.5:
            return "touches"
        return "crosses" if (line & ~area).any() else "contains" if areas[0] else "within"


def two_names(sample, pattern):
    return re.search(pattern.replace("NAME", NAME), sample.question).groups()


def check_earth_direction(facts, sample):
    b, a = two_names(sample, "is NAME from NAME, center")
    right, down = facts.center(facts.find(b)) - facts.center(facts.find(a))
    azimuth = np.degrees(np.arctan2(right, -down)) % 360
    assert WINDS[int((azimuth + 22.5) // 45) % 8] == sample.answer
    assert abs((azimuth % 45) - 22.5) > 4


def check_earth_azimuth(facts, sample):
    b, a = two_names(sample, "of NAME from NAME, center")
    right, down = facts.center(facts.find(b)) - facts.center(facts.find(a))
    azimuth = np.degrees(np.arctan2(right, -down)) % 360
    assert abs((azimuth - float(sample.answer) + 180) % 360 - 180) < 1.5
    assert grade_answer(str(round(azimuth + 20) % 360), sample) == 1.0
    assert grade_answer(str(round(azimuth + 26) % 360), sample) == 0.0


def check_earth_distance(facts, sample):
    *names, how = two_names(sample, "from NAME to NAME, from (edge|center)")
    a, b = map(facts.find, names)
    pixels = facts.gap(a, b) if how == "edge" else np.hypot(*(facts.center(a) - facts.center(b)))
    # The pixels that the question's facts tell agree with the masks; the answer is those in metres, as it is rounded.
    question = TASKS["earth_distance"].ask(world_from_json(sample.meta["world"]), sample.meta["roles"])
    told = float(re.match(r"It is ([\d.]+) pixels", question.facts[0])[1])
    assert told == pytest.approx(pixels, abs=0.6)
    said = sample.answer.removesuffix(" m")
    rounding = 0.05 if "." in said else 0.5
    assert float(said) == pytest.approx(told * facts.metres, abs=rounding + 0.05 * facts.metres + 1e-9)


def buildings(facts, index):
    return {i: facts.gap(index, i) for i, s in enumerate(facts.shapes) if s["what"] == "building" and i != index}


def check_earth_nearest(facts, sample):
    (name,) = two_names(sample, "nearest to NAME, from edge")
    gaps = buildings(facts, facts.find(name))
    near, second = sorted(gaps, key=gaps.get)[:2]
    assert facts.shapes[near]["letter"] == sample.answer
    assert gaps[second] > 1.1 * gaps[near]


def check_earth_count(facts, sample):
    if "inside" in sample.question:
        (name,) = two_names(sample, r"inside of NAME\?")
        own = facts.masks[facts.find(name)]
        shares = [(facts.masks[i] & own).sum() / facts.masks[i].sum() for i in buildings(facts, facts.find(name))]
        assert all(share in (0, 1) for share in shares)
        assert sum(shares) == int(sample.answer)
    else:
        reach, name = two_names(sample, r"less than ([\d.]+) m from the edge of NAME\?")
        gaps = np.array(list(buildings(facts, facts.find(name)).values())) * facts.metres
        assert (gaps < float(reach)).sum() == int(sample.answer)
        assert np.abs(gaps - float(reach)).min() > 2 * facts.metres


def check_earth_topology(facts, sample):
    a, b = map(facts.find, two_names(sample, "does NAME stand to NAME: "))
    assert facts.relation(a, b) == sample.answer


def check_earth_intersects(facts, sample):
    a, b = map(facts.find, two_names(sample, "Do NAME and NAME have"))
    assert (facts.relation(a, b) != "disjoint") == (sample.answer == "yes")


@pytest.mark.parametrize("name", TASKS)
def test_answers_agree_with_masks(made, name):
    for sample, _ in made[name]:
        globals()[f"check_{name}"](Facts(sample), sample)


@pytest.mark.parametrize("name", TASKS)
def test_gold_earns_full_marks(made, name):
    for sample, trace in made[name]:
        assert all(reward(trace, sample) in (1.0, None) for reward in REWARDS.values())
        assert all(grade_answer(wrong, sample) == 0.0 for wrong in sample.meta.get("distractors", ()))
        again = world_from_json(sample.meta["world"])
        assert np.array_equal(again.image, np.asarray(sample.photo()))
        assert TASKS[name].ask(again, sample.meta["roles"]).answer == sample.answer


@pytest.mark.parametrize("name", TASKS)
def test_aims_and_references_are_balanced(made, name):
    aims = TASKS[name].aims(3)
    counts = Counter(sample.meta["aim"] for sample, _ in made[name])
    assert all(count <= -(-N // len(aims)) * aims.count(aim) for aim, count in counts.items())
    references = Counter(sample.meta["reference"] for sample, _ in made[name])
    assert set(references) == set(REFERENCES) or N < 50
    assert max(references.values()) < 0.5 * N + 4


def test_kinds_tell_no_relation():
    """The best guess from the kinds of two shapes is worth no more than the most common relation."""
    aims = [aim.split(", ") for aim in TASKS["earth_topology"].aims(3)]
    guesses = {kinds: Counter(how for other, how in aims if other == kinds) for kinds, _ in aims}
    assert {how for _, how in aims} == set(RELATIONS)
    assert sum(max(hows.values()) for hows in guesses.values()) == max(Counter(how for _, how in aims).values())


def test_pictures_show_the_shapes(made):
    for sample, _ in made["earth_direction"][:10]:
        picture, facts = np.asarray(sample.photo()).astype(int), Facts(sample)
        for shape, mask, box in zip(
            facts.shapes, facts.masks, world_from_json(sample.meta["world"]).boxes, strict=True
        ):
            whole = ndimage.binary_erosion(mask, iterations=2 * FINE)[2::FINE, 2::FINE]
            shown = np.median(picture[whole], axis=0)
            ground = np.array((238, 233, 220))
            wanted = 0.7 * np.array(AREAS[shape["what"]]) + 0.3 * ground
            assert np.abs(shown - wanted).max() < 4
            y, x = np.nonzero(mask)
            assert np.allclose(list(box), np.array([x.min(), y.min(), x.max(), y.max()]) / FINE / facts.side, atol=0.02)


# --- twins and laws ------------------------------------------------------------------------------------------------


def moved(world, move, side=None):
    shapes = tuple(replace(s, corners=tuple(move(*c) for c in s.corners), mark=move(*s.mark)) for s in world.shapes)
    return replace(world, shapes=shapes, side=side or world.side)


def test_twins(made):
    mirror = {w: w.replace("east", "E").replace("west", "east").replace("E", "west") for w in WINDS}
    for name in TASKS:
        for sample, _ in made[name]:
            world, roles, ask = world_from_json(sample.meta["world"]), sample.meta["roles"], TASKS[name].ask
            side, answer = world.side, sample.answer
            mirrored = ask(moved(world, lambda x, y, s=side: (s - x, y)), roles).answer
            turned = ask(moved(world, lambda x, y, s=side: (s - y, x)), roles).answer
            larger = ask(replace(moved(world, lambda x, y: (2 * x, 2 * y), 2 * side), metres=world.metres / 2), roles)
            if name == "earth_direction":
                assert mirrored == mirror[answer]
                assert turned == WINDS[(WINDS.index(answer) + 2) % 8]
                assert larger.answer == answer
            elif name == "earth_azimuth":
                assert int(mirrored) % 360 == pytest.approx((360 - int(answer)) % 360, abs=1.01) or mirrored == "0"
                assert (int(turned) - int(answer) - 90 + 180) % 360 - 180 == pytest.approx(0, abs=1.01)
            else:
                assert mirrored == turned == answer
                if name != "earth_count":
                    assert larger.answer == answer


def test_laws_of_relations(made):
    inverse = {"within": "contains", "contains": "within"}
    for sample, _ in made["earth_topology"]:
        world, roles = world_from_json(sample.meta["world"]), sample.meta["roles"]
        swapped = TASKS["earth_topology"].ask(world, {**roles, "a": roles["b"], "b": roles["a"]}).answer
        assert swapped == inverse.get(sample.answer, sample.answer)
        meets = TASKS["earth_intersects"].ask(world, roles).answer
        assert (meets == "no") == (sample.answer == "disjoint")


SQUARE = ((40, 40), (80, 40), (80, 80), (40, 80))


@pytest.mark.parametrize(
    ("other", "how"),
    [
        (((90, 40), (120, 40), (120, 80)), "disjoint"),
        (((84, 40), (120, 40), (120, 80)), None),
        (((80, 40), (120, 40), (120, 80), (80, 80)), "touches"),
        (((80, 50), (120, 40), (120, 90), (80, 70)), "touches"),
        (((80, 80), (120, 80), (120, 120)), None),
        (((80, 78), (120, 78), (120, 120), (80, 120)), None),
        (((60, 30), (120, 30), (120, 90), (60, 90)), "overlaps"),
        (((78, 30), (120, 30), (120, 90), (78, 90)), None),
        (((50, 50), (70, 50), (60, 70)), "contains"),
        (((40, 50), (70, 50), (60, 70)), None),
        (((20, 20), (100, 20), (100, 100), (20, 100)), "within"),
        (((80, 80), (40, 80), (40, 40), (80, 40)), "equals"),
    ],
)
def test_relations_and_their_margins(other, how):
    """The answer for a square; None where it touches in a corner only, along two pixels, or nearly."""
    a, b = (Shape("lake", corners, "A", (0, 0)).geometry for corners in (SQUARE, other))
    assert relation(a, b) == how
    assert how is None or how in RELATIONS


@pytest.mark.parametrize(
    ("line", "how"),
    [
        (((10, 60), (60, 62), (150, 60)), "crosses"),
        (((10, 60), (30, 62), (45, 60)), None),
        (((10, 10), (60, 20), (150, 10)), "disjoint"),
        (((10, 10), (60, 36), (150, 10)), None),
        (((10, 10), (40, 40), (80, 40)), "touches"),
        (((10, 40), (48, 40), (48, 10)), None),
        (((50, 50), (70, 50), (60, 70)), "within"),
        (((42, 50), (70, 50), (60, 70)), None),
    ],
)
def test_relations_of_lines(line, how):
    square, road = Shape("lake", SQUARE, "A", (0, 0)), Shape("road", line, "B", (0, 0))
    assert relation(road.geometry, square.geometry) == how


def land(*shapes):
    letters = "ABCDEF"
    return Land(160, 1.0, tuple(Shape(what, tuple(c), letters[i], c[0]) for i, (what, c) in enumerate(shapes)))


def block(x, y, reach=5):
    return ((x - reach, y - reach), (x + reach, y - reach), (x + reach, y + reach), (x - reach, y + reach))


@pytest.mark.parametrize(
    ("name", "world", "roles", "reason"),
    [
        ("earth_direction", land(("lake", block(20, 20)), ("park", block(100, 53))), {"a": 0, "b": 1}, "5 degrees"),
        ("earth_direction", land(("lake", block(20, 20)), ("park", block(35, 20))), {"a": 0, "b": 1}, "pixels apart"),
        ("earth_azimuth", land(("lake", block(20, 20)), ("road", ((4, 90), (60, 80), (150, 90)))), {"a": 0, "b": 1},
         "between polygons"),
        ("earth_distance", land(("lake", block(20, 20)), ("park", block(34, 20))),
         {"a": 0, "b": 1, "from": "edges"}, "not clearly apart"),
        ("earth_direction", land(("lake", block(20, 20)), ("lake", block(90, 20))), {"a": 0, "b": 1}, "of that kind"),
        ("earth_nearest", land(("lake", block(80, 80)), ("building", block(40, 80)), ("building", block(122, 80))),
         {"a": 0}, "1.15 times"),
        ("earth_nearest", land(("lake", block(80, 80)), ("building", block(40, 80))), {"a": 0}, "fewer than two"),
        ("earth_count", land(("lake", block(80, 80, 30)), ("building", block(50, 80))), {"a": 0, "how": "inside"},
         "neither clearly inside"),
        ("earth_count", land(("lake", block(80, 80)), ("building", block(111, 80))),
         {"a": 0, "how": "near", "reach_px": 20}, "close to the limit"),
        ("earth_topology", land(("lake", block(20, 20)), ("park", block(33, 20))), {"a": 0, "b": 1}, "not clear"),
    ],
)  # fmt: skip
def test_refusals(name, world, roles, reason):
    assert reason in TASKS[name].ask(world, {"by": "kind", **roles})
