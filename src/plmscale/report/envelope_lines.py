"""The envelope as a line: the lowest loss that a budget reaches, which never rises with the budget."""

from typing import NamedTuple

from ..laws.fit import Fit


class EnvelopePoint(NamedTuple):
    """A budget with the lowest smoothed loss of any run that costs no more.

    Attributes
    ----------
    flops, loss : float
    n_params, n_tokens : float
        Of the run that has the loss.
    run, words : str
        Its name; whether the fit uses the point, else why not.
    used : bool
    """

    flops: float
    loss: float
    n_params: float
    n_tokens: float
    run: str
    words: str
    used: bool


def envelope_line(fit: Fit) -> list[EnvelopePoint]:
    """The envelope of a fit at rising compute.

    Where the best run has ended and all others are worse, a larger budget still buys what the best run had: such
    budgets, at which the runs that are left have a higher loss, are not part of the line.
    """
    rows = [(row, True) for row in fit.points]
    rows += [(row, False) for row in fit.excluded if row.get("loss") is not None and row.get("flops") is not None]
    found: list[EnvelopePoint] = []
    for row, used in sorted(rows, key=lambda pair: pair[0]["flops"]):
        if found and row["loss"] > found[-1].loss:
            continue
        words = "used in the fit" if used else f"left out: {row['reason']}"
        size, tokens = float(row["n_params"]), float(row["n_tokens"])
        found.append(EnvelopePoint(float(row["flops"]), float(row["loss"]), size, tokens, row["run"], words, used))
    return found
