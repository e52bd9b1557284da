"""Screening: what must not enter a data set, with one reason per drop.

`screen` looks at a sample before words are bought for it, `Seen` finds duplicates, `gold_earns_all` checks the finished
trace.
"""

from __future__ import annotations

from pathlib import Path

from ..answers import read
from ..errors import InputError
from ..geometry import Size
from ..grading import answer_spec
from ..records import digest
from ..sample import Sample
from ..trace import TAG, Trace
from .outcome import Reject
from .rows import PICTURE
from .seen import Keys


def screen(sample: Sample, size: Size) -> Reject | None:
    """The first thing that bars a sample from a data set; None if nothing does. size: of the photo, if there is one."""
    if not sample.question:
        return Reject(sample.id, "empty_question", f"its answer is {sample.answer!r:.80}")
    if not sample.answer:
        return Reject(sample.id, "empty_answer", f"its question is {sample.question!r:.80}")
    if any(TAG.search(words) or PICTURE in words for words in (sample.question, sample.answer, *sample.choices)):
        return Reject(sample.id, "tag_in_text", f"question {sample.question!r}, answer {sample.answer!r}")
    try:
        spec = answer_spec(sample)
    except InputError as error:
        return Reject(sample.id, "question_unclear", str(error))
    if read(sample.answer, spec).value is None:
        return Reject(sample.id, "answer_unreadable", f"{sample.answer!r:.80} is no answer of kind {spec.kind}")
    if sample.image is None:
        return None  # a question in words has nothing to look at
    if not sample.boxes:
        return Reject(sample.id, "no_boxes", "the row names no box of its evidence")
    for box in sample.boxes:
        if box.quantized().is_whole:
            return Reject(sample.id, "gold_is_whole", f"{list(box)} covers {box.area:.3f} of the image")
        if box.too_small(size):
            return Reject(sample.id, "too_small", f"{box.width * size[0]:.1f}x{box.height * size[1]:.1f} pixels")
    return _no_depth(sample)


def _no_depth(sample: Sample) -> Reject | None:
    depth = sample.depth_map()
    if depth is None:
        return None
    # Relative depth is what the traces are about, too: its sums are needed anyway.
    relative = depth.relative()
    for box in sample.boxes:
        if relative.box_mean(box.quantized()) is None:
            return Reject(sample.id, "no_depth_in_box", f"{list(box)} has no pixel with a depth value")
    if relative.is_flat:
        return Reject(sample.id, "depth_flat", "all of the photo is at the same depth")
    return None


class Seen:
    """Ids and questions so far. Feed it every sample of a source in order, also those that are not written again.

    questions: whether a photo may be asked the same but once.
    """

    def __init__(self, questions: bool = True) -> None:
        self.questions = questions
        self._keys = Keys()

    def duplicate(self, sample: Sample) -> Reject | None:
        """`duplicate_id` or `duplicate_question`, or None for a sample that is new."""
        if not self._keys.add("id", sample.id):
            return Reject(sample.id, "duplicate_id", "an earlier row has this id")
        if not self.questions:
            return None
        photo = str(sample.image) if isinstance(sample.image, (str, Path)) else digest(sample.photo_data())
        if not self._keys.add("question", photo, " ".join(sample.question.casefold().split()), *sample.choices):
            return Reject(sample.id, "duplicate_question", f"asked before about this photo: {sample.question}")
        return None


def gold_earns_all(sample: Sample, trace: Trace) -> Reject | None:
    """None if the gold trace earns 1.0 from every reward that can judge the sample, else `gold_reward`."""
    from ..rewards import REWARDS

    marks = {name: reward(trace, sample) for name, reward in REWARDS.items()}
    short = {name: mark for name, mark in marks.items() if mark is not None and mark < 1 - 1e-9}
    if short:
        return Reject(sample.id, "gold_reward", ", ".join(f"{name} {mark:.3f}" for name, mark in short.items()))
    return None
