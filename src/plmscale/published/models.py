"""Where published models stand on a fitted law.

Tokens per parameter by three counts, as Mahajan tabulates the first of them (*Token:parameters in protein language
models*): 325 × sequences, unique tokens published, tokens seen. The compute of a model is C = 6ND with the tokens seen;
the law gives the size N_opt for this compute, and with it D_opt = C / (6 N_opt).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import InputError
from ..files import read_as, read_object
from ..laws.budgets import EXTRAPOLATED
from ..laws.fit import Fit
from ..laws.size_law import SIZE_LAWS, SizeAt, SizeLaw
from ..presentation.formats import FIT_TITLES, STATUS_WORDS, beside
from ..presentation.schedule_words import schedule_words
from ..presentation.tables import Column, Table
from ..results.findings import LawLine, Published
from ..results.study_results import Results
from ..study.published_settings import PublishedModel

RESIDUES = 325
"""Mean length of UniRef50 that the paper and Mahajan multiply sequences by."""

N_LINE = 200
"""Budgets at which the law is drawn."""

CHINCHILLA_RATIO = 20.0
"""Tokens per parameter that Hoffmann et al. 2022 are remembered for."""

COUNTS = {"325": "325 × sequences", "unique": "unique tokens, published", "seen": "tokens seen"}
"""The three counts of tokens, in words."""

OVER, NEAR, UNDER = "over-trained", "near-optimal", "under-trained"
OUTSIDE, NO_LAW = "outside the law's range", "law not identified"
NO_TOKENS, NO_INTERVAL = "tokens seen not published", "law has no interval here"

OPTIMUM = ("n_opt", "n_opt_low", "n_opt_high", "d_opt", "ratio_opt", "ratio_opt_low", "ratio_opt_high", "position")
COLUMNS = dict.fromkeys(
    [
        *PublishedModel.model_fields,  # tokens_seen among them, which is also the third count
        "unverified_n",
        *(f"{what}_{count}" for count in COUNTS for what in ("tokens", "ratio", "unverified")),
        "flops",
        *OPTIMUM,
        "verdict",
    ]
)
"""Columns of `place`."""

RULE = (
    "Rule: N below the 95 % interval of N_opt at the model's own compute is over-trained (too few parameters, too many "
    "tokens), above it under-trained, inside it near-optimal. C = 6ND with the tokens seen (of a mixture of experts, N "
    "are its active parameters); the law counts FLOPs as its runs do."
)


def verdict_of(n_params: float, optimum: SizeAt | None) -> str:
    """Over-trained, near-optimal or under-trained, by the interval of the optimal size at the model's compute.

    Examples
    --------
    >>> verdict_of(35e6, SizeAt("inside the data", 2e8, 1e8, 4e8))
    'over-trained'
    """
    if optimum is None:
        return OUTSIDE
    if optimum.low is None or optimum.high is None:
        return NO_INTERVAL
    return OVER if n_params < optimum.low else UNDER if n_params > optimum.high else NEAR


def place(models: Sequence[PublishedModel], law: SizeLaw | None) -> pd.DataFrame:
    """One row per model, in the order of size.

    Returns
    -------
    pandas.DataFrame
        The columns of the table of models; `tokens_{count}` and `ratio_{count}` (tokens per parameter) for the three
        `COUNTS`, each with `unverified_{count}`; `flops`; `n_opt` with `n_opt_low` and `n_opt_high`, `d_opt`,
        `ratio_opt` with its ends; `position` (inside the data, extrapolated); `verdict`. None where there is no number.
    """
    rows = [_row(model, law) for model in sorted(models, key=lambda model: model.n_params)]
    return pd.DataFrame(rows, columns=pd.Index(list(COLUMNS)), dtype=object)


def _row(model: PublishedModel, law: SizeLaw | None) -> dict[str, Any]:
    row: dict[str, Any] = model.model_dump(exclude={"unverified"})
    row["unverified"] = ", ".join(model.unverified)
    row["unverified_n"] = not model.is_verified("n_params")
    tokens = {
        "325": (model.n_sequences and RESIDUES * model.n_sequences, "n_sequences"),
        "unique": (model.unique_tokens, "unique_tokens"),
        "seen": (model.tokens_seen, "tokens_seen"),
    }
    for count, (value, column) in tokens.items():
        row |= {f"tokens_{count}": value, f"ratio_{count}": value and value / model.n_params}
        row[f"unverified_{count}"] = not (model.is_verified(column) and model.is_verified("n_params"))
    return row | _judged(model, law)


def _judged(model: PublishedModel, law: SizeLaw | None) -> dict[str, Any]:
    size = model.n_active or model.n_params
    flops = model.tokens_seen and 6 * size * model.tokens_seen
    row: dict[str, Any] = {"flops": flops} | dict.fromkeys(OPTIMUM)
    if flops is None:
        return row | {"verdict": NO_TOKENS}
    if law is None:
        return row | {"verdict": NO_LAW}
    found = law.at(flops)
    if found is not None:
        row |= {"n_opt": found.n_params, "n_opt_low": found.low, "n_opt_high": found.high, "position": found.position}
        row |= {"d_opt": flops / (6 * found.n_params), "ratio_opt": ratio_at(flops, found.n_params)}
        row |= {"ratio_opt_low": ratio_at(flops, found.high), "ratio_opt_high": ratio_at(flops, found.low)}
    return row | {"verdict": verdict_of(size, found)}


def ratio_at(flops: float, n_params: float | None) -> float | None:
    """Tokens per parameter of a size at a compute of 6ND: C / (6 N²)."""
    return None if n_params is None else flops / (6 * n_params**2)


def law_line(law: SizeLaw | None) -> LawLine:
    """Where the optimum runs: each compute in the law's range gives a size and, at 6ND, its tokens per parameter."""
    nothing = np.empty((0, 2))
    if law is None or not law.rows:
        return LawLine(nothing, nothing, nothing)
    budgets = np.geomspace(law.rows[0]["flops"], law.rows[-1]["flops"], N_LINE)
    found = [(flops, one) for flops in budgets if (one := law.at(float(flops))) is not None]

    def column(key: str) -> NDArray[np.float64]:
        pairs = [(getattr(one, key), ratio_at(flops, getattr(one, key))) for flops, one in found]
        known = [pair for pair in pairs if pair[0] is not None]
        return np.array(known, dtype=float).reshape(-1, 2)

    return LawLine(column("n_params"), column("low"), column("high"))


def law_parts(published: Published) -> Iterator[tuple[bool, NDArray[np.float64]]]:
    """Stretches of the law's line inside and beyond the data, each with the first point of the next."""
    law, points = published.law, published.line.middle
    if law is None or not points.size:
        return
    budgets = [6 * size**2 * ratio for size, ratio in points]
    inside = [(one := law.at(flops)) is not None and one.position != EXTRAPOLATED for flops in budgets]
    start = 0
    for end in range(1, len(inside) + 1):
        if end == len(inside) or inside[end] != inside[start]:
            yield inside[start], points[start : end + 1]
            start = end


def law_sentence(law: SizeLaw | None) -> str:
    """Which law the models are judged by."""
    if law is None:
        return "No law of the optimal size is identified, so no model is judged."
    return (
        f"Law: {FIT_TITLES[law.fit]}, {schedule_words(law.schedule)}, {STATUS_WORDS[law.status]}. Its range: "
        "optimal sizes within three times those trained, tokens and compute to 100 times the most of a run."
        f"{beside(law)}"
    )


def published_table(data: pd.DataFrame, law: SizeLaw | None) -> Table:
    """Tokens per parameter by three counts, the law's optimum at the same compute, and the verdict.

    Parameters
    ----------
    data : DataFrame
        `place` under this law.
    law : SizeLaw or None
    """
    shown = data.assign(
        verdict=[
            f"{one} (extrapolated)" if position == EXTRAPOLATED else one
            for one, position in zip(data["verdict"], data["position"], strict=True)
        ]
    )
    columns = (
        Column("Model", "name"),
        Column("Objective", "objective"),
        Column("N (parameters)", "n_params", "short", mark="unverified_n"),
        Column("D/N, 325 × sequences", "ratio_325", "number", mark="unverified_325"),
        Column("D/N, unique tokens", "ratio_unique", "number", mark="unverified_unique"),
        Column("D/N, tokens seen", "ratio_seen", "number", mark="unverified_seen"),
        Column("C = 6ND (FLOPs)", "flops", "number", mark="unverified_seen"),
        Column("N_opt at this C (parameters)", "n_opt", "number", ("n_opt_low", "n_opt_high")),
        Column("D/N at N_opt", "ratio_opt", "number", ("ratio_opt_low", "ratio_opt_high")),
        Column("Verdict", "verdict"),
        Column("Source", "source", width=5.0),
        Column("Note", "note", width=4.0),
    )
    marked = "† not verified: quoted unchecked, inferred or interpreted."
    return Table(data, columns, shown, (law_sentence(law), RULE, marked))


def of_study(results: Results) -> Table:
    """The table of a study: its own list of published models, judged by its own law with the best verdict."""
    return published_table(results.findings.published.models, results.findings.published.law)


def read_fits(folder: Path) -> dict[str, dict[str, Fit]]:
    """Fit by method and schedule from the JSON files of a folder, or from one such file.

    Raises
    ------
    InputError
        If there is none, or a file is no fit.
    """
    paths = [folder] if folder.is_file() else [folder / f"{name}.json" for name in SIZE_LAWS]
    found = [read_object(path) for path in paths if path.is_file()]
    if not found:
        raise InputError(
            f"{folder}: no fit here. Give a folder with {', '.join(f'{name}.json' for name in SIZE_LAWS)}."
        )
    for path, one in zip([path for path in paths if path.is_file()], found, strict=True):
        if not isinstance(one, dict) or not {"fit", "schedules"} <= set(one):
            raise InputError(f"{path}: not the JSON of a fit; it has no `fit` and `schedules`.")
    with read_as("a folder of fits", where=folder):
        return {one["fit"]: {s: Fit.from_json(fit) for s, fit in one["schedules"].items()} for one in found}
