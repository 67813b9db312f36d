"""Learning-rate schedules, as functions of the tokens seen."""

from .config import Training


def lr_fraction(schedule: str, n_tokens: int, *, training: Training) -> float:
    """Learning rate ÷ initial learning rate after `n_tokens` tokens.

    Parameters
    ----------
    schedule : {"token_decay", "constant"}
        `token_decay` is equation 2 of Serrano et al. 2024: decay_rate^(tokens / decay_tokens).
    n_tokens : int
        Tokens seen so far.
    training : Training
        Gives decay and warm-up; during the warm-up the fraction also rises linearly from 0.

    Examples
    --------
    The paper's decay halves the rate every 0.69 billion tokens:

    >>> round(lr_fraction("token_decay", 692_800_000, training=Training()), 3)
    0.5
    """
    warmup = min(1.0, (n_tokens + training.batch_tokens) / training.warmup_tokens) if training.warmup_tokens else 1.0
    if schedule == "constant":
        return warmup
    if schedule == "token_decay":
        return warmup * training.decay_rate ** (n_tokens / training.decay_tokens)
    raise ValueError(f"no schedule {schedule!r}")
