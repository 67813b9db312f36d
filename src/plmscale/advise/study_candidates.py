"""Cells that a study could train next, at the cost that its plan gives them."""

from collections.abc import Mapping, Sequence

import numpy as np

from ..errors import InputError
from ..plan.allocation import allocate
from ..plan.calibration import paces
from ..plan.plan import Records
from ..presentation.formats import short
from ..runs.curves import Curve
from ..study.config import ModelSize, Subset
from ..study.flops import count_params, train_flops
from ..study.grid import Cell
from ..study.jobs import planned_tokens
from ..study.recipes.resolve import Recipe
from ..study.study import Study
from .candidates import (
    GAP,
    Candidate,
    apart,
    around,
    kind,
    near,
    trained_lengths,
)

SHORTER = 2.0
"""A sample this much smaller than the smallest set is a candidate too."""


def of_study(
    study: Study, curves: Sequence[Curve], *, schedule: str, counted: Mapping[str, int], records: Records
) -> list[Candidate]:
    """Sizes of the study and their neighbours, on its sets and on samples between and below them.

    Parameters
    ----------
    study : Study
    curves : sequence of Curve
        Its usable runs with this schedule.
    schedule : str
    counted : mapping of str to int
        Exact tokens of the sets that exist.
    records : mapping of str to dict
        Measured speeds by size (`plmscale.plan.calibration.read_calibrations`).

    Returns
    -------
    list of Candidate
        FLOPs by `analysis.flops` (by appendix E where that needs real lengths), device-hours as `plmscale plan`
        computes them. A cell that fits on no device is left out. No set is longer than the largest: one pass over what
        there is.
    """
    trained = trained_lengths(curves)
    measured = paces(study, records)
    convention = study.config.analysis.flops
    convention = "appendix_e" if convention == "measured_lengths" else convention
    found = []
    for model, is_new in _sizes(study):
        n = count_params(model)
        for subset, tokens in _sets(study, counted).items():
            size, training = Recipe.of(model, study.config.training).at(tokens, max_length=study.config.max_length)
            cell = Cell(size, subset, schedule, study.config.seeds[0], training, study.config.max_length)
            try:
                pace = None if is_new else measured.get(model.name)
                plan = allocate(
                    cell, tokens, hardware=study.config.hardware, execution=study.config.execution, pace=pace
                )
            except InputError:
                continue  # it fits on no device
            flops = train_flops(model, tokens, convention=convention, max_length=cell.max_length)
            what, row = kind(float(n), float(tokens), trained), _row(model) if is_new else ""
            found.append(Candidate(model.name, subset, float(n), float(tokens), flops, plan.device_hours, what, row))
    return found


def _sizes(study: Study) -> list[tuple[ModelSize, bool]]:
    """Sizes of models.tsv, and neighbours of the same shape, which are new."""
    models = sorted(study.models, key=count_params)
    known = [float(count_params(model)) for model in models]
    found: list[tuple[ModelSize, bool]] = [(model, False) for model in models]
    for wanted in around(known):
        nearest = models[int(np.argmin(np.abs(np.log(np.array(known) / wanted))))]
        model = _scaled(nearest, wanted / count_params(nearest))
        if not any(0.9 < count_params(model) / n < 1.1 for n in known):
            found.append((model, True))
    return found


def _scaled(model: ModelSize, factor: float) -> ModelSize:
    """A size with about `factor` times the parameters: depth and width grow alike, N being about 12 layers × width²."""
    layers = max(1, round(model.n_layers * factor ** (1 / 3)))
    step = 2 * model.n_heads
    width = model.d_model * np.sqrt(factor * model.n_layers / layers)
    d_model = max(1, round(width / step)) * step
    d_ffn = round(model.d_ffn / model.d_model * d_model)
    shape = model.model_copy(update={"n_layers": layers, "d_model": d_model, "d_ffn": d_ffn})
    return shape.model_copy(update={"name": short(count_params(shape))})


def _row(model: ModelSize) -> str:
    return f"n_layers {model.n_layers}, d_model {model.d_model}, d_ffn {model.d_ffn}, n_heads {model.n_heads}"


def _sets(study: Study, counted: Mapping[str, int]) -> dict[str, int]:
    """Tokens of the sets that are trained on, and of samples in wide gaps and below the smallest.

    Of sets of one length the first stands for all: the law knows tokens, not what they are from.
    """
    tokens = planned_tokens(study, counted)
    trained: list[Subset] = [one for one in study.subsets if one.train]
    lengths = [float(tokens[one.name]) for one in trained]
    found: dict[str, int] = {}
    for one in trained:
        if not near(tokens[one.name], [*found.values()]):
            found[one.name] = tokens[one.name]
    ends = sorted(apart(lengths))
    pairs = zip(ends, ends[1:], strict=False)
    new = [ends[0] / SHORTER, *(float(np.sqrt(low * high)) for low, high in pairs if high > GAP * low)]
    per_sequence = tokens[trained[0].name] / trained[0].n_sequences
    return found | {f"sample of {round(one / per_sequence):,} sequences": round(one) for one in new}
