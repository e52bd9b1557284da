import numpy as np
import pytest

from sifthinker.datagen.annotators import Job
from sifthinker.datagen.expand import expand
from sifthinker.depth import DepthMap
from sifthinker.geometry import Box
from sifthinker.sample import Sample

from .photos import photo


@pytest.fixture
def make_job(tmp_path):
    """Jobs about a dog, each with a photo of its own."""

    def make(number=0, depth=True, **changes):
        path = photo(tmp_path / f"{number}.png", (120, 90), seed=number)
        values = {
            "id": f"j{number}",
            "image": path,
            "question": "Which animal is this?",
            "answer": "a dog",
            "depth": DepthMap(np.linspace(1, 4, 10800).reshape(90, 120), metric=True) if depth else None,
            "boxes": (Box(0.2, 0.2, 0.4, 0.5),),
        } | changes
        sample = Sample(**values)
        return Job(sample, tuple(expand(sample.boxes, sample.depth_map(), np.random.default_rng(number))))

    return make
