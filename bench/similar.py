"""How far fingerprints of copies and of other photos are apart: `python bench/similar.py PHOTOS [--json]`.

PHOTOS: a folder of photographs (all JPEG and PNG files below it in RGB), to which as many generated scenes come. For
each kind of copy, quantiles of the bits that change; for all pairs of different photos, the smallest distances. Then
the time that `nearest` takes on random fingerprints, beside comparing all pairs block by block.

Results in bench/results/similar.json. The line between near and other is `sifthinker.inspection.similar.NEAR`.
"""

import argparse
import io
import json
import time
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from sifthinker.inspection.similar import NEAR, WORDS, fingerprint, nearest
from sifthinker.scenes.generate import generate

RESULTS = Path(__file__).parent / "results" / "similar.json"
PHOTOS, SCENES = 100, 400
TIMED = (10_000, 50_000)


def scaled(share):
    return lambda image: image.resize((max(1, round(image.width * share)), max(1, round(image.height * share))))


def cropped(share):
    def crop(image):
        x, y = image.width * share / 2, image.height * share / 2
        return image.crop((round(x), round(y), round(image.width - x), round(image.height - y)))

    return crop


def jpeg(image):
    return Image.open(io.BytesIO(file_of(image, "JPEG", quality=30)))


COPIES = {
    "half the size": scaled(0.5),
    "a third of the size": scaled(1 / 3),
    "JPEG quality 30": jpeg,
    "2% cropped": cropped(0.02),
    "5% cropped": cropped(0.05),
    "20% brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
    "gamma 0.8": lambda image: image.point(lambda v: int(255 * (v / 255) ** 0.8)),
}


def file_of(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def bits(images):
    return np.array([np.unpackbits(fingerprint(file_of(image)).view(np.uint8)) for image in images], dtype=bool)


def photographs(folder):
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in (".jpg", ".jpeg", ".png"):
            with Image.open(path) as image:
                if image.mode == "RGB" and fingerprint(path.read_bytes()) is not None:
                    yield image.copy()


def measured(images):
    own = bits(images)
    apart = (own[:, None] != own[None]).sum(-1)[np.triu_indices(len(own), 1)]
    found = {"photos": len(own), "smallest_of_others": np.sort(apart)[:6].tolist(), "copies": {}}
    for name, copy in COPIES.items():
        changed = (bits([copy(image) for image in images]) != own).sum(1)
        found["copies"][name] = {
            "median": float(np.median(changed)),
            "95%": float(np.quantile(changed, 0.95)),
            "most": int(changed.max()),
            "found": float((changed <= NEAR).mean()),
        }
    return found


def timed(n):
    """Seconds for n random fingerprints, and for the same by comparing 500 of them with all."""
    words = np.random.default_rng(0).integers(0, 1 << 16, (n, WORDS)).astype(np.uint16)
    start = time.perf_counter()
    nearest(words)
    indexed = time.perf_counter() - start
    block = 500
    start = time.perf_counter()
    for first in range(0, block, 50):
        (np.bitwise_count(words[first : first + 50, None] ^ words[None]).sum(-1) <= NEAR).sum()
    plain = (time.perf_counter() - start) * n / block / 2
    return {"fingerprints": n, "seconds": round(indexed, 2), "all_pairs_ratio": round(plain / indexed, 1)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    result = {
        "near": NEAR,
        "photographs": measured(list(islice(photographs(arguments.photos), PHOTOS))),
        "scenes": measured([sample.photo() for sample, _ in generate(SCENES, seed=5)]),
        "time": [timed(n) for n in TIMED],
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result) if arguments.json else json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
