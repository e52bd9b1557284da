"""Which object stands out is found again from pixels, not by the task's code."""

import re
from collections import Counter

import numpy as np
import pytest

from sifthinker.scenes.generate import generate
from sifthinker.scenes.render import render
from sifthinker.scenes.tasks.extremes import EXTREMES, TASKS
from sifthinker.scenes.worlds import world_from_json

from ..conftest import scene, thing
from ..questions import assert_gold_earns_full_marks, how_many

PLACE = {
    "nearest": ("depth", min),
    "farthest": ("depth", max),
    "leftmost": ("column", min),
    "rightmost": ("column", max),
}


def test_answers_are_found_in_the_pixels():
    asked = Counter()
    for sample, trace in generate(how_many(48), 5, tasks=list(TASKS), objects=(2, 4)):
        view = world_from_json(sample.meta["world"])
        attribute, extreme = re.fullmatch(r"What (color|shape) is the (\w+) object\?", sample.question).groups()
        means = {"depth": [], "column": []}
        for index in range(len(view.boxes)):
            rows, columns = np.nonzero(view.instances == index)
            means["depth"].append(view.depth.values[rows, columns].mean())
            means["column"].append(columns.mean())
        of, which = PLACE[extreme]
        index = means[of].index(which(means[of]))
        assert sample.meta["evidence"] == [index], sample.id
        assert sample.answer == getattr(view.scene.objects[index], attribute)
        assert trace.last_area.boxes == (view.boxes[index].quantized(),)
        asked[extreme, attribute] += 1
    assert len(asked) == 2 * len(EXTREMES)
    assert max(asked.values()) == min(asked.values())


def test_gold_traces_earn_full_marks():
    assert_gold_earns_full_marks(list(TASKS), 16)


def ask(extreme, *objects):
    return TASKS["extreme_object"].ask(
        render(scene(*objects), (96, 96)), {"target": 0, "extreme": extreme, "asked": "color"}
    )


@pytest.mark.parametrize(("extreme", "answer"), [("leftmost", "red"), ("rightmost", None)])
def test_it_stands_out_from_every_other(extreme, answer):
    found = ask(extreme, thing("cube", "red", (-1.2, 0.0)), thing("sphere", "blue", (0.0, 0.0)), thing(at=(1.2, 0.0)))
    if answer:
        assert (found.text, found.answer, found.evidence) == ("What color is the leftmost object?", answer, (0,))
    else:
        assert found == "it is not clearly right of every other object"


def test_who_is_about_as_near_as_another_is_not_the_nearest():
    pair = thing("cube", "red", (-1.0, 0.0)), thing("sphere", "blue", (1.0, 0.2))
    assert ask("nearest", *pair) == "it is not clearly in front of every other object"
    assert ask("nearest", pair[0]) == "there is one object"
