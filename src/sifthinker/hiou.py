"""Hierarchical IoU of two sets of boxes: how well they cover the same ground, and box by box.

    HIoU(P, G) = (IoU(union of P, union of G) + sum of Hungarian-matched pair IoUs / max(|P|, |G|)) / 2

Source: SIFThinker (arXiv 2508.06259). The released code divides the pair half by min(|P|, |G|), so that
missing and spare boxes are free; `released=True` does so too, for comparisons only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .geometry import Box, box_array, iou_matrix


def hiou(pred: Sequence[Box] | ArrayLike, gold: Sequence[Box] | ArrayLike, released: bool = False) -> float:
    """Hierarchical IoU of two sets of xyxy boxes in one frame, in [0, 1].

    Two empty sets have 1.0, one empty set 0.0. Raises `ValueError` for an inverted or empty box.

    >>> hiou([(0, 0, 10, 10), (20, 0, 30, 5)], [(0, 0, 10, 10), (20, 0, 30, 10)])
    0.75
    """
    p, g = _checked(pred, "pred"), _checked(gold, "gold")
    if not len(p) or not len(g):
        return float(len(p) == len(g))
    count = min(len(p), len(g)) if released else max(len(p), len(g))
    return (union_iou(p, g) + matched_iou(p, g) / count) / 2


def matched_iou(pred: Sequence[Box] | ArrayLike, gold: Sequence[Box] | ArrayLike) -> float:
    """Sum of the IoUs of the one-to-one matching of `pred` to `gold` that makes this sum largest."""
    return matched(iou_matrix(pred, gold))


def matched(matrix: NDArray[np.float64]) -> float:
    """The largest sum of entries of a matrix of which no two share a row or a column (Hungarian matching)."""
    if 1 in matrix.shape:
        return float(matrix.max())
    from scipy.optimize import linear_sum_assignment

    return float(matrix[linear_sum_assignment(matrix, maximize=True)].sum())


def union_iou(pred: Sequence[Box] | ArrayLike, gold: Sequence[Box] | ArrayLike) -> float:
    """IoU of the union of `pred` and the union of `gold`, exact.

    All edges cut the plane into a grid in which every cell lies wholly inside or outside of each box.
    """
    p, g = box_array(pred), box_array(gold)
    if len(p) == 1 and len(g) == 1:
        return float(iou_matrix(p, g)[0, 0])
    both = np.concatenate([p, g])
    xs, ys = np.unique(both[:, [0, 2]]), np.unique(both[:, [1, 3]])
    cells = np.diff(ys)[:, None] * np.diff(xs)[None, :]
    in_p, in_g = _covered(p, xs, ys), _covered(g, xs, ys)
    return float(cells[in_p & in_g].sum() / cells[in_p | in_g].sum())


def _covered(boxes: NDArray[np.float64], xs: NDArray[np.float64], ys: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which grid cells, shape (len(ys) - 1, len(xs) - 1), some box covers."""
    in_x = (boxes[:, 0, None] <= xs[None, :-1]) & (xs[None, 1:] <= boxes[:, 2, None])
    in_y = (boxes[:, 1, None] <= ys[None, :-1]) & (ys[None, 1:] <= boxes[:, 3, None])
    return (in_y.astype(np.int64).T @ in_x.astype(np.int64)) > 0


def _checked(boxes: Sequence[Box] | ArrayLike, name: str) -> NDArray[np.float64]:
    array = box_array(boxes)
    if not np.isfinite(array).all() or (array[:, 2:] <= array[:, :2]).any():
        raise ValueError(f"{name}: every box must be finite xyxy with x0 < x1 and y0 < y1, got {array.tolist()}")
    return array
