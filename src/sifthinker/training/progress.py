"""The progress store: how well each sample was answered at its previous visit.

The bonus of a reply is `max(0, accuracy - previous)`, with `previous` the mean raw accuracy of the sample's group at
its last visit. Raw accuracy is stored, never the shaped reward, which would ratchet; zero is a score. A visit is
named by its generation window, so that a window that is generated again after a resume overwrites itself.
Source: TRAINING notes on the released code's faults; the formula is the paper's progressive answer reward.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError
from ..records import atomic_write
from ..rewards.progress import bonus

FILE = "progress.json"


def judged_groups(sample_ids: Sequence[str], accuracies: Sequence[float]) -> dict[str, list[float]]:
    """The accuracies of each sample's replies. NaN (could not be judged) is left out; a sample may be so, too."""
    groups: dict[str, list[float]] = {}
    for sample_id, accuracy in zip(sample_ids, accuracies, strict=True):
        if not math.isnan(accuracy):
            groups.setdefault(sample_id, []).append(accuracy)
    return groups


class ProgressStore:
    """Mean raw accuracy per sample id and visit; the two newest visits are kept.

    released: do as the authors' code, for comparisons: the stored value contains the bonus, and a mean of zero is not
    stored.
    """

    def __init__(self, released: bool = False) -> None:
        self.released = released
        self._visits: dict[str, list[tuple[int, float, int]]] = {}

    def previous(self, sample_id: str, window: int) -> float | None:
        """Mean accuracy at the newest visit before `window`, or None at the first visit."""
        older = [v for v in self._visits.get(sample_id, ()) if v[0] < window]
        return max(older)[1] if older else None

    def update(self, sample_ids: Sequence[str], accuracies: Sequence[float], window: int) -> None:
        """Store the group means of a generation batch. NaN (could not be judged) does not enter a mean."""
        for sample_id, values in judged_groups(sample_ids, accuracies).items():
            visits = [v for v in self._visits.get(sample_id, ()) if v[0] != window]
            if self.released:
                previous = self.previous(sample_id, window)
                values = [accuracy + bonus(accuracy, previous) for accuracy in values]
            if self.released and not any(values):
                continue
            visits.append((window, sum(values) / len(values), len(values)))
            self._visits[sample_id] = sorted(visits)[-2:]

    def __len__(self) -> int:
        return len(self._visits)

    def save(self, folder: str | Path, step: int) -> None:
        """Write `progress.json` into a checkpoint folder."""
        data = {"schema": 1, "step": step, "visits": self._visits}
        atomic_write(Path(folder) / FILE, json.dumps(data))

    def load(self, folder: str | Path) -> None:
        """Read it back. Raises `InputError` when the checkpoint has none: bonuses would silently restart."""
        path = Path(folder) / FILE
        if not path.exists():
            raise InputError(
                f"{path} is missing: this checkpoint was not written by `sifthinker grpo`; start a new run"
            )
        data = json.loads(path.read_text())
        self._visits = {
            key: [(int(w), float(m), int(n)) for w, m, n in visits] for key, visits in data["visits"].items()
        }
