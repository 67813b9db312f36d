"""The tables of a finished study. Tables 1 to 6 are those of Serrano et al. 2024 (arXiv 2406.07249)."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from ...files import atomic
from ...presentation.formats import given
from ...presentation.schedule_words import schedule_short
from ...presentation.table_html import to_html
from ...presentation.tables import IDENTITY, Column, Table, write_table
from ...published.models import of_study as published_models
from ...results.study_results import Results
from ...study.catalog import TABLES
from ...study.config import ModelSize
from ...study.flops import count_params, forward_flop_terms, forward_flops, parameter_terms, train_flops_per_token
from ...study.grid import grid
from ..forecast import forecast_table
from ..learning_rates import rates_table
from ..sensitivity import sensitivity_table
from .costs import plan_table, planned_vs_actual
from .laws import law_parameters, optimal_sizes
from .paper import paper_table
from .repeated import repeated_table
from .set_worth import set_worth_table

FLOP_FORMULAS = {
    "embeddings": ("Embeddings", "2·s·V·d"),
    "qkv": ("Q, K, V projections", "n·2·3·s·d·(k·h)"),
    "key_query": ("Key @ query", "n·2·s·s·(k·h)"),
    "softmax": ("Softmax", "n·3·h·s·s"),
    "softmax_value": ("Softmax @ value", "n·2·s·s·(k·h)"),
    "attention_output": ("Output projection", "n·2·s·d·(k·h)"),
    "ffn": ("Feed-forward", "n·2·s·(d·f + d·f)"),
    "head": ("RoBERTa head", "2·s·(d·d + d·V)"),
}
"""Operation and formula of each term of `plmscale.study.flops.forward_flop_terms` (appendix E, table 5)."""

PARAMETER_FORMULAS = {
    "embeddings": ("Embeddings", "V·d"),
    "qkv": ("Q, K, V projections", "n·3·d·(k·h)"),
    "attention_output": ("Output projection", "n·d·(k·h)"),
    "ffn": ("Feed-forward", "n·2·d·f"),
    "head": ("RoBERTa head", "d·d + d·V"),
}
"""Part and formula of each term of `plmscale.study.flops.parameter_terms` (appendix F, table 6)."""

SYMBOL_NOTE = (
    "s positions, V = 29 tokens of the vocabulary, n layers, d = d_model, f feed-forward size, h heads, k key size. "
    "Biases, layer norms and non-linearities are left out."
)


def write_tables(results: Results, folder: Path) -> None:
    """Write every table of `plmscale.study.catalog.TABLES` as {name}.tsv, .md, .tex and .html into `folder`.

    Parameters
    ----------
    results : Results
    folder : Path
        Made if absent. Each file is written atomically.
    """
    for name, product in TABLES.items():
        table = BUILDERS[name](results)
        write_table(table, folder, name=name, title=product.title)
        with atomic(folder / f"{name}.html") as partial:
            partial.write_text(to_html(table, title=product.title), encoding="utf-8")


def data_sets(results: Results) -> Table:
    """Table 3: exact counts of every set and of the holdout, the paper's 325-rule beside them."""
    trained = {subset.name: subset.train for subset in results.study.subsets}
    keys = ("n_sequences", "n_tokens", "n_residues", "n_residues_cut", "tokens_325_rule", "mean_length")
    rows = []
    for name in [*trained, "holdout"]:
        counts = results.subsets[name]
        rows.append(
            {"name": name, "kind": "holdout" if name == "holdout" else counts["kind"]}
            | {key: counts[key] for key in (*keys, "min_identity", "n_over_length")}
            | {"largest_identity": counts["provenance"].get("largest_identity")}
            | {"mmseqs_flags": counts["provenance"].get("mmseqs_flags")}
            | {"epochs": counts.get("epochs", 1.0), "unique_tokens": counts.get("unique_tokens", counts["n_tokens"])}
            | {"trained_on": trained.get(name, False), "sha256": counts["sha256"]}
        )
    columns = (
        Column("Set", "name"),
        Column("Kind", "kind"),
        Column("Sequences", "n_sequences", "count"),
        Column("Tokens with START and END", "n_tokens", "count"),
        Column("Passes", "epochs", "given"),
        Column("Each token once", "unique_tokens", "count"),
        Column("Residues", "n_residues", "count"),
        Column("Tokens without (residues after the cut)", "n_residues_cut", "count"),
        Column("Tokens by the 325-rule", "tokens_325_rule", "count"),
        Column("Mean length (residues)", "mean_length", "number"),
        Column("Min. identity", "min_identity", "given"),
        Column("Sequences cut", "n_over_length", "count"),
        Column("Largest identity to training", "largest_identity", "number"),
        Column("MMseqs2", "mmseqs_flags"),
        Column("Trained on", "trained_on"),
        Column("SHA-256 of the ids", "sha256", "hash"),
    )
    length = results.study.config.max_length
    notes = (
        f"Tokens: residues after the cut to {length} positions, and START and END of each sequence.",
        "Identities are fractions. An empty largest identity means that the search found no alignment at all.",
        "A set of kind passes is another one, gone over so many times: its tokens are those of all passes, the other "
        "counts those of one.",
    )
    return Table(pd.DataFrame(rows, dtype=object), columns, notes=notes)


def _rates(results: Results) -> dict[str, float | str]:
    """The learning rate of every size; where a rule gave its runs several, both ends."""
    found: dict[str, set[float]] = {}
    for cell in grid(results.study):
        found.setdefault(cell.model.name, set()).add(cell.model.learning_rate)
    every = {model.name: model.learning_rate or "" for model in results.study.models}
    return every | {name: _ends(values) for name, values in found.items()}


def _ends(values: set[float]) -> float | str:
    return min(values) if len(values) == 1 else f"{given(min(values))} to {given(max(values))}"


def models(results: Results) -> Table:
    """Table 4: the sizes, with parameters and FLOPs by appendices E and F."""
    length, rates = results.study.config.max_length, _rates(results)
    rows = [
        {
            "model": model.name,
            "n_layers": model.n_layers,
            "d_model": model.d_model,
            "d_ffn": model.d_ffn,
            "n_heads": model.n_heads,
            "key_size": model.head_dim,
            "n_params": count_params(model),
            "train_flops_per_token": train_flops_per_token(model, length),
            "learning_rate": rates[model.name],
            "schedules": ", ".join(model.schedules),
        }
        for model in results.study.models
    ]
    columns = (
        Column("Model", "model"),
        Column("Layers", "n_layers", "count"),
        Column("d_model", "d_model", "count"),
        Column("Feed-forward", "d_ffn", "count"),
        Column("Heads", "n_heads", "count"),
        Column("Key size", "key_size", "count"),
        Column("N (parameters)", "n_params", "count"),
        Column("Training FLOPs per token", "train_flops_per_token", "number"),
        Column(
            "Learning rate", "learning_rate", "text" if any(isinstance(r, str) for r in rates.values()) else "given"
        ),
        Column("Schedules", "schedules"),
    )
    notes = (f"Training FLOPs per token: forward and backward (twice the forward) at {length} positions, appendix E.",)
    data = pd.DataFrame(rows, dtype=object)
    shown = data.assign(schedules=["; ".join(map(schedule_short, model.schedules)) for model in results.study.models])
    return Table(data, columns, shown, notes)


def flops_table(results: Results) -> Table:
    """Table 5: forward FLOPs of one sequence of the greatest length, by operation."""
    length = results.study.config.max_length
    note = f"FLOPs of one sequence of s = {length} positions, all layers. {SYMBOL_NOTE}"

    def terms(model: ModelSize) -> dict[str, int]:
        return forward_flop_terms(model, length) | {"total": forward_flops(model, length)}

    return _formula_table(results, formulas=FLOP_FORMULAS, terms=terms, value="flops", note=note)


def parameters_table(results: Results) -> Table:
    """Table 6: parameters, by part."""

    def terms(model: ModelSize) -> dict[str, int]:
        return parameter_terms(model) | {"total": count_params(model)}

    return _formula_table(results, formulas=PARAMETER_FORMULAS, terms=terms, value="n_params", note=SYMBOL_NOTE)


def _formula_table(
    results: Results,
    *,
    formulas: dict[str, tuple[str, str]],
    terms: Callable[[ModelSize], dict[str, int]],
    value: str,
    note: str,
) -> Table:
    """Long data (term, model, value); for reading one column per size."""
    words = formulas | {"total": ("Total", "sum of the above")}
    counted = {model.name: terms(model) for model in results.study.models}
    rows = [
        {"term": term, "formula": formula, "model": name, value: values[term]}
        for term, (_, formula) in words.items()
        for name, values in counted.items()
    ]
    shown = [
        {"title": title, "formula": formula} | {f"size {name}": values[term] for name, values in counted.items()}
        for term, (title, formula) in words.items()
    ]
    sizes = [Column(name, f"size {name}", "count" if value == "n_params" else "number") for name in counted]
    columns = (Column("Operation", "title"), Column("Formula", "formula"), *sizes)
    return Table(pd.DataFrame(rows, dtype=object), columns, pd.DataFrame(shown, dtype=object), (note,))


def runs(results: Results) -> Table:
    """One row per cell: what it was trained on, and how it ended."""
    data = results.findings.cells
    columns = (
        *IDENTITY,
        Column("Status", "status"),
        Column("N (parameters)", "n_params", "count"),
        Column("D (tokens)", "n_tokens", "count"),
        Column("D/N", "tokens_per_param", "number"),
        Column("C (FLOPs)", "flops", "number"),
        Column("Final loss (nats)", "final_loss", "loss"),
        Column("Holdout loss (nats, 95 % interval)", "holdout_loss", "loss", ("holdout_loss_low", "holdout_loss_high")),
        Column("Holdout perplexity", "holdout_perplexity", "loss"),
        Column("Learning rate at the end (share)", "lr_fraction_end", "number"),
        Column("Training steps (s)", "seconds", "number"),
        Column("Resumed", "resumed", "count"),
    )
    ended = data.loc[data["status"] != "done"]
    notes = [f"{row['run']}: {row['status']}, {row['reason']}." for row in ended.to_dict("records")]
    early = data.loc[data["stopped"].notna()]
    notes += [f"{row['run']}: stopped at the {row['stopped']}, {row['reason']}." for row in early.to_dict("records")]
    losses = "Losses are nats per masked token; the final loss is that of training, smoothed, at the last evaluation."
    interval = (
        "From and to: 95 % interval of the holdout loss over its sequences. All runs are asked the same masked "
        "positions, so that the difference of two runs is surer than their intervals."
    )
    return Table(data, columns, notes=(losses, interval, *notes))


BUILDERS: dict[str, Callable[[Results], Table]] = {
    "law_parameters": law_parameters,
    "optimal_sizes": optimal_sizes,
    "data_sets": data_sets,
    "models": models,
    "forward_flops": flops_table,
    "parameters": parameters_table,
    "runs": runs,
    "plan": plan_table,
    "planned_vs_actual": planned_vs_actual,
    "sensitivity": sensitivity_table,
    "learning_rates": rates_table,
    "repeated_data": repeated_table,
    "set_worth": set_worth_table,
    "forecast": forecast_table,
    "published_models": published_models,
    "paper": paper_table,
}
"""The table of every name in `plmscale.study.catalog.TABLES`."""
