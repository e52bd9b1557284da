"""The same photo in another size, quality or crop: fingerprints of 256 bits, and all pairs that are near.

A fingerprint says which of the lowest frequencies of a photo's gray picture lie above their median (the perceptual hash
"pHash", with 16 x 16 frequencies). Measured by `bench/similar.py` on 100 photographs and 400 generated scenes: halves,
thirds, JPEG quality 30 and crops by 2 % change at most 30 bits, crops by 5 % a median of 40 and 28; other photos differ
in at least 72.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

NEAR = 31
"""Bits by which near photos differ at most. Of 16 words of 16 bits, one then has at most one bit changed."""

SIDE, LOWEST, WORDS = 64, 16, 16

_AT_ONCE = 1 << 17
"""Candidates that are compared at once."""

_ONES = np.unpackbits(np.arange(1 << 16, dtype=">u2").view(np.uint8)).reshape(-1, 16).sum(1, dtype=np.uint8)

Words = NDArray[np.uint16]
"""Fingerprints, shape (n, 16): 256 bits each."""


def fingerprint(photo: bytes) -> Words | None:
    """The fingerprint of a photo's file, shape (16,); None for one that cannot be decoded, or of one color."""
    from scipy.fft import dctn

    try:
        with Image.open(io.BytesIO(photo)) as image:
            # A JPEG is decoded at about the size that is needed, not at its own.
            image.draft("L", (2 * SIDE, 2 * SIDE))
            gray = image.convert("L").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    frequencies = np.asarray(dctn(np.asarray(gray, dtype=np.float32)))[:LOWEST, :LOWEST].ravel()
    # The first one is the brightness.
    if np.abs(frequencies[1:]).max() < SIDE:
        return None
    bits = frequencies > np.median(frequencies[1:])
    bits[0] = False
    return np.packbits(bits).view(np.uint16)


Pairs = tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.int64]]
"""(rows of one set, rows of the other, bits that differ), one entry a pair."""


@dataclass(frozen=True, slots=True)
class Near:
    """What is near in a set of photos, in memory that grows with the photos, not with their pairs.

    pairs: how many there are. nearest: for each row of `one`, the row of `other` that is nearest (of several the
    first); -1: none is near. bits: by how many it differs.
    """

    pairs: int
    nearest: NDArray[np.int64]
    bits: NDArray[np.int64]


def nearest(one: Words, other: Words | None = None) -> Near:
    """`near_pairs`, counted, and for each row of `one` the nearest; within `one`, of the later rows."""
    pairs, none = 0, np.iinfo(np.int64).max
    # Bits before rows: the least is the nearest, and of equals the first.
    best = np.full(len(one), none)
    for i, j, bits in near_pairs(one, other):
        pairs += len(i)
        np.minimum.at(best, i, bits << 32 | j)
    found = best < none
    return Near(pairs, np.where(found, best & 0xFFFFFFFF, -1), np.where(found, best >> 32, -1))


def near_pairs(one: Words, other: Words | None = None, most: int = NEAR) -> Iterator[Pairs]:
    """All pairs (row of `one`, row of `other`, bits that differ) with at most `most` differing bits, at most `NEAR`,
    each once, some at a time in no order.

    other: None for pairs within `one`, i < j. No pair is missed: of 16 words at most one bit changes in at least one
    (multi-index hashing, Norouzi et al. 2012), so that each row is compared only with those that agree with it there.
    """
    if not 0 <= most <= NEAR:
        raise ValueError(f"most {most}: expected 0 to {NEAR}")
    within, right = other is None, one if other is None else other
    flips = np.array([0, *(1 << bit for bit in range(16))], dtype=np.uint16)
    for word in range(WORDS):
        order = np.argsort(right[:, word], kind="stable")
        there = right[order, word]
        for flip in flips:
            wanted = one[:, word] ^ flip
            first, last = np.searchsorted(there, wanted, "left"), np.searchsorted(there, wanted, "right")
            for i, place in _expanded(first, last):
                j = order[place]
                if within:
                    i, j = i[i < j], j[i < j]
                # A pair is told at the first word in which it agrees; in a film, most do in nearly all.
                for earlier in reversed(range(word)):
                    new = _ONES[one[i, earlier] ^ right[j, earlier]] > 1
                    i, j = i[new], j[new]
                bits = _ONES[one[i] ^ right[j]].sum(axis=1, dtype=np.int64)
                hit = bits <= most
                if hit.any():
                    yield i[hit], j[hit], bits[hit]


def _expanded(first: NDArray[np.intp], last: NDArray[np.intp]) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """(rows, places) of all places first[row] <= place < last[row], some rows at a time."""
    counts = last - first
    rows = np.flatnonzero(counts)
    ends = counts[rows].cumsum()
    start = 0
    while start < len(rows):
        stop = max(start + 1, int(np.searchsorted(ends, (ends[start - 1] if start else 0) + _AT_ONCE, "right")))
        some = rows[start:stop]
        n = counts[some]
        offsets = np.arange(n.sum()) - np.repeat(n.cumsum() - n, n)
        yield np.repeat(some, n), np.repeat(first[some], n) + offsets
        start = stop
