"""Whether a training still makes sense: non-finite losses, divergence, spikes. What is found is data, not an error."""

import math
from dataclasses import dataclass, field
from typing import Any

from ..study.config import Health


@dataclass
class HealthState:
    """What the rules remember; part of a checkpoint, so that a run taken up again is judged the same.

    Attributes
    ----------
    summed, n_steps : float, int
        Losses of the steps since the last judgement.
    lowest : float or None
        Smallest mean so far, in nats.
    n_above : int
        Judgements in a row that found the loss above the limit of divergence.
    spikes : list of dict
        `step` of the judgement that first found the loss above the limit of spikes, `until` the step of the first that
        found it below again (None: not yet), `nats` the largest excess over the smallest mean.
    """

    summed: float = 0.0
    n_steps: int = 0
    lowest: float | None = None
    n_above: int = 0
    spikes: list[dict[str, Any]] = field(default_factory=list)


class HealthCheck:
    """Judges a run by its losses.

    The loss is averaged over `every` steps, and its excess is measured from the smallest average so far: a healthy loss
    falls, so an excess is what went wrong whatever the size of the model. An excess above `spike_nats` is a spike: it
    is recorded, and the run goes on. One above `divergence_nats` for `divergence_rows` averages in a row is a
    divergence: the run ends. A loss that is not finite ends it at once.

    Parameters
    ----------
    settings : Health
    every : int
        Steps averaged.
    state : HealthState
        Of the checkpoint; changed in place.

    Examples
    --------
    A loss that leaps by 1 nat for one step, and then for good:

    >>> rules = Health(divergence_nats=0.8, divergence_rows=3, spike_nats=0.3)
    >>> check = HealthCheck(rules, every=1, state=HealthState())
    >>> for step, loss in enumerate([2.0, 3.0, 1.9, 3.0, 3.0, 3.0], start=1):
    ...     reason = check.observe(step=step, loss=loss)
    >>> reason
    'the loss was more than 0.8 nats above its minimum of 1.9000 in 3 rows up to step 6'
    >>> [(spike["step"], spike["until"]) for spike in check.state.spikes]
    [(2, 3), (4, None)]
    """

    def __init__(self, settings: Health, *, every: int, state: HealthState) -> None:
        self.state, self._settings, self._every = state, settings, every

    def observe(self, *, step: int, loss: float) -> str | None:
        """Take the loss of a step, in nats. Returns why the run should end as diverged, or None."""
        if not math.isfinite(loss):
            return f"the loss was {loss} at step {step}"
        self.state.summed += loss
        self.state.n_steps += 1
        if step % self._every:
            return None
        mean = self.state.summed / self.state.n_steps
        self.state.summed, self.state.n_steps = 0.0, 0
        return self._judge(step, mean)

    def _judge(self, step: int, mean: float) -> str | None:
        state, settings = self.state, self._settings
        lowest = mean if state.lowest is None else min(mean, state.lowest)
        state.lowest, excess = lowest, mean - lowest
        self._note_spike(step, excess)
        state.n_above = state.n_above + 1 if excess > settings.divergence_nats else 0
        if state.n_above < settings.divergence_rows:
            return None
        return (
            f"the loss was more than {settings.divergence_nats:g} nats above its minimum of {lowest:.4f} in "
            f"{state.n_above} rows up to step {step}"
        )

    def _note_spike(self, step: int, excess: float) -> None:
        last = self.state.spikes[-1] if self.state.spikes else None
        if last is not None and last["until"] is None:
            if excess > self._settings.spike_nats:
                last["nats"] = max(last["nats"], excess)
            else:
                last["until"] = step
        elif excess > self._settings.spike_nats:
            self.state.spikes.append({"step": step, "until": None, "nats": excess})
