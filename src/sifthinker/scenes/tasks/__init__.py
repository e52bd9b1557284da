"""Tasks: families of questions with exact answers. One file a system, one table each, all of them in `TASKS`.

To add one: a function that asks (`task.Question` or a reason), an entry in a file's table, a test that finds the
answers another way (docs/scenes.md).
"""

from __future__ import annotations

from ..task import Task
from .basics import TASKS as BASICS
from .counting import TASKS as COUNTING
from .dge_image import TASKS as DGE_IMAGE
from .dge_pair import TASKS as DGE_PAIR
from .dge_scene import TASKS as DGE_SCENE
from .earth import TASKS as EARTH
from .earth_relations import TASKS as EARTH_RELATIONS
from .extremes import TASKS as EXTREMES
from .layout_map import TASKS as LAYOUT_MAP
from .multiview import TASKS as REMIND
from .multiview_distance import TASKS as REMIND_DISTANCE
from .navigation import TASKS as NAVIGATION
from .panorama import TASKS as PANORAMA
from .panorama_seam import TASKS as PANORAMA_SEAM
from .psychometric import TASKS as PSYCHOMETRIC
from .qspatial import TASKS as QSPATIAL
from .sparkle import TASKS as SPARKLE
from .spatial_text import TASKS as SPATIAL_TEXT
from .srd3 import TASKS as SRD3
from .stepgame import TASKS as STEPGAME
from .surds import TASKS as SURDS
from .uncertain import TASKS as UNCERTAIN

__all__ = ["BASICS", "TASKS"]

TASKS: dict[str, Task] = {
    **BASICS,
    **EXTREMES,
    **DGE_SCENE,
    **DGE_IMAGE,
    **DGE_PAIR,
    **COUNTING,
    **QSPATIAL,
    **SPARKLE,
    **PSYCHOMETRIC,
    **NAVIGATION,
    **EARTH,
    **EARTH_RELATIONS,
    **SPATIAL_TEXT,
    **STEPGAME,
    **REMIND,
    **REMIND_DISTANCE,
    **PANORAMA,
    **PANORAMA_SEAM,
    **LAYOUT_MAP,
    **SURDS,
    **SRD3,
    **UNCERTAIN,
}
"""Every task by name. `BASICS` is what is generated when no tasks are named."""
