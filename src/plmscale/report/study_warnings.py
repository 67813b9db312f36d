"""What a reader of a study is warned of, beside its verdicts: summary and page say the same."""

from ..results.study_results import Results
from ..runs.collect import version_warnings
from ..study.grid import FIRST_INITIAL_WEIGHTS
from ..study.study import Study
from .learning_rates import off_optimum

NARROW = 320
"""Features below which weights of one scale for all widths order sizes by luck. Of 8 to 160 features sizes came in no
order at up to 9M tokens; at 320 the loss differed from that of `fan_in` by 0.02 nats in the first 0.4M tokens and not
after (docs/explanation/initial-weights.md)."""


def study_warnings(results: Results) -> list[str]:
    """Sentences on learning rates, initial weights and versions; none where there is nothing to warn of."""
    return [
        *(f"Learning rate of {text}" for text in off_optimum(results.rates)),
        *initial_weights_warning(results.study),
        *(f"The {warning}." for warning in version_warnings(results.findings.software)),
    ]


def initial_weights_warning(study: Study) -> list[str]:
    """A sentence if narrow sizes started from weights whose scale does not follow their width."""
    narrow = [model for model in study.models if model.d_model < NARROW]
    if study.config.training.initial_weights != FIRST_INITIAL_WEIGHTS or not narrow:
        return []
    widths = sorted({model.d_model for model in narrow})
    features = " to ".join(str(width) for width in dict.fromkeys((widths[0], widths[-1])))
    sizes = "1 size" if len(narrow) == 1 else f"{len(narrow)} sizes"
    return [
        f"Initial weights of {sizes} with {features} features have a standard deviation of 0.02, far below "
        "1/√features: losses of so narrow sizes may not follow size. Set training.initial_weights to fan_in."
    ]
