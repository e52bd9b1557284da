"""Whether objects keep the name of their color when photos are degraded: `python bench/colors.py [--n 300] [--json]`.

An object is called by the median of its pixels: by the color of `layout.COLORS` with the nearest hue in Oklab, or,
where the chroma is below `GRAY`, black (if dark) or gray. Lightness tells nothing more, since shade changes it as well.

For each kind and level, shares of all objects: `lost`: called gray or black where the clean photo has another name;
`renamed`: called by another color; `pairs`: what at least one of ten objects of a color is called instead.
Results in bench/results/colors.json, which docs/degradations.md shows.
"""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from sifthinker.degrade import KINDS, LEVELS, degrade
from sifthinker.degrade.fisheye import bent_depth
from sifthinker.depth import DepthMap
from sifthinker.scenes.layout import COLORS, Plan, sample_scene
from sifthinker.scenes.render import View, render

RESULTS = Path(__file__).parent / "results" / "colors.json"
SIZE = (96, 96)
GRAY, DARK = 0.04, 0.35
OFTEN = 0.1


def oklab(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """Oklab (lightness, a, b) of sRGB in [0, 1]; by Ottosson (bottosson.github.io/posts/oklab)."""
    light = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    cones = [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
    axes = [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
    return np.array(axes) @ np.cbrt(np.array(cones) @ light)


def hue(lab: NDArray[np.float64]) -> float:
    return float(np.degrees(np.arctan2(lab[2], lab[1])))


HUES = {name: hue(oklab(np.array(rgb))) for name, rgb in COLORS.items() if name != "black"}


def color_name(pixels: NDArray[np.uint8]) -> str:
    """What an object is called; pixels of shape (n, 3)."""
    lab = oklab(np.median(pixels, axis=0) / 255)
    if np.hypot(lab[1], lab[2]) < GRAY:
        return "black" if lab[0] < DARK else "gray"
    return min(HUES, key=lambda name: abs((hue(lab) - HUES[name] + 180) % 360 - 180))


def views(count: int) -> list[View]:
    """Scenes of one to three solids."""
    rng, found = np.random.default_rng(0), []
    while len(found) < count:
        made = sample_scene(rng, Plan(int(rng.integers(1, 4))), SIZE)
        if not isinstance(made, str):
            found.append(render(made, SIZE))
    return found


def instances(view: View, kind: str, level: int) -> NDArray[np.int64]:
    """Which object each pixel of the degraded photo shows, -1 for none."""
    if kind != "fisheye":
        return view.instances.astype(np.int64)
    bent = bent_depth(DepthMap(view.instances + 2.0, metric=True), KINDS[kind].levels[level - 1]["fov_deg"])
    return np.where(bent.valid, np.rint(bent.values) - 2, -1).astype(np.int64)


def measure(shown: list[View]) -> dict:
    objects, clean = Counter(), Counter()
    called: dict[tuple[str, int], Counter] = {(k, level): Counter() for k in KINDS for level in range(1, LEVELS + 1)}
    for number, view in enumerate(tqdm(shown, desc="colors", unit="scene")):
        colors = [thing.color for thing in view.scene.objects]
        objects.update(colors)
        clean.update((c, color_name(view.image[view.instances == i])) for i, c in enumerate(colors))
        for (kind, level), counts in called.items():
            worse, where = degrade(view.image, view.depth, kind, level, number), instances(view, kind, level)
            counts.update((c, color_name(worse[where == i])) for i, c in enumerate(colors) if (where == i).any())
    total = sum(objects.values())
    result: dict = {"scenes": len(shown), "objects": total, "clean_right": sum(clean[c, c] for c in COLORS) / total}
    for kind in KINDS:
        rows = [called[kind, level] for level in range(1, LEVELS + 1)]
        wrong = [{pair: n for pair, n in row.items() if pair[0] != pair[1]} for row in rows]
        result[kind] = {
            "lost": [round(sum(n for p, n in w.items() if p[1] in ("gray", "black")) / total, 3) for w in wrong],
            "renamed": [round(sum(n for p, n in w.items() if p[1] not in ("gray", "black")) / total, 3) for w in wrong],
            "pairs": [
                {f"{a} > {b}": round(n / objects[a], 2) for (a, b), n in sorted(w.items()) if n >= OFTEN * objects[a]}
                for w in wrong
            ],
        }
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=300, help="scenes")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    args = parser.parse_args()
    result = measure(views(args.n))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    if args.json:
        json.dump(result, sys.stdout)
        return
    print(f"{result['objects']} objects, {result['clean_right']:.1%} called right in the clean photo")
    for kind in KINDS:
        shares = {key: "  ".join(f"{v:.3f}" for v in result[kind][key]) for key in ("lost", "renamed")}
        print(f"{kind:16} lost {shares['lost']}   renamed {shares['renamed']}")


if __name__ == "__main__":
    main()
