"""From two of N, D, C and L, or from one at the optimum, to all four."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..estimates import Estimate
from ..presentation.formats import compact, number, short
from .asked_law import AskedLaw

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Known:
    """What is given of a run; None where it is not.

    Attributes
    ----------
    n, d, c, loss : float, optional
        Parameters, tokens, FLOPs (of training, and of serving where something is served), nats.
    served : float
        Tokens served.
    """

    n: float | None = None
    d: float | None = None
    c: float | None = None
    loss: float | None = None
    served: float = 0.0

    @property
    def names(self) -> str:
        """Letters of what is given, of N, D, C and L."""
        letters = {"N": self.n, "D": self.d, "C": self.c, "L": self.loss}
        return "".join(letter for letter, value in letters.items() if value is not None)


@dataclass(frozen=True)
class Solved:
    """A run.

    Attributes
    ----------
    n, d, c, total : Estimate
        Parameters, tokens, FLOPs of training, and with those of serving.
    loss : Estimate or None
        None where the law gives none.
    """

    n: Estimate
    d: Estimate
    c: Estimate
    total: Estimate
    loss: Estimate | None


def solve(law: AskedLaw, known: Known) -> Solved:
    """All quantities of the run.

    Raises
    ------
    InputError
        If too little or too much is given, no run has these quantities, or the run is outside the law's range.
    """
    ways = {"C": _lowest_loss, "L": _least_total, "ND": _run, "NC": _run, "DC": _run, "NL": _run, "DL": _run}
    if known.names not in ways:
        raise InputError(_unsolvable(law, known))
    if law.surface is None:
        return _by_sizes(law, known)
    n, d, more = ways[known.names](law, known)
    _check_range(law, known, float(n[0]), float(d[0]))
    return _solved(law, known, n, d, more)


def _solved(law: AskedLaw, known: Known, n: Array, d: Array, more: Array | None) -> Solved:
    """Estimates from the sizes and tokens of every law, shape (k,); `more` are sizes by other estimators."""
    assert law.surface is not None
    search, names = law.search(known.served), known.names
    trained, total = law.cost(n) * d, search.total(n, d)
    decided = names in ("ND", "NC", "DC")  # a run that no law has to find

    def one(values: Array, *, given: bool, others: Array | None = None) -> Estimate:
        return Estimate(float(values[0])) if given or decided else law.estimate(values, more=others)

    return Solved(
        n=one(n, given="N" in names, others=more),
        d=one(d, given="D" in names, others=None if more is None else search.tokens(more, float(total[0]))),
        c=one(trained, given="C" in names and not known.served),
        total=one(total, given="C" in names),
        loss=Estimate(known.loss) if known.loss is not None else law.estimate(law.surface.loss(n[0], d[0])[:, 0]),
    )


def _lowest_loss(law: AskedLaw, known: Known) -> tuple[Array, Array, Array | None]:
    assert known.c is not None and law.surface is not None
    search = law.search(known.served)
    n = search.lowest_loss(law.surface, known.c)
    if not np.isfinite(n[0]):
        raise InputError(
            f"ask: this law has no optimum at {compact(known.c)} FLOPs near the sizes it knows.{_budgets(law, known)}"
        )
    more = None
    if law.others and not known.served:
        more = np.array([factor * known.c**exponent for factor, exponent in law.others.values()])
    return n, search.tokens(n, known.c), more


def _least_total(law: AskedLaw, known: Known) -> tuple[Array, Array, None]:
    assert known.loss is not None and law.surface is not None
    _check_floor(law, known.loss)
    n = law.search(known.served).least_total(law.surface, known.loss)
    if not np.isfinite(n[0]):
        raise InputError(f"ask: a loss of {known.loss:g} nats is outside what the law knows. {_losses(law)}")
    with np.errstate(invalid="ignore"):
        return n, law.surface.tokens(n[:, None], known.loss)[:, 0], None


def _run(law: AskedLaw, known: Known) -> tuple[Array, Array, None]:
    """Size and tokens of a run of which two quantities are given."""
    assert law.surface is not None and law.constants is not None
    search, k = law.search(known.served), len(law.constants)
    if known.n is not None and known.d is not None:
        return np.full(k, known.n), np.full(k, known.d), None
    if known.c is not None:
        n = search.params(known.d, known.c) if known.n is None and known.d is not None else float(known.n or 0)
        d = float(search.tokens(n, known.c))
        if not d > 0:
            raise InputError(
                f"ask: serving {short(known.served)} tokens takes {number(known.c - float(search.cost(n)) * d)} FLOPs "
                f"at N = {short(n)} parameters, more than the budget of {compact(known.c)}. Give a smaller size, fewer "
                "served tokens, or more compute."
            )
        return np.full(k, n), np.full(k, d), None
    assert known.loss is not None
    _check_floor(law, known.loss)
    n, d = np.full(k, known.n or 1.0), np.full(k, known.d or 1.0)
    if known.n is not None:
        d = law.surface.tokens(known.n, known.loss)[:, 0]
        least, what = law.surface.loss(known.n, 1e300)[0, 0], f"N = {short(known.n)} parameters"
    else:
        n = law.surface.params(float(known.d or 0), known.loss)[:, 0]
        least, what = law.surface.loss(1e300, float(known.d or 0))[0, 0], f"D = {short(float(known.d or 0))} tokens"
    if not (np.isfinite(n[0]) and np.isfinite(d[0])):
        raise InputError(
            f"ask: with {what} this law never reaches {known.loss:g} nats: its loss stays above {least:.4g}. Ask for a "
            "higher loss, or leave one of both open."
        )
    return n, d, None


def _by_sizes(law: AskedLaw, known: Known) -> Solved:
    """The optimum of a budget by a law of the optimal size alone."""
    assert law.sizes is not None
    if known.names != "C" or known.served:
        raise InputError(
            f"ask: {law.title} gives the optimal size of a budget and no loss, so it answers only to one quantity that "
            "fixes compute. Ask a law of the loss, or leave the other quantities out."
        )
    assert known.c is not None
    found = law.sizes.at(known.c)
    if found is None or found.n_tokens is None:
        raise InputError(f"ask: {compact(known.c)} FLOPs are outside what the law knows.{_budgets(law, known)}")
    size = Estimate(found.n_params, found.low, found.high)
    tokens = Estimate(found.n_tokens, found.tokens_low, found.tokens_high)
    return Solved(size, tokens, Estimate(known.c), Estimate(known.c), None)


def _check_range(law: AskedLaw, known: Known, n: float, d: float) -> None:
    if outside := law.seen.outside(n, d, float(law.cost(n)) * d, factor=law.factor):
        hint = _budgets(law, known) if known.names == "C" else f" {_losses(law)}" if known.names == "L" else ""
        optimum = "its optimum is " if known.names in ("C", "L") else "the run is "
        raise InputError(f"ask: outside what the law knows: {optimum}at {outside}.{hint}")


def _check_floor(law: AskedLaw, loss: float) -> None:
    """Refuse a loss that no run reaches."""
    assert law.surface is not None
    floor = law.surface.loss(1e300, 1e300)[:, 0]
    if loss <= floor[0] and floor[0] > 1e-3:
        one = law.estimate(floor)
        ends = "" if one.low is None or one.high is None else f" ({number(one.low)} to {number(one.high)})"
        raise InputError(
            f"ask: no run reaches {loss:g} nats under this law, whose loss stays above E = {number(floor[0])}{ends} "
            "nats. Ask for a higher loss."
        )


def _budgets(law: AskedLaw, known: Known) -> str:
    ends = law.budgets(known.served)
    if ends is None:
        return " At no budget is its optimum within its range."
    return f" It answers for budgets from {number(ends[0])} to {number(ends[1])} FLOPs."


def _losses(law: AskedLaw) -> str:
    """Losses of the optima within the law's range."""
    ends = law.budgets()
    if ends is None or law.surface is None:
        return "At no loss is its optimum within its range."
    search = law.search()
    n = [float(search.lowest_loss(law.surface, flops)[0]) for flops in ends]
    losses = [float(law.surface.loss(s, search.tokens(s, c))[0, 0]) for s, c in zip(n, ends, strict=True)]
    return f"Its optima have losses from {losses[1]:.4g} to {losses[0]:.4g} nats."


def _unsolvable(law: AskedLaw, known: Known) -> str:
    """Why the given quantities do not determine one run, and what to add or to leave out."""
    names = known.names
    if not names:
        return (
            "ask: nothing is given. Give a budget (--flops, --device-hours, --days with --devices, or --money with "
            "--price), or a target --loss, or two of --params, --tokens, --flops, --loss."
        )
    if names in ("N", "D"):
        other = "--tokens" if names == "N" else "--params"
        return (
            f"ask: {'--params' if names == 'N' else '--tokens'} alone leaves the rest open. Add {other}, a budget "
            "(--flops, --device-hours, --days, --money) or --loss."
        )
    if names == "CL":
        return _two_sizes(law, known)
    return f"ask: {_listed(names)} are more than a run needs: two of them give the rest.{_given(law, known)}"


def _given(law: AskedLaw, known: Known) -> str:
    """What two of the quantities give for the third, to show the contradiction."""
    if known.n is not None and known.d is not None and known.c is not None:
        flops = float(law.search(known.served).total(known.n, known.d))
        return f" N and D take {number(flops)} FLOPs, and {compact(known.c)} were given. Leave out one of the three."
    return " Leave out all but two."


def _two_sizes(law: AskedLaw, known: Known) -> str:
    """A budget and a loss: two sizes reach it, or none."""
    if law.surface is None or known.c is None or known.loss is None or law.constants is None:
        return "ask: this law gives no loss. Leave --loss out."
    search = law.search(known.served)
    best = float(search.lowest_loss(law.surface, known.c)[0])
    advice = "Leave --loss out for the lowest loss of this budget, or the budget for the least compute of this loss"
    if not np.isfinite(best):
        return f"ask: a budget and a loss are given. {advice}."
    lowest = float(law.surface.loss(best, search.tokens(best, known.c))[0, 0])
    if lowest > known.loss:
        return (
            f"ask: {known.loss:g} nats are not reached with {compact(known.c)} FLOPs under this law; the lowest loss "
            f"is {lowest:.4g}, at N = {short(best)} parameters. {advice}."
        )
    sizes = [short(one) for one in _crossings(law, known, best)]
    return (
        f"ask: every size from {' to '.join(sizes)} parameters reaches {known.loss:g} nats with at most "
        f"{compact(known.c)} FLOPs. {advice}; or give --params with one of both."
    )


def _crossings(law: AskedLaw, known: Known, best: float) -> list[float]:
    """The smallest and the largest size that reach the loss within the budget, by bisection from the best outwards."""
    assert law.surface is not None and known.c is not None and known.loss is not None
    search, found = law.search(known.served), []
    for end in (best / 1e4, best * 1e4):
        good, bad = np.log(best), np.log(end)
        for _ in range(60):
            middle = 0.5 * (good + bad)
            tokens = float(search.tokens(np.exp(middle), known.c))
            reaches = tokens > 0 and float(law.surface.loss(np.exp(middle), tokens)[0, 0]) <= known.loss
            good, bad = (middle, bad) if reaches else (good, middle)
        found.append(float(np.exp(good)))
    return found


def _listed(names: str) -> str:
    options = {"N": "--params", "D": "--tokens", "C": "a budget", "L": "--loss"}
    *first, last = (options[name] for name in names)
    return f"{', '.join(first)} and {last}"
