"""What laws answer: a number with its interval, the law it is from, and how far it lies from the runs."""

from dataclasses import dataclass
from html import escape

from ..estimates import Estimate, Status
from ..laws.budgets import INSIDE
from ..presentation.formats import FIT_TITLES, MISSING, STATUS_WORDS, beside, number, short, verdict, with_interval


@dataclass(frozen=True, repr=False)
class _Answer:
    """An answer of one law.

    Attributes
    ----------
    value, low, high : float
        With the ends of the 95 % interval; `low` and `high` are None where the law has none.
    law, group : str
        Which law.
    status, reason, caveat : str
        Its verdict: "identified" or "weakly_identified", and the sentence with it; what is said beside its numbers.
    position : str
        "inside the data", or "extrapolated".
    beyond : float
        The largest factor by which what was asked, or the answer, lies outside the runs; 1 inside.
    """

    value: float
    low: float | None
    high: float | None
    law: str
    group: str
    status: Status
    reason: str
    caveat: str
    position: str
    beyond: float

    @property
    def verdict(self) -> str:
        """Status and reason in one sentence, and the caveat."""
        return verdict(self)

    @property
    def _source(self) -> str:
        far = "" if self.position == INSIDE or self.beyond <= 1 else f", {number(self.beyond)} times beyond the runs"
        caveat = f"\n{beside(self).strip()}" if self.caveat else ""
        return f"{FIT_TITLES[self.law]} ({self.group}), {STATUS_WORDS[self.status]}; {self.position}{far}{caveat}"

    def _repr_html_(self) -> str:
        first, *rest = repr(self).split("\n")
        return "<br>".join([f"<b>{escape(first)}</b>", *map(escape, rest)])


@dataclass(frozen=True, repr=False)
class OptimalSize(_Answer):
    """The compute-optimal size at one training compute.

    Attributes
    ----------
    value, low, high : float
        Parameters.
    flops : float
        Training FLOPs that were asked for, by the convention of the runs.
    n_tokens, tokens_low, tokens_high : float, optional
        Tokens that these FLOPs buy at these sizes.
    """

    flops: float
    n_tokens: float | None
    tokens_low: float | None
    tokens_high: float | None

    def __repr__(self) -> str:
        size = _short(self.value, self.low, self.high)
        tokens = MISSING if self.n_tokens is None else _short(self.n_tokens, self.tokens_low, self.tokens_high)
        return f"N_opt = {size} parameters, D_opt = {tokens} tokens at {number(self.flops)} FLOPs\n{self._source}"


@dataclass(frozen=True, repr=False)
class PredictedLoss(_Answer):
    """The loss that a law expects of one size and tokens.

    Attributes
    ----------
    value, low, high : float
        Nats per token. The interval is that of the law's own value; single runs scatter about it by `scatter`.
    n_params, n_tokens : float
        What was asked.
    flops : float
        Training FLOPs of such a run, by the convention of the runs.
    scatter : float
        Standard deviation of runs about the law, nats: noise between runs, and what the law misses.
    """

    n_params: float
    n_tokens: float
    flops: float
    scatter: float

    def __repr__(self) -> str:
        asked = f"{short(self.n_params)} parameters and {short(self.n_tokens)} tokens"
        loss = with_interval(Estimate(self.value, self.low, self.high))
        return f"loss = {loss} nats at {asked}; runs scatter by {number(self.scatter, digits=2)} nats\n{self._source}"


def _short(value: float, low: float | None, high: float | None) -> str:
    ends = "" if low is None or high is None else f" ({short(low)}–{short(high)})"
    return f"{short(value)}{ends}"
