"""Learning-rate schedules, as functions of the tokens seen and of the run's own token budget.

Functions of tokens and not of steps, and stateless: a run that is taken up again has the rates that it would have had,
and neither devices nor accumulation change them.
"""

import math
from collections.abc import Callable

from ..errors import InputError
from .config import Training
from .names import ENDS_WITH_BUDGET


def lr_fraction(schedule: str, n_tokens: int, *, training: Training, budget: int) -> float:
    """Learning rate ÷ initial learning rate after `n_tokens` tokens: warm-up × decay.

    Parameters
    ----------
    schedule : {"token_decay", "constant", "cosine", "wsd"}
        `token_decay` is equation 2 of Serrano et al. 2024: decay_rate^(tokens / decay_tokens). `cosine` is half a wave
        (Loshchilov and Hutter 2017, equation 5, without restarts) from the end of the warm-up to the budget, where it
        is `training.cosine.floor`. `wsd` (Hu et al. 2024, §4) is stable until the last `training.wsd.decay_share` of
        the budget, then falls to `training.wsd.floor`: linearly, or as 1 − √x (Hägele et al. 2024, §3.2).
    n_tokens : int
        Tokens seen so far.
    training : Training
        Gives warm-up, during which the fraction also rises linearly from 0, and the settings of the schedule.
    budget : int
        Tokens that the whole run sees.

    Returns
    -------
    float
        Between 0 and 1; beyond the budget what it is at the budget.

    Examples
    --------
    The paper's decay halves the rate every 0.69 billion tokens:

    >>> round(lr_fraction("token_decay", 692_800_000, training=Training(), budget=10**9), 3)
    0.5

    A cosine is half way between start and floor at half of its budget:

    >>> round(lr_fraction("cosine", 500, training=Training(), budget=1000), 3)
    0.55
    """
    warmup = min(1.0, (n_tokens + training.batch_tokens) / training.warmup_tokens) if training.warmup_tokens else 1.0
    return warmup * DECAYS[schedule](n_tokens, training, budget)


def stable_until(training: Training, *, budget: int) -> float:
    """Tokens up to which the schedule `wsd` of a run of `budget` tokens is what `constant` is, warm-up included.

    Examples
    --------
    >>> stable_until(Training(), budget=1000)  # wsd.decay_share is 0.2
    800.0
    """
    return (1 - training.wsd.decay_share) * budget


def check_budget(schedule: str, *, training: Training, budget: int) -> None:
    """Check that a schedule that ends with the budget has something left after the warm-up.

    Raises
    ------
    InputError
        If the warm-up takes the whole budget.
    """
    if schedule in ENDS_WITH_BUDGET and training.warmup_tokens >= budget:
        raise InputError(
            f"training.warmup_tokens is {training.warmup_tokens}, but the schedule {schedule!r} ends after the "
            f"{budget} tokens of the run: there is nothing left after the warm-up. Choose a shorter one."
        )


def _token_decay(n_tokens: int, training: Training, budget: int) -> float:
    del budget
    return training.decay_rate ** (n_tokens / training.decay_tokens)


def _constant(n_tokens: int, training: Training, budget: int) -> float:
    del n_tokens, training, budget
    return 1.0


def _cosine(n_tokens: int, training: Training, budget: int) -> float:
    done = _share(n_tokens, training.warmup_tokens, budget)
    floor = training.cosine.floor
    return floor + (1 - floor) * (1 + math.cos(math.pi * done)) / 2


def _wsd(n_tokens: int, training: Training, budget: int) -> float:
    wsd = training.wsd
    done = _share(n_tokens, stable_until(training, budget=budget), budget)
    return 1 - (1 - wsd.floor) * (math.sqrt(done) if wsd.shape == "1-sqrt" else done)


def _share(n_tokens: int, start: float, end: float) -> float:
    """Share of the way from `start` to `end`, between 0 and 1."""
    return min(1.0, max(0.0, (n_tokens - start) / (end - start)))


DECAYS: dict[str, Callable[[int, Training, int], float]] = {
    "token_decay": _token_decay,
    "constant": _constant,
    "cosine": _cosine,
    "wsd": _wsd,
}
"""What each schedule of `plmscale.study.config.Schedule` makes of tokens, settings and budget, warm-up aside."""
