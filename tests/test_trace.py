"""Traces: reading is total, writing is its inverse, every fault is found at its place."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sifthinker import Area, Box, Step, Trace, format_trace, parse_trace
from sifthinker.geometry import WHOLE, Frame
from sifthinker.trace import FaultKind, TraceStream, trace_regex

ITEM = '{"bbox_2d":[0.100,0.200,0.300,0.400],"depth":0.500}'
GOOD = f"<think>\n<area>[{ITEM}]</area>\n<text>I look.</text>\n</think>\n<answer>Pink.</answer>"

# --- strategies ---

grid = st.integers(0, 1000)


@st.composite
def boxes(draw):
    (x0, x1), (y0, y1) = (sorted(draw(st.tuples(grid, grid).filter(lambda p: p[0] != p[1]))) for _ in "xy")
    return Box(x0 / 1000, y0 / 1000, x1 / 1000, y1 / 1000)


TAGS = [f"<{slash}{name}>" for name in ("think", "area", "text", "answer") for slash in ("", "/")]
words = st.text(min_size=1, max_size=30).filter(lambda t: t.strip() and not any(tag in t for tag in TAGS))
depths = st.one_of(st.none(), grid.map(lambda d: d / 1000))


@st.composite
def traces(draw, depth=depths, text=words):
    steps = []
    for _ in range(draw(st.integers(1, 4))):
        found = draw(st.lists(boxes(), min_size=1, max_size=3))
        steps.append(Step(Area(tuple(found), tuple(draw(depth) for _ in found)), draw(text)))
    return Trace(tuple(steps), draw(text))


@st.composite
def mutated(draw):
    """A valid reply with parts cut, doubled, swapped or replaced."""
    reply = format_trace(draw(traces()))
    for _ in range(draw(st.integers(1, 4))):
        i, j = sorted(draw(st.tuples(*[st.integers(0, len(reply))] * 2)))
        part = draw(
            st.sampled_from(["", reply[i:j] * 2, *TAGS, "<", '"', "1e9", "NaN", "[" * 50, "\x00", "\ud800", "0.12345"])
        )
        reply = reply[:i] + part + reply[j:]
    return reply


soup = st.lists(
    st.sampled_from([*TAGS, f"[{ITEM}]", "[]", "x", " ", "\n", "{", "<", ">"]) | st.text(max_size=5), max_size=20
)
replies = st.one_of(mutated(), soup.map("".join), st.text(max_size=200))

# --- properties ---


@given(traces())
def test_parse_is_the_inverse_of_format(trace):
    back = parse_trace(format_trace(trace), depth_required=False)
    assert back == trace
    assert back.valid
    assert Trace.from_json(back.to_json()) == trace


@given(traces(), st.sampled_from(["", " ", "\n\t"]), st.booleans())
def test_white_space_between_elements_is_free(trace, space, required):
    assume(not required or all(d is not None for s in trace.steps for d in s.area.depths))
    reply = re.sub(r"\n(?=</?(?:think|area|text|answer)>)", space, format_trace(trace))
    assert parse_trace(space + reply + space, depth_required=required) == trace


@given(replies, st.booleans())
def test_parse_never_raises_and_its_faults_are_in_place(reply, required):
    trace = parse_trace(reply, depth_required=required)
    assert trace.valid == (not trace.faults)
    for fault in trace.faults:
        assert 0 <= fault.start <= fault.end <= len(reply)
        assert fault.message
    assert list(trace.faults) == sorted(trace.faults, key=lambda f: (f.start, f.end))
    for step in trace.steps:
        assert len(step.area.boxes) == len(step.area.depths)
    if trace.valid:
        assert trace.steps
        assert trace.answer
        again = format_trace(trace)
        assert parse_trace(again, depth_required=required) == trace
    assert Trace.from_json(trace.to_json()) == trace


@given(replies, st.sampled_from(list(Frame)))
def test_parse_is_total_in_every_frame(reply, frame):
    trace = parse_trace(reply, frame=frame, size=(640, 428))
    assert all(0 <= b.x0 < b.x1 <= 1 and 0 <= b.y0 < b.y1 <= 1 for s in trace.steps for b in s.area.boxes)


@given(replies, st.lists(st.integers(1, 40), min_size=1, max_size=30), st.booleans())
def test_a_stream_ends_with_the_same_trace(reply, cuts, required):
    stream = TraceStream(depth_required=required)
    events, position = [], 0
    while position < len(reply):
        length = cuts[len(events) % len(cuts)]
        events += stream.feed(reply[position : position + length])
        position += length
    assert stream.close() == parse_trace(reply, depth_required=required)
    whole = TraceStream(depth_required=required)
    assert list(whole.feed(reply)) == events  # the cuts do not matter
    for event in events:
        assert reply[event.start : event.end].startswith(f"<{event.kind}>")
        assert reply[event.start : event.end].endswith(f"</{event.kind}>")


@given(traces())
def test_a_stream_shows_every_part_of_a_valid_reply(trace):
    stream = TraceStream(depth_required=False)
    events = [e for character in format_trace(trace) for e in stream.feed(character)]
    expected = [part for s in trace.steps for part in (("area", s.area), ("text", s.text))] + [("answer", trace.answer)]
    assert [(e.kind, e.value) for e in events] == expected


plain = st.text(min_size=1, max_size=20).filter(lambda t: t.strip() and "<" not in t and ">" not in t)


@given(traces(depth=grid.map(lambda d: d / 1000), text=plain), traces(depth=st.none(), text=plain))
def test_the_regex_takes_what_format_writes(with_depth, without):
    assert re.fullmatch(trace_regex(depth=True), format_trace(with_depth))
    assert re.fullmatch(trace_regex(depth=False), format_trace(without))
    assert not re.fullmatch(trace_regex(depth=False), format_trace(with_depth))


@pytest.mark.parametrize("depth", [True, False])
def test_what_the_regex_takes_is_valid(depth):
    @given(st.from_regex(trace_regex(depth=depth, max_steps=2), fullmatch=True))
    def check(reply):
        kinds = {f.kind for f in parse_trace(reply, depth_required=depth).faults}
        assert kinds <= {FaultKind.BAD_BOX}  # the order of edges is beyond regular languages

    check()


# --- faults ---

# kind, reply, the offending part (None: a place without text)
FAULTS = [
    (FaultKind.MISSING_TAG, GOOD.replace("<think>\n", ""), None),
    (FaultKind.MISSING_TAG, GOOD.partition("\n<answer>")[0], None),
    (FaultKind.STRAY_TAG, GOOD.replace("</think>", "</think></text>"), "</text>"),
    (FaultKind.STRAY_TAG, GOOD.replace("<think>", "<think><think>"), "<think>"),
    (FaultKind.STRAY_TAG, GOOD + "</think>", "</think>"),
    (FaultKind.UNCLOSED_TAG, GOOD.replace("</text>\n", ""), "<text>I look."),
    (FaultKind.UNCLOSED_TAG, GOOD.replace("</area>\n", ""), f"<area>[{ITEM}]"),
    (FaultKind.TRUNCATED, GOOD[:-9], "<answer>Pink."),
    (FaultKind.TRUNCATED, GOOD.partition("look")[0], "<text>I "),
    (FaultKind.TRUNCATED, GOOD.partition("</think>")[0], ""),
    (FaultKind.ORDER, GOOD.replace("\n<text>I look.</text>", ""), f"<area>[{ITEM}]</area>"),
    (FaultKind.ORDER, GOOD.replace(f"<area>[{ITEM}]</area>\n", ""), "<text>I look.</text>"),
    (FaultKind.ORDER, "<answer>x</answer>" + GOOD, "<answer>x</answer>"),
    (FaultKind.ORDER, GOOD.replace("</think>", "") + "</think>", "<answer>Pink.</answer>"),
    (FaultKind.OUTSIDE_TEXT, GOOD.replace("<area>", " hm, <area>"), "hm,"),
    (FaultKind.OUTSIDE_TEXT, GOOD + " bye \n", "bye"),
    (FaultKind.OUTSIDE_TEXT, "Sure! " + GOOD, "Sure!"),
    (FaultKind.NO_STEPS, "<think>\n</think>\n<answer>Pink.</answer>", "<think>\n</think>\n<answer>Pink.</answer>"),
    (FaultKind.EMPTY_AREA, GOOD.replace(ITEM, ""), "<area>[]</area>"),
    (FaultKind.EMPTY_TEXT, GOOD.replace("I look.", " "), "<text> </text>"),
    (FaultKind.EMPTY_ANSWER, GOOD.replace("Pink.", "\n"), "<answer>\n</answer>"),
    (FaultKind.DUPLICATE_ANSWER, GOOD + "<answer>Red.</answer>", "<answer>Red.</answer>"),
    (FaultKind.BAD_JSON, GOOD.replace(f"[{ITEM}]", "[{]"), "<area>[{]</area>"),
    (FaultKind.BAD_JSON, GOOD.replace(f"[{ITEM}]", "[" * 99999), f"<area>{'[' * 99999}</area>"),
    (FaultKind.BAD_JSON, GOOD.replace('"depth":0.500', '"depth":0.1,"depth":0.2'), None),
    (FaultKind.BAD_ITEM, GOOD.replace(f"[{ITEM}]", ITEM), f"<area>{ITEM}</area>"),
    (FaultKind.BAD_ITEM, GOOD.replace(ITEM, "[0.1,0.2,0.3,0.4]"), "<area>[[0.1,0.2,0.3,0.4]]</area>"),
    (FaultKind.BAD_ITEM, GOOD.replace('"depth"', '"label":"x","depth"'), None),
    (FaultKind.BAD_BOX, GOOD.replace("0.300", "0.050"), None),
    (FaultKind.BAD_BOX, GOOD.replace("0.300", "1.300"), None),
    (FaultKind.BAD_BOX, GOOD.replace("0.300", "0.100"), None),
    (FaultKind.BAD_BOX, GOOD.replace("0.300", "NaN"), None),
    (FaultKind.BAD_BOX, GOOD.replace("0.300", '"0.3"'), None),
    (FaultKind.BAD_BOX, GOOD.replace("0.300,", ""), None),
    (FaultKind.BAD_DEPTH, GOOD.replace("0.500", "1.500"), None),
    (FaultKind.BAD_DEPTH, GOOD.replace("0.500", "-0.5"), None),
    (FaultKind.BAD_DEPTH, GOOD.replace("0.500", "null"), None),
    (FaultKind.BAD_DEPTH, GOOD.replace("0.500", "true"), None),
    (FaultKind.MISSING_DEPTH, GOOD.replace(',"depth":0.500', ""), None),
    (FaultKind.PRECISION, GOOD.replace("0.300", "0.3001"), None),
    (FaultKind.PRECISION, GOOD.replace("0.500", "5e-1"), None),
]


@pytest.mark.parametrize(("kind", "reply", "part"), FAULTS)
def test_fault(kind, reply, part):
    found = [f for f in parse_trace(reply).faults if f.kind is kind]
    assert found
    if part is not None:
        assert part in [reply[f.start : f.end] for f in found]


def test_every_kind_of_fault_has_an_example():
    assert {kind for kind, _, _ in FAULTS} == set(FaultKind)


@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        (("</text>\n", ""), {FaultKind.UNCLOSED_TAG}),
        (("0.500", "0.5001"), {FaultKind.PRECISION}),
        ((',"depth":0.500', ""), {FaultKind.MISSING_DEPTH}),
        (("Pink.", ""), {FaultKind.EMPTY_ANSWER}),
    ],
)
def test_one_slip_is_one_fault_and_the_rest_is_recovered(change, kinds):
    trace = parse_trace(GOOD.replace(*change))
    assert {f.kind for f in trace.faults} == kinds
    assert [list(s.area.boxes) for s in trace.steps] == [[Box(0.1, 0.2, 0.3, 0.4)]]
    assert trace.steps[0].text == "I look."


def test_a_missing_depth_does_not_shift_the_others():
    trace = parse_trace(GOOD.replace(ITEM, f'{{"bbox_2d":[0,0,1,0.5]}},{ITEM}'))
    assert trace.steps[0].area.depths == (None, 0.5)


def test_depth_is_free_only_where_it_is_not_required():
    reply = GOOD.replace(',"depth":0.500', "")
    assert parse_trace(reply, depth_required=False).valid
    assert not parse_trace(reply).valid


def test_a_cut_off_answer_is_no_answer():
    assert parse_trace(GOOD.removesuffix("</answer>")).answer is None
    assert parse_trace(GOOD + "<answer>Re").answer is None
    assert parse_trace(GOOD.replace("</think>", "")).answer == "Pink."
    assert parse_trace(GOOD + "<answer>Red</answer>").answer == "Red"


def test_long_broken_replies_are_read_quickly():
    for junk in (*TAGS, "<area>[", "[", "<", GOOD):
        reply = junk * 3000
        parse_trace(reply)
        stream = TraceStream()
        for i in range(0, len(reply), 64):
            stream.feed(reply[i : i + 64])


@pytest.mark.parametrize(
    ("frame", "numbers"),
    [
        (Frame.K1000_XYXY, "209,612,441,984"),
        (Frame.PIXEL_XYXY, "134,262,282,421"),
        (Frame.PIXEL_XYXY, "134.0,262.0,282.0,421.25"),
    ],
)
def test_native_frames(frame, numbers):
    reply = GOOD.replace("0.100,0.200,0.300,0.400", numbers)
    trace = parse_trace(reply, frame=frame, size=(640, 428))
    assert trace.valid
    assert list(trace.steps[0].area.boxes[0]) == pytest.approx([0.209, 0.612, 0.441, 0.984], abs=0.0011)
    with pytest.raises(TypeError, match="needs the image size"):
        parse_trace(reply, frame=frame)


# --- values ---


def test_areas_are_what_their_text_says():
    area = Area((Box(0.10001, 0.2, 0.30049, 0.4),), (0.12349,))
    assert area == Area((Box(0.1, 0.2, 0.3, 0.4),), (0.123,))
    with pytest.raises(ValueError, match="1 boxes with 2 depths"):
        Area((WHOLE,), (0.1, 0.2))
    with pytest.raises(ValueError, match=r"depth 1\.1: relative depth lies in"):
        Area((WHOLE,), (1.1,))


def test_whole_and_first_focus():
    whole, near = Area((WHOLE,), (None,)), Area((Box(0, 0, 0.5, 0.5),), (None,))
    trace = Trace((Step(whole, "a"), Step(near, "b"), Step(whole, "c")), "x")
    assert trace.first_focus == near
    assert trace.last_area == whole
    assert Trace((Step(whole, "a"),), "x").first_focus is None
    assert Trace((), None).last_area is None


@pytest.mark.parametrize(
    ("trace", "message"),
    [
        (Trace((), "x"), "a trace needs at least one step"),
        (
            Trace((Step(Area((WHOLE,), (None,)), "x"), Step(Area((), ()), "x")), "x"),
            "step 2: an area needs at least one box",
        ),
        (Trace((Step(Area((WHOLE,), (None,)), " "),), "x"), "text of step 1 is empty"),
        (Trace((Step(Area((WHOLE,), (None,)), "x"),), None), "answer is empty"),
        (Trace((Step(Area((WHOLE,), (None,)), "a </text> b"),), "x"), "text of step 1 contains the tag </text>"),
    ],
)
def test_format_refuses_what_the_grammar_cannot_say(trace, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        format_trace(trace)


def test_format_is_the_documented_text():
    trace = Trace((Step(Area((WHOLE,), (0.5,)), "A street."),), "Pink.")
    assert format_trace(trace) == (
        '<think>\n<area>[{"bbox_2d":[0.000,0.000,1.000,1.000],"depth":0.500}]</area>\n<text>A street.</text>\n'
        "</think>\n<answer>Pink.</answer>"
    )


def test_questions_in_words_have_traces_of_words():
    trace = Trace((Step(Area((), ()), "A is left of B."), Step(Area((), ()), "So B is right of A.")), "right")
    assert format_trace(trace).count("<area>") == 0
    assert parse_trace(format_trace(trace), areas=False) == trace
    assert FaultKind.ORDER in {f.kind for f in parse_trace(format_trace(trace)).faults}
    looked = parse_trace("<think><area>[]</area><text>x</text></think><answer>y</answer>", areas=False)
    assert FaultKind.STRAY_TAG in {f.kind for f in looked.faults}
