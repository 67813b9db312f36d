"""What would identify a law, by the codes of the reasons why none is."""

from collections import Counter
from collections.abc import Sequence

from ...reasons import Reason

SMALLER = "sizes smaller than the smallest, or more tokens for the larger ones"
LARGER = "sizes larger than the largest, or fewer tokens for the smaller ones"
QUIETER = "more tokens, or more seeds, until sizes differ by more than the noise between runs"
ALIKE = "more sizes at equal compute"
SIZES_APART = "sizes further apart"
SETS_APART = "training sets further apart in tokens"
WIDER = "more runs over wider ranges"

REMEDIES: dict[str, tuple[str, ...]] = {
    SMALLER: ("smallest_size_best", "smaller_always_better", "smaller_in_noise", "vertex_below"),
    LARGER: ("largest_size_best", "larger_always_better", "larger_in_noise", "vertex_above"),
    QUIETER: (
        "pair_in_noise",
        "smaller_in_noise",
        "larger_in_noise",
        "rim_in_noise",
        "size_in_noise",
        "tokens_in_noise",
        "stopped_by_schedule",
    ),
    ALIKE: (
        "few_sizes_at_budget",
        "few_common_sizes",
        "few_common_budgets",
        "few_budgets",
        "nowhere_together",
        "one_size_here",
    ),
    SIZES_APART: ("size_in_noise",),
    SETS_APART: ("tokens_in_noise",),
    WIDER: ("interval_void", "exponent_at_end"),
}
"""Codes by what helps; of two that help equally often the first is named first."""

NAMED = 2
"""Remedies that a reader is told."""


def remedies(reasons: Sequence[Reason]) -> list[str]:
    """What would help most of these verdicts; more runs over wider ranges where nothing particular would.

    Examples
    --------
    >>> remedies([Reason.of("few_valleys", most=Reason("vertex_above")), Reason("few_runs")])
    ['sizes larger than the largest, or fewer tokens for the smaller ones']
    """
    votes = Counter(what for reason in reasons for what, codes in REMEDIES.items() if {*codes} & {*reason.codes})
    return [what for what, _ in votes.most_common(NAMED)] or [WIDER]
