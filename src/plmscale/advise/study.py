"""The next best cells of a study: its sizes, its sets and their neighbours, at the cost that its plan gives them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import InputError
from ..laws.analysis import fit_settings
from ..plan.plan import Records
from ..runs.curves import Curve
from ..study.study import Study
from .advice import Candidates, Question
from .advise import advice_by_schedule
from .candidates import Candidate
from .report import write_advice
from .study_candidates import of_study
from .targets import Target


def advise_study(
    curves: Sequence[Curve], study: Study, *, counted: Mapping[str, int], records: Records, tsv: Path, md: Path
) -> str:
    """Advice on every schedule of a study, written and in words.

    Parameters
    ----------
    curves : sequence of Curve
        Those of results/analysis/curves.parquet.
    study : Study
        With `advice` in its configuration.
    counted : mapping of str to int
        Exact tokens of the sets that exist.
    records : mapping of str to dict
        Measured speeds by size.
    tsv, md : Path
        See `plmscale.advise.report.write_advice`.

    Raises
    ------
    InputError
        If the configuration names no budget.
    """
    asked = study.config.advice
    if asked.budget_gpu_hours is None:
        raise InputError(
            "advice.budget_gpu_hours is null: how many device-hours may the next cells cost? "
            "--config advice='{budget_gpu_hours: 500}'"
        )
    question = Question(Target(asked.target, asked.at_flops), device_hours=asked.budget_gpu_hours)

    def candidates(schedule: str) -> Candidates:
        def found(curves: Sequence[Curve]) -> list[Candidate]:
            return of_study(study, curves, schedule=schedule, counted=counted, records=records)

        return found

    advice = advice_by_schedule(
        curves,
        question,
        candidates=candidates,
        seed=study.config.data_seed,
        settings=fit_settings(study.config.analysis),
    )
    return write_advice(advice, tsv=tsv, md=md)
