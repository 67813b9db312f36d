"""Stop a run when its loss has reached the plateau."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from ..study.schedule_settings import Stop

SMOOTHING_PER_PATIENCE = 0.25
"""Smoothing ÷ patience where the settings name none: short enough that the lag behind a falling loss is not mistaken
for a fall, long enough to average over many rows."""


class PlateauStop:
    """Says when the smoothed loss of a run has stopped falling.

    The smoothed loss at n tokens is the mean of the losses of all rows so far, a row at n_i tokens having the weight
    exp(−(n − n_i) / smoothing). A fall is one by more than `tolerance` below the last fall; a run is at its plateau
    when the last fall is `patience_tokens` ago. So it stops when the loss falls slower than tolerance ÷ patience
    (the rule of early stopping, Prechelt 1998, with patience in tokens: steps and evaluations change with the batch).

    It is a function of the rows of metrics: an interrupted run is taken up again by showing it the rows that there
    are, and anybody can find from metrics.parquet why a run stopped.

    Parameters
    ----------
    settings : Stop
    rows : iterable of mapping
        Rows of metrics (`n_tokens`, `loss`) of a run that is taken up again, in order.

    Examples
    --------
    A loss that falls by 0.1 nats and then rests:

    >>> stop = PlateauStop(Stop(patience_tokens=200, tolerance=0.01, smoothing_tokens=1))
    >>> for n_tokens, loss in ((100, 2.9), (200, 2.8), (300, 2.8), (400, 2.8)):
    ...     stop.add({"n_tokens": n_tokens, "loss": loss})
    ...     print(n_tokens, stop.reached)
    100 False
    200 False
    300 False
    400 True
    >>> stop.reason
    'the smoothed loss was 2.8000 at 400 tokens and had not fallen by 0.01 nats since 200 tokens, at 2.8000'
    """

    def __init__(self, settings: Stop, *, rows: Iterable[Mapping[str, Any]] = ()) -> None:
        self._settings = settings
        self._patience = settings.patience_tokens or math.inf
        self._smoothing = settings.smoothing_tokens or SMOOTHING_PER_PATIENCE * self._patience
        self._n_tokens, self._summed, self._weight = 0, 0.0, 0.0
        self._best, self._best_at = math.inf, 0
        for row in rows:
            self.add(row)

    @property
    def smoothed(self) -> float:
        """Smoothed loss at the last row, nats per masked token; infinite before the first."""
        return self._summed / self._weight if self._weight else math.inf

    @property
    def reason(self) -> str:
        """Where the last row stands, in words."""
        return (
            f"the smoothed loss was {self.smoothed:.4f} at {self._n_tokens} tokens and had not fallen by "
            f"{self._settings.tolerance:g} nats since {self._best_at} tokens, at {self._best:.4f}"
        )

    @property
    def reached(self) -> bool:
        """Whether the run was at its plateau at the last row."""
        rested = self._n_tokens - self._best_at
        return rested >= self._patience and self._n_tokens >= self._settings.min_tokens

    def add(self, row: Mapping[str, Any]) -> None:
        """Take a row in; rows have to come in order, each once."""
        fading = math.exp((self._n_tokens - row["n_tokens"]) / self._smoothing)
        self._summed = self._summed * fading + row["loss"]
        self._weight = self._weight * fading + 1.0
        self._n_tokens = row["n_tokens"]
        if self.smoothed < self._best - self._settings.tolerance:
            self._best, self._best_at = self.smoothed, self._n_tokens
