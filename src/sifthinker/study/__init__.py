"""A study: models trained in several ways from several seeds, asked the same questions, and compared with a reference.

A recipe says what is trained (`rows`), how often (`seeds`), and on what all are asked (`benchmarks`); `docs/study.md`
shows one. Trainings and evaluations are those of `sifthinker train` and `eval`, which resume; nothing here trains or
grades.

    OUT/ROW/seed-S/STAGE              run folders of the trainings
    OUT/ROW/seed-S/eval/BENCHMARK     run folders of the evaluations; of rows without training at the first seed only
    OUT/ROW/seed-S/times.json         seconds of each session that trained
    OUT/study.json, OUT/study.md      the result
"""

from .recipe import Row, Study, read_study
from .result import result_of, summary
from .run import look, run_row, study

__all__ = ["Row", "Study", "look", "read_study", "result_of", "run_row", "study", "summary"]
