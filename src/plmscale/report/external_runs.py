"""The whole analysis on runs that came as a table: fits, tables, figures and a summary, without a training study."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from ..errors import InputError
from ..files import atomic, write_json
from ..laws.confidence.sensitivity import of_curves
from ..laws.cost_to_loss import PAPER_PLATEAU, Reached, flops_to_reach
from ..laws.fit import Fit, FitSettings
from ..laws.methods import fit_curves
from ..presentation.tables import Table, write_table
from ..provenance import versions
from ..results.analysed import Analysed
from ..runs.curves import Curve, smooth, to_frame
from ..runs.tidy import ImportedRuns
from ..study.catalog import FITS, TABLES
from .external_summary import choices_text, reached_table, runs_table, summary_text
from .learning_rates import rates_table
from .sensitivity import table_of
from .stages import Progress, silent
from .tables.laws import law_parameters, optimal_sizes
from .tables.repeated import repeated_table


@dataclass(frozen=True)
class Request:
    """What is asked of the runs.

    Attributes
    ----------
    fits : tuple of str
        Keys of `plmscale.laws.methods.FITS`.
    seed : int
        Seed of the resamples.
    target_loss : float
        Loss (nats) for which the FLOPs to reach it are told, by size.
    settings : FitSettings
    """

    fits: tuple[str, ...] = FITS
    seed: int = 0
    target_loss: float = PAPER_PLATEAU
    settings: FitSettings = field(default_factory=FitSettings)

    def __post_init__(self) -> None:
        unknown = [name for name in self.fits if name not in FITS]
        if unknown or not self.fits:
            raise InputError(f"there are no fits {unknown}; choose among {', '.join(FITS)}.")
        if not self.target_loss > 0:
            raise InputError(f"the target loss is {self.target_loss}; it must be positive (nats).")


@dataclass(frozen=True)
class Answer:
    """Imported runs with the laws that were fitted to them: what the first lines of a summary say.

    Attributes
    ----------
    imported : ImportedRuns
    request : Request
    results : Analysed
        Curves and fits of all groups.
    fit_json : dict
        What the files of the fits hold, by method.
    reached : mapping of str to Reached
        By group.
    """

    imported: ImportedRuns
    request: Request
    results: Analysed
    fit_json: Mapping[str, dict[str, Any]]
    reached: Mapping[str, Reached]

    @property
    def text(self) -> str:
        """The summary without what the exponents owe to choices, which takes as long as the laws themselves."""
        return summary_text(self.imported, self.results, self.reached, choices=None)


@dataclass(frozen=True)
class ExternalAnalysis(Answer):
    """An answer with what its exponents owe to the choices of the analysis.

    Attributes
    ----------
    sensitivity : DataFrame
        `plmscale.laws.confidence.sensitivity.of_curves`: exponents by every combination of choices.
    """

    sensitivity: pd.DataFrame

    @property
    def text(self) -> str:
        """The summary."""
        return summary_text(self.imported, self.results, self.reached, choices=self.sensitivity)

    @property
    def added(self) -> str:
        """What the summary says and the answer before it did not, one group after the other."""
        found = {group: choices_text(self.results, self.sensitivity, group) for group in self.results.schedules}
        lines = [line for group, own in found.items() if own for line in ("", f"Runs: {group}", *own)]
        return "".join(f"{line}\n" for line in lines)


def answer(imported: ImportedRuns, request: Request, *, progress: Progress = silent) -> Answer:
    """Smooth the curves, and fit every law asked for per group."""
    curves = smooth(imported.frame)
    found = {
        name: fit_curves(curves, name=name, seed=request.seed, settings=request.settings)
        for name in progress(request.fits, what="fitting laws")
    }
    fits = {n: {group: Fit.from_json(fit) for group, fit in one["schedules"].items()} for n, one in found.items()}
    results = Analysed(curves, fits)
    reached = {group: _reached(imported.frame, curves, group, request.target_loss) for group in results.schedules}
    return Answer(imported, request, results, found, reached)


def completed(known: Answer, *, progress: Progress = silent) -> ExternalAnalysis:
    """Vary the choices of the analysis."""
    (choices,) = (
        of_curves(curves, settings=known.request.settings)
        for curves in progress([known.results.curves], what="varying the choices of the analysis")
    )
    return ExternalAnalysis(**vars(known), sensitivity=choices)


def analyse(imported: ImportedRuns, request: Request) -> ExternalAnalysis:
    """Smooth the curves, fit every law asked for per group, and vary the choices of the analysis."""
    return completed(answer(imported, request))


def write(analysis: ExternalAnalysis, folder: Path, *, figures: bool = True, progress: Progress = silent) -> list[Path]:
    """Write everything into `folder`, the summary last: where it is, all is.

    Parameters
    ----------
    analysis : ExternalAnalysis
    folder : Path
        Made if absent. `runs.parquet`, `curves.parquet`, `fits/`, `tables/`, `figures/`, `import.json`, `summary.txt`.
    figures : bool
        Whether `figures/` is drawn.
    progress : Progress

    Returns
    -------
    list of Path
        The figures, without suffix.
    """
    summary = folder / "summary.txt"
    summary.unlink(missing_ok=True)
    for name, frame in (("runs", analysis.imported.frame), ("curves", to_frame(analysis.results.curves))):
        with atomic(folder / f"{name}.parquet") as partial_file:
            frame.to_parquet(partial_file, index=False)
    for name, found in analysis.fit_json.items():
        write_json(folder / "fits" / f"{name}.json", found)
    for name, (title, table) in progress(list(_tables(analysis).items()), what="writing tables"):
        write_table(table, folder / "tables", name=name, title=title)
    drawn: list[Path] = []
    if figures:
        # matplotlib and seaborn take a second to import, which whoever wants no figures does not wait for.
        from .external_figures import write_figures

        choices = analysis.sensitivity
        drawn = write_figures(analysis.results, folder / "figures", choices=choices, progress=progress)
    write_json(folder / "import.json", _record(analysis))
    with atomic(summary) as partial_file:
        partial_file.write_text(analysis.text, encoding="utf-8")
    return drawn


def _reached(runs: pd.DataFrame, curves: Sequence[Curve], group: str, loss: float) -> Reached:
    own = [curve for curve in curves if curve.schedule == group]
    return flops_to_reach(runs.loc[runs["schedule"] == group], own, loss=loss)


def _tables(analysis: ExternalAnalysis) -> dict[str, tuple[str, Table]]:
    loss = analysis.request.target_loss
    return {
        "law_parameters": ("Scaling laws: parameters, intervals and verdicts", law_parameters(analysis.results)),
        "optimal_sizes": ("Optimal size per compute budget", optimal_sizes(analysis.results)),
        "runs": ("Runs: size, tokens, FLOPs and final loss", runs_table(analysis.results)),
        "sensitivity": ("Sensitivity of the exponents to choices", table_of(analysis.results, analysis.sensitivity)),
        "learning_rates": (TABLES["learning_rates"].title, rates_table(analysis.results)),
        "repeated_data": (TABLES["repeated_data"].title, repeated_table(analysis.results)),
        "flops_to_reach": (f"FLOPs to reach {loss:g} nats", reached_table(analysis.reached)),
    }


def _record(analysis: ExternalAnalysis) -> dict[str, Any]:
    """What was read and how: enough to say where every number is from."""
    imported, request = analysis.imported, analysis.request
    return {
        "source": imported.source,
        "format": imported.format,
        "notes": list(imported.notes),
        "n_runs": imported.n_runs,
        "n_rows": len(imported.frame),
        "request": asdict(request),
        "versions": versions(),
    }
