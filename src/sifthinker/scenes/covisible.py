"""What several views of a scene show together: which objects count, where each is seen best, where cameras stood."""

from __future__ import annotations

import numpy as np

from .model import Floats
from .views import SEEN, Views
from .words import nameable, view_name


def shows(views: Views, view: int, thing: int) -> bool:
    """Whether a view shows enough of an object to count (`views.SEEN`)."""
    return views.views[view].visible[thing] >= SEEN and views.views[view].boxes[thing] is not None


def best(views: Views, thing: int) -> int:
    """Index in the mosaic's boxes of the object where most of it is seen."""
    shares = [view.visible[thing] if view.boxes[thing] is not None else -1.0 for view in views.views]
    return int(np.argmax(shares)) * len(views.scene.objects) + thing


def seen(views: Views) -> list[int]:
    """The objects that count in some view and have a name of their own."""
    frames = range(len(views.views))
    names = range(len(views.scene.objects))
    return [i for i in names if nameable(views.scene, i) and any(shows(views, v, i) for v in frames)]


def eye(views: Views, view: int) -> Floats:
    """Where a view was taken, metres in the world."""
    return np.asarray(views.views[view].camera.position)


def gaze(views: Views, view: int) -> Floats:
    """The point a metre straight ahead of a view."""
    return eye(views, view) + np.asarray(views.views[view].camera.rotation)[2]


def place_of(views: Views, thing: int) -> Floats:
    """The center of an object, metres in the world."""
    return np.asarray(views.scene.objects[thing].position)


def title(views: Views, view: int) -> str:
    """How questions call a view: "view 3 (bottom left)"."""
    return view_name(view, views.grid)
