"""The demo at toy size: every stage runs, a second call repeats nothing, other settings are refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from sifthinker.demo import DemoConfig, demo
from sifthinker.errors import InputError


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Smaller batches than the recipes have."""
    from sifthinker import recipes

    read = recipes.read_yaml
    small = {"per_device_train_batch_size": 4, "num_generations": 2, "max_completion_length": 8}

    def read_small(name: str) -> dict:
        values = read(name)
        return {**values, **{key: value for key, value in small.items() if key in values}}

    monkeypatch.setattr(recipes, "read_yaml", read_small)


def test_toy_demo(toy: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = DemoConfig(str(tmp_path / "demo"), samples=8, sft_steps=1, grpo_steps=1, items=2)
    page = demo(config)
    assert page.exists()
    assert capsys.readouterr().out.count("== ") == 8
    done = json.loads((tmp_path / "demo" / "stages.json").read_text())["done"]
    assert len(done) == 8
    for stage in ("sft", "grpo"):
        assert json.loads((tmp_path / "demo" / stage / "training.json").read_text())["stage"] == stage

    with pytest.raises(InputError, match="is not empty: give --resume"):
        demo(config)
    demo(config, resume=True)
    assert capsys.readouterr().out.count("done before") == 8
    with pytest.raises(InputError, match=r"other settings: samples 8 \(now 9\), items 2 \(now 3\); restore them"):
        demo(dataclasses.replace(config, samples=9, items=3), resume=True)


def test_out_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        demo(DemoConfig(str(tmp_path / "file"), 8, 1, 1, 2))
