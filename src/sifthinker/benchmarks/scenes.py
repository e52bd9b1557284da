"""`scenes`: generated scenes with exact answers that no training set holds.

Held out by construction: a scene follows from (seed, number) alone, and evaluation draws from seeds at `HELD_OUT`
and above, while `sifthinker scenes` is for seeds below. `scenes:tasks=nearer+count,objects=2-4,size=128x128` says what
kind of scenes, `split=ood-camera` which ones (`scenes.splits`). Without a split they are like those of training,
`train`, so that every `ood-` split has something to be compared with; tasks that know no splits have none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..errors import InputError
from ..sample import Sample
from ..trace import Trace
from .protocol import Options, Score
from .words import score_words

HELD_OUT = 1 << 64
"""Seeds from here on make scenes for evaluation; seeds below make scenes for training.

Not 1 << 32: numpy cuts seeds into words of 32 bits and fills up with zeros, so that (2**32 + s, 0) and (s, 1) start the
same stream. The third word of (seed, number) is 1 here and 0 for all seeds and numbers below 2**32.
"""

SETTINGS = ("tasks", "objects", "size", "split")


@dataclass(frozen=True)
class Scenes:
    """Generated scenes. tasks, size, objects, split: as in `scenes.generate.scene_config`."""

    n: int
    seed: int
    size: tuple[int, int] = (96, 96)
    objects: tuple[int, int] | None = None
    tasks: tuple[str, ...] | None = None
    split: str = ""
    name: str = "scenes"

    @property
    def version(self) -> str:
        from ..scenes.generate import scene_config

        config = scene_config(self.tasks, self.size, self.objects, split=self.split)
        (width, height), (low, high) = config.size, config.objects
        return f"5-seed{self.seed}-{width}x{height}-{low}to{high}-{config.digest}"

    def load(self) -> Iterator[Sample]:
        """One sample at a time; the first k of n are the k of a smaller set."""
        from ..scenes.generate import generate

        seed = HELD_OUT + self.seed
        for sample, _ in generate(self.n, seed, self.tasks, self.size, self.objects, split=self.split):
            yield replace(sample, id=sample.id.replace(str(seed), f"heldout{self.seed}"))

    def score(self, trace: Trace, sample: Sample) -> Score:
        """The exact answer against the trace's."""
        return score_words(trace, sample)


def open_scenes(path: str | None, options: Options) -> Scenes:
    """Raises `InputError` for settings that are none, unknown tasks, impossible numbers, and a negative seed."""
    from ..scenes.generate import scene_config, scene_settings
    from ..scenes.tasks import BASICS

    if options.seed < 0 or options.n < 1:
        raise InputError(f"benchmark scenes needs n >= 1 and seed >= 0, got n {options.n}, seed {options.seed}")
    given = _settings(path or "")
    tasks, size, objects = scene_settings(given.get("tasks"), given.get("size"), given.get("objects"))
    usual = "train" if set(tasks or ()) <= set(BASICS) else ""
    split = given.get("split", usual)
    scene_config(tasks, size, objects, split=split)
    return Scenes(options.n, options.seed, size, objects, tasks, split)


def _settings(text: str) -> dict[str, str]:
    """`tasks=a+b,objects=2-4` taken apart."""
    given: dict[str, str] = {}
    for part in filter(None, text.split(",")):
        name, equals, value = part.partition("=")
        if not equals:
            raise InputError(
                f"benchmark scenes takes no path, got {part!r}, but settings such as tasks=nearer+count,objects=2-4 "
                f"(plus signs between tasks); a folder that `scenes` wrote is dataset:{part}"
            )
        if name not in SETTINGS or not value:
            raise InputError(f"benchmark scenes: {part!r} is none of its settings: {', '.join(SETTINGS)}")
        if name in given:
            raise InputError(f"benchmark scenes: {name} is given twice")
        given[name] = value
    return given
