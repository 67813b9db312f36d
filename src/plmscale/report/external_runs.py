"""Files of runs that came as a table: fits, tables, figures and a summary, without a training study."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..files import atomic, write_json
from ..laws.fit import fits_json
from ..presentation.tables import Table, write_table
from ..provenance import versions
from ..results.external import ExternalAnalysis
from ..runs.curve_files import to_frame
from ..study.catalog import TABLES
from .external_summary import reached_table, runs_table, summary_text
from .learning_rates import rates_table
from .sensitivity import sensitivity_table
from .stages import Progress, silent
from .tables.laws import law_parameters, optimal_sizes
from .tables.repeated import repeated_table


def write(analysis: ExternalAnalysis, folder: Path, *, figures: bool = True, progress: Progress = silent) -> list[Path]:
    """Write everything into `folder`, the summary last: where it is, all is.

    Parameters
    ----------
    analysis : ExternalAnalysis
    folder : Path
        Made if absent. `runs.parquet`, `curves.parquet`, `fits/`, `tables/`, `figures/`, `report.html`, `import.json`,
        `summary.txt`.
    figures : bool
        Whether `figures/` is drawn, and the page written.
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
    for name, found in analysis.results.fits.items():
        write_json(folder / "fits" / f"{name}.json", fits_json(name, found))
    tables = _tables(analysis)
    for name, (title, table) in progress(list(tables.items()), what="writing tables"):
        write_table(table, folder / "tables", name=name, title=title)
    drawn: list[Path] = []
    if figures:
        # matplotlib takes a second to import, for which who wants no figures does not wait.
        from .external_figures import write_figures
        from .page.external_page import write_page

        drawn = write_figures(analysis.results, folder / "figures", progress=progress)
        write_page(analysis, tables, drawn, folder=folder)
    write_json(folder / "import.json", _record(analysis))
    with atomic(summary) as partial_file:
        partial_file.write_text(summary_text(analysis.imported, analysis.results, analysis.reached), encoding="utf-8")
    return drawn


def _tables(analysis: ExternalAnalysis) -> dict[str, tuple[str, Table]]:
    loss = analysis.request.target_loss
    return {
        "law_parameters": (
            "Scaling laws: parameters, intervals and verdicts",
            law_parameters(analysis.results, groups="Group"),
        ),
        "optimal_sizes": ("Optimal size per compute budget", optimal_sizes(analysis.results, groups="Group")),
        "runs": ("Runs: size, tokens, FLOPs and final loss", runs_table(analysis.results)),
        "sensitivity": ("Sensitivity of the exponents to choices", sensitivity_table(analysis.results, groups="Group")),
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
        "loss": imported.loss,
        "notes": list(imported.notes),
        "n_runs": imported.n_runs,
        "n_rows": len(imported.frame),
        "request": asdict(request),
        "versions": versions(),
    }
