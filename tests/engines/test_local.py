from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sifthinker.depth import DepthMap
from sifthinker.engines import Request, open_engine, request_for
from sifthinker.engines.local import LocalEngine
from sifthinker.errors import InputError
from sifthinker.sample import Sample
from tests.tiny_models import PATCH, save_tiny_qwen


@pytest.fixture(scope="module", params=sorted(PATCH))
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    folder = save_tiny_qwen(tmp_path_factory.mktemp("m") / request.param, request.param)
    with open_engine(str(folder), device="cpu") as engine:
        yield engine


def sample(n: int, size: tuple[int, int] = (70, 50), depth: bool = True) -> Sample:
    rng = np.random.default_rng(n)
    photo = Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    values = rng.random((size[1], size[0]), dtype=np.float32)
    return Sample(f"s{n}", photo, "what is it" + "?" * n, depth=DepthMap(values) if depth else None)


def requests(engine: LocalEngine, **options) -> list[Request]:
    sizes = [(70, 50), (64, 120), (30, 30)]
    return [request_for(sample(n, size), engine, max_tokens=12, **options) for n, size in enumerate(sizes)]


def test_budget_and_grid_come_from_the_folder(engine: LocalEngine) -> None:
    assert engine.grid == engine.family.grid
    assert engine.max_pixels == 112 * 112


def test_a_reply_does_not_depend_on_its_batch(engine: LocalEngine) -> None:
    rows = requests(engine)
    together = [r.text for r in engine.generate(rows)]
    assert together == [engine.generate([row])[0].text for row in rows]
    assert together == [r.text for r in reversed(engine.generate(rows[::-1]))]


def test_both_pictures_reach_the_model(engine: LocalEngine) -> None:
    import torch

    row = requests(engine)[0]
    white = Image.new("RGB", row.images[0].size, "white")
    logits = []
    for images in (row.images, (white, row.images[1]), (row.images[0], white)):
        inputs = engine._inputs([Request("r", row.messages, images)])
        with torch.inference_mode():
            logits.append(engine.model(**inputs).logits[0, -1])
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert (logits[a] - logits[b]).abs().max() > 1e-4


def test_sampling_follows_the_seed_alone(engine: LocalEngine) -> None:
    rows = requests(engine, temperature=1.0, seed=7)
    first, again = engine.generate(rows), engine.generate(rows)
    assert [r.text for r in first] == [r.text for r in again]
    assert first[1].text == engine.generate([rows[1]])[0].text
    other = engine.generate(requests(engine, temperature=1.0, seed=8))
    assert [r.text for r in first] != [r.text for r in other]


def test_greedy_and_sampled_rows_share_a_batch(engine: LocalEngine) -> None:
    greedy, sampled = requests(engine)[0], requests(engine, temperature=1.0, seed=3)[1]
    mixed = engine.generate([greedy, sampled])
    assert [r.text for r in mixed] == [engine.generate([r])[0].text for r in (greedy, sampled)]


def test_vision_tokens_are_never_sampled(engine: LocalEngine) -> None:
    import torch

    tokenizer = engine.processor.tokenizer
    banned = [t for t in engine.family.vision_tokens if t in tokenizer.get_vocab()]
    assert len(banned) == 5
    ids = [tokenizer.convert_tokens_to_ids(t) for t in banned]
    head = engine.model.get_output_embeddings()
    push = head.register_forward_hook(lambda m, i, out: out.index_add(-1, torch.tensor(ids), torch.full((*out.shape[:-1], 5), 50.0)))  # fmt: skip  # noqa: E501
    try:
        for options in ({}, {"temperature": 2.0, "seed": 1}):
            row = requests(engine, **options)[0]
            out = engine.model.generate
            seen = []
            engine.model.generate = lambda out=out, seen=seen, **kw: seen.append(out(**kw)) or seen[-1]
            engine.generate([row])
            engine.model.generate = out
            assert not set(ids) & set(seen[0][0, -12:].tolist())
    finally:
        push.remove()


def test_length_and_stop(engine: LocalEngine) -> None:
    end = engine._ends[0]
    row = requests(engine)[0]
    text = engine.processor.tokenizer.decode([40, 41])
    assert engine._reply(row, [40, 41, end, end], 3).text == text
    assert engine._reply(row, [40, 41, end, end], 3).finish_reason == "stop"
    assert engine._reply(row, [40, 41], 3).finish_reason == "length"
    short = Request("r", row.messages, row.images, max_tokens=2)
    cut = engine._reply(short, [40, 41, end], 3)
    assert (cut.text, cut.finish_reason, cut.usage["completion_tokens"]) == (text, "length", 2)
    with_room = engine.generate([Request("r", row.messages, row.images, max_tokens=2), row])
    assert [r.usage["completion_tokens"] <= n for r, n in zip(with_room, (2, 12), strict=True)] == [True, True]


def test_what_fails_together_is_tried_by_halves(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    stock = engine.model.generate
    sizes: list[int] = []

    def short_of_memory(**options):
        rows = len(options["input_ids"])
        sizes.append(rows)
        if rows > 1 or options["image_grid_thw"][0].tolist() == huge:
            raise torch.OutOfMemoryError("out of memory\ntried to allocate")
        return stock(**options)

    rows = requests(engine)
    huge = engine._inputs([rows[1]])["image_grid_thw"][0].tolist()
    monkeypatch.setattr(engine.model, "generate", short_of_memory)
    monkeypatch.setattr(engine, "_most", None)
    replies = engine.generate(rows)
    assert sizes == [3, 1, 1, 1]
    assert replies[1].error == "OutOfMemoryError: out of memory tried to allocate"
    assert [r.text is not None for r in replies] == [True, False, True]
    sizes.clear()
    engine.generate(rows)
    assert sizes == [1, 1, 1]


def test_with_and_without_depth_in_one_batch(engine: LocalEngine) -> None:
    rows = [request_for(sample(n, depth=n % 2 == 0), engine, max_tokens=3) for n in range(4)]
    assert [len(r.images) for r in rows] == [2, 1, 2, 1]
    assert all(r.error is None for r in engine.generate(rows))


def test_adapter_folder_answers_differently(tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    from sifthinker.engines.processor import load_model

    base = save_tiny_qwen(tmp_path / "base")
    lora = LoraConfig(r=4, lora_alpha=64, target_modules=["q_proj", "v_proj", "o_proj"], init_lora_weights=False)
    get_peft_model(load_model(base), lora).save_pretrained(tmp_path / "adapter")
    texts = []
    for folder in (base, tmp_path / "adapter"):
        with open_engine(str(folder), device="cpu") as engine:
            assert engine.family.name == "qwen2.5-vl"
            row = request_for(sample(1), engine, max_tokens=12, temperature=1.0, seed=1)
            texts.append(engine.generate([row])[0].text)
    assert texts[0] != texts[1]


def test_bad_options_are_one_clear_line(engine: LocalEngine) -> None:
    for options, message in (
        ({"dtype": "float99"}, "unknown dtype 'float99': expected bfloat16"),
        ({"device": "nowhere"}, "cannot be put on device 'nowhere'"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            open_engine(engine.model_id, **options)
        assert "\n" not in str(caught.value)
