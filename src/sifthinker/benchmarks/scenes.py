"""`scenes`: generated scenes with exact answers, never seen in training.

Held out by construction: scenes for evaluation are drawn from seeds that `sifthinker scenes` refuses for training.
"""

from __future__ import annotations
