"""Near photos: every pair within the distance is found, copies are near, other photos are not."""

import io
import tracemalloc
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sifthinker.inspection import similar
from sifthinker.inspection.similar import NEAR, WORDS, fingerprint, near_pairs, nearest


def distances(one, other):
    """Hamming distances of all pairs, bit by bit."""
    bits = [np.unpackbits(words.view(np.uint8), axis=1).astype(int) for words in (one, other)]
    return (bits[0][:, None] != bits[1][None]).sum(-1)


def related(rng, n):
    """Fingerprints of which many are near: few centers, and others with up to 40 changed bits."""
    centers = rng.integers(0, 2, (3, 256), dtype=np.uint8)
    bits = centers[rng.integers(0, 3, n)].copy()
    for row in bits:
        row[rng.choice(256, rng.integers(0, 41), replace=False)] ^= 1
    return np.packbits(bits, axis=1).view(np.uint16)


def listed(pairs):
    """The pairs in order; each must be told once."""
    found = sorted((i, j, bits) for some in pairs for i, j, bits in zip(*(part.tolist() for part in some), strict=True))
    assert len({(i, j) for i, j, _ in found}) == len(found)
    return found


@pytest.mark.parametrize("at_once", [1, 7, 1 << 21])
@given(seed=st.integers(0, 1000), n=st.integers(0, 12), m=st.integers(0, 12), most=st.integers(0, NEAR))
def test_all_pairs_and_no_others(at_once, seed, n, m, most):
    rng = np.random.default_rng(seed)
    one, other = related(rng, n).reshape(-1, WORDS), related(rng, m).reshape(-1, WORDS)
    before, similar._AT_ONCE = similar._AT_ONCE, at_once
    try:
        between, within = listed(near_pairs(one, other, most)), listed(near_pairs(one, most=most))
    finally:
        similar._AT_ONCE = before
    apart = distances(one, other)
    assert between == [(i, j, apart[i, j]) for i in range(n) for j in range(m) if apart[i, j] <= most]
    apart = distances(one, one)
    assert within == [(i, j, apart[i, j]) for i, j in combinations(range(n), 2) if apart[i, j] <= most]


def test_the_farthest_pairs_are_found():
    """31 changed bits, spread so that each word has two, but for one with one."""
    bits = np.zeros((2, 256), dtype=np.uint8)
    bits[1, 0] = 1
    for word in range(1, WORDS):
        bits[1, word * 16 : word * 16 + 2] = 1
    assert listed(near_pairs(np.packbits(bits, axis=1).view(np.uint16))) == [(0, 1, 31)]


@given(seed=st.integers(0, 1000), n=st.integers(0, 12), m=st.integers(0, 12))
def test_the_nearest_of_each(seed, n, m):
    rng = np.random.default_rng(seed)
    one, other = related(rng, n).reshape(-1, WORDS), related(rng, m).reshape(-1, WORDS)
    for there in (other, None):
        pairs, found = listed(near_pairs(one, there)), nearest(one, there)
        expected = [min(((d, j) for i, j, d in pairs if i == row), default=(-1, -1)) for row in range(n)]
        assert list(zip(found.bits, found.nearest, strict=True)) == expected
        assert found.pairs == len(pairs)


def test_a_film_takes_no_memory_for_each_pair():
    """All 3,000 photos are near to all others: 4,498,500 pairs, of which a dict takes 1.2 GB."""
    film = related(np.random.default_rng(0), 1).repeat(3000, axis=0)
    film[:, 0] ^= np.arange(3000, dtype=np.uint16) & 7
    tracemalloc.start()
    found = nearest(film)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.pairs == 3000 * 2999 // 2
    assert most < 64 * 2**20


def test_more_than_the_words_can_hold_is_refused():
    with pytest.raises(ValueError, match="0 to 31"):
        list(near_pairs(np.zeros((2, WORDS), dtype=np.uint16), most=NEAR + 1))


def file_of(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def copies(image):
    width, height = image.size
    return [
        file_of(image.resize((width // 2, height // 2))),
        file_of(image, "JPEG", quality=30),
        file_of(image.crop((width // 200, height // 200, width - width // 200, height - height // 200))),
        file_of(image.point(lambda v: int(255 * (v / 255) ** 0.8))),
    ]


def test_copies_of_real_photos_are_near_and_others_are_not(shared_data):
    photos = [Image.open(p).convert("RGB") for p in sorted((shared_data / "coco").rglob("*.jpg"))[:20]]
    assert len(photos) > 5
    prints = np.array([fingerprint(file_of(photo)) for photo in photos])
    assert listed(near_pairs(prints)) == []
    for number in range(4):
        changed = np.array([fingerprint(copies(photo)[number]) for photo in photos])
        assert [(i, j) for i, j, _ in listed(near_pairs(prints, changed))] == [(i, i) for i in range(len(photos))]


def test_pictures_without_a_fingerprint():
    assert fingerprint(b"no picture") is None
    assert fingerprint(file_of(Image.new("RGB", (50, 40), (200, 10, 10)))) is None
