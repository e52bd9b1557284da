"""Fixtures for all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# On a busy machine a slow example says nothing; pytest-timeout catches the ones that never end.
settings.register_profile("sifthinker", deadline=None)
settings.load_profile("sifthinker")

# No test may reach for the network by accident.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Tests run side by side; several threads in each would stand in each other's way.
os.environ.setdefault("OMP_NUM_THREADS", "1")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real test data beside the repository; tests that need it skip where it is absent."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"real test data not found at {folder}")
    return folder
