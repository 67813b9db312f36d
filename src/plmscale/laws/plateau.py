"""FLOPs and tokens that each size needs to come to the plateau of the loss.

The plateau is estimated from runs whose curves are flat at their end; where none is, there is no plateau to speak of,
and the fit says so. Levels are shares of the drop from the initial loss to the plateau; all of it means: within two
standard deviations of the plateau, and not before the level below.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..estimates import Estimate
from ..presentation.formats import per_cent
from ..presentation.reasons import told
from ..reasons import Reason
from ..runs.curves import Curve, usable
from .budgets import no_sizes, optimal_sizes
from .confidence.run_noise import RunNoise, run_noise
from .confidence.uncertainty import (
    FAILED_SHARE_VOID,
    NOISE_SIGMAS,
    curve_warnings,
    estimate,
    failed_share,
    lack_of_fit,
    noise_warnings,
)
from .confidence.verdicts import FAILED_SHARE_WEAK, MIN_SIZES, Verdict, unless_assumed
from .fit import Fit, FitSettings, withheld
from .plateau_fits import about_line, level_fits, size_by_line, size_laws
from .plateau_levels import (
    FLAT_SHARE,
    MIN_FLAT_RUNS,
    Level,
    Plateau,
    find_plateau,
    last_doubling_share,
    levels_of,
)
from .schedule_effect import LOW_LEARNING_RATE, stopped_by_schedule

Array = NDArray[np.float64]

# An interval of the exponent of FLOPs in size that is wider than this leaves open whether big sizes cost more.
WIDE_COST_EXPONENT = 1.0


def fit(curves: Sequence[Curve], *, rng: np.random.Generator, settings: FitSettings) -> Fit:
    """Find the plateau, and fit FLOPs to reach each level against size. Signature of `plmscale.laws.fit.FitFunction`.

    Estimates: plateau_loss, initial_loss, and per level (90, 95, 100) exponent_* and prefactor_* of
    FLOPs = prefactor * N^exponent, slope_* and intercept_* of the straight line. Intervals: every run drawn again with
    the noise between runs (`plmscale.laws.confidence.run_noise`), the plateau estimated again each time, and stretched
    where the points scatter more than that. `details["levels"]` holds the lines inside the data.
    """
    kept, excluded = usable(curves)
    names = _keys(settings)
    nothing = {key: Estimate(None) for key in names}
    if not kept:
        details = {"warnings": [], "levels": [], "optimal_sizes": no_sizes(settings)}
        return Fit("plateau", "failed", Reason.of("no_usable_run"), nothing, (), excluded, details)
    plateau = find_plateau(kept, settings=settings)
    details = _describe(plateau, kept) | {"levels": [], "optimal_sizes": no_sizes(settings)}
    reason = _no_plateau(plateau, kept)
    if reason:
        return Fit("plateau", "not_identified", reason, nothing, (), excluded, details)
    noise = run_noise(kept)
    values, law_points = _values(kept, plateau, settings=settings)
    table, drawn = _replicates(kept, plateau, noise=noise, rng=rng, settings=settings)
    stretches = _stretches(law_points, drawn, kept, n_free=noise.n_free)
    estimates = {
        key: estimate(
            values[i], table[:, i], n_free=noise.drawn_free, stretch=stretches[max(i - 2, 0) // 4] if i > 1 else 1
        )
        for i, key in enumerate(names)
    }
    points, left_out, per_level = _reached(kept, levels_of(plateau, settings=settings))
    top = names.index(f"exponent_{100 * max(settings.levels):g}")
    details |= {"run_noise": noise.to_json(), "lack_of_fit": stretches}
    details["warnings"] += noise_warnings(noise)
    verdict = _verdict(plateau, kept, per_level[-1], estimates[names[top]], failed=failed_share(table[:, top]))
    verdict = unless_assumed(verdict, noise.shared)
    details["levels"] = per_level
    if verdict.has_numbers:
        details["optimal_sizes"] = _sizes(values[top : top + 2], table[:, top : top + 2], per_level[-1], kept, settings)
    result = Fit("plateau", verdict.status, verdict.why, estimates, points, [*excluded, *left_out], details)
    return result if verdict.has_numbers else withheld(result, keep=("plateau_loss", "initial_loss"))


def _keys(settings: FitSettings) -> list[str]:
    per_level = [
        f"{key}_{100 * share:g}"
        for share in sorted(settings.levels)
        for key in ("exponent", "prefactor", "slope", "intercept")
    ]
    return ["plateau_loss", "initial_loss", *per_level]


def _values(curves: Sequence[Curve], plateau: Plateau, *, settings: FitSettings) -> tuple[list[float], Array]:
    """Values of `_keys`, and log FLOPs of the runs at the levels (levels, runs)."""
    targets = np.array([level.loss for level in levels_of(plateau, settings=settings)])
    reached = np.array([curve.log_flops_to_reach(targets) for curve in curves]).T
    laws = [
        float(value[0]) for row in reached for value in size_laws(row[None], _sizes_of(curves), min_sizes=MIN_SIZES)
    ]
    return [np.nan if plateau.loss is None else plateau.loss, plateau.initial, *laws], reached


def _replicates(
    curves: Sequence[Curve], plateau: Plateau, *, noise: RunNoise, rng: np.random.Generator, settings: FitSettings
) -> tuple[Array, Array]:
    """Values of `_keys` (n, keys) and log FLOPs (n, levels, runs) with every run drawn again.

    Which runs are flat, and how far "all of the drop" stays from the plateau, are taken as known.
    """
    shift = np.exp(noise.draw(rng, n=settings.n_bootstrap, n_runs=len(curves)))
    losses = np.full(len(shift), np.nan if plateau.loss is None else plateau.loss)
    if settings.plateau_loss is None and plateau.flat:
        own = [i for i, curve in enumerate(curves) if any(curve is one for one in plateau.flat)]
        losses = np.median(shift[:, own] * [float(curves[i].loss[-1]) for i in own], axis=1)
    targets = np.array(
        [[level.loss for level in levels_of(plateau._replace(loss=float(p)), settings=settings)] for p in losses]
    )
    reached = np.stack(
        [curve.log_flops_to_reach(targets / shift[:, i, None]) for i, curve in enumerate(curves)], axis=-1
    )
    sizes = _sizes_of(curves)
    laws = [value for k in range(targets.shape[1]) for value in size_laws(reached[:, k], sizes, min_sizes=MIN_SIZES)]
    return np.column_stack([losses, np.full(len(losses), plateau.initial), *laws]), reached


def _sizes_of(curves: Sequence[Curve]) -> Array:
    return np.array([curve.n_params for curve in curves], dtype=float)


def _stretches(reached: Array, drawn: Array, curves: Sequence[Curve], *, n_free: int) -> list[float]:
    """Lack of fit of the power law of each level."""
    x = np.log(_sizes_of(curves))
    found = []
    for k, row in enumerate(reached):
        counted = np.isfinite(row)
        residual = about_line(row[None, counted], x[counted])[0]
        moved = about_line(drawn[:, k, counted], x[counted]) - residual
        found.append(lack_of_fit(residual, moved[np.isfinite(moved).all(axis=1)], n_fitted=2, n_free=n_free))
    return found


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
                why = Reason("level_before_start" if already else "level_not_reached")
                left_out.append(row | {"target_loss": level.loss} | told(why))
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
    low = stopped_by_schedule(plateau.flat)
    if low:
        warnings.append(
            f"{len(low)} of {len(plateau.flat)} flat runs end with less than {per_cent(LOW_LEARNING_RATE)} of their "
            "learning rate: the schedule flattens the curve, not the model."
        )
    shares = {curve.run: last_doubling_share(curve, initial=plateau.initial) for curve in curves}
    return {
        "warnings": warnings,
        "noise": plateau.noise,
        "scatter": plateau.scatter,
        "flat_runs": [curve.run for curve in plateau.flat],
        "last_doubling_share": shares,
    }


def _no_plateau(plateau: Plateau, curves: Sequence[Curve]) -> Reason | None:
    """Why there is no plateau to speak of; None if there is one."""
    lowest = min(float(curve.loss[-1]) for curve in curves)
    if not plateau.initial - lowest > NOISE_SIGMAS * plateau.noise:
        return Reason.of("no_drop", initial=plateau.initial)
    if plateau.loss is None:
        share = min(last_doubling_share(curve, initial=plateau.initial) for curve in curves)
        if not np.isfinite(share):
            return Reason.of("no_last_doubling")
        return Reason.of("no_flat_run", share=share, limit=FLAT_SHARE)
    if plateau.loss >= plateau.initial:
        return Reason.of("plateau_above_start", plateau=plateau.loss, initial=plateau.initial)
    return None


def _verdict(
    plateau: Plateau, curves: Sequence[Curve], level: dict[str, Any], exponent: Estimate, *, failed: float
) -> Verdict:
    if level["n_sizes"] < MIN_SIZES or exponent.value is None or failed > FAILED_SHARE_VOID:
        counts = {"n_reach": level["n_sizes"], "n_sizes": len({curve.n_params for curve in curves})}
        counts |= {"loss": level["target_loss"], "needed": MIN_SIZES, "failed": failed}
        return Verdict("not_identified", Reason("few_reach", counts))
    ends = [float(curve.loss[-1]) for curve in plateau.flat]
    n_flat = len({curve.n_params for curve in plateau.flat})
    if plateau.flat and (n_flat < MIN_SIZES or len(ends) < MIN_FLAT_RUNS):
        return Verdict("weakly_identified", Reason.of("few_flat", n_runs=len(ends), n_sizes=n_flat))
    if ends and max(ends) - min(ends) > 2 * NOISE_SIGMAS * plateau.noise:
        return Verdict("weakly_identified", Reason.of("plateaus_differ", lowest=min(ends), highest=max(ends)))
    if exponent.low is None or exponent.high is None or exponent.high - exponent.low > WIDE_COST_EXPONENT:
        return Verdict("weakly_identified", Reason.of("cost_exponent_wide"))
    if failed > FAILED_SHARE_WEAK:
        return Verdict("weakly_identified", Reason.of("few_resamples", failed=failed))
    return Verdict("identified", Reason.of("sizes_reach", n_sizes=level["n_sizes"], loss=level["target_loss"]))


def _sizes(
    law: Sequence[float], table: Array, level: dict[str, Any], curves: Sequence[Curve], settings: FitSettings
) -> list[dict[str, Any]]:
    """Size whose FLOPs to the highest level are the budget: by the power law, and by the other two lines."""

    def at(flops: float) -> tuple[float, Array]:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            draws = np.exp(np.log(flops / table[:, 1]) / np.where(table[:, 0] > 0, table[:, 0], np.nan))
        size = float(np.exp(np.clip(np.log(flops / law[1]) / law[0], -700, 700))) if law[0] > 0 else float("nan")
        return size, draws

    rows = optimal_sizes(at, curves=curves, settings=settings, whole=True)
    return [
        row | {f"n_params_{kind}": size_by_line(level, row["flops"], kind=kind) for kind in ("linear", "polynomial")}
        for row in rows
    ]
