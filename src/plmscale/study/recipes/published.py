"""Published rules of learning rate, batch and weight decay, with their sources.

Those of decoders were found on text, with other vocabularies and objectives: a start for a sweep, not its result.
"""

from dataclasses import dataclass
from typing import Literal

from .rule import Factor, Rule

Quantity = Literal["learning_rate", "batch_tokens", "weight_decay"]

_PAPER = "Serrano et al. 2024, arXiv 2406.07249, appendix D"
_ESM2 = "Lin et al. 2023, Science 379:1123, supplement; all sizes but the 15B"
_BI = "Bi et al. 2024 (DeepSeek LLM), arXiv 2401.02954, equation 1"
_LI = "Li et al. 2025 (Step Law), arXiv 2503.04715"


@dataclass(frozen=True)
class Published:
    """A published rule.

    Attributes
    ----------
    rule : Rule
    formula : str
        For people.
    source : str
    found_on : str
        The models that it was found on, or used for.
    """

    rule: Rule
    formula: str
    source: str
    found_on: str


_MASKED, _DECODERS = "masked protein models", "decoders of text"

PUBLISHED: dict[Quantity, dict[str, Published]] = {
    "learning_rate": {
        "paper": Published(Rule(1e-5), "1e-5", _PAPER, _MASKED),
        "esm2": Published(Rule(4e-4), "4e-4", _ESM2, _MASKED),
        "bi2024": Published(Rule(0.3118, (Factor("C", -0.1250),)), "0.3118 * C^-0.1250", _BI, _DECODERS),
        "li2025": Published(
            Rule(1.79, (Factor("N", -0.713), Factor("D", 0.307)), inner=True),
            "1.79 * N^-0.713 * D^0.307, N without embeddings",
            _LI,
            _DECODERS,
        ),
    },
    "batch_tokens": {
        "paper": Published(Rule(50_000), "50000", _PAPER, _MASKED),
        "esm2": Published(Rule(2_000_000), "2e6", _ESM2, _MASKED),
        "bi2024": Published(Rule(0.2920, (Factor("C", 0.3271),)), "0.2920 * C^0.3271", _BI, _DECODERS),
        "li2025": Published(Rule(0.58, (Factor("D", 0.571),)), "0.58 * D^0.571", _LI, _DECODERS),
    },
    "weight_decay": {"paper": Published(Rule(0.01), "0.01", _PAPER, _MASKED)},
}
"""By quantity and name. C of `bi2024` leaves the embeddings out; here it is counted by appendix E."""
