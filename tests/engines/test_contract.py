"""What every engine promises: order, length, and that one failed request loses no other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from PIL import Image

from sifthinker.engines import ENGINES, Engine, Request, open_engine, request_for
from sifthinker.errors import InputError
from sifthinker.prompt import Family, build_prompt
from sifthinker.sample import Sample
from tests.openai_server import Failure, serve, text_of
from tests.tiny_models import save_tiny_qwen


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_qwen(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(params=sorted(ENGINES))
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """Each engine of the table, set up so that the question "bad?" fails."""
    with ExitStack() as stack:
        match request.param:
            case "local":
                name = str(request.getfixturevalue("model_folder"))
                options = {"device": "cpu"}
            case "server":
                server = stack.enter_context(
                    serve(
                        lambda body: Failure(400, "bad question") if "bad?" in text_of(body) else "<answer>a</answer>"
                    )
                )
                name, options = f"server:qwen2.5-vl@{server.url}", {"retries": 0}
            case "scripted":
                lines = [{"question": q, "reply": f"re: {q}"} for q in "abcdef"] + [{"question": "bad?", "error": "no"}]
                (tmp_path / "s.jsonl").write_text("\n".join(map(json.dumps, lines)))
                name, options = f"scripted:{tmp_path / 's.jsonl'}", {}
            case "oracle" | "blind" as alone:
                name, options = alone, {}
            case unknown:
                pytest.fail(f"engine {unknown} has no set-up in the contract test")
        yield stack.enter_context(open_engine(name, **options))


STORY = {"kind": "story", "links": [["A", "left", "B"]], "forms": [0]}


def ask(engine: Engine, question: str) -> Request:
    meta = {"task": "stepgame", "world": STORY, "roles": {"x": "A", "y": "B"}}
    sample = Sample(f"id-{question}", Image.new("RGB", (40, 30), "red"), question, meta=meta)
    request = request_for(sample, engine, max_tokens=4, seed=1)
    if question == "bad?":
        # A picture without its block: the local engine cannot ask that; oracle and blind miss the sample.
        return Request(request.id, request.messages, (*request.images, request.images[0]), 4)
    return request


def test_attributes(engine: Engine) -> None:
    assert isinstance(engine.model_id, str)
    assert isinstance(engine.family, Family)
    assert engine.max_pixels >= engine.grid**2 >= 1


@pytest.mark.parametrize("questions", [[], ["a"], ["a", "bad?", "b", "c"], ["bad?", "bad?"], ["f", "e", "d", "c", "b"]])
def test_order_length_and_failures(engine: Engine, questions: list[str]) -> None:
    replies = engine.generate([ask(engine, q) for q in questions])
    assert [r.id for r in replies] == [f"id-{q}" for q in questions]
    for question, reply in zip(questions, replies, strict=True):
        if question == "bad?":
            assert reply.text is None
            assert reply.error
            assert "\n" not in reply.error
        else:
            assert reply.error is None
            assert isinstance(reply.text, str)
            assert reply.finish_reason in ("stop", "length")


def test_generates_twice_the_same(engine: Engine) -> None:
    requests = [ask(engine, "a"), ask(engine, "b")]
    assert [r.text for r in engine.generate(requests)] == [r.text for r in engine.generate(requests)]


def test_request_holds_prompt_and_pictures(engine: Engine) -> None:
    sample = Sample("s", Image.new("RGB", (100, 30)), "what?")
    request = request_for(sample, engine, max_tokens=7, temperature=0.5, seed=3)
    assert (request.id, request.max_tokens, request.temperature, request.seed) == ("s", 7, 0.5, 3)
    assert request.messages == build_prompt(sample)
    assert all(side % engine.grid == 0 for side in request.images[0].size)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("servr:m@http://x", r"unknown engine 'servr': did you mean 'server'\?"),
        ("skripted:f.jsonl", r"unknown engine 'skripted': did you mean 'scripted'\?"),
        ("whatever:thing", r"engine 'whatever:thing': No module named 'whatever'"),
        ("server:", "expected something behind the colon"),
        ("server:qwen", r"expected MODEL@URL, for example qwen@http"),
        ("server:qwen@localhost:8000", r"expected MODEL@URL"),
        ("oracle:x", "engine 'oracle:x': oracle stands alone, without a colon"),
        ("scripted:gone.jsonl", "gone.jsonl: no such file"),
        ("./gone", "./gone: no such folder"),
    ],
)
def test_bad_names(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        open_engine(name)
    assert "\n" not in str(caught.value)


def test_unknown_option(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("")
    with pytest.raises(
        InputError, match="engine 'scripted' has no option 'retries'; it takes: family, max_pixels, grid"
    ):
        open_engine(f"scripted:{tmp_path / 's'}", retries=2)


def make_engine(max_pixels: int = 1) -> Engine:
    from sifthinker.engines.scripted import ScriptedEngine

    return ScriptedEngine(lambda request: "mine", max_pixels=max_pixels)


def test_own_engine_by_module_and_attribute() -> None:
    with open_engine(f"{__name__}:make_engine", max_pixels=784) as engine:
        assert engine.max_pixels == 784
        assert engine.generate([Request("r", [])])[0].text == "mine"
