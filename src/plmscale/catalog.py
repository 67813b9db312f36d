"""Names of the fits, tables and figures of a study, and what stands above them in the report."""

from typing import NamedTuple

FITS = ("envelope", "isoflop", "kaplan", "chinchilla", "plateau")
"""Fit methods, in the order of the paper."""

FIT_MODULES = (
    "analysis",
    "budgets",
    "chinchilla",
    "curves",
    "envelope",
    "fits",
    "gauss_newton",
    "isoflop",
    "kaplan",
    "laws",
    "parametric",
    "plateau",
    "plateau_fits",
    "points",
    "scaling",
    "uncertainty",
)
"""Modules that a fit depends on: an edit of one of them refits."""

SHOWN = ("config", "curves", "files", "fits", "formats", "grid", "outcomes", "plan", "results", "study")
"""What everything that shows a study depends on."""

TABLE_MODULES = (*SHOWN, "catalog", "law_tables", "table_formats", "table_html", "tables")
FIGURE_MODULES = (
    *SHOWN,
    "budgets",
    "catalog",
    "chinchilla",
    "figure_style",
    "figures",
    "gauss_newton",
    "law_figures",
    "laws",
    "parametric",
    "points",
    "uncertainty",
)
SUMMARY_MODULES = (*SHOWN, "law_tables", "runs", "summary", "table_formats")
"""Modules that tables, figures and summary depend on: an edit of one of them makes them anew."""


class Product(NamedTuple):
    """A table or figure.

    Attributes
    ----------
    title : str
        Short title; the paper's number where it has one.
    """

    title: str


TABLES = {
    "law_parameters": Product("Table 1. Scaling laws: parameters, intervals and verdicts"),
    "optimal_sizes": Product("Table 2. Optimal size per compute budget"),
    "data_sets": Product("Table 3. Data sets: exact counts"),
    "models": Product("Table 4. Model sizes"),
    "forward_flops": Product("Table 5. Forward FLOPs of one sequence, by operation"),
    "parameters": Product("Table 6. Parameters, by part"),
    "runs": Product("Runs: final loss and holdout perplexity"),
    "plan": Product("Compute plan"),
    "planned_vs_actual": Product("Planned versus actual cost"),
}

FIGURES = {
    "loss_vs_flops_token_decay": Product("Figure 1. Loss against FLOPs, learning rate decaying with tokens"),
    "loss_vs_flops_constant": Product("Figure 2. Loss against FLOPs, constant learning rate"),
    "plateau": Product("Figure 3. FLOPs to reach the plateau against model size"),
    "compute_optimal": Product("Compute-optimal size and tokens against FLOPs"),
    "parametric_fit": Product("Final losses against the parametric laws"),
    "holdout_perplexity": Product("Holdout perplexity against training FLOPs"),
}


def figure_names(schedules: set[str]) -> list[str]:
    """Figures of a study that trains with these schedules."""
    prefix = "loss_vs_flops_"
    return [name for name in FIGURES if not name.startswith(prefix) or name.removeprefix(prefix) in schedules]
