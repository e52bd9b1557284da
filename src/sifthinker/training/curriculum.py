"""Curricula: which prompts come next, by how samples or their tasks did so far.

One protocol for all: every sample belongs to a group (a bucket of its own outcomes, or its task), groups have weights,
and a window (the prompts of one generation batch) is drawn from them, `Curriculum.draw` by `Curriculum.draw`, while
`Curriculum.update` takes the outcomes. Inside of a group the sample that waited longest comes first, unseen ones before
all others; as no weight is 0, every sample comes again and again.

A window depends on seed, number and the outcomes of windows that were finished when the data loader can first ask for
it (`lag`), so that the order is the same in every process and however far a data loader reads ahead. What a resumed
run needs is saved with each checkpoint: outcomes, and the windows of the current epoch, which come again as they were.

Sources, both re-derived: confidence buckets of Ouroboros-Spatial; accuracy-weighted scheduler of SpatialEvo.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from ..errors import InputError, SifError
from ..lookup import lookup
from ..records import atomic_write
from .progress import judged_groups

FILE = "curriculum.json"

EASY, HARD = 0.9, 0.1
"""A sample is easy above, hard below, and at the frontier between or before its first visit. The thresholds are
Ouroboros-Spatial's, for the probability of the answer; here the mean grade of the group stands for it."""
RATES = {"frontier": 1.0, "hard": 0.25, "easy": 0.25}
"""How often a sample of each bucket is drawn, relative to the frontier. Ours: the source says only "fewer easy and
hard, more frontier"."""

FLOOR = 0.05
"""The least weight of a task, however well it goes."""
PRIOR, PRIOR_COUNT = 0.35, 2
"""A task counts as if so many samples more had earned this on average."""
HALVED = ("absolute_distance", "distance_cam_obj", "room_size")
"""Tasks of metric estimates, on which half of the full grade counts as all of it."""

Weights = Callable[[Sequence[str], Sequence[str], Mapping[str, float]], tuple[list[str], dict[str, float]]]
"""(ids, tasks, newest outcome by id) -> the group of each sample, and the weight of each group."""


def bucket(outcome: float | None) -> str:
    """The bucket of a sample: easy, hard or frontier.

    >>> [bucket(outcome) for outcome in (None, 0.05, 0.1, 0.9, 1.0)]
    ['frontier', 'hard', 'frontier', 'frontier', 'easy']
    """
    if outcome is None or HARD <= outcome <= EASY:
        return "frontier"
    return "easy" if outcome > EASY else "hard"


def by_confidence(
    ids: Sequence[str], tasks: Sequence[str], outcomes: Mapping[str, float]
) -> tuple[list[str], dict[str, float]]:
    """Buckets, each weighted by the number of its samples times their rate."""
    groups = [bucket(outcomes.get(i)) for i in ids]
    return groups, {name: RATES[name] * count for name, count in Counter(groups).items()}


def by_accuracy(
    ids: Sequence[str], tasks: Sequence[str], outcomes: Mapping[str, float]
) -> tuple[list[str], dict[str, float]]:
    """Tasks, each weighted by max(0.05, 1 - (sum of outcomes + 0.35 * 2) / (their number + 2)).

    A sample enters by its newest outcome, so that a task that has been learned is not held to its past.
    """
    earned: dict[str, list[float]] = {task: [] for task in tasks}
    for sample_id, task in zip(ids, tasks, strict=True):
        if sample_id in outcomes:
            outcome = outcomes[sample_id]
            earned[task].append(min(1.0, outcome / 0.5) if task.removeprefix("dge_") in HALVED else outcome)
    weights = {
        task: max(FLOOR, 1 - (sum(values) + PRIOR * PRIOR_COUNT) / (len(values) + PRIOR_COUNT))
        for task, values in earned.items()
    }
    return list(tasks), weights


CURRICULA: dict[str, Weights] = {"confidence": by_confidence, "accuracy": by_accuracy}
"""By the name in configs; `none` is the order of TRL."""


class Curriculum:
    """The state of a curriculum: outcomes, and what was drawn."""

    def __init__(
        self, name: str, ids: Sequence[str], tasks: Sequence[str], size: int, seed: int, shuffle: bool, lag: int
    ) -> None:
        """ids, tasks: of each row of the data set. size: prompts of a window. lag: a window may be drawn before the
        outcomes of so many windows before it are there.

        Raises `InputError` for an unknown name, and for tasks of which there is one only.
        """
        self.weights = lookup("curriculum", name, CURRICULA)
        self.ids, self.tasks, self.size, self.seed, self.lag = list(ids), list(tasks), size, seed, lag
        if name == "accuracy" and len(set(tasks)) < 2:
            raise InputError("curriculum: accuracy weighs tasks, but all rows are of one; take confidence")
        places = list(range(len(self.ids)))
        if shuffle:
            random.Random(seed).shuffle(places)
        # Never drawn: before the first window, in this order.
        self._waiting = [place - len(places) for place in places]
        self._outcomes: dict[str, float] = {}
        self._pending: dict[int, dict[str, float]] = {}
        self._finished = self._made = 0
        self._epoch, self._drawn = -1, list[list[int]]()

    def epoch(self, number: int) -> Iterator[list[int]]:
        """The windows of an epoch as row numbers, as many as fit the data set, each drawn when it is asked for."""
        if number != self._epoch:
            self._epoch, self._drawn = number, []
        for n in range(len(self.ids) // self.size):
            if n == len(self._drawn):
                self._drawn.append(self.draw())
            yield self._drawn[n]

    def draw(self) -> list[int]:
        """The row numbers of the next window, all different.

        Raises `SifError` when the outcomes that it depends on are not there yet.
        """
        known = self._made - self.lag
        if self._finished < known:
            raise SifError(
                f"curriculum: window {self._made} is drawn when {self._finished} are finished, expected {known}; set "
                "dataloader_num_workers to 0 or curriculum to none, and please report this"
            )
        for window in sorted(w for w in self._pending if w < known):
            self._outcomes |= self._pending.pop(window)
        groups, weights = self.weights(self.ids, self.tasks, self._outcomes)
        members: dict[str, list[int]] = {}
        for row in sorted(range(len(self.ids)), key=lambda row: -self._waiting[row]):
            members.setdefault(groups[row], []).append(row)
        rng = random.Random(f"{self.seed}/{self._made}")
        chosen = []
        for _ in range(self.size):
            names = [name for name in sorted(members) if members[name]]
            chosen.append(members[rng.choices(names, [weights[name] for name in names])[0]].pop())
        for place, row in enumerate(chosen):
            self._waiting[row] = self._made * self.size + place
        self._made += 1
        return chosen

    def update(self, sample_ids: Sequence[str], accuracies: Sequence[float]) -> None:
        """Take the outcomes of the next window, one for each reply; NaN could not be judged.

        Called once for each generation batch, in order, with the replies of all processes.
        """
        groups = judged_groups(sample_ids, accuracies)
        self._pending[self._finished] = {sample_id: sum(values) / len(values) for sample_id, values in groups.items()}
        self._finished += 1

    @property
    def known(self) -> dict[str, float]:
        """The newest outcome of each sample, as far as the last window that was drawn could know it."""
        return dict(self._outcomes)

    def save(self, folder: str | Path) -> None:
        """Write `curriculum.json` into a checkpoint folder."""
        data = {
            "schema": 1,
            "rows": len(self.ids),
            "finished": self._finished,
            "made": self._made,
            "epoch": self._epoch,
            "drawn": self._drawn,
            "outcomes": self._outcomes,
            "pending": self._pending,
            "waiting": self._waiting,
        }
        atomic_write(Path(folder) / FILE, json.dumps(data))

    def load(self, folder: str | Path) -> None:
        """Read it back. Raises `InputError` when it is missing, or is about another number of rows."""
        path = Path(folder) / FILE
        if not path.exists():
            raise InputError(f"{path} is missing: this checkpoint is of a run without a curriculum; start a new run")
        data = json.loads(path.read_text())
        if data["rows"] != len(self.ids):
            raise InputError(f"{path}: of {data['rows']} rows, but the data set has {len(self.ids)}; restore it")
        self._finished, self._made, self._epoch = data["finished"], data["made"], data["epoch"]
        self._drawn, self._outcomes, self._waiting = data["drawn"], data["outcomes"], data["waiting"]
        self._pending = {int(window): outcomes for window, outcomes in data["pending"].items()}
