"""Worlds read back from what samples store in `meta["world"]`: the table `WORLDS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..errors import InputError
from ..lookup import pick
from .doubt import Doubt
from .flat.gridmap import GridMap
from .flat.land import Land
from .flat.points import Points
from .flat.polycubes import Polycubes
from .flat.sheet import Sheet
from .floorplan import FloorPlan
from .frames.frame import Frame
from .render import View
from .rooms import RoomView
from .seam import SeamView
from .story import Story
from .task import World
from .views import Views

WORLDS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "view": View.from_json,
    "views": Views.from_json,
    "seam": SeamView.from_json,
    "room": RoomView.from_json,
    "doubt": Doubt.from_json,
    "points": Points.from_json,
    "gridmap": GridMap.from_json,
    "land": Land.from_json,
    "polycubes": Polycubes.from_json,
    "sheet": Sheet.from_json,
    "story": Story.from_json,
    "floorplan": FloorPlan.from_json,
    "frame": Frame.from_json,
}
"""How each kind of world is made from its JSON; the inverse of `World.to_json`."""


def world_from_json(data: Mapping[str, Any]) -> World:
    """The world that `to_json` described. Raises `InputError` for an unknown kind and for missing fields."""
    make = pick("kind of world", str(data.get("kind")), WORLDS)
    try:
        return make(dict(data))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"not a world of kind {data['kind']}: {error!r}") from error
