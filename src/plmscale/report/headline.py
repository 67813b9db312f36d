"""The answer of a study or a fit: the optimum by budget, as the law with the best verdict gives it."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ..estimates import Estimate
from ..laws.budgets import EXTRAPOLATED
from ..laws.fit import NO_FIT, Fit
from ..laws.loss_law import chinchilla_of
from ..laws.size_law import SizeAt, SizeLaw
from ..plan.hardware.devices import Device
from ..presentation.axis_labels import loss_label
from ..presentation.formats import FIT_TITLES, compact, number, per_cent
from ..presentation.tables import Column, Table
from .law_curves import asked_rows, headline_law

Fits = Mapping[str, Mapping[str, Fit]]


def largest_known(law: SizeLaw) -> tuple[float, SizeAt] | None:
    """The largest compute of the runs, or of the law's own steps below it, with an optimum: inside the data if any."""
    steps = [law.flops[1], *(row["flops"] for row in reversed(law.rows) if row["flops"] < law.flops[1])]
    found = [(flops, size) for flops in steps if (size := law.at(flops)) is not None]
    inside = [one for one in found if one[1].position != EXTRAPOLATED]
    return next(iter(inside or found), None)


def tokens_per_param(size: SizeAt) -> Estimate:
    """D_opt / N_opt with its interval: the fewest tokens belong to the largest size."""
    low = None if size.tokens_low is None or size.high is None else size.tokens_low / size.high
    high = None if size.tokens_high is None or size.low is None else size.tokens_high / size.low
    return Estimate(None if size.n_tokens is None else size.n_tokens / size.n_params, low, high)


def headline_table(fits: Fits, *, masked: bool, device: Device | None = None) -> Table | None:
    """The optimum at the budgets asked and at the largest compute inside the data; None without a law.

    Parameters
    ----------
    fits : mapping
        Fit by method and schedule.
    masked : bool
        Whether losses are of masked tokens.
    device : Device, optional
        What a budget costs in hours is said of it.
    """
    found = headline_law(fits)
    if found is None:
        return None
    law, fit = found
    budgets = {float(row["flops"]) for row in asked_rows(fit)}
    largest = largest_known(law)
    budgets |= {largest[0]} if largest else set()
    rows = [_row(law, flops, size, fits=fits, device=device) for flops in sorted(budgets) if (size := law.at(flops))]
    data = pd.DataFrame(rows, dtype=object)
    columns = [
        Column("Budget C (FLOPs)", "flops", "compact"),
        Column("N_opt (parameters, 95 % interval)", "n_params", "short", ("n_params_low", "n_params_high")),
        Column("D_opt (tokens, 95 % interval)", "n_tokens", "short", ("n_tokens_low", "n_tokens_high")),
        Column("Tokens per parameter", "ratio", "number", ("ratio_low", "ratio_high")),
        Column(loss_label("Loss there", masked=masked), "loss", "loss"),
        Column("Cost (device-hours)", "device_hours", "number"),
        Column("Beyond the data", "beyond"),
    ]
    empty = {key for key in ("loss", "device_hours") if not rows or rows[0][key] is None}
    shown = [column for column in columns if column.key not in empty]
    return Table(data, shown, notes=_notes(fit, device, loss="loss" not in empty))


def _row(law: SizeLaw, flops: float, size: SizeAt, *, fits: Fits, device: Device | None) -> dict[str, Any]:
    ratio = tokens_per_param(size)
    parametric = chinchilla_of(fits.get("chinchilla", {}).get(law.schedule, NO_FIT))
    loss = None
    if parametric is not None and size.n_tokens is not None:
        loss = float(parametric.loss(size.n_params, size.n_tokens))
    hours = None if device is None else flops / (device.peak_flops * device.mfu * 3600)
    return {
        "flops": flops,
        "n_params": size.n_params,
        "n_params_low": size.low,
        "n_params_high": size.high,
        "n_tokens": size.n_tokens,
        "n_tokens_low": size.tokens_low,
        "n_tokens_high": size.tokens_high,
        "ratio": ratio.value,
        "ratio_low": ratio.low,
        "ratio_high": ratio.high,
        "loss": loss,
        "device_hours": hours,
        "beyond": beyond_words(law, flops, size),
    }


def beyond_words(law: SizeLaw, flops: float, size: SizeAt) -> str:
    """How far size, tokens and compute lie beyond those of the runs, as factors; "inside" where they do not."""
    if law.seen is None or size.n_tokens is None:
        return "inside" if size.position != EXTRAPOLATED else size.position
    far = law.seen.decades(size.n_params, size.n_tokens, flops)
    parts = {"size": far.n_params, "tokens": far.n_tokens, "compute": far.flops}
    said = [
        f"{name} {number(10 ** abs(decades), digits=2)} times {'more' if decades > 0 else 'less'}"
        for name, decades in parts.items()
        if decades
    ]
    return ", ".join(said) or "inside"


def _notes(fit: Fit, device: Device | None, *, loss: bool) -> tuple[str, ...]:
    notes = [f"By {METHODS[fit.name]}."]
    if loss:
        notes.append(f"Loss there: by {METHODS['chinchilla']}, for that size and those tokens.")
    if device is not None:
        notes.append(f"Cost: on {device.name} at {per_cent(device.mfu)} of its {compact(device.peak_flops)} FLOP/s.")
    return tuple(notes)


METHODS = {
    "envelope": "the lower envelope of the loss curves",
    "isoflop": "loss against size at equal compute (IsoFLOP)",
    "chinchilla": f"{FIT_TITLES['chinchilla']}'s law of the final losses",
}
"""What a method goes by, in words."""
