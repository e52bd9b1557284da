from __future__ import annotations

import json
from pathlib import Path

import pytest

from sifthinker.engines import Request
from sifthinker.engines.scripted import ScriptedEngine
from sifthinker.errors import InputError
from sifthinker.prompt import build_prompt
from sifthinker.sample import Sample


def script(tmp_path: Path, *lines: object) -> ScriptedEngine:
    path = tmp_path / "s.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return ScriptedEngine(path)


def request(id_: str, question: str = "what?") -> Request:
    return Request(id_, build_prompt(Sample(id_, "photo.jpg", question, choices=("x", "y"))))


def test_by_id_then_question_then_order(tmp_path: Path) -> None:
    engine = script(
        tmp_path,
        {"reply": "first"},
        {"id": "b", "reply": "by id", "finish_reason": "length"},
        {"question": "How many? ", "reply": "by question"},
        {"reply": "second"},
    )
    replies = engine.generate([request("a"), request("b"), request("c", "How many?"), request("b"), request("d")])
    assert [r.text for r in replies] == ["first", "by id", "by question", "by id", "second"]
    assert [r.finish_reason for r in replies] == ["stop", "length", "stop", "length", "stop"]


def test_a_question_is_not_a_part_of_another(tmp_path: Path) -> None:
    engine = script(tmp_path, {"question": "many?", "reply": "no"})
    assert engine.generate([request("a", "How many?")])[0].text is None


def test_errors_and_end_of_script(tmp_path: Path) -> None:
    replies = script(tmp_path, {"error": "out of order"}).generate([request("a"), request("b")])
    assert [r.error for r in replies] == ["out of order", "scripted:s.jsonl has no reply for this request"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"s\.jsonl:2: expected one JSON object a line"),
        ({"replay": "x"}, r"s\.jsonl:2: unknown field 'replay'; known: error, finish_reason, id, question, reply"),
        ({"id": "a"}, r"s\.jsonl:2: expected either 'reply' \(a text\) or 'error'"),
        ({"reply": "a", "error": "b"}, r"s\.jsonl:2: expected either"),
        ({"reply": 3}, r"s\.jsonl:2: reply must be a string"),
    ],
)
def test_bad_scripts(tmp_path: Path, line: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        script(tmp_path, {"reply": "fine"}, line)


def test_function() -> None:
    engine = ScriptedEngine(lambda request: request.id.upper())
    assert [r.text for r in engine.generate([request("a"), request("b")])] == ["A", "B"]
