"""What can be read off a world without the code of tasks: names back to objects, corners, camera axes, directions."""

from __future__ import annotations

import cmath
import math
import re

import numpy as np

from sifthinker.scenes.layout import PAINTS
from sifthinker.scenes.rooms import RoomView
from sifthinker.scenes.shapes import SHAPES
from sifthinker.scenes.views import Views, changed

NOUN = "|".join(sorted(SHAPES, key=len, reverse=True))
NAME = rf"the ((?:(?:{'|'.join(PAINTS)}) )?(?:{NOUN}))"
SWAP = {"left": "right", "right": "left"}
EIGHT = ("front", "front-right", "right", "back-right", "back", "back-left", "left", "front-left")


class Measured:
    """A world's numbers, worked out from corners, angles and pixels."""

    def __init__(self, world):
        self.world = world
        self.views = world.views if isinstance(world, Views) else (getattr(world, "view", world),)
        self.objects = self.views[0].scene.objects

    def thing(self, name):
        """The one object that a name means."""
        found = [i for i, o in enumerate(self.objects) if name in (o.shape, f"{o.color} {o.shape}")]
        assert len(found) == 1, f"{name!r} means {len(found)} objects"
        return found[0]

    def things(self, *names):
        return [self.thing(name) for name in names]

    def corners(self, index):
        """Of the oriented box; turned with complex numbers."""
        o = self.objects[index]
        turn = cmath.rect(1, math.radians(o.yaw_deg))
        points = []
        for x in (-0.5, 0.5):
            for y in (-0.5, 0.5):
                spot = complex(x * o.size[0], y * o.size[1]) * turn + complex(*o.position[:2])
                points += [(spot.real, spot.imag, o.position[2] + z * o.size[2]) for z in (-0.5, 0.5)]
        return np.array(points)

    def center(self, index):
        return self.corners(index).mean(axis=0)

    def sides(self, index):
        """Lengths of the three edges at a corner: x, y, z."""
        c = self.corners(index)
        return [float(np.linalg.norm(c[k] - c[0])) for k in (4, 2, 1)]

    def seen(self, point, view=0):
        """A point in the axes of a view's camera, by solving for it."""
        camera = self.views[view].camera
        return np.linalg.solve(np.array(camera.rotation).T, np.asarray(point) - camera.position)

    def pixels(self, index, view=0):
        """Where an object is seen, shape (height, width)."""
        return self.views[view].instances == index

    def shown_at(self, index, view=0):
        """The box of its pixels in its view, as shares."""
        rows, columns = np.nonzero(self.pixels(index, view))
        (width, height), extent = self.views[view].size, (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        return np.array(extent) / (width, height, width, height)


def eight_ways(offset):
    """The name of a camera direction: the nearest of eight unit vectors, or of four where it is steep."""
    right, down, ahead = offset
    lift = math.degrees(math.atan2(-down, math.hypot(right, ahead)))
    steep = abs(lift) > math.degrees(math.atan(0.5))
    turns = {word: cmath.rect(1, math.radians(90 - 45 * k)) for k, word in enumerate(EIGHT)}
    usable = [w for w in EIGHT if not steep or "-" not in w]
    word = max(usable, key=lambda w: (complex(right, ahead) * turns[w].conjugate()).real)
    return f"{'up' if lift > 0 else 'down'}-{word}" if steep else word


def swapped(answer):
    """Left and right exchanged."""
    return re.sub("left|right", lambda m: SWAP[m[0]], answer)


def twin(world, change):
    """The same views of a changed scene."""
    return RoomView(changed(world.view, change)) if isinstance(world, RoomView) else changed(world, change)


def moved_roles(roles, order):
    """Roles for a scene whose object i was object `order[i]`."""
    where = {int(old): new for new, old in enumerate(order)}
    single = ("target", "a", "b", "anchor", "stand", "face")
    several = ("candidates", "anchors", "things")
    return {
        key: where[v] if key in single else [where[i] for i in v] if key in several else v for key, v in roles.items()
    }


def best_constant(texts, grade):
    """The most that one answer to all questions earns on average; grade(answer, gold)."""
    tried = sorted(set(texts))
    tried = tried[:: max(1, len(tried) // 60)]
    return max(sum(grade(answer, gold) for gold in texts) / len(texts) for answer in tried)


def number(text):
    return float(re.match(r"-?[\d.]+", text)[0])
