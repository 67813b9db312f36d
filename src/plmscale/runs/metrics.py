"""Which of the metrics of an export is the loss, and which of its axes counts steps, tokens or FLOPs.

All runs of a fit have one and the same metric. It is chosen only where a single one could be it: by its whole name,
never by a part (`loss_scale` is no loss). Everything else is asked for.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from ..errors import InputError

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")

_HELD_OUT = {"val", "valid", "validation", "eval", "evaluation", "dev", "test", "holdout", "heldout"}
_TRAINING = {"train", "training"}
_LOSS = {"loss", "nll", "xent", "crossentropy"}
# Words that leave a loss the loss of the run.
_PLAIN = _HELD_OUT | _TRAINING | _LOSS
_PLAIN |= {"lm", "mlm", "clm", "masked", "token", "tokens", "final", "last", "step", "epoch", "samples", "nats", "mean"}
# Words that make of it something else: a factor, an error bar, a setting.
_NO_LOSS = {"scale", "scaler", "scaling", "weight", "weights", "coef", "coeff", "coefficient", "factor", "type", "fn"}
_NO_LOSS |= {"function", "name", "std", "stderr", "sem", "sd", "se", "var", "variance", "err", "error", "ci", "lower"}
_NO_LOSS |= {
    "upper",
    "low",
    "high",
    "count",
    "n",
    "num",
    "window",
    "spikes",
    "target",
    "threshold",
    "mask",
    "reduction",
}
_NO_LOSS |= {"min", "max"}
_OTHER_UNITS = {
    "a perplexity: give its natural logarithm": {"ppl", "perplexity", "pppl", "ppls", "perplexities"},
    "in bits: multiply it by ln 2 = 0.6931": {"bit", "bits", "bpb", "bpc", "bpd", "bpt"},
    "an accuracy, not a loss": {"acc", "accuracy"},
}

_STEP = {"step", "steps", "iteration", "iterations", "iter", "iters", "update", "updates"}
_STEP_BESIDE = {"global", "trainer", "train", "training", "optimizer", "num", "n", "total"}
_TOKENS = {"token", "tokens"}
_TOKENS_BESIDE = {"n", "num", "number", "of", "input", "train", "training", "total", "seen", "consumed", "processed"}
_TOKENS_BESIDE |= {"so", "far", "trained", "on", "count", "cumulative", "global"}
_FLOPS = {"flop", "flops", "flos"}
_FLOPS_BESIDE = {"train", "training", "total", "compute", "cumulative", "spent", "num", "n", "count", "so", "far"}

AXIS_WANTED = "steps, tokens or FLOPs"


def words(name: str) -> list[str]:
    """Words of a name, in lower case: `Train/Samples/val_loss` and `valLoss` are parted alike."""
    return [word.lower() for word in _WORD.findall(name.replace("cross_entropy", "crossentropy"))]


def same_metric(name: str) -> str:
    """What two names have in common that are one metric: `eval/loss` and `eval_loss`, `val_loss` and `valid_loss`."""
    found = ["val" if word in _HELD_OUT else "train" if word in _TRAINING else word for word in words(name)]
    return " ".join(word for word in found if word not in ("final", "last", "samples"))


def is_loss(name: str) -> bool:
    """Whether a whole name says that this is the loss of a run."""
    found = set(words(name))
    return bool(found & _LOSS) and found <= _PLAIN and not is_training_mean(name)


def may_be_loss(name: str) -> bool:
    """Whether a metric could be the loss: its name has the word, and none that makes something else of it."""
    found = set(words(name))
    other = found & _NO_LOSS or any(found & unit for unit in _OTHER_UNITS.values())
    return bool(found & _LOSS) and not other and not is_training_mean(name)


def is_training_mean(name: str) -> bool:
    """Whether this is the mean over the whole training that Hugging Face's Trainer logs at its end."""
    return words(name) == ["train", "train", "loss"]


def choose_loss(
    metrics: Mapping[str, Sequence[str]], *, runs: Sequence[str], wanted: str | None, source: str, what: str = "metric"
) -> str:
    """The metric that is the loss of all runs.

    Parameters
    ----------
    metrics : mapping of str to sequence of str
        For every metric, the runs that have it.
    runs : sequence of str
        All runs.
    wanted : str, optional
        What `--loss-column` names.
    source, what : str
        For messages.

    Raises
    ------
    InputError
        If the choice is open, or a run has not this metric; the message lists what there is.
    """
    if wanted:
        chosen = matching(wanted, metrics, source=source, what=what)
        refuse_other_units(chosen, source=source)
        lacking = [run for run in runs if run not in metrics[chosen]]
        if lacking:
            raise InputError(
                f"{source}: {_listed(lacking)} {'has' if len(lacking) == 1 else 'have'} no {chosen!r}. All runs of a "
                f"fit need the same metric; there are {_with_runs(metrics, runs)}."
            )
        return chosen
    could = {name: own for name, own in metrics.items() if may_be_loss(name)}
    if not could:
        raise InputError(
            f"{source}: no {what} is the loss; it has {_listed(list(metrics))}. If one is, choose it: --loss-column."
        )
    (first, have), *others = could.items()
    if others or not is_loss(first) or len(set(have)) < len(set(runs)):
        raise InputError(
            f"{source}: which {what} is the loss is open: {_with_runs(could, runs)}. Choose one that all runs have "
            "with --loss-column."
        )
    return first


def matching(wanted: str, names: Iterable[str], *, source: str, what: str) -> str:
    """The name that is meant: as written, else the only one of the same letters (`eval/loss` is `eval_loss`).

    Raises
    ------
    InputError
        If there is none, or several.
    """
    known = list(names)
    found = [name for name in known if name == wanted] or [name for name in known if _letters(name) == _letters(wanted)]
    if len(found) == 1:
        return found[0]
    problem = f"there is no {what} {wanted!r}" if not found else f"{wanted!r} may be {_listed(found)}"
    raise InputError(f"{source}: {problem}; it has {_listed(known)}.")


def refuse_other_units(name: str, *, source: str) -> None:
    """Refuse a metric whose name says that it is not a loss in nats.

    Raises
    ------
    InputError
        If it is so; the message says how to convert it.
    """
    for problem, unit in _OTHER_UNITS.items():
        if unit & set(words(name)):
            raise InputError(f"{source}: {name!r} is {problem}. A loss is in nats per token.")
    if is_training_mean(name):
        raise InputError(f"{source}: {name!r} is the mean over the whole training, not the loss at a step.")


def axis_kind(name: str) -> str | None:
    """What an axis counts by its name: `step`, `n_tokens` or `flops`; None if it is another (time, epochs, samples)."""
    found = set(words(name))
    kinds = (("n_tokens", _TOKENS, _TOKENS_BESIDE), ("flops", _FLOPS, _FLOPS_BESIDE), ("step", _STEP, _STEP_BESIDE))
    return next((kind for kind, core, beside in kinds if found & core and found <= core | beside), None)


def refuse_axis(name: str, *, source: str) -> InputError:
    """The error for an axis that is no count of the training."""
    return InputError(
        f"{source}: the axis {name!r} is not {AXIS_WANTED}. Export the metric against the step (or against tokens or "
        "FLOPs, in units of one)."
    )


def _letters(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _listed(names: Sequence[str], most: int = 12) -> str:
    return ", ".join(repr(name) for name in names[:most]) + (", …" if len(names) > most else "") or "none"


def _with_runs(metrics: Mapping[str, Sequence[str]], runs: Sequence[str]) -> str:
    said = []
    for name, have in list(metrics.items())[:12]:
        n, of = len(set(have)), len(set(runs))
        said.append(f"{name!r}" + ("" if n == of else f" ({n} of {of} runs)"))
    return ", ".join(said)
