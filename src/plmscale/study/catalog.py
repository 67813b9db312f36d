"""Names of the fits, tables and figures of a study, and what stands above them in the report.

Choices and defaults that the help of a command shows are here too: the models of the settings take a third of a second
to import.
"""

from typing import Literal, NamedTuple, get_args

FITS = ("envelope", "isoflop", "kaplan", "chinchilla", "plateau", "repeated")
"""Fit methods, in the order of the paper; `repeated` has something to say where tokens were seen again."""

SIZE_LAWS = ("envelope", "isoflop", "chinchilla")
"""Fits that give an optimal size at every compute, in the order in which equal verdicts are preferred."""

BUDGETS = (1e17, 1e18, 1e19, 1e20)
"""FLOPs whose optimal size is asked where nothing else is: those of Serrano et al. 2024, table 2."""

ADVICE_TARGETS = {
    "a": "exponent of the optimal size in FLOPs, a = beta / (alpha + beta)",
    "n_opt": "optimal size at --at-flops",
    "loss": "lowest loss that --at-flops buy",
}
"""What advice may be asked about a law, in words."""

ENGINE_NAMES = ("deepspeed", "torch")
"""Training engines."""

FlopConvention = Literal["appendix_e", "6nd", "6nd_non_embedding", "measured_lengths"]
FLOP_CONVENTIONS: tuple[FlopConvention, ...] = get_args(FlopConvention)
"""How the FLOPs of a run are counted."""

STARTUP_SECONDS = 60.0
"""Of a job before its first step, where nothing is measured."""

PLMS_TSV = "config/published_plms.tsv"
"""Table of published models."""

MAX_LENGTH = 1024
"""Longest input in positions."""

EVALUATION_SEED = 2**32 - 1
"""Seed of the masks of an evaluation: the same for every model, and no training seed."""

EVALUATION_TOKENS = 16_384
"""Most positions in a forward pass of `plmscale evaluate`."""

ComparedBy = Literal["study", "schedule", "set"]
COMPARED_BY: tuple[ComparedBy, ...] = get_args(ComparedBy)
"""What may stand side by side."""

FINDINGS = (
    "outcomes",
    "costs",
    "learning_rates",
    "sensitivity",
    "set_worth",
    "published_models",
    "paper",
    "forecast",
)
"""What is computed beside the fits, for tables, figures, summary and page: results/analysis/{finding}.json."""

OWN_TABLES = (
    "law_parameters",
    "optimal_sizes",
    "runs",
    "sensitivity",
    "flops_to_reach",
    "learning_rates",
    "repeated_data",
)
"""Tables of imported runs."""

IF_ANY = ("learning_rates", "repeated_data", "set_worth", "forecast")
"""Tables and figures of something that not every study does: shown in its report where they hold anything."""


COMPARISON_TABLES = ("exponents", "differences", "optimal_sizes", "matched_losses", "matched_runs", "costs")
"""Tables of a comparison."""


class Product(NamedTuple):
    """A table or figure.

    Attributes
    ----------
    subject : str
        What it shows.
    paper : str
        Its number in the paper, such as "Table 3", where it has one.
    """

    subject: str
    paper: str = ""

    @property
    def title(self) -> str:
        """Short title with the paper's number."""
        return f"{self.paper}. {self.subject}" if self.paper else self.subject


TABLES = {
    "law_parameters": Product("Scaling laws: parameters, intervals and verdicts", "Table 1"),
    "optimal_sizes": Product("Optimal size per compute budget", "Table 2"),
    "data_sets": Product("Data sets: exact counts", "Table 3"),
    "models": Product("Model sizes", "Table 4"),
    "forward_flops": Product("Forward FLOPs of one sequence, by operation", "Table 5"),
    "parameters": Product("Parameters, by part", "Table 6"),
    "runs": Product("Runs: final loss and holdout perplexity"),
    "plan": Product("Compute plan"),
    "planned_vs_actual": Product("Planned versus actual cost"),
    "sensitivity": Product("Sensitivity of the exponents to choices"),
    "learning_rates": Product("Learning rates: optima of sweeps, the rule over sizes, and what being off costs"),
    "repeated_data": Product("Repeated data: what so many passes over one set are worth"),
    "set_worth": Product("Sets of equal count: what the tokens of one are worth in those of another"),
    "published_models": Product("Published models: tokens per parameter, and verdicts under this study's law"),
    "paper": Product("The paper's numbers, its procedures on these runs, and our rules"),
    "forecast": Product("Forecast: losses predicted before training, and what came"),
}

FIGURES = {
    "loss_vs_flops_token_decay": Product("Loss against FLOPs, learning rate decaying with tokens", "Figure 1"),
    "loss_vs_flops_constant": Product("Loss against FLOPs, constant learning rate", "Figure 2"),
    "loss_vs_flops_cosine": Product("Loss against FLOPs, cosine to the end of each run"),
    "loss_vs_flops_wsd": Product("Loss against FLOPs, warm-up, stable learning rate, decay"),
    "plateau": Product("FLOPs to reach the plateau against model size", "Figure 3"),
    "compute_optimal": Product("Compute-optimal size and tokens against FLOPs"),
    "isoflop": Product("IsoFLOP profiles: loss against size at equal compute"),
    "contours": Product("Loss by the parametric law over compute and size, and the efficient frontier"),
    "residuals": Product("What the parametric laws leave unexplained"),
    "parametric_fit": Product("Final losses against the parametric laws"),
    "holdout_perplexity": Product("Holdout perplexity against training FLOPs"),
    "sensitivity": Product("Sensitivity of the exponent a to choices"),
    "learning_rates": Product("Learning rates: loss of sweeps, and the best rate against size"),
    "repeated_data": Product("Repeated data: worth of passes over one set, and losses against passes"),
    "published_models": Product("Published models: tokens per parameter against size"),
    "forecast": Product("Forecast: predicted losses and what came"),
}


def figure_names(schedules: set[str]) -> list[str]:
    """Figures of a study that trains with these schedules."""
    prefix = "loss_vs_flops_"
    return [name for name in FIGURES if not name.startswith(prefix) or name.removeprefix(prefix) in schedules]
