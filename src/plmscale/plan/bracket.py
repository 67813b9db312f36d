"""The bracket check: half and twice the learning rate at the largest size, over the first part of the longest run.

A rate that is too high or too low at the largest size costs the most expensive cells, and bends the law. Three short
runs show it beforehand: at half the rate, at the rate and at twice the rate, with the cell's own schedule over a tenth
of its tokens, from the same seed, so with the same data in the same order.

The best rate falls with the tokens of a run (Bjorck et al. 2024, arXiv 2409.19913: as D^-0.32 at constant batch). So a
rate that is too high over the first part is too high for the whole run; one that seems too low there need not be.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..errors import InputError
from ..presentation.formats import per_cent, short
from ..study.flops import count_params
from ..study.grid import Cell, grid, table_tokens
from ..study.study import Study
from .identifiability import NOISE

RATES = {"half": 0.5, "same": 1.0, "double": 2.0}
"""Factors of the learning rate by the names of their folders."""

SHARE = 0.1
"""Of the tokens of the longest run."""

LEAST_STEPS = 100
LEAST_WARMUPS = 3
"""A beginning has at least so many optimizer steps, and so many times the warm-up, up to the whole run."""

HORIZON = -0.32
"""Exponent of the best rate in tokens: Bjorck et al. 2024."""

TOO_HIGH, HOLDS, NOT_TOO_HIGH, OPEN = "too high", "holds", "not too high", "open"


def bracket_cell(cells: Iterable[Cell], study: Study) -> Cell:
    """The cell of a study's that is checked: the longest run of the largest size, with the lowest seed."""
    tokens = table_tokens(study)
    return max(cells, key=lambda cell: (count_params(cell.model), tokens[cell.subset], -cell.seed))


def share_of(study: Study, cell: Cell) -> float:
    """Share of its tokens over which a cell is checked."""
    training, tokens = cell.training, table_tokens(study)[cell.subset]
    least = max(LEAST_STEPS * training.batch_tokens, LEAST_WARMUPS * training.warmup_tokens)
    return min(1.0, max(SHARE, least / tokens))


def bracket_run(study: Study, cell: Cell, rate: str) -> dict[str, Any]:
    """The frozen cell of one run of the check: the cell with another rate, over the first part of its tokens."""
    model = cell.model.model_copy(update={"learning_rate": RATES[rate] * cell.model.learning_rate})
    epochs = float(f"{share_of(study, cell) * cell.epochs:.4g}")
    return replace(cell, model=model, of=cell.data, epochs=epochs).frozen()


@dataclass(frozen=True)
class Bracket:
    """What the check says.

    Attributes
    ----------
    verdict : {"too high", "holds", "not too high", "open"}
    words : str
        Sentences.
    losses : mapping of str to (float or None)
        Holdout loss in nats by the name of the rate; None of a run that diverged.
    cell : str
        The cell that is checked.
    learning_rate : float
        Its rate.
    """

    verdict: str
    words: str
    losses: Mapping[str, float | None]
    cell: str
    learning_rate: float

    def to_json(self) -> dict[str, Any]:
        """For bracket.json."""
        return dict(vars(self)) | {"losses": dict(self.losses)}


def judge(study: Study, records: Mapping[str, Mapping[str, Any]]) -> Bracket:
    """The verdict on the rate of the largest size.

    Parameters
    ----------
    study : Study
    records : mapping
        Contents of run.json by the name of the rate.

    Raises
    ------
    InputError
        If a run has neither diverged nor a loss on the holdout.
    """
    cell, losses = bracket_cell(grid(study), study), {rate: _loss(rate, records[rate]) for rate in RATES}
    verdict, said = _judged(losses)
    tokens = table_tokens(study)[cell.subset]
    share = share_of(study, cell)
    rate = cell.model.learning_rate
    words = [f"Learning rate {rate:g} of {cell.path}, {short(tokens)} tokens: {verdict}.", said]
    words.append(f"The runs of this check see {short(share * tokens)} tokens, {per_cent(share)} of the longest run.")
    if share < 1:
        words.append(
            f"The best rate of a run falls about as its tokens^{HORIZON:g} (Bjorck et al. 2024): that of the longest "
            f"run is expected at {share**-HORIZON:.2g} times that of these."
        )
    return Bracket(verdict, " ".join(words).replace("%", " %"), losses, cell.path, rate)


def _loss(rate: str, record: Mapping[str, Any]) -> float | None:
    if record["status"] != "done":
        return None
    held = record["holdout"]
    if held is None:
        raise InputError(
            f"bracket: the run at {rate} rate has no loss on the holdout. Remove results/bracket, and run "
            "`plmscale run bracket` again."
        )
    return float(held["loss"])


def _judged(losses: Mapping[str, float | None]) -> tuple[str, str]:
    """The verdict, and what it rests on."""
    half, same, double = (losses[rate] for rate in RATES)
    if same is None:
        return TOO_HIGH, "Its run diverged."
    lower, upper = (None if loss is None else loss - same for loss in (half, double))
    noise = NOISE * same
    ends = f"Half the rate ends {_change(lower)}, twice the rate {_change(upper)}"
    if lower is None:
        return (
            OPEN,
            f"{ends}: divergence at half the rate alone has another cause than the rate. See its log.",
        )
    if lower < -noise and (upper is None or lower <= upper):
        return TOO_HIGH, f"{ends}."
    if upper is not None and upper < -noise:
        return NOT_TOO_HIGH, f"{ends}."
    if lower > noise and (upper is None or upper > noise):
        return HOLDS, f"{ends}."
    return OPEN, f"{ends}: less than runs differ by chance, about {noise:.2g} nats, on at least one side."


def _change(nats: float | None) -> str:
    return "in divergence" if nats is None else f"{abs(nats):.3g} nats {'higher' if nats >= 0 else 'lower'}"
