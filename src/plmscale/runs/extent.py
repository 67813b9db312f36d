"""How far from the runs something lies in size, tokens and compute: inside, extrapolated, or where nothing is known."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..presentation.formats import number, short
from .curves import Curve

INSIDE = "inside the data"
EXTRAPOLATED = "extrapolated"
OUTSIDE = "outside the data"

REACH = 100.0
"""Tokens and compute up to so many times the most of a run are within a law's range, if the size is."""

SLACK = 1 + 1e-9
"""Ends are met to rounding."""

Ends = tuple[float, float]


@dataclass(frozen=True)
class Decades:
    """Decades by which size, tokens and compute lie beyond the runs: above them positive, below negative, inside 0."""

    n_params: float
    n_tokens: float
    flops: float

    @property
    def furthest(self) -> float:
        """The largest of the three, without its sign."""
        return max(abs(self.n_params), abs(self.n_tokens), abs(self.flops))


@dataclass(frozen=True)
class Extent:
    """The least and the most that runs have of parameters, tokens and training FLOPs.

    Inside the data is inside all three. A law is known for sizes and the fewest tokens within a factor of those of the
    runs, the least FLOPs within its square, and tokens and FLOPs up to `REACH` times the most (or that factor, if it is
    larger).
    """

    n_params: Ends
    n_tokens: Ends
    flops: Ends

    @classmethod
    def of(cls, curves: Sequence[Curve], *, whole: bool = False) -> "Extent | None":
        """Of runs by where they end, or with `whole` by all that was seen of them; None without any."""
        seen = [curve for curve in curves if curve.flops.size and curve.flops[-1] > 0]
        if not seen:
            return None
        first = 0 if whole else -1
        return cls(
            _ends([float(curve.n_params) for curve in seen]),
            _ends([float(curve.n_tokens[i]) for curve in seen for i in (first, -1)]),
            _ends([float(curve.flops[i]) for curve in seen for i in (first, -1)]),
        )

    @classmethod
    def of_rows(cls, rows: Sequence[Mapping[str, Any]]) -> "Extent":
        """Of the points of a parametric law (`plmscale.laws.points.Points.rows`)."""
        return cls(*(_ends([float(row[key]) for row in rows]) for key in ("n_params", "n_tokens", "flops")))

    @classmethod
    def from_json(cls, value: Mapping[str, Sequence[float]] | None) -> "Extent | None":
        """What `to_json` gave."""
        if value is None:
            return None
        return cls(*((float(value[key][0]), float(value[key][1])) for key in ("n_params", "n_tokens", "flops")))

    def to_json(self) -> dict[str, list[float]]:
        """Ends by name."""
        return {key: list(ends) for key, ends in vars(self).items()}

    def decades(self, n_params: float, n_tokens: float, flops: float) -> Decades:
        """How far beyond the runs."""
        values = (n_params, n_tokens, flops)
        return Decades(*(_decades(value, ends) for value, ends in zip(values, self._all, strict=True)))

    def position(self, n_params: float, n_tokens: float, flops: float, *, factor: float) -> str:
        """`INSIDE`, `EXTRAPOLATED` or `OUTSIDE`."""
        if self.decades(n_params, n_tokens, flops).furthest == 0:
            return INSIDE
        return OUTSIDE if self.outside(n_params, n_tokens, flops, factor=factor) else EXTRAPOLATED

    def outside(self, n_params: float, n_tokens: float, flops: float, *, factor: float) -> str:
        """What lies outside a law's range, in words that follow "at"; empty inside.

        Examples
        --------
        >>> runs = Extent((1e7, 1e8), (1e9, 1e10), (6e16, 6e18))
        >>> runs.outside(1e9, 1e10, 6e19, factor=3)
        'N = 1B parameters; it is known for N = 3.33M to 300M parameters, and the runs end 1.0 decades below'
        """
        names = ("N = {} parameters", "D = {} tokens", "C = {} FLOPs")
        triples = zip((n_params, n_tokens, flops), self._all, self.known(factor=factor), names, strict=True)
        for value, ends, (low, high), words in triples:
            if not low / SLACK <= value <= high * SLACK:
                said = number if words.startswith("C") else short
                known = words.format(f"{said(low)} to {said(high)}")
                far = _decades(value, ends)
                side = "the runs end {:.1f} decades below" if far > 0 else "the runs begin {:.1f} decades above"
                return f"{words.format(said(value))}; it is known for {known}, and {side.format(abs(far))}"
        return ""

    def known(self, *, factor: float) -> tuple[Ends, Ends, Ends]:
        """Ends of a law's range in size, tokens and FLOPs."""
        reach = max(REACH, factor)
        (n, d, c), below = self._all, (factor, factor, factor**2)
        return (
            (n[0] / below[0], n[1] * factor),
            (d[0] / below[1], d[1] * reach),
            (c[0] / below[2], c[1] * reach),
        )

    @property
    def _all(self) -> tuple[Ends, Ends, Ends]:
        return self.n_params, self.n_tokens, self.flops


def _ends(values: Sequence[float]) -> Ends:
    return min(values), max(values)


def _decades(value: float, ends: Ends) -> float:
    low, high = ends
    if not value > 0:
        return math.nan
    if value > high * SLACK:
        return math.log10(value / high)
    return math.log10(value / low) if value < low / SLACK else 0.0
