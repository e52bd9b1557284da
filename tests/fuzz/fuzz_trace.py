"""Fuzz target for the trace parser: run `python tests/fuzz/fuzz_trace.py -max_total_time=600`.

Holds for any text: parsing does not raise, faults lie inside of the reply, a valid reply survives a round trip through
`format_trace`, and a stream cut anywhere ends with the same trace. Needs the `dev` extra (atheris); pytest does not
collect it.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["sifthinker.trace", "sifthinker.geometry", "json"]):
    from sifthinker.trace import TraceStream, format_trace, parse_trace

PIECES = (
    *(f"<{slash}{name}>" for name in ("think", "area", "text", "answer") for slash in ("", "/")),
    '[{"bbox_2d":[0.100,0.200,0.300,0.400],"depth":0.500}]',
    '{"bbox_2d":[0,0,1,1]}',
    "[[[[",
    "\n",
    "1e999",
    "NaN",
    "\ud800",
)


def reply_of(data: atheris.FuzzedDataProvider) -> str:
    """Tags, items and free text in any order, so that the fuzzer need not find the tags letter by letter."""
    parts = []
    while data.remaining_bytes() > 1:
        index = data.ConsumeIntInRange(0, len(PIECES) + 3)
        parts.append(PIECES[index] if index < len(PIECES) else data.ConsumeUnicode(data.ConsumeIntInRange(0, 24)))
    return "".join(parts)


def check(raw: bytes) -> None:
    data = atheris.FuzzedDataProvider(raw)
    required, cut = data.ConsumeBool(), data.ConsumeIntInRange(1, 64)
    reply = reply_of(data)
    trace = parse_trace(reply, depth_required=required)
    for fault in trace.faults:
        assert 0 <= fault.start <= fault.end <= len(reply)
    if trace.valid:
        assert parse_trace(format_trace(trace), depth_required=required) == trace
    stream = TraceStream(depth_required=required)
    for start in range(0, len(reply), cut):
        stream.feed(reply[start : start + cut])
    assert stream.close() == trace


if __name__ == "__main__":
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
