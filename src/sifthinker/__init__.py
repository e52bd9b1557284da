"""sifthinker: teach vision-language models to look before they answer.

The nouns: `Box`, `Area`, `Step`, `Trace`, `Sample`, `DepthMap`. The verbs: `parse_trace`, `format_trace`, `hiou`,
and the plain functions in `REWARDS`. Commands live in `sifthinker.cli`.
"""

from .depth import DepthMap
from .geometry import Box
from .hiou import hiou
from .rewards import REWARDS
from .sample import Sample
from .trace import Area, Step, Trace, format_trace, parse_trace

__version__ = "0.1.0"

__all__ = [
    "REWARDS",
    "Area",
    "Box",
    "DepthMap",
    "Sample",
    "Step",
    "Trace",
    "__version__",
    "format_trace",
    "hiou",
    "parse_trace",
]
