"""Whatever any source or scene calls gold earns full marks, and each damage to it lowers exactly its rewards."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from sifthinker.datagen.build import build
from sifthinker.records import read_samples
from sifthinker.rewards.corruptions import CORRUPTIONS
from sifthinker.scenes.generate import generate
from tests.rewards.test_rewards import hold_to_account

COUNT = int(os.environ.get("SIFTHINKER_SCENES", "200"))
"""Generated scenes; set the variable to some thousands for the long run."""


def test_gold_of_scenes():
    applied = Counter()
    for number, (sample, trace) in enumerate(generate(COUNT, seed=5)):
        applied.update(hold_to_account(sample, trace, CORRUPTIONS, number))
    assert applied.keys() == CORRUPTIONS.keys()
    assert min(applied.values()) > 0.05 * COUNT, applied


@pytest.mark.parametrize(
    ("source", "images"),
    [
        ("coco:coco/instances.json", "coco/images"),
        ("refcoco:refcoco/rec_on_coco.jsonl", "coco/images"),
        ("viscot:viscot/on_coco", "coco/images"),
        ("rgbd:rgbd", None),
    ],
)
def test_gold_of_sources(shared_data: Path, tmp_path: Path, source: str, images: str | None):
    kind, _, where = source.partition(":")
    found = shared_data / where
    files = sorted(p for p in found.iterdir() if p.suffix in (".json", ".jsonl")) if kind == "viscot" else [found]
    assert files
    applied = Counter()
    for number, file in enumerate(files):
        folder = None if images is None else shared_data / images
        kept = build(f"{kind}:{file}", tmp_path / str(number), images=folder)["kept"]
        for sample, trace in read_samples(tmp_path / str(number)) if kept else ():
            assert trace is not None
            applied.update(hold_to_account(sample, trace, CORRUPTIONS, number))
    assert len(applied) >= len(CORRUPTIONS) - 6, CORRUPTIONS.keys() - applied.keys()
