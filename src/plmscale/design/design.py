"""`design`: from a budget and proteins to a folder with a study."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

from ..errors import InputError
from ..files import check_writable, write_json
from ..plan.hardware.device_types import DEVICE_TYPES
from ..plan.hardware.devices import device_of
from ..presentation.formats import per_cent, short
from ..study.config import Hardware
from ..study.configuration import read_configuration
from ..study.table_rows import validated
from .budget import Budget, budget_of, number_of
from .expectation import IDENTIFIED, Expected
from .ladder import ladder
from .prior import Prior, read_priors
from .proteins import Proteins, count_proteins
from .remedy import remedy
from .search import Means, best_designs, judged
from .simulation import NO_FLOOR, Simulated, simulated
from .spending import LEAST_SHARE, Cost, filled, in_another
from .study import Draft, NoStudy, Source, source_in, whole_set, write_files
from .words import Alternative, Promise, first_lines, record

TRIED = 8
"""Designs that are planned before it is said that none fits."""

WIDE_SHARE = 0.8
"""Share of a deadline's device-hours that branches after trunks fill: where the search begins."""

STARTS = 1.5

RECORD = "design.json"


@dataclass(frozen=True)
class Made:
    """What was written, and its first lines."""

    folder: Path
    source: Source
    text: str
    promise: Promise


def design(proteins: Path, out: Path, *, root: Path, **given: Any) -> Made:
    """Write a study that a budget pays for.

    Parameters
    ----------
    proteins : Path
        FASTA.
    out : Path
        Folder to make; one that exists is refused.
    root : Path
        Folder of the workflow.
    **given
        One of gpu_hours, deadline, flops, money; and device, precision, devices, price, max_length, law, noise,
        target_flops.

    Raises
    ------
    InputError
        If the budget is open or ambiguous, no design keeps to it, or the folder is there.
    """
    if out.exists():
        raise InputError(f"--out: {out} is there already, and nothing in it is overwritten. Name another folder.")
    check_writable(out)
    budget = budget_of(given)
    named = [name for name in ("noise", "target_flops") if given.get(name) is not None]
    options = {name: number_of(given, name) for name in named}
    means = _means(budget)
    counted = count_proteins(proteins)
    whole_set(counted, max_length=means.max_length)  # too large a set is refused before a design is searched
    # Runs that see tokens again are in no law of size and tokens (plmscale.runs.selection): one pass is the longest.
    means = replace(means, most_tokens=float(counted.tokens(means.max_length)))
    target = options.get("target_flops", means.flops)
    priors = [
        replace(one, noise=options.get("noise", one.noise)) for one in read_priors(given.get("law"), flops=means.flops)
    ]
    prior = _first_with_designs(priors, means, target_flops=target)
    draft, cost = _drafted(prior, means, budget, counted, target_flops=target, root=root)
    linear, told = _told(prior, draft, target_flops=target)
    needed = None
    if told.status != IDENTIFIED and told.reason != NO_FLOOR:
        needed = remedy(prior, means, linear, width=told.width, target_flops=target)
    promise = Promise(draft, cost, told, prior, target, _alternatives(draft), needed)
    text = first_lines(promise)
    source = source_in(counted.path, out)
    _write(promise, out, source=source, text=text)
    return Made(out, source, text, promise)


def _first_with_designs(priors: Sequence[Prior], means: Means, *, target_flops: float) -> Prior:
    """The first law under which a design is found, else under which more proteins would allow one."""
    for tokens in (means.most_tokens, float("inf")):
        allowed = replace(means, most_tokens=tokens)
        for prior in priors:
            if best_designs(prior, allowed, target_flops=target_flops):
                return prior
    return priors[0]


def _means(budget: Budget) -> Means:
    """The budget in FLOPs at the speed that the plan assumes, start-up apart.

    Starts cost no FLOPs: of a budget in FLOPs they may take `STARTS` times as long as training.
    """
    hardware = validated(
        Hardware, budget.hardware(), what="design: the settings of hardware that follow from the budget"
    )
    device = device_of(hardware, budget.precision)
    speed = device.peak_flops * device.mfu
    if budget.device_hours is None:
        jobs = STARTS * budget.amount / (speed * hardware.startup_seconds) if hardware.startup_seconds else inf
        return Means(budget.amount, 0.0, budget.max_length, 0.0, jobs)
    share = WIDE_SHARE if budget.kind == "deadline" else 1.0
    seconds = 3600 * budget.device_hours * share
    return Means(speed * seconds, speed * hardware.startup_seconds, budget.max_length, 0.0)


def _drafted(
    prior: Prior, means: Means, budget: Budget, counted: Proteins, *, target_flops: float, root: Path
) -> tuple[Draft, Cost]:
    """The best design that the plan can fit to the budget."""
    found = best_designs(prior, means, target_flops=target_flops)
    if not found:
        raise InputError(_none(prior, means, budget, counted))
    base = read_configuration([], root=root)
    refused, impossible = "", ""
    for one in found[:TRIED]:
        try:
            if (made := filled(Draft(one, budget, counted, base))) is not None:
                return made
        except NoStudy as error:
            impossible = str(error)
        except InputError as error:  # a size that fits on no device, for one
            refused = f" {error}"
    if impossible and not refused:
        raise InputError(
            f"design: {budget.words} and these proteins make no study: {impossible}. Give a budget and proteins that "
            "are nearer to each other: fewer or more proteins, a smaller or larger budget."
        )
    raise InputError(
        f"design: no design uses {per_cent(LEAST_SHARE)} of {budget.words} by the plan.{refused} Give more devices, "
        "another device, or a larger budget."
    )


def _none(prior: Prior, means: Means, budget: Budget, counted: Proteins) -> str:
    """Why no design was found, and what would help."""
    most = ladder()[0].name
    more = best_designs(prior, replace(means, most_tokens=float("inf")), target_flops=means.flops)
    if more:
        tokens, needed = counted.tokens(means.max_length), min(one.tokens[-1] for one in more)
        return (
            f"design: {budget.words} need a run of {short(needed)} tokens, and one pass over the proteins has "
            f"{short(tokens)} at --max-length {means.max_length}. Runs that see proteins again are in no law. Give "
            "more proteins, longer inputs or a smaller budget."
        )
    return (
        f"design: {budget.words} are too little for five sizes of {most} parameters and more on four token budgets, "
        f"within what the law knows ({prior.title}: {short(prior.seen.n_params[0])} parameters and "
        f"{short(prior.seen.n_tokens[0])} tokens and more). Give a larger budget, or another --law."
    )


def _told(prior: Prior, draft: Draft, *, target_flops: float) -> tuple[Expected, Simulated]:
    """What to expect of the draft as it is written: by linear theory, and by fits to simulated runs."""
    one = draft.design
    judgement = judged(prior, one.places, draft.tokens, one.seeds, target_flops=target_flops)
    return judgement.expected, simulated(prior, judgement.grid, target_flops=target_flops)


def _alternatives(draft: Draft) -> list[Alternative]:
    """The cells in the other precisions of the device."""
    budget = draft.budget
    known = DEVICE_TYPES.get(budget.device)
    if known is None:
        return []
    has = [name for name in ("fp32", "bf16") if getattr(known, name) is not None]
    return [Alternative(name, *in_another(draft, name)) for name in has if name != budget.precision]


def _write(promise: Promise, out: Path, *, source: Source, text: str) -> None:
    """Write the folder whole or not at all."""
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        heading = ["Written by `plmscale design`.", *text.splitlines()]
        write_files(promise.draft, partial, source=source, heading=heading)
        write_json(partial / RECORD, record(promise))
        partial.chmod(0o755)
        partial.rename(out)
    except BaseException:
        rmtree(partial, ignore_errors=True)
        raise
