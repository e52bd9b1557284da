"""Items that are asked again, and the scores of those that count together."""

import pytest

from sifthinker.benchmarks import open_benchmark
from sifthinker.benchmarks.protocol import Options
from sifthinker.errors import InputError
from sifthinker.evaluate import evaluate


def scored(spec, model, tmp_path, n=6):
    metrics = evaluate(model, spec, tmp_path / "run", n=n)
    return metrics["n"], metrics["consistency"]


@pytest.mark.parametrize("model", ["oracle", "blind"])
def test_pairs_count_when_both_are_right(model, tmp_path):
    n, found = scored("twins:scenes:tasks=surds_distance+surds_yaw,size=64x64", model, tmp_path)
    assert (n, found["pairs"]) == (12, 6)
    assert found["paired"]["value"] == 1.0 if model == "oracle" else found["paired"]["value"] < 0.5
    assert "abstention" not in found


def test_who_always_abstains_is_told_apart(tmp_path):
    _, found = scored("twins:scenes:tasks=unc_occlusion", "oracle", tmp_path / "oracle")
    assert found["abstention"] == {
        "accuracy.clean": 1.0, "accuracy.open": 1.0, "precision": 1.0, "recall": 1.0, "over_abstention": 0.0,
        "paired": 1.0,
    }  # fmt: skip
    _, found = scored("twins:scenes:tasks=unc_occlusion", "blind", tmp_path / "blind")
    assert (found["abstention"]["recall"], found["abstention"]["over_abstention"]) == (1.0, 1.0)
    assert found["paired"]["value"] == found["abstention"]["paired"] == 0.0


def test_mirror_images_and_orders_of_options(tmp_path):
    n, found = scored("variants:scenes:tasks=srd3_height_higher", "oracle", tmp_path / "oracle", 4)
    assert n == 16
    assert found == {"groups": 4, "vanilla": 1.0, "flip": 1.0, "circular": 1.0, "flip_circular": 1.0}
    _, found = scored("variants:scenes:tasks=srd3_height_higher", "blind", tmp_path / "blind", 4)
    assert found["vanilla"] == pytest.approx(0.5)
    assert found["circular"] == found["flip_circular"] == 0.0


def test_other_benchmarks_have_no_such_scores(tmp_path):
    assert scored("scenes:tasks=count", "oracle", tmp_path)[1] is None


def test_names_and_mistakes():
    bench = open_benchmark("twins:scenes:tasks=surds_yaw", Options(n=2))
    assert bench.name == "twins:scenes"
    assert bench.version.endswith("+twins")
    with pytest.raises(InputError, match="expected twins:BENCHMARK"):
        open_benchmark("twins")
    with pytest.raises(InputError, match=r"none of its items can be asked again: .*not one of a pair"):
        list(open_benchmark("twins:scenes:tasks=count", Options(n=2)).load())
