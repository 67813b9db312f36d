"""A rule: a power law of the parameters N, the tokens D that a run sees, and its training FLOPs C."""

import re
from dataclasses import dataclass
from math import exp, isfinite, log
from typing import Literal

Variable = Literal["N", "D", "C"]

DIGITS = 3
"""Significant digits of a value by rule: the last bit of another processor's logarithm makes no other cell."""

EXAMPLE = "4e-4 * (N / 35e6)^-0.2 * (D / 1e9)^-0.32"

_NUMBER = r"[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?"
_FACTOR = re.compile(rf"(?:(?P<plain>[NDC])|\((?P<named>[NDC])/(?P<at>{_NUMBER})\))\^(?P<exponent>[+-]?{_NUMBER})")
_LONGEST = 200
_STEEPEST = 5.0


@dataclass(frozen=True)
class Factor:
    """(variable / at)^exponent."""

    variable: Variable
    exponent: float
    at: float = 1.0


@dataclass(frozen=True)
class RunSize:
    """What a rule is a function of.

    Attributes
    ----------
    n_params : float
        Parameters N, as everywhere else.
    n_inner : float
        Parameters without the embeddings of input and output.
    n_tokens : float
        Tokens D that the run sees.
    flops : float
        Its training FLOPs C by appendix E.
    """

    n_params: float
    n_inner: float
    n_tokens: float
    flops: float


@dataclass(frozen=True)
class Rule:
    """A product of a number and powers.

    Attributes
    ----------
    value : float
        The number, where all factors are 1.
    factors : tuple of Factor
    inner : bool
        Whether N leaves the embeddings of input and output out, as some published rules do.
    """

    value: float
    factors: tuple[Factor, ...] = ()
    inner: bool = False

    @property
    def has_horizon(self) -> bool:
        """Whether runs of one size that differ in their tokens get different values."""
        return any(factor.variable != "N" and factor.exponent for factor in self.factors)

    def at(self, run: RunSize) -> float:
        """What the rule gives for a run, to three significant digits.

        Examples
        --------
        >>> parse_rule("4e-4 * (D / 1e9)^-0.32").at(RunSize(5e6, 5e6, 1e10, 3e17))
        0.000191
        """
        known = {"N": run.n_inner if self.inner else run.n_params, "D": run.n_tokens, "C": run.flops}
        power = sum(factor.exponent * log(known[factor.variable] / factor.at) for factor in self.factors)
        return rounded(exp(log(self.value) + power))


def rounded(value: float) -> float:
    """A number to `DIGITS` significant digits.

    Examples
    --------
    >>> rounded(0.000123456), rounded(49832.7)
    (0.000123, 49800.0)
    """
    return float(f"{value:.{DIGITS - 1}e}")


def parse_rule(text: str) -> Rule:
    """The rule that a formula is.

    Parameters
    ----------
    text : str
        A positive number, times powers of N, D or C, or of their ratios to a number: `EXAMPLE`.

    Raises
    ------
    ValueError
        If it is none, with what one looks like.

    Examples
    --------
    >>> parse_rule("0.3118 * C^-0.125")
    Rule(value=0.3118, factors=(Factor(variable='C', exponent=-0.125, at=1.0),), inner=False)
    """
    first, *others = (part.replace(" ", "") for part in text[: _LONGEST + 1].split("*"))
    found = [_FACTOR.fullmatch(part) for part in others]
    if len(text) > _LONGEST or not re.fullmatch(_NUMBER, first) or not all(found):
        raise ValueError(f"is no formula of N, D and C, such as {EXAMPLE!r}")
    factors = tuple(_factor(match) for match in found if match)
    value = float(first)
    numbers = (value, *(factor.at for factor in factors))
    if not all(isfinite(number) and number > 0 for number in numbers):
        raise ValueError("the numbers of a formula must be above 0 and finite")
    if any(abs(factor.exponent) > _STEEPEST for factor in factors):
        raise ValueError(f"the exponents of a formula are from -{_STEEPEST:g} to {_STEEPEST:g}")
    if len({factor.variable for factor in factors}) < len(factors):
        raise ValueError("a formula has N, D and C at most once each")
    return Rule(value, factors)


def _factor(match: re.Match[str]) -> Factor:
    name = match["plain"] or match["named"]
    variable: Variable = "N" if name == "N" else "D" if name == "D" else "C"
    return Factor(variable, float(match["exponent"]), float(match["at"] or 1.0))
