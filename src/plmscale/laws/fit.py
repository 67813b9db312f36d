"""What every fit returns, and what every fit may be told.

A fit that cannot answer says so: its status and reason are data, its headline estimates are None. A number appears
only with status "identified" or "weakly_identified".
"""

import math
import traceback
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from ..errors import InputError
from ..estimates import STATUSES, Estimate, Status
from ..presentation.reasons import words
from ..reasons import Reason
from ..runs.curves import Curve
from ..study.catalog import BUDGETS


@dataclass(frozen=True)
class Fit:
    """The result of one method on the runs of one schedule.

    Attributes
    ----------
    name : str
        A key of `plmscale.laws.methods.FITS`.
    status : str
        "identified"; "weakly_identified" (numbers stand, with the caveat in `why`); "not_identified" (the data do
        not determine the law: no number); "failed" (there was nothing to fit).
    why : Reason
        What the verdict rests on.
    estimates : mapping of str to Estimate
        The keys depend on the method alone, never on the data.
    points, excluded : sequences of JSON-able dicts
        The points used; and what was left out, each with a "reason" and its "code".
    details : mapping
        JSON-able; always holds "warnings", a list of sentences.
    caveats : sequence of Reason
        What is said beside the numbers wherever they are shown: no interval holds it.
    """

    name: str
    status: Status
    why: Reason
    estimates: Mapping[str, Estimate]
    points: Sequence[Mapping[str, Any]] = ()
    excluded: Sequence[Mapping[str, Any]] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    caveats: Sequence[Reason] = ()

    @property
    def caveat(self) -> str:
        """`caveats` as sentences; empty without."""
        return " ".join(words(one) for one in self.caveats)

    @property
    def reason(self) -> str:
        """`why` as one sentence."""
        return words(self.why)

    @property
    def plain(self) -> "Fit":
        """The same fit of plain lists, dicts, numbers and None, as its file has it."""
        estimates = {key: Estimate(*jsonable((one.value, one.low, one.high))) for key, one in self.estimates.items()}
        why, *caveats = (Reason.from_json(jsonable(one.to_json())) for one in (self.why, *self.caveats))
        held = {key: jsonable(getattr(self, key)) for key in ("points", "excluded", "details")}
        return replace(self, why=why, caveats=tuple(caveats), estimates=estimates, **held)

    def to_json(self) -> dict[str, Any]:
        """Plain lists, dicts, numbers and None. NaN and infinities become None: JSON has neither.

        `reason` stands beside `why` for readers that know no codes.
        """
        said = {"name": self.name, "status": self.status, "reason": self.reason, "why": self.why.to_json()}
        estimates = {key: vars(one) for key, one in self.estimates.items()}
        held = {"points": self.points, "excluded": self.excluded, "details": self.details}
        held |= {"caveats": [one.to_json() for one in self.caveats], "caveat": self.caveat}
        return jsonable(said | {"estimates": estimates} | held)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Fit":
        """The fit that `to_json` wrote; of a version without codes the reason is known in words alone.

        Raises
        ------
        InputError
            If a field is missing or unknown, or the status is none of `STATUSES`.
        """
        try:
            held = {key: one for key, one in value.items() if key not in ("reason", "why", "caveat")}
            why = Reason.from_json(value["why"]) if "why" in value else Reason.in_words(value["reason"])
            estimates = {key: Estimate(**e) for key, e in value["estimates"].items()}
            caveats = tuple(Reason.from_json(one) for one in value.get("caveats", ()))
            fit = cls(**{**held, "why": why, "estimates": estimates, "caveats": caveats})
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"not the JSON of a fit: {error!r}; its keys are {list(value)}.") from error
        if fit.status not in STATUSES:
            raise InputError(f"the fit {fit.name!r} has status {fit.status!r}; it must be one of {STATUSES}.")
        return fit


def fits_json(name: str, fits: Mapping[str, Fit]) -> dict[str, Any]:
    """The fits of one method by schedule, as results/fits/{name}.json has them."""
    return {"fit": name, "schedules": {schedule: fit.to_json() for schedule, fit in fits.items()}}


NO_FIT = Fit("none", "failed", Reason.of("no_curve"), {})
"""Stands where a schedule has no fit at all."""


@dataclass(frozen=True)
class FitSettings:
    """Choices of the analysis. The defaults are the recommended ones.

    Attributes
    ----------
    n_bootstrap : int
        Resamples of the runs behind each interval.
    points : "final" or "all"
        For `kaplan` and `chinchilla`: the last smoothed loss of each run, or points along every curve.
    huber_delta : float
        Huber threshold on log loss of the parametric laws (Hoffmann et al. 2022, appendix D.3: 1e-3).
    n_envelope, n_isoflop : int
        Grid points of the envelope (the paper: 1500); budgets of the IsoFLOP profiles.
    levels : tuple of float
        Shares of the way to the plateau, in (0, 1]; 1 means within two standard deviations of the plateau.
    level_definition : "drop" or "ratio"
        Share of the drop, (L0 - L) / (L0 - Lp), or ratio of losses, Lp / L.
    plateau_loss, initial_loss : float, optional
        Lp and L0 in nats, instead of their estimates from the runs.
    budgets : tuple of float
        FLOPs for which the optimal size is asked.
    extrapolation_factor : float
        A size beyond this factor of the largest (or below that of the smallest) size trained is not given.
    """

    n_bootstrap: int = 200
    points: Literal["final", "all"] = "final"
    huber_delta: float = 1e-3
    n_envelope: int = 1500
    n_isoflop: int = 9
    levels: tuple[float, ...] = (0.90, 0.95, 1.0)
    level_definition: Literal["drop", "ratio"] = "drop"
    plateau_loss: float | None = None
    initial_loss: float | None = None
    budgets: tuple[float, ...] = BUDGETS
    extrapolation_factor: float = 3.0

    def __post_init__(self) -> None:
        rules = {
            "n_bootstrap": (self.n_bootstrap >= 20, "at least 20"),
            "points": (self.points in ("final", "all"), "'final' or 'all'"),
            "huber_delta": (self.huber_delta > 0, "positive"),
            "n_envelope": (self.n_envelope >= 10, "at least 10"),
            "n_isoflop": (self.n_isoflop >= 3, "at least 3"),
            "levels": (all(0 < level <= 1 for level in self.levels), "shares in (0, 1]"),
            "level_definition": (self.level_definition in ("drop", "ratio"), "'drop' or 'ratio'"),
            "budgets": (all(budget > 0 for budget in self.budgets), "positive FLOPs"),
            "extrapolation_factor": (self.extrapolation_factor >= 1, "at least 1"),
        }
        for name, (holds, right) in rules.items():
            if not holds:
                raise InputError(f"fit setting {name} is {getattr(self, name)!r}; it must be {right}.")


class FitFunction(Protocol):
    """A fit method: curves of one schedule in, one `Fit` out. It raises for broken input only, never for poor data."""

    def __call__(self, curves: Sequence[Curve], *, rng: np.random.Generator, settings: FitSettings) -> Fit: ...


def jsonable(value: Any) -> Any:
    """`value` with tuples and arrays as lists, numpy scalars as plain numbers, and NaN or infinities as None."""
    kind = type(value)
    if kind is float:
        return value if math.isfinite(value) else None
    if kind is str or kind is int or value is None:
        return value
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [jsonable(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def raised(nothing: Fit, error: Exception) -> Fit:
    """The fit without a run, `failed` for the error that a law ended in; where it rose is in the details."""
    places = [f"{Path(one.filename).name}:{one.lineno} {one.name}" for one in traceback.extract_tb(error.__traceback__)]
    # As a law without repeats is none, a law of repeats that could not be fitted is not left out of tables.
    details = {**nothing.details, "raised_in": places, "applies": True}
    return replace(nothing, status="failed", why=fault(error), details=details)


def fault(error: Exception) -> Reason:
    """An error that no one expected, as a reason."""
    return Reason.of("raised", error=type(error).__name__, said=" ".join(str(error).split()).rstrip("."))


def withheld(fit: Fit, *, keep: Sequence[str] = ()) -> Fit:
    """`fit` with every estimate None but those named in `keep`: what a fit that is not identified may show."""
    estimates = {key: value if key in keep else Estimate(None) for key, value in fit.estimates.items()}
    return replace(fit, estimates=estimates)


def resampling(name: str, schedule: str, *, seed: int) -> np.random.Generator:
    """What draws the resamples of one fit of one schedule."""
    return np.random.default_rng([seed, zlib.crc32(name.encode()), zlib.crc32(schedule.encode())])
