"""sifthinker: teach vision-language models to look before they answer.

The nouns: `Box`, `Area`, `Step`, `Trace`, `Sample`, `DepthMap`. The verbs: `parse_trace`, `format_trace`, `hiou`,
and the plain functions in `REWARDS`. Commands live in `sifthinker.cli`.
"""

__version__ = "0.1.0"
