"""Batch files: requests are written, results are read, what failed is written again, and the rest is not."""

import json

import pytest

import sifthinker.datagen.annotators.batch as batch
from sifthinker.datagen.annotators.asking import Asking
from sifthinker.datagen.build import build
from sifthinker.errors import InputError, Paused
from sifthinker.records import read_rows
from tests.openai_server import completion, serve

from .photos import own_rows
from .test_build import check
from .test_teacher import reply_to

REFUSED = {"status_code": 400, "body": {"error": {"message": "no picture for me"}}}


def requests_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def result(request, text=None, response=None):
    answer = reply_to(request["body"]) if text is None else text
    response = response or {"status_code": 200, "body": completion(answer)}
    return json.dumps({"custom_id": request["custom_id"], "response": response, "error": None}) + "\n"


def test_a_data_set_by_batch_files(tmp_path):
    rows, out = own_rows(tmp_path, 8), tmp_path / "out"

    def run():
        return build(f"jsonl:{rows}", out, annotator="batch:m", rows_per_shard=3, resume=True)

    with pytest.raises(Paused, match=r"8 requests wait .*; new requests are in requests-000.jsonl.*results-.*--resume"):
        run()
    first = requests_of(out / "batch" / "requests-000.jsonl")
    assert [r["url"] for r in first] == ["/v1/chat/completions"] * 8
    assert {r["method"] for r in first} == {"POST"}
    assert first[0]["body"]["model"] == "m"
    assert first[0]["body"]["messages"][1]["content"][2]["image_url"]["url"].startswith("data:image/jpeg;base64,")
    # Without results, nothing new is written.
    with pytest.raises(Paused, match=r"8 requests wait .*; no request is new"):
        run()
    # Out of order: 0 is refused, 1 is faulty, 7 is not there yet.
    lines = [result(r) for r in first[2:7]] + [result(first[1], "no"), result(first[0], response=REFUSED)]
    (out / "batch" / "results-0.jsonl").write_text("".join(reversed(lines)))
    with pytest.raises(Paused, match=r"3 requests wait .*; new requests are in requests-001.jsonl"):
        run()
    second = requests_of(out / "batch" / "requests-001.jsonl")
    assert [r["custom_id"] == first[0]["custom_id"] for r in second] == [True, False]
    assert "no JSON in the reply" in second[1]["body"]["messages"][3]["content"]
    (out / "batch" / "results-1.jsonl").write_text(
        result(second[0], response=REFUSED) + result(second[1]) + result(first[7])
    )
    manifest = run()
    assert manifest == check(out)
    assert manifest["rejects_by_reason"] == {"annotator_failed": 1}
    assert manifest["kept"] == 7
    assert {row["annotator"] for row in read_rows(out)} == {"batch:m"}
    # The same replies serve a server of that model, and another data set.
    with serve(reply_to) as server:
        build(f"jsonl:{rows}", tmp_path / "live", annotator=f"m@{server.url}", asking=Asking(replies=out))
        assert server.count == 1, "only the row that the batch refused"
    again = tmp_path / "again"
    with pytest.raises(Paused, match="1 requests wait"):
        build(f"jsonl:{rows}", again, annotator="batch:m", asking=Asking(replies=out), rows_per_shard=3)
    (again / "batch" / "results.jsonl").write_text(result(requests_of(again / "batch" / "requests-000.jsonl")[0]))
    assert build(f"jsonl:{rows}", again, annotator="batch:m", rows_per_shard=3, resume=True,
                 asking=Asking(replies=out))["kept"] == 8  # fmt: skip


def test_a_result_that_never_comes_is_asked_for_again(tmp_path):
    rows, out = own_rows(tmp_path, 3), tmp_path / "out"

    def run():
        return build(f"jsonl:{rows}", out, annotator="batch:m", resume=True)

    with pytest.raises(Paused):
        run()
    written = out / "batch" / "requests-000.jsonl"
    first = requests_of(written)
    (out / "batch" / "results-0.jsonl").write_text("".join(map(result, first[:2])))
    with pytest.raises(Paused, match=r"1 requests wait .*; no request is new"):
        run()
    # As the message says.
    written.unlink()
    with pytest.raises(Paused, match="1 requests wait"):
        run()
    assert [r["custom_id"] for r in requests_of(written)] == [first[2]["custom_id"]]
    (out / "batch" / "results-1.jsonl").write_text(result(first[2]))
    assert run()["kept"] == 3


def test_fields_that_the_service_refuses_are_left_out(tmp_path):
    """One after the other, as services name them, and for all rows; a service that goes on refusing is given up."""
    rows, out = own_rows(tmp_path, 3), tmp_path / "out"

    def answer(body):
        for name, words in (("max_tokens", "Use 'max_completion_tokens' instead."), ("seed", ""), ("temperature", "")):
            if name in body:
                message = f"Unsupported parameter: '{name}' is not supported with this model. {words}"
                return {"status_code": 400, "body": {"error": {"message": message}}}
        return REFUSED if body["messages"][1]["content"][-1]["text"].endswith("thing 2") else None

    for turn, count in enumerate((3, 3, 3, 3, 1)):
        with pytest.raises(Paused, match=f"{count} requests wait"):
            build(f"jsonl:{rows}", out, annotator="batch:o3", resume=True)
        requests = requests_of(out / "batch" / f"requests-{turn:03d}.jsonl")
        assert len(requests) == count
        results = "".join(result(request, response=answer(request["body"])) for request in requests)
        (out / "batch" / f"results-{turn}.jsonl").write_text(results)
    assert requests[0]["body"]["max_completion_tokens"] == 1200
    assert not {"max_tokens", "seed", "temperature"} & requests[0]["body"].keys()
    manifest = build(f"jsonl:{rows}", out, annotator="batch:o3", resume=True)
    assert (manifest["kept"], manifest["rejects_by_reason"]) == (2, {"annotator_failed": 1})


def test_files_are_split_at_the_limits(tmp_path, monkeypatch):
    rows = own_rows(tmp_path, 5)
    monkeypatch.setattr(batch, "MOST_LINES", 2)
    with pytest.raises(Paused, match=r"requests-000.jsonl, requests-001.jsonl, requests-002.jsonl"):
        build(f"jsonl:{rows}", tmp_path / "lines", annotator="batch:m")
    files = sorted((tmp_path / "lines" / "batch").iterdir())
    assert [len(requests_of(f)) for f in files] == [2, 2, 1]
    size = files[0].stat().st_size // 2
    monkeypatch.setattr(batch, "MOST_LINES", 50_000)
    monkeypatch.setattr(batch, "MOST_BYTES", 3 * size + size // 2)
    with pytest.raises(Paused):
        build(f"jsonl:{rows}", tmp_path / "bytes", annotator="batch:m")
    files = sorted((tmp_path / "bytes" / "batch").iterdir())
    assert all(f.stat().st_size <= 3.5 * size for f in files)
    assert sum(len(requests_of(f)) for f in files) == 5
    assert len(files) == 2


def test_results_of_something_else(tmp_path):
    rows, out = own_rows(tmp_path, 2), tmp_path / "out"
    with pytest.raises(Paused):
        build(f"jsonl:{rows}", out, annotator="batch:m")
    results = out / "batch" / "results.jsonl"
    results.write_text('{"custom_id": "x"}\n')
    with pytest.raises(InputError, match=r"results.jsonl:1: custom_id 'x' is in none of the requests"):
        build(f"jsonl:{rows}", out, annotator="batch:m", resume=True)
    results.write_text("{torn")
    with pytest.raises(InputError, match=r"results.jsonl:1: expected one JSON object a line"):
        build(f"jsonl:{rows}", out, annotator="batch:m", resume=True)
    first = requests_of(out / "batch" / "requests-000.jsonl")
    results.write_text(result(first[0]) + result(first[1], response={"status_code": 200, "body": {"hello": "world"}}))
    with pytest.raises(Paused, match=r"1 requests wait .*; new requests are in requests-001.jsonl"):
        build(f"jsonl:{rows}", out, annotator="batch:m", resume=True)
    assert (out / ".shards" / "run.json").exists()
