"""A finished study made up in memory, for the tests of tables, figures and summary. Its runs follow a known law."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from plmscale.analysis.study import find
from plmscale.laws.fit import FitSettings
from plmscale.laws.methods import FITS, fit_curves
from plmscale.results.study_results import Results
from plmscale.runs.curves import smooth
from plmscale.study.config import AskedTraining, Config, Subset
from plmscale.study.flops import count_params, train_flops
from plmscale.study.grid import Cell, grid
from plmscale.study.recipes.model_row import ModelRow
from plmscale.study.study import Study, read_published
from scaling_data import INITIAL_LOSS, chinchilla

PAPERS_5M = ModelRow(
    name="5M", n_layers=4, d_model=320, d_ffn=1280, n_heads=20, learning_rate=1e-5, schedules=["constant"]
)
WIDTHS = {"w32": 32, "w48": 48, "w80": 80, "w128": 128, "w192": 192, "w288": 288}
SETS = {"all_20k": 40_000_000, "half": 12_000_000, "tenth": 4_000_000}
SETTINGS = FitSettings(n_bootstrap=20, n_envelope=200, budgets=(1e14, 1e15, 1e17))
UNIGRAM_ENTROPY = 2.9


def make_study(*, schedules=("token_decay", "constant"), widths=tuple(WIDTHS), sets=tuple(SETS)) -> Study:
    """Sizes of two layers and other widths, on some sets that are trained on and one that is not."""
    models = tuple(
        ModelRow(
            name=name,
            n_layers=2,
            d_model=WIDTHS[name],
            d_ffn=4 * WIDTHS[name],
            n_heads=4,
            learning_rate=1e-3,
            schedules=list(schedules),
        )
        for name in widths
    )
    subsets = [Subset(name=name, kind="sample", n_sequences=SETS[name] // 100, train=True) for name in sets]
    subsets.append(Subset(name="close_30", kind="cluster", min_identity=0.3, n_sequences=1000, train=False))
    published = read_published(Path(__file__).parents[1] / "config/published_plms.tsv")
    config = Config(max_length=256, training=AskedTraining(initial_weights="fan_in"))
    return Study(config, models, tuple(subsets), published=published)


def chinchilla_loss(n_params, n_tokens):
    """The law of `scaling_data`, met by larger numbers: it falls to about 2.3 nats here."""
    return chinchilla(n_params, n_tokens)


def no_learning(n_params, n_tokens):
    """A loss that never moves: no law is identified from it."""
    return np.full_like(n_tokens, INITIAL_LOSS)


def make_results(study: Study, *, law=chinchilla_loss, diverged=(), interrupted=(), fits=True, noise=0) -> Results:
    """Runs by `law`, noise by a seed; with `fits` everything that is found in them.

    Cells in `diverged` have one evaluation and that status, those in `interrupted` not even one.
    """
    runs, records = make_runs(study, law=law, diverged=diverged, interrupted=interrupted, noise=noise)
    curves = smooth(runs)
    found = {name: fit_curves(curves, name=name, settings=SETTINGS) if fits else {} for name in FITS}
    subsets = {name: _counts(name, tokens) for name, tokens in (SETS | {"close_30": 90_000, "holdout": 5_000}).items()}
    results = Results(study, curves, records, found, subsets, {"unigram_entropy": UNIGRAM_ENTROPY})
    return with_findings(results) if fits else results


def with_findings(results: Results) -> Results:
    """Results with what is found in them: again, where a test has changed them."""
    return replace(results, found=find(results))


def make_runs(
    study: Study, *, law=chinchilla_loss, diverged=(), interrupted=(), noise=0
) -> tuple[pd.DataFrame, list[dict]]:
    """The tidy frame of all runs, and their records."""
    frames, records = [], []
    for cell in grid(study):
        status = "diverged" if cell.path in (*diverged, *interrupted) else "done"
        tokens = SETS[cell.subset]
        seen = np.unique(np.geomspace(2e4, tokens, 60).round())
        seen = seen[:0] if cell.path in interrupted else seen[:1] if cell.path in diverged else seen
        frames.append(_frame(cell, seen, law=law, status=status, noise=noise))
        records.append(_record(cell, seen, law=law, status=status))
    runs = pd.concat([frame for frame in frames if len(frame)], ignore_index=True) if frames else pd.DataFrame()
    return runs, records


def _flops(cell: Cell, tokens: float) -> float:
    return train_flops(cell.model, tokens, convention="appendix_e", max_length=cell.max_length)


def _frame(cell: Cell, seen: np.ndarray, *, law, status: str, noise: int) -> pd.DataFrame:
    rng = np.random.default_rng(len(cell.path) + count_params(cell.model) + 10**9 * noise)
    loss = law(count_params(cell.model), seen) + rng.normal(0, 0.003, seen.size)
    identity = {"run": cell.path, "model": cell.model.name, "subset": cell.subset, "schedule": cell.schedule}
    counts = {"seed": cell.seed, "status": status, "n_params": count_params(cell.model)}
    counts |= {"unique_tokens": SETS[cell.subset], "batch_tokens": cell.training.batch_tokens}
    share = 0.999 ** (seen / 1e6) if cell.schedule == "token_decay" else np.ones(seen.size)
    series = {"step": np.arange(seen.size), "n_tokens": seen.astype(int), "flops": [_flops(cell, t) for t in seen]}
    return pd.DataFrame({**series, "loss": loss, "learning_rate": 1e-3 * share, "lr_fraction": share}).assign(
        **identity, **counts
    )


def _record(cell: Cell, seen: np.ndarray, *, law, status: str) -> dict:
    n_tokens = int(seen[-1]) if seen.size else 0
    loss = float(law(count_params(cell.model), np.array([float(n_tokens)]))[0]) + 0.05 if status == "done" else None
    return {
        "cell": cell.frozen(),
        "status": status,
        "reason": None if status == "done" else "the loss was nan at step 1",
        "n_params": count_params(cell.model),
        "n_steps": seen.size,
        "n_tokens": n_tokens,
        "squared_lengths": 200 * n_tokens,
        "unique_tokens": SETS[cell.subset],
        "holdout": None if loss is None else _scored(loss),
        "seconds": _flops(cell, n_tokens) / 1e12 + 0.5,
        "wall_seconds": _flops(cell, n_tokens) / 1e12 + 6.5,
        "resumed_at_steps": [5, 7] if cell.subset == "half" else [],
        "allocation": {"world": 2, "device": "cpu"},
        "versions": {"plmscale": "0.1.0"},
    }


def _counts(name: str, n_tokens: int) -> dict:
    n = n_tokens // 100
    return {
        "name": name,
        "kind": "cluster" if name == "close_30" else "sample",
        "min_identity": 0.3 if name == "close_30" else None,
        "seed": 0,
        "n_sequences": n,
        "n_residues": n_tokens + 7,
        "n_residues_cut": n_tokens - 2 * n,
        "n_tokens": n_tokens,
        "tokens_325_rule": 325 * n,
        "mean_length": 98.5,
        "max_length": 256,
        "n_over_length": 3,
        "sha256": "0123456789abcdef" * 4,
        "provenance": {"largest_identity": 0.481} if name == "holdout" else {},
    }


def _scored(loss: float) -> dict:
    interval = {"loss_low": loss - 0.05, "loss_high": loss + 0.05}
    return {"loss": loss, "perplexity": float(np.exp(loss)), "n_predicted": 9, "n_sequences": 3} | interval
