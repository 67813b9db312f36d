"""`ask`: from a law and the given quantities of a run to an answer."""

from typing import Any

from ..errors import InputError
from ..estimates import Estimate
from ..plan.hardware.device_types import DEVICE_TYPES
from ..plan.hardware.utilisation import UTILISATION
from ..presentation.formats import FIT_TITLES, STATUS_WORDS, compact, number, short, with_interval
from ..runs.extent import EXTRAPOLATED, INSIDE
from .answer import Answer, Row
from .asked_law import AskedLaw
from .optima import FORWARD
from .quantities import Machine, Quantities, check_compute, compute_of, machine_of
from .solved import Known, Solved, solve

WORTH_PASSES = 4
"""Passes up to which repeated tokens were worth nearly as much as new ones: Muennighoff et al. 2023, on text."""


def ask(law: AskedLaw, **given: Any) -> Answer:
    """The answer of a law to the given quantities; see `Quantities` for their names.

    Raises
    ------
    InputError
        If it is too little, too much or contradictory, or the run is outside the range of the law; the message says
        what to add or to leave out, and how far outside.
    """
    asked = Quantities.of({name: value for name, value in given.items() if value is not None})
    check_compute(asked)
    machine = machine_of(asked)
    flops = compute_of(asked, machine)
    tokens, assumed = _tokens(asked, compute=flops is not None)
    known = Known(asked.params, tokens, flops, asked.loss, asked.served_tokens or 0.0)
    found = solve(law, known)
    rows = _rows(law, found, asked, machine, served=known.served)
    n, d, c = (one.value or 0.0 for one in (found.n, found.d, found.c))
    inside = law.seen.decades(n, d, c).furthest == 0
    notes = [*assumed, *_machine_notes(asked, machine), *_pass_notes(found, asked), *_rivals(law, known), *law.notes]
    about = {key: getattr(law, key) for key in ("name", "title", "fit", "status", "reason", "interval", "convention")}
    return Answer(
        sentence=_sentence(known, found, asked, machine),
        rows=rows,
        law=about,
        position=INSIDE if inside else EXTRAPOLATED,
        notes=notes,
        asked={name: getattr(asked, name) for name in asked.given},
    )


def _tokens(asked: Quantities, *, compute: bool) -> tuple[float | None, list[str]]:
    """The tokens that are given, and what was assumed of passes.

    Raises
    ------
    InputError
        If data and passes contradict each other, or passes are given without data.
    """
    if asked.sequences is not None and asked.residues is not None:
        raise InputError("ask: --sequences and --residues both say how much data there is. Leave one out.")
    unique = asked.unique_tokens
    if asked.passes is not None:
        if unique is None:
            raise InputError("ask: --passes over which data? Add --sequences or --residues.")
        if asked.tokens is not None:
            raise InputError(
                f"ask: --tokens and --passes over the data both fix the tokens seen: {short(asked.tokens)}, and "
                f"{short(unique * asked.passes)}. Leave one out."
            )
        return unique * asked.passes, []
    if asked.tokens is None and unique is not None and not compute and asked.loss is None:
        if asked.params is None:
            raise InputError(
                "ask: the data alone leave the rest open. Add a budget (--flops, --device-hours, --days, --money), "
                "--loss or --params."
            )
        return unique, ["One pass over the data is assumed; --passes says more."]
    return asked.tokens, []


def _rows(law: AskedLaw, found: Solved, asked: Quantities, machine: Machine | None, *, served: float) -> list[Row]:
    n, d, c = (one.value or 0.0 for one in (found.n, found.d, found.c))
    far = law.seen.decades(n, d, c)
    rows = [
        Row("n_params", "N, parameters", found.n, far.n_params, "short"),
        Row("n_tokens", "D, tokens seen", found.d, far.n_tokens, "short"),
        Row("flops", "C, training FLOPs", found.c, far.flops),
    ]
    if found.loss is not None:
        rows.append(Row("loss", "L, loss (nats per token)", found.loss, shape="loss"))
    rows.append(Row("tokens_per_param", "D / N, tokens per parameter", _quotient(found.d, found.n)))
    if served:
        forward = float(law.cost(n)) * FORWARD * served
        rows += [
            Row("served_flops", f"FLOPs of serving {short(served)} tokens", Estimate(forward)),
            Row("total_flops", "FLOPs of training and serving", found.total),
        ]
    if machine is not None:
        rows += _machine_rows(found.total if served else found.c, machine)
    if (unique := asked.unique_tokens) is not None:
        rows.append(Row("passes", f"passes over {short(unique)} tokens", _scaled(found.d, 1 / unique)))
    return rows


def _machine_rows(flops: Estimate, machine: Machine) -> list[Row]:
    hours = _scaled(flops, 1 / machine.flops_per_hour)
    rows = [Row("device_hours", f"{machine.name}-hours in {machine.precision}", hours)]
    if machine.devices is not None:
        plural = "s" if machine.devices > 1 else ""
        rows.append(
            Row("days", f"days on {machine.devices} device{plural}", _scaled(hours, 1 / (24 * machine.devices)))
        )
    if machine.price is not None:
        rows.append(Row("money", f"money at {machine.price:g} a device-hour", _scaled(hours, machine.price)))
    return rows


def _scaled(one: Estimate, factor: float) -> Estimate:
    return Estimate(*(None if value is None else value * factor for value in (one.value, one.low, one.high)))


def _quotient(d: Estimate, n: Estimate) -> Estimate:
    """D / N; of an optimum the fewest tokens belong to the largest size."""
    value = None if d.value is None or n.value is None else d.value / n.value
    low = _over(d.low if d.low is not None else d.value, n.high if n.high is not None else n.value)
    high = _over(d.high if d.high is not None else d.value, n.low if n.low is not None else n.value)
    fixed = d.low is None and n.low is None
    return Estimate(value) if fixed else Estimate(value, low, high)


def _over(one: float | None, other: float | None) -> float | None:
    return None if one is None or not other else one / other


def _sentence(known: Known, found: Solved, asked: Quantities, machine: Machine | None) -> str:
    size = f"{_words(found.n)} parameters"
    tokens = f"{_words(found.d)} tokens"
    loss = "" if found.loss is None else f"{with_interval(found.loss)} nats"
    if known.names == "C":
        budget = _budget(known, asked, machine)
        end = f", for an expected loss of {loss}" if loss else ""
        both = " of training and serving" if known.served else ""
        return f"The best model for {budget}{both} has {size} and sees {tokens}{end}."
    if known.names == "L":
        what = "training and serving" if known.served else "training"
        total = f"{number(found.total.value)} FLOPs"
        return f"The least compute of {what} that reaches {known.loss:g} nats is {total}: {size} on {tokens}."
    cost = f"{number(found.c.value)} FLOPs"
    if known.loss is not None:
        return f"To reach {known.loss:g} nats, {size} see {tokens}, which takes {cost}."
    return f"{size[:1].upper()}{size[1:]} on {tokens} take {cost}, for an expected loss of {loss}."


def _budget(known: Known, asked: Quantities, machine: Machine | None) -> str:
    flops = f"{compact(known.c)} FLOPs"
    if asked.flops is not None or machine is None:
        return flops
    name, precision = machine.name, machine.precision
    if asked.device_hours is not None:
        said = f"{asked.device_hours:,.6g} {name}-hours in {precision}"
    elif asked.days is not None:
        said = f"{asked.days:g} days on {machine.devices} {name} in {precision}"
    else:
        said = f"{asked.money:,.6g} at {machine.price:g} per {name}-hour in {precision}"
    return f"{said} ({flops})"


def _words(one: Estimate) -> str:
    value = short(one.value or 0.0)
    return value if one.low is None or one.high is None else f"{value} ({short(one.low)} to {short(one.high)})"


def _rivals(law: AskedLaw, known: Known) -> list[str]:
    """The optimum at a budget by other laws of the same runs, to show how far the estimators differ."""
    if known.names != "C" or known.served or known.c is None:
        return []
    notes = []
    for one in law.rivals:
        at = one.at(known.c)
        size = "no optimum in its range" if at is None else f"N = {_words(Estimate(at.n_params, at.low, at.high))}"
        notes.append(
            f"{FIT_TITLES[one.fit]}, {STATUS_WORDS[one.status]}, has {size} for this budget (--fit {one.fit})."
        )
    return notes


def _machine_notes(asked: Quantities, machine: Machine | None) -> list[str]:
    if machine is None:
        return []
    notes = [f"Speed: {machine.words}."]
    known = DEVICE_TYPES.get(machine.name)
    if known is not None and known.bf16 and asked.precision is None and asked.peak_flops is None:
        share = asked.utilisation or UTILISATION["bf16"]
        times = (
            known.bf16 * 1e12 * share * 3600 / (known.fp32 * 1e12 * (asked.utilisation or UTILISATION["fp32"]) * 3600)
        )
        notes.append(f"fp32 is assumed; in bf16 the same hours buy {times:.1f} times the FLOPs (--precision bf16).")
    return notes


def _pass_notes(found: Solved, asked: Quantities) -> list[str]:
    """What passes over the same data do to the answer."""
    unique, tokens = asked.unique_tokens, found.d.value
    if unique is None or tokens is None or tokens <= unique * (1 + 1e-9):
        return []
    passes = tokens / unique
    worth = f"up to {WORTH_PASSES} passes were worth nearly as much on text (Muennighoff et al. 2023)"
    if passes > WORTH_PASSES:
        worth = (
            f"beyond {WORTH_PASSES} passes they are worth less (Muennighoff et al. 2023, text): expect a higher loss"
        )
    alone = "" if asked.passes or asked.params else "--passes 1 asks for one pass."
    return [f"The law takes all tokens as different, and the data are seen {number(passes)} times: {worth}. {alone}"]
