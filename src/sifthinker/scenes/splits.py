"""Which scenes and questions a stream may hold: what is kept for tests of what a model has not seen.

A model that was trained on the split `train` knows every color, shape, number of objects, lens and wording of it, but
none of the pairs of shape and color in `HELD_PAIRS`. `train-alike` has more of what is hard in it, `train-maps` depths
that a photo does not give away. Each `ood-` split changes one thing and leaves the rest as in training, so that a loss
tells its cause. Splits are for the nine families of `tasks.basics`; without one, a stream holds what it always held.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from numpy.random import Generator

from ..degrade import KINDS, degrade_sample, why_not
from ..depth import DepthMap
from ..sample import Sample
from .layout import COLORS, Plan
from .shapes import SOLIDS
from .task import Question

if TYPE_CHECKING:
    from .render import View

HELD_PAIRS = frozenset(
    (shape, list(COLORS)[(2 * number + step) % len(COLORS)]) for number, shape in enumerate(SOLIDS) for step in (0, 3)
)
"""Ten of the forty pairs of shape and color; no shape and no color is left without others."""


IN_PLACE = tuple(kind for kind in KINDS if kind != "fisheye")
"""Degradations that leave everything where it is, so that boxes, depths and gold traces stay true."""

STEEPEST = 2.0
"""Largest exponent, and one over the smallest, of the curves along which depths run where maps are changed."""
TURNED = 1 / 3
"""Share of changed maps that are turned over, where the question leaves it open."""
COMPARE_DEPTHS = frozenset({"nearer", "front_behind", "color_at_relation"})
"""Tasks whose answers a map that is turned over may contradict."""


@dataclass(frozen=True)
class Split:
    """What scenes and questions of a split have in common.

    avoid: kinds (shape, color) that no object has. need: kinds of which a question is about one at least.
    objects: fewest and most objects of a scene where nothing is said. cameras: fields of the stage that take the place
    of the usual ones, each choice as likely. levels: of degradation, each as often; none: photos as they are.
    reworded: whether questions are asked in words of `wordings`. same_shape: as in `Plan`, where a question
    leaves it open. maps: whether depth maps are changed, so that depths can be known from them alone.
    """

    about: str
    avoid: frozenset[tuple[str, str]] = HELD_PAIRS
    need: frozenset[tuple[str, str]] = frozenset()
    objects: tuple[int, int] | None = None
    cameras: tuple[Mapping[str, Any], ...] = ()
    levels: tuple[int, ...] = ()
    reworded: bool = False
    same_shape: bool | None = None
    maps: bool = False

    def plan(self, plan: Plan, rng: Generator) -> Plan:
        """What a scene needs beside what its question needs."""
        camera = self.cameras[int(rng.integers(len(self.cameras)))] if self.cameras else {}
        same_shape = self.same_shape if plan.same_shape is None else plan.same_shape
        return replace(plan, avoid=self.avoid, need=self.need, camera=camera, same_shape=same_shape)

    def survey(self, view: View, task: str, rng: Generator) -> View:
        """A view with another depth map, if the split says so: along a curve of its own, or also turned over.

        Estimators of depth bend it too; and what is nearer stays so, unless the map is turned over.
        """
        if not self.maps:
            return view
        relative = view.depth.relative()
        values = relative.values**STEEPEST ** rng.uniform(-1, 1)
        if rng.random() < TURNED and task not in COMPARE_DEPTHS:
            values = 1 - values
        return replace(view, depth=DepthMap(values, relative.valid))

    def photograph(self, sample: Sample, number: int, seed: int) -> Sample:
        """A sample with its photo degraded, if the split says so; number: in which way."""
        ways = [(kind, level) for level in self.levels for kind in IN_PLACE]
        for step in range(len(ways)):
            kind, level = ways[(number + step) % len(ways)]
            if why_not(sample, kind) is None:
                return degrade_sample(sample, kind, level, seed)
        return sample

    def refuses(self, view: View, question: Question) -> str | None:
        """Why a question is not one of this split, or None."""
        things = (view.scene.objects[i] for i in (*question.evidence, *question.via))
        if self.need and self.need.isdisjoint((thing.shape, thing.color) for thing in things):
            return "it is about no pair that is held out"
        return None


SPLITS: dict[str, Split] = {
    "train": Split("what a model is trained on: all but the pairs of shape and color that are held out"),
    "train-alike": Split(
        "as train, but most questions about two things can only tell them apart by color", same_shape=True
    ),
    "train-maps": Split(
        "as train, but depth maps are bent, and some turned over: depths are what they show", maps=True
    ),
    "ood-pairs": Split("questions about objects of pairs that are held out", frozenset(), HELD_PAIRS),
    "ood-crowded": Split("four to six objects in a scene", objects=(4, 6)),
    "ood-camera": Split(
        "cameras that look flatter or more steeply, through longer or wider lenses",
        cameras=({"pitch": (6, 14)}, {"pitch": (48, 62)}, {"fov": (24, 34)}, {"fov": (72, 86)}),
    ),
    "ood-wording": Split("questions in words that training never used, some of them turned round", reworded=True),
    "ood-degraded": Split("photos with eight kinds of degradation at levels 1, 3 and 5", levels=(1, 3, 5)),
}
"""By the name that `--split` takes."""
