"""Sentences of the report, each a function of the fits alone: the number chooses the word.

A growth is called sublinear only if the whole 95 % interval of its exponent lies below 1, superlinear only if it lies
above. A law that is not identified gives no number; the sentence says what would identify it.
"""

from collections import Counter
from collections.abc import Mapping

import pandas as pd

from ...estimates import Estimate
from ...laws.budgets import EXTRAPOLATED
from ...laws.fit import Fit
from ...laws.size_law import VERDICTS, SizeLaw
from ...presentation.formats import (
    FIT_TITLES,
    STATUS_WORDS,
    balance,
    beside,
    compact,
    sized,
    standing,
    with_interval,
)
from ...presentation.schedule_words import schedule_words
from ...published.models import (
    CHINCHILLA_RATIO,
    NEAR,
    NO_INTERVAL,
    NO_TOKENS,
    OUTSIDE,
    OVER,
    UNDER,
)
from ...results.analysed import Fits
from ...results.findings import Published
from ...study.catalog import SIZE_LAWS
from ..headline import METHODS, largest_known, tokens_per_param
from .remedies import remedies


def grows(exponent: Estimate) -> str:
    """How a quantity changes with compute, by the interval of its exponent.

    Examples
    --------
    >>> grows(Estimate(0.71, 0.69, 0.73)), grows(Estimate(1.2, 1.1, 1.3)), grows(Estimate(0.95, 0.8, 1.1))
    ('grows sublinearly', 'grows superlinearly', 'grows in a way compatible with linear growth')
    """
    low, high = exponent.low, exponent.high
    if low is None or high is None:
        return "grows, but how fast has no interval"
    if high < 0:
        return "falls"
    if low <= 0:
        return "is not shown to grow"
    if high < 1:
        return "grows sublinearly"
    return "grows superlinearly" if low > 1 else "grows in a way compatible with linear growth"


def answer(fits: Fits, published: Published) -> list[str]:
    """The answer in three sentences: growth, ratio, published models.

    Parameters
    ----------
    fits : mapping
        Fit by method and schedule.
    published : Published
        The law with the best verdict, and the published models under it.
    """
    law = published.law
    return [size_sentence(fits, law), ratio_sentence(law), published_sentence(published.models, law)]


def size_sentence(fits: Fits, law: SizeLaw | None) -> str:
    """How the optimal size and the optimal tokens grow with compute; without a law, what would identify one."""
    if law is None:
        return f"These runs do not identify how the compute-optimal size grows with compute. {remedy(fits)}"
    return f"{growth_sentence(fits, law)}{caveat_of(law)}"


def growth_sentence(fits: Fits, law: SizeLaw) -> str:
    """How the optimal size and the optimal tokens grow with compute, and by which law."""
    fit = fits[law.fit][law.schedule]
    a, b = fit.estimates["a"], fit.estimates["b"]
    return (
        f"The compute-optimal size {grows(a)}, N_opt ∝ C^{with_interval(a)}, while the optimal number of tokens "
        f"{grows(b)}, D_opt ∝ C^{with_interval(b)}; {balance(a, b)} ({named(law)})."
    )


def caveat_of(law: SizeLaw) -> str:
    """What is said beside the numbers of a law, with a blank before; empty where there is nothing."""
    weak = "" if law.status == "identified" else f" The law is only weakly identified: {law.reason}"
    return f"{weak}{beside(law)}"


def named(law: SizeLaw) -> str:
    """A law in words: the method, the runs that it is of, and its verdict."""
    return f"by {METHODS[law.fit]}, {schedule_words(law.schedule)}; {standing(law)}"


def remedy(fits: Fits) -> str:
    """What would identify a law, from the reasons of the fits that are not identified."""
    stopped = [fit for name in SIZE_LAWS for fit in fits.get(name, {}).values() if fit.status not in VERDICTS]
    if not stopped:
        return "No law was fitted."
    needed, reasons = remedies([fit.why for fit in stopped]), [fit.reason for fit in stopped]
    most, n = Counter(reasons).most_common(1)[0]
    where = f"{n} of {len(reasons)} fits say: " if n > 1 else "For instance: "
    return f"{where}{most} What would identify it: {'; or '.join(needed)}."


def ratio_sentence(law: SizeLaw | None) -> str:
    """Tokens per parameter at the largest compute at which the law has an optimum inside the data."""
    if law is None:
        return "So there is no optimal ratio of tokens to parameters to give, and no optimal size for a budget."
    found = largest_known(law)
    if found is None:
        return "Inside the range of the sizes trained the law has no optimum, so no ratio is given."
    flops, size = found
    ratio = tokens_per_param(size)
    beyond = ", which is extrapolated" if size.position == EXTRAPOLATED else ""
    tokens = Estimate(size.n_tokens, size.tokens_low, size.tokens_high)
    bought = f"{sized(tokens)} tokens" if size.n_tokens else "tokens that are not known"
    return (
        f"At {compact(flops)} FLOPs the optimum is {sized(Estimate(size.n_params, size.low, size.high))} parameters on "
        f"{bought}, {with_interval(ratio)} tokens per parameter{beyond}; the rule of Hoffmann et al. is "
        f"{CHINCHILLA_RATIO:g}."
    )


def published_sentence(placed: pd.DataFrame, law: SizeLaw | None) -> str:
    """How many published models are over-trained, near-optimal and under-trained."""
    if placed.empty:
        return "No published model is listed."
    counts = Counter(placed["verdict"])
    known = len(placed) - counts[NO_TOKENS]
    models = f"Of {len(placed)} published models, {known} with a known number of tokens seen,"
    if law is None:
        above = sum(ratio is not None and ratio > CHINCHILLA_RATIO for ratio in placed["ratio_seen"])
        return f"{models} none can be judged without a law; {above} saw more than {CHINCHILLA_RATIO:g} per parameter."
    if not any(counts[verdict] for verdict in (OVER, NEAR, UNDER)):
        return f"{models} none can be judged: their compute lies outside the range of this law."
    said = [f"{counts[verdict]} {_are(counts[verdict])} {verdict}" for verdict in (OVER, NEAR, UNDER)]
    beyond = counts[OUTSIDE] + counts[NO_INTERVAL]
    return f"{models} {', '.join(said)} under this law, and {beyond} lie where it cannot judge."


def _are(n: int) -> str:
    return "is" if n == 1 else "are"


def comparison(fits: Fits) -> list[str]:
    """One sentence per method and schedule beside the headline law: what it says, or why it says nothing."""
    return [
        f"{FIT_TITLES[name]}, {schedule_words(schedule)}: {_said(fit)}"
        for name in SIZE_LAWS
        for schedule, fit in fits.get(name, {}).items()
    ]


def _said(fit: Fit) -> str:
    a, b = fit.estimates.get("a"), fit.estimates.get("b")
    if fit.status not in VERDICTS or a is None or b is None or a.value is None:
        return f"{STATUS_WORDS[fit.status]}: {fit.reason}"
    caveat = "" if fit.status == "identified" else f" ({STATUS_WORDS[fit.status]}: {fit.reason.rstrip('.')})"
    return f"N_opt {grows(a)}, C^{with_interval(a)}; D_opt {grows(b)}, C^{with_interval(b)}{caveat}.{beside(fit)}"


def left_out(fits: Fits) -> list[Mapping[str, str | int]]:
    """What the fits left out: method, schedule, reason and number of points, the most frequent reason first."""
    rows = []
    for name, schedules in fits.items():
        for schedule, fit in schedules.items():
            if not fit.details.get("applies", True):
                continue
            reasons = Counter(str(row["reason"]) for row in fit.excluded)
            rows += [
                {"fit": FIT_TITLES[name], "schedule": schedule, "used": len(fit.points), "n": n, "reason": reason}
                for reason, n in reasons.most_common()
            ]
    return rows
