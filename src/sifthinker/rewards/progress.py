"""Progress: a bonus for doing better on a sample than at its previous visit. Storing visits is training's business."""

from __future__ import annotations


def bonus(accuracy: float, previous: float | None) -> float:
    """max(0, accuracy - previous), in [0, 1]; 0.0 on a first visit (`previous` is None).

    previous: raw accuracy, averaged over the replies of the previous visit; never a value with a bonus in it, which
    the authors' code stores and which ratchets up.

    >>> bonus(1.0, 0.25), bonus(0.0, 0.25), bonus(1.0, None)
    (0.75, 0.0, 0.0)
    """
    return 0.0 if previous is None else max(0.0, accuracy - previous)
