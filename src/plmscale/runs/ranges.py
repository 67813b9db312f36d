"""What the numbers of runs may be, and what they are unlikely to be: other units, and single rows that are wrong."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..presentation.formats import count, number, short
from .cells import lines_in_words

Array = NDArray[np.float64]

FLOPS_PER_PARAM_TOKEN = 6.0
"""C = 6ND: two FLOPs forward and four backward per parameter and token (Kaplan et al. 2020, section 2.1)."""

# A factor between C and 6ND outside this range is another unit (GFLOPs, thousands of tokens), not another convention:
# appendix E of Serrano et al. 2024 is 1.13 to 1.54 times 6ND, counting without embeddings a little less than one.
PLAUSIBLE_FLOPS = (0.2, 5.0)
SMALLEST_MODEL = 5000.0
FEWEST_TOKENS = 100_000.0
# Published runs go from 0.036 (16B parameters, Hoffmann et al. 2022) to 64,000 tokens per parameter.
PLAUSIBLE_TOKENS_PER_PARAM = (1e-3, 1e7)
UNIFORM_GUESS = float(np.log(33))
"""Loss in nats of a uniform guess over the 33 tokens of ESM-2's alphabet."""
PLAUSIBLE_LOSS = (0.3, 2 * UNIFORM_GUESS)
# A size or length that is so far from all others of its table is one of another unit.
ALONE = 100.0
# Sizes whose runs are compared saw as many tokens, up to this factor.
SAME_TOKENS = 1.2


@dataclass(frozen=True)
class Range:
    """What a number may be."""

    low: float
    high: float
    zero: bool = False
    whole: bool = False

    def wrong(self, values: Array) -> NDArray[np.bool_]:
        """Which of the values may not be; NaN may."""
        low = values < self.low if self.zero or self.low > 0 else values <= self.low
        wrong = low | (values > self.high)
        if self.whole:
            wrong |= np.isfinite(values) & (values != np.floor(values))
        return wrong

    @property
    def words(self) -> str:
        """What it must be."""
        kind = "a whole number" if self.whole else "a number"
        least = f"from {self.low:g}" if self.zero else "of at least 1" if self.low >= 1 else "above 0"
        positive = "" if self.zero else "positive, "
        return f"{positive}{kind} {least} {'to' if self.zero else 'and at most'} {self.high:g}"


RANGES = {
    "n_params": Range(1.0, 1e15),
    "n_tokens": Range(0.0, 1e18, zero=True),
    "flops": Range(0.0, 1e36, zero=True),
    "loss": Range(0.0, 1e6),
    "seed": Range(0.0, 2.0**53, zero=True, whole=True),
    "unique_tokens": Range(1.0, 1e18),
    "batch_tokens": Range(1.0, 1e15),
    "lr_fraction": Range(0.0, 1.01, zero=True),
    "learning_rate": Range(0.0, 1e3, zero=True),
    "step": Range(0.0, 1e15, zero=True, whole=True),
}
"""Numbers of a table, checked before they are used or made whole. 0 tokens: an evaluation before the first step."""


def check_range(name: str, values: Array, *, lines: Sequence[Any], source: str, origin: str = "") -> None:
    """Check every number of a column.

    Parameters
    ----------
    name : str
        Key of `RANGES`.
    values : array of shape (rows,)
    lines : sequence
        Line of every row.
    source : str
        File, for messages.
    origin : str
        Where the number is from, if the file does not hold it.

    Raises
    ------
    InputError
        For one that cannot be: file, line, column and value.
    """
    wrong = RANGES[name].wrong(values)
    if wrong.any():
        i = int(np.argmax(wrong))
        must = RANGES[name].words
        raise InputError(f"{source}, line {lines[i]}: {name} is {values[i]:g}{origin}; it must be {must}.")


@dataclass(frozen=True)
class Ends:
    """The last evaluation of every run: arrays of shape (runs,), their lines, and what names them."""

    lines: list[Any]
    n_params: Array
    n_tokens: Array
    flops: Array
    loss: Array
    groups: list[str]


def unlikely_rows(n: Array, d: Array, c: Array, lines: Sequence[Any]) -> list[str]:
    """Rows whose C is far from 6ND, in a sentence: all of them, or single ones with their lines."""
    spent = (d > 0) & (c > 0)
    if not spent.any():
        return []
    ratio = np.ones_like(d)
    ratio[spent] = c[spent] / (FLOPS_PER_PARAM_TOKEN * n[spent] * d[spent])
    low, high = PLAUSIBLE_FLOPS
    off = np.flatnonzero((ratio < low) | (ratio > high))
    if not off.size:
        return []
    middle = f"{float(np.median(ratio[off])):.3g}"
    where = f"in {count(off.size)} of {count(d.size)} rows ({lines_in_words([lines[int(i)] for i in off])})"
    return [f"Warning: C is {middle} times 6ND {where}. Are N, D and C in parameters, tokens and FLOPs?"]


def unlikely_ends(ends: Ends) -> list[str]:
    """Sizes, lengths and losses of runs that look like another unit, in sentences."""
    notes = []
    low, high = PLAUSIBLE_TOKENS_PER_PARAM
    each = ends.n_tokens / ends.n_params
    size, tokens = ends.n_params < SMALLEST_MODEL, ends.n_tokens < FEWEST_TOKENS
    guess = f"A uniform guess over 33 tokens costs {UNIFORM_GUESS:.2f} nats."
    checks: list[tuple[NDArray[np.bool_], Array, str]] = [
        (size, ends.n_params, "N is {} parameters: is it in thousands, millions or billions?"),
        (tokens, ends.n_tokens, "D is {} tokens: is D in millions or billions, or C in PF-days, GFLOPs or alike?"),
        (((each < low) | (each > high)) & ~size & ~tokens, each, "D/N is {} tokens per parameter: is a unit another?"),
        (
            ends.loss > PLAUSIBLE_LOSS[1],
            ends.loss,
            f"the loss ends at {{}}: is it a perplexity, in bits, or a sum? {guess}",
        ),
        (ends.loss < PLAUSIBLE_LOSS[0], ends.loss, "the loss ends at {}: is it nats per token?"),
    ]
    for wrong, values, sentence in checks:
        if wrong.any():
            at = np.flatnonzero(wrong)
            span = " to ".join(dict.fromkeys(_said(v) for v in (values[at].min(), values[at].max())))
            runs = f"in {count(at.size)} of {count(wrong.size)} runs ({lines_in_words([ends.lines[i] for i in at])})"
            notes.append(f"Warning: {runs}, {sentence.format(span)}")
    alone = _alone(ends, "n_params", "N") + _alone(ends, "n_tokens", "D")
    return notes + (alone or _out_of_order(ends))


def _alone(ends: Ends, field: str, letter: str) -> list[str]:
    """Values far from all others of their group: one of another unit among right ones."""
    notes = []
    values: Array = getattr(ends, field)
    for group in dict.fromkeys(ends.groups):
        own = np.flatnonzero(np.array([one == group for one in ends.groups]) & (values > 0))
        levels = np.unique(values[own])
        if levels.size < 3:
            continue
        gaps = np.diff(np.log(levels))
        lonely = np.minimum(np.r_[np.inf, gaps], np.r_[gaps, np.inf]) > np.log(ALONE)
        for level in levels[lonely]:
            at = [ends.lines[i] for i in own if values[i] == level]
            nearest = levels[levels != level][np.argmin(np.abs(np.log(levels[levels != level] / level)))]
            factor = max(level / nearest, nearest / level)
            notes.append(
                f"Warning: {letter} is {_said(level)} in {lines_in_words(at)}, {factor:,.0f} times from the nearest "
                f"other ({_said(nearest)}): is it in another unit?"
            )
    return notes


def _out_of_order(ends: Ends) -> list[str]:
    """Sizes whose losses are those of sizes more than a hundred times as large or small, at as many tokens."""
    notes = []
    groups = np.array(ends.groups)
    for group in dict.fromkeys(ends.groups):
        own = groups == group
        for size in np.unique(ends.n_params[own]):
            at = np.flatnonzero(own & (ends.n_params == size))
            factors = [f for f in (_factor(ends, int(i), own & (ends.n_params != size)) for i in at) if f is not None]
            low, high = (min(factors), max(factors)) if factors else (1.0, 1.0)
            if low > ALONE or high < 1 / ALONE:
                other = f"{low:,.0f} times as large" if low > ALONE else f"{1 / high:,.0f} times as small"
                lines = lines_in_words([ends.lines[i] for i in at])
                notes.append(
                    f"Warning: N is {_said(float(size))} in {lines}, and the loss that of a model at least {other}: is "
                    "N in another unit?"
                )
    return notes


def _factor(ends: Ends, i: int, others: NDArray[np.bool_]) -> float | None:
    """Nearest of the sizes with a loss as that of run i, over its own; None if fewer than 3 sizes can be compared."""
    others = others & (np.abs(np.log(ends.n_tokens / ends.n_tokens[i])) < np.log(SAME_TOKENS))
    sizes, losses = ends.n_params[others], ends.loss[others]
    if np.unique(sizes).size < 3:
        return None
    better, worse = sizes[losses < ends.loss[i]], sizes[losses > ends.loss[i]]
    own = float(ends.n_params[i])
    # One other that contradicts may be the wrong one itself.
    if np.unique(worse[worse > own]).size > 1 and not np.any(better < own):
        return float(worse.max() / own)
    if np.unique(better[better < own]).size > 1 and not np.any(worse > own):
        return float(better.min() / own)
    return 1.0


def _said(value: float) -> str:
    return short(value) if 1 <= value < 1e15 else number(value)
