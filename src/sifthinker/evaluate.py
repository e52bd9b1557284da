"""Evaluation: a benchmark through an engine into a run folder, graded again at any time without the model.

    RUN/run.json       what was run: resolved config, model, prompt hash, versions, git commit
    RUN/items.jsonl    one line an item: prompt, raw reply, extraction, outcome, values (fields: `_record`, `judge`)
    RUN/metrics.json   the metrics (`metrics.metrics_of`)
    RUN/pictures/      photo and depth picture of the first items, small, for the report

Three outcomes are never mixed: `scored`, `unparsed` (a reply came, but no single answer; counts 0), `failed` (no usable
reply; not scored, tried again on resume). A fourth, `no_gold`, marks samples without a gold answer.
A killed run goes on where it stopped: an item is taken over when the benchmark's version, item, prompt, pictures,
generation parameters and model are the same. Extraction is not among them, so `score` works on old replies.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import batched, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image
from tqdm import tqdm

from . import __version__
from .benchmarks import Benchmark, open_benchmark
from .benchmarks.protocol import Options
from .engines import Engine, Reply, Request, open_engine, request_for
from .errors import InputError
from .geometry import WHOLE
from .grading import VERSION as EXTRACTION_VERSION
from .hiou import hiou
from .metrics import Item, compare_items, metrics_of
from .prompt import prompt_hash
from .records import JsonlWriter, atomic_write, read_jsonl
from .rewards import REWARDS
from .sample import Sample
from .trace import Trace, parse_trace
