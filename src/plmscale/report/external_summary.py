"""Tables and a page of text for runs that came as a table."""

from collections.abc import Mapping

import pandas as pd

from ..laws.cost_to_loss import Reached
from ..presentation.formats import count, number, short
from ..presentation.tables import Column, Table
from ..results.analysed import Analysed
from ..runs.curves import median_noise
from ..runs.tidy import ImportedRuns
from .law_lines import caveats, law_lines, paragraph
from .law_numbers import number_lines
from .learning_rates import off_optimum, rule_sentence
from .sensitivity import choices_lines
from .tables.laws import fits_of

MOST_NOTES = 40
"""Notes of an import that a reader is shown; all of them are in import.json."""


def summary_text(imported: ImportedRuns, results: Analysed, reached: Mapping[str, Reached]) -> str:
    """What was read and mended, and what each group says.

    Parameters
    ----------
    imported : ImportedRuns
    results : Analysed
        Without `sensitivity`, nothing is said of what the exponents owe to choices.
    reached : mapping of str to Reached
        By group.

    Returns
    -------
    str
        Lines of at most `plmscale.report.law_lines.LINE` characters.
    """
    sizes = results.sizes
    span = f"{short(sizes[0])} to {short(sizes[-1])} parameters" if len(sizes) > 1 else f"{short(sizes[0])} parameters"
    rows = f"{imported.n_runs} runs, {count(len(imported.frame))} evaluations, {len(sizes)} sizes, {span}."
    lines = ["What was read", *paragraph(f"{imported.source} (format {imported.format}): {rows}")]
    lines += paragraph(f"The loss is {imported.loss!r} in all runs.")
    for note in imported.notes[:MOST_NOTES]:
        lines += paragraph(note)
    if len(imported.notes) > MOST_NOTES:
        lines += paragraph(f"and {len(imported.notes) - MOST_NOTES} more notes in import.json.")
    for group in results.schedules:
        own = results.only(group)
        lines += ["", f"Runs: {group}", *paragraph(_extent(own)), *law_lines(fits_of(results, group))]
        lines += number_lines(fits_of(results, group))
        lines += paragraph(caveats(fits_of(results, group)))
        lines += choices_text(results, group)
        lines += paragraph(reached[group].sentence)
        lines += [line for one in own.rates for line in paragraph(rule_sentence(one.rates))]
        lines += [line for text in off_optimum(own.rates) for line in paragraph(f"Warning: learning rate of {text}")]
    return "\n".join(lines) + "\n"


def choices_text(results: Analysed, group: str) -> list[str]:
    """Lines of one group on what its exponents owe to choices; none where no law stands."""
    return [line for text in choices_lines(results, group) for line in paragraph(text)]


def added_text(results: Analysed) -> str:
    """What a summary says once the choices have been varied and did not before, one group after the other."""
    found = {group: choices_text(results, group) for group in results.schedules}
    lines = [line for group, own in found.items() if own for line in ("", f"Runs: {group}", *own)]
    return "".join(f"{line}\n" for line in lines)


def runs_table(results: Analysed) -> Table:
    """One row per run: how large, how long, and its last smoothed loss."""
    rows = []
    for curve in results.curves:
        seen = curve.flops.size > 0
        row = {"run": curve.run, "group": curve.schedule, "model": curve.model, "n_params": curve.n_params}
        row |= {
            "n_tokens": float(curve.n_tokens[-1]) if seen else None,
            "flops": float(curve.flops[-1]) if seen else None,
        }
        row |= {"n_evaluations": int(curve.flops.size), "final_loss": float(curve.loss[-1]) if seen else None}
        tokens = row["n_tokens"]
        row |= {"tokens_per_param": None if tokens is None else tokens / curve.n_params, "status": curve.status}
        rows.append(row)
    columns = (
        Column("Run", "run"),
        Column("Group", "group"),
        Column("N (parameters)", "n_params", "count"),
        Column("D (tokens)", "n_tokens", "short"),
        Column("D/N", "tokens_per_param", "number"),
        Column("C (FLOPs)", "flops", "number"),
        Column("Evaluations", "n_evaluations", "count"),
        Column("Final loss (nats)", "final_loss", "loss"),
        Column("Status", "status"),
    )
    note = "The final loss is that of the smoothed curve at its last evaluation; curves have at most 400 points."
    return Table(pd.DataFrame(rows, dtype=object), columns, notes=(note,))


def reached_table(reached: Mapping[str, Reached]) -> Table:
    """One row per group and size."""
    frames = [one.rows.assign(group=group) for group, one in reached.items()]
    names = ["group", "n_params", "flops", "smoothed_flops", "n_tokens", "run"]
    data = pd.concat(frames, ignore_index=True)[names].astype(object)
    data = data.assign(tokens_per_param=[d / n for d, n in zip(data["n_tokens"], data["n_params"], strict=True)])
    columns = (
        Column("Group", "group"),
        Column("N (parameters)", "n_params", "count"),
        Column("C, mean of five evaluations (FLOPs)", "flops", "number"),
        Column("C by the smoothed curve (FLOPs)", "smoothed_flops", "number"),
        Column("D (tokens)", "n_tokens", "short"),
        Column("D/N", "tokens_per_param", "number"),
        Column("Run", "run"),
    )
    return Table(data, columns, notes=tuple(f"{group}: {one.sentence}" for group, one in reached.items()))


def _extent(results: Analysed) -> str:
    ends = [float(curve.flops[-1]) for curve in results.curves if curve.flops.size]
    if not ends:
        return f"{len(results.curves)} runs, none with a usable evaluation."
    noise = median_noise(results.curves)
    said = f" Evaluations scatter by {number(noise)} nats about the smoothed curves (median)." if noise else ""
    sizes = "one size" if len(results.sizes) == 1 else f"{len(results.sizes)} sizes"
    return f"{len(results.curves)} runs of {sizes}, to {number(min(ends))}–{number(max(ends))} FLOPs.{said}"
