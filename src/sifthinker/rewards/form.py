"""Form: does the reply follow the grammar of traces?"""

from __future__ import annotations

from ..sample import Sample
from ..trace import Trace


def form_reward(trace: Trace, sample: Sample) -> float:
    """1.0 when the reply has no fault, else 0.0.

    Whether boxes need a depth is decided when the reply is parsed (`depth_required`). The authors' code searches for
    the tags anywhere, so it also takes text around them, a second `<think>`, and empty areas; the released profile
    uses this strict form as well.
    """
    return 1.0 if trace.valid else 0.0
