"""FLOPs and tokens that each size needs to come to the plateau of the loss.

The plateau is estimated from runs whose curves are flat at their end; where none is, there is no plateau to speak of,
and the fit says so. Levels are shares of the drop from the initial loss to the plateau; all of it means: within two
standard deviations of the plateau, and not before the level below.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .budgets import no_sizes, optimal_sizes
from .curves import Curve, median_noise, usable
from .fits import Estimate, Fit, FitSettings, withheld
from .laws import power_law
from .plateau_fits import level_fits, size_by_line
from .uncertainty import (
    FAILED_SHARE_VOID,
    FAILED_SHARE_WEAK,
    MIN_SIZES,
    NOISE_SIGMAS,
    Verdict,
    curve_warnings,
    estimate,
    failed_share,
    resamples,
)

Array = NDArray[np.float64]

# A run is flat if the last doubling of its FLOPs brought less than this share of its whole drop.
FLAT_SHARE = 0.02
# An interval of the exponent of FLOPs in size that is wider than this leaves open whether big sizes cost more.
WIDE_COST_EXPONENT = 1.0
# Below this share of the learning rate a curve is flat because the schedule ended, whatever the model could learn.
LOW_LEARNING_RATE = 0.2


class Level(NamedTuple):
    """A share of the way to the plateau and the loss that it means."""

    share: float
    loss: float

    @property
    def name(self) -> str:
        """Per cent, as in the keys of the estimates: "90"."""
        return f"{100 * self.share:g}"


class Plateau(NamedTuple):
    """Losses at the start and at the plateau (None if no run is flat), nats, and the flat runs.

    `noise` is that of single evaluations, `scatter` the standard deviation of the plateau from run to run.
    """

    initial: float
    loss: float | None
    flat: list[Curve]
    noise: float
    scatter: float


def fit(curves: Sequence[Curve], *, rng: np.random.Generator, settings: FitSettings) -> Fit:
    """Find the plateau, and fit FLOPs to reach each level against size. Signature of `plmscale.fits.FitFunction`.

    Estimates: plateau_loss, initial_loss, and per level (90, 95, 100) exponent_* and prefactor_* of
    FLOPs = prefactor * N^exponent, slope_* and intercept_* of the straight line. Intervals: bootstrap over runs, the
    plateau estimated again in each resample. `details["levels"]` holds the lines inside the data.
    """
    kept, excluded = usable(curves)
    names = _keys(settings)
    nothing = {key: Estimate(None) for key in names}
    if not kept:
        details = {"warnings": [], "levels": [], "optimal_sizes": no_sizes(settings)}
        return Fit("plateau", "failed", "there is no usable run.", nothing, (), excluded, details)
    plateau = find_plateau(kept, settings=settings)
    details = _describe(plateau, kept) | {"levels": [], "optimal_sizes": no_sizes(settings)}
    reason = _no_plateau(plateau, kept)
    if reason:
        return Fit("plateau", "not_identified", reason, nothing, (), excluded, details)
    table = np.array(
        [
            _values([kept[i] for i in draw], settings=settings)
            for draw in resamples(len(kept), n=settings.n_bootstrap, rng=rng)
        ]
    )
    values = _values(kept, settings=settings)
    estimates = {key: estimate(values[i], table[:, i]) for i, key in enumerate(names)}
    points, left_out, per_level = _reached(kept, levels_of(plateau, settings=settings))
    top = names.index(f"exponent_{100 * max(settings.levels):g}")
    verdict = _verdict(plateau, kept, per_level[-1], estimates[names[top]], failed=failed_share(table[:, top]))
    details["levels"] = per_level
    if verdict.has_numbers:
        details["optimal_sizes"] = _sizes(values[top : top + 2], table[:, top : top + 2], per_level[-1], kept, settings)
    result = Fit("plateau", verdict.status, verdict.reason, estimates, points, [*excluded, *left_out], details)
    return result if verdict.has_numbers else withheld(result, keep=("plateau_loss", "initial_loss"))


def find_plateau(curves: Sequence[Curve], *, settings: FitSettings) -> Plateau:
    """Initial loss (median over runs), and plateau (median of the ends of flat runs), unless the settings give them."""
    noise = median_noise(curves)
    initial = settings.initial_loss
    if initial is None:
        initial = float(np.median([curve.initial_loss for curve in curves]))
    flat = [curve for curve in curves if last_doubling_share(curve, initial=initial) < FLAT_SHARE]
    loss = settings.plateau_loss
    scatter = noise
    if loss is None and flat:
        ends = [float(curve.loss[-1]) for curve in flat]
        loss = float(np.median(ends))
        # Smoothed ends are known better than a single evaluation; two of them say little of how they scatter.
        scatter = min(noise, float(np.std(ends, ddof=1))) if len(ends) > 2 else noise
    return Plateau(initial, loss, flat, noise, scatter)


def last_doubling_share(curve: Curve, *, initial: float) -> float:
    """Share of a run's whole drop in loss that its last doubling of FLOPs brought; infinite if shorter than that."""
    before = float(curve.loss_at(curve.flops[-1] / 2))
    drop = initial - float(curve.loss[-1])
    return (before - float(curve.loss[-1])) / drop if np.isfinite(before) and drop > 0 else float("inf")


def levels_of(plateau: Plateau, *, settings: FitSettings) -> list[Level]:
    """The loss of each level, lowest share first; a higher share is never easier to reach than a lower one."""
    if plateau.loss is None:
        return []
    levels: list[Level] = []
    for share in sorted(settings.levels):
        if share == 1:
            # With scatter above the last per cents of the drop, "within it" would come before them.
            loss = min([plateau.loss + NOISE_SIGMAS * plateau.scatter, *(level.loss for level in levels)])
        elif settings.level_definition == "drop":
            loss = plateau.initial - share * (plateau.initial - plateau.loss)
        else:
            loss = plateau.loss / share
        levels.append(Level(share, loss))
    return levels


def _keys(settings: FitSettings) -> list[str]:
    per_level = [
        f"{key}_{100 * share:g}"
        for share in sorted(settings.levels)
        for key in ("exponent", "prefactor", "slope", "intercept")
    ]
    return ["plateau_loss", "initial_loss", *per_level]


def _values(curves: Sequence[Curve], *, settings: FitSettings) -> list[float]:
    """Values of `_keys`; NaN where fewer than MIN_SIZES sizes reach the level."""
    plateau = find_plateau(curves, settings=settings)
    values = [np.nan if plateau.loss is None else plateau.loss, plateau.initial]
    if plateau.loss is None:
        return values + [np.nan] * (4 * len(settings.levels))
    for level in levels_of(plateau, settings=settings):
        reached = [(c.n_params, f) for c in curves if (f := c.flops_to_reach(level.loss)) is not None]
        if len({size for size, _ in reached}) < MIN_SIZES:
            values += [np.nan] * 4
            continue
        sizes, flops = np.array(reached, dtype=float).T
        law = power_law(sizes, flops)
        slope, intercept = np.polyfit(sizes, flops, 1)
        values += [law.exponent, law.prefactor, float(slope), float(intercept)]
    return values


def _reached(
    curves: Sequence[Curve], levels: Sequence[Level]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    """Points (run, level), what was left out, and the lines per level."""
    points, left_out, per_level = [], [], []
    for level in levels:
        found = []
        for curve in curves:
            row: dict[str, Any] = {"run": curve.run, "n_params": curve.n_params, "level": level.share}
            flops = curve.flops_to_reach(level.loss)
            if flops is None:
                already = curve.loss[0] <= level.loss
                why = "its first evaluation is below the level" if already else "the run does not reach the level"
                left_out.append(row | {"target_loss": level.loss, "reason": why})
                continue
            tokens = float(curve.tokens_at(flops))
            found.append(row | {"target_loss": level.loss, "flops": flops, "n_tokens": tokens})
            found[-1]["tokens_per_param"] = tokens / curve.n_params
        points += found
        sizes, flops = ([row[key] for row in found] for key in ("n_params", "flops"))
        per_level.append(
            {"level": level.share, "target_loss": level.loss, "n_runs": len(found), "n_sizes": len(set(sizes))}
            | level_fits(sizes, flops, min_sizes=MIN_SIZES)
        )
    return points, left_out, per_level


def _describe(plateau: Plateau, curves: Sequence[Curve]) -> dict[str, Any]:
    warnings = curve_warnings(curves)
    low = [curve.run for curve in plateau.flat if curve.lr_fraction_end < LOW_LEARNING_RATE]
    if low:
        warnings.append(
            f"{len(low)} of {len(plateau.flat)} flat runs end with less than {LOW_LEARNING_RATE:.0%} of their learning "
            "rate: the schedule flattens the curve, not the model."
        )
    shares = {curve.run: last_doubling_share(curve, initial=plateau.initial) for curve in curves}
    return {
        "warnings": warnings,
        "noise": plateau.noise,
        "scatter": plateau.scatter,
        "flat_runs": [curve.run for curve in plateau.flat],
        "last_doubling_share": shares,
    }


def _no_plateau(plateau: Plateau, curves: Sequence[Curve]) -> str:
    """Why there is no plateau to speak of; empty if there is one."""
    lowest = min(float(curve.loss[-1]) for curve in curves)
    if not plateau.initial - lowest > NOISE_SIGMAS * plateau.noise:
        return f"no run falls from the initial loss of {plateau.initial:.3f} by more than the noise."
    if plateau.loss is None:
        share = min(last_doubling_share(curve, initial=plateau.initial) for curve in curves)
        if not np.isfinite(share):
            return "no run has evaluations over a last doubling of its FLOPs below its initial loss."
        return (
            f"the curves do not flatten: in the flattest run the last doubling of FLOPs brought {share:.1%} of the "
            f"drop, a plateau has less than {FLAT_SHARE:.0%}."
        )
    if plateau.loss >= plateau.initial:
        return f"the plateau, {plateau.loss:.3f}, is not below the initial loss, {plateau.initial:.3f}."
    return ""


def _verdict(
    plateau: Plateau, curves: Sequence[Curve], level: dict[str, Any], exponent: Estimate, *, failed: float
) -> Verdict:
    if level["n_sizes"] < MIN_SIZES or exponent.value is None or failed > FAILED_SHARE_VOID:
        return Verdict(
            "not_identified",
            f"{level['n_sizes']} of {len({curve.n_params for curve in curves})} sizes reach {level['target_loss']:.3f} "
            f"nats, the law needs {MIN_SIZES}; in {failed:.0%} of the resamples it has fewer.",
        )
    ends = [float(curve.loss[-1]) for curve in plateau.flat]
    if len({curve.n_params for curve in plateau.flat}) == 1:
        return Verdict("weakly_identified", "runs of one size only are flat: no sign that others share the plateau.")
    if ends and max(ends) - min(ends) > 2 * NOISE_SIGMAS * plateau.noise:
        return Verdict(
            "weakly_identified",
            f"flat runs end between {min(ends):.3f} and {max(ends):.3f} nats: sizes have plateaus of their own, the "
            "common one is a convention.",
        )
    if exponent.low is None or exponent.high is None or exponent.high - exponent.low > WIDE_COST_EXPONENT:
        return Verdict("weakly_identified", "the interval of the exponent of FLOPs in size is wide.")
    if failed > FAILED_SHARE_WEAK:
        return Verdict("weakly_identified", f"{failed:.0%} of the resamples of the runs do not allow the fit.")
    return Verdict("identified", f"{level['n_sizes']} sizes reach {level['target_loss']:.3f} nats.")


def _sizes(
    law: Sequence[float], table: Array, level: dict[str, Any], curves: Sequence[Curve], settings: FitSettings
) -> list[dict[str, Any]]:
    """Size whose FLOPs to the highest level are the budget: by the power law, and by the other two lines."""

    def at(flops: float) -> tuple[float, Array]:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            draws = np.exp(np.log(flops / table[:, 1]) / np.where(table[:, 0] > 0, table[:, 0], np.nan))
        size = float(np.exp(np.log(flops / law[1]) / law[0])) if law[0] > 0 else float("nan")
        return size, draws

    rows = optimal_sizes(at, curves=curves, settings=settings)
    return [
        row | {f"n_params_{kind}": size_by_line(level, row["flops"], kind=kind) for kind in ("linear", "polynomial")}
        for row in rows
    ]
