"""The model card of a cell: what was trained, its curve, and the laws of its schedule."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from ..estimates import Estimate
from ..laws.fit import Fit
from ..laws.loss_law import chinchilla_of, kaplan_loss, kaplan_of
from ..model.model_card import facts
from ..presentation.figure_style import OKABE_ITO, log_ticks, panels
from ..presentation.formats import verdict, with_interval
from ..runs.curves import Curve
from ..study.grid import Cell

CARD, CURVE = "README.md", "curve.svg"
"""Files beside a run."""

_CARD = """---
license: {licence_id}
tags:
- esm
- protein
- scaling-laws
---

# {title}

A protein language model of {study}: an ESM-2 encoder trained by masked-language modelling with plmscale.

| | |
|---|---|
{rows}

## Curve

{curve}

`metrics.parquet` has every row, `run.json` the record of the run, `cell.json` all that its result may depend on.

## Laws of its schedule

Fitted to the runs of the schedule `{schedule}`; constants and points are in `results/fits/`.

| law | verdict | constants (95 % interval) | loss here by the law |
|---|---|---|---|
{laws}

## Licence

{licence}
"""


def card(record: Mapping[str, Any], *, fits: Sequence[Fit], study: str, licence: str, has_curve: bool) -> str:
    """Text of the model card of a run.

    Parameters
    ----------
    record : mapping
        What run.json holds.
    fits : sequence of Fit
        Those of its schedule.
    study : str
        Title of the study.
    licence : str
        SPDX identifier or URL.
    has_curve : bool
        Whether `curve.svg` lies beside the card.
    """
    cell = Cell.from_json(record["cell"])
    return _CARD.format(
        title=cell.path,
        study=study,
        rows="\n".join(f"| {name} | {value} |" for name, value in facts(record).items() if value),
        curve=f"![Loss against tokens]({CURVE})" if has_curve else "It has no curve: no loss of it is a number.",
        schedule=cell.schedule,
        laws="\n".join(_row(fit, record) for fit in fits) or "| none | the schedule has no fit | | |",
        licence=licence,
        licence_id="other" if "://" in licence else licence.lower(),
    )


def _row(fit: Fit, record: Mapping[str, Any]) -> str:
    found = {name: one for name, one in fit.estimates.items() if isinstance(one, Estimate) and one.value is not None}
    constants = "; ".join(f"{name} {with_interval(one)}" for name, one in found.items()) or "–"
    loss = law_loss(fit, n_params=record["n_params"], n_tokens=record["n_tokens"])
    return f"| {fit.name} | {verdict(fit)} | {constants} | {'–' if loss is None else f'{loss:.4f}'} |".replace(
        "\n", " "
    )


def law_loss(fit: Fit, *, n_params: float, n_tokens: float) -> float | None:
    """Loss by a law at a size and tokens, nats per masked token; None where it gives none."""
    if fit.name == "chinchilla" and (law := chinchilla_of(fit)) is not None:
        return float(law.loss(n_params, n_tokens))
    if fit.name == "kaplan" and (constants := kaplan_of(fit, optimum=False)) is not None:
        return float(kaplan_loss([n_params], [n_tokens], constants=constants)[0])
    return None


def curve_figure(curve: Curve, *, laws: Mapping[str, float]) -> Figure:
    """Loss of a run against its tokens: its evaluations, the smoothed curve, and what laws say of its end.

    Parameters
    ----------
    curve : Curve
    laws : mapping
        Loss at the end by a law, nats per masked token.
    """
    figure, ((ax,),) = panels(1, 1, height=2.4)
    ax.plot(curve.n_tokens, curve.raw_loss, ".", color="0.7", markersize=3, label="evaluations")
    ax.plot(curve.n_tokens, curve.loss, color="black", linewidth=1, label="smoothed")
    for (name, loss), colour in zip(laws.items(), OKABE_ITO, strict=False):
        ax.plot(curve.n_tokens[-1:], [loss], "D", color=colour, markersize=4, label=f"law: {name}")
    ax.set(xscale="log", xlabel="Tokens seen", ylabel="Loss (nats per masked token)")
    log_ticks(ax.xaxis, prefixes=True)
    ax.legend(loc="lower left")
    return figure
