"""Models of the package: found by name, and by nothing else."""

from __future__ import annotations

import shutil

import pytest

from sifthinker import models
from sifthinker.catalog import catalog
from sifthinker.engines import open_engine
from sifthinker.engines.processor import base_of, load_model, load_processor, model_config
from sifthinker.errors import InputError
from sifthinker.provenance import folder_identity

from .tiny_models import save_tiny_qwen


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A package with one model in it, and another folder to work in."""
    folder = save_tiny_qwen(tmp_path / "models" / "mine")
    (folder / "README.md").write_text("# mine\n\nA model for tests.\n")
    monkeypatch.setattr(models, "HERE", tmp_path / "models")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return folder


def test_a_model_of_the_package_is_found_by_its_name(shipped):
    assert models.names() == ["mine"]
    assert model_config("mine").model_type == "qwen2_5_vl"
    assert load_processor("mine").tokenizer is not None
    assert load_model("mine").num_parameters() == load_model(shipped).num_parameters()
    assert folder_identity("mine") == folder_identity(shipped) is not None
    assert base_of("adapter", {"base_model_name_or_path": "mine"}) == str(shipped)
    with open_engine("mine") as engine:
        assert engine.model_id == "mine"


def test_a_folder_of_that_name_comes_first(shipped):
    shutil.copytree(shipped, "mine")
    assert models.located("mine") == "mine"


def test_other_names_are_left_alone(shipped):
    assert models.located("owner/mine") == "owner/mine"
    with pytest.raises(InputError, match="nobody/nothing"):
        model_config("nobody/nothing")


def test_models_are_listed(shipped):
    assert "mine  A model for tests." in catalog("models")
