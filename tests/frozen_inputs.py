"""The study that is frozen: its configuration, and runs, sets and a store that were never made."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

SIZES = {"w32": 32, "w48": 48, "w80": 80, "w128": 128, "w192": 192}
SCHEDULES = "token_decay,constant"
RATES = {"w48_low": 3e-4, "w48_high": 4e-3}
"""Two more rates of one size, so that a sweep is there; the best is 1e-3."""

SUBSETS = """name\tkind\tmin_identity\tsame_size_as\tof\tepochs\tn_sequences\ttrain
full\tall\t\t\t\t\t400000\tyes
c40\tcluster\t0.4\t\t\t\t80000\tyes
s40\tsample\t\tc40\t\t\t80000\tyes
r6\tpasses\t\t\ts40\t6\t\tyes
c30\tcluster\t0.3\t\t\t\t10000\tno
"""
TOKENS = {"full": 40_000_000, "c40": 8_000_000, "s40": 8_000_000, "c30": 1_000_000, "holdout": 50_000}
PASSES = {"r6": ("s40", 6.0)}
WORTH = {"c40": 1.3}
"""A token of this set is worth so many of the others'."""

DIVERGED = "w48_high/s40/token_decay/seed0"
CONFIG = {
    "source": "proteins.fasta.gz",
    "models": "models.tsv",
    "subsets": "subsets.tsv",
    "max_length": 256,
    "training": {"batch_tokens": 2048},
    "hardware": {"device": "cpu", "peak_flops": 1e11, "memory_gib": 4, "devices_per_node": 1, "max_nodes": 1},
    "analysis": {"n_bootstrap": 20, "n_envelope_points": 100, "budgets": [1e13, 1e14, 1e16]},
    "runs": "own.csv",
    "own_runs": {"target_loss": 3.2},
    "advice": {"budget_gpu_hours": 100},
}


def configure(folder: Path) -> None:
    """Write the configuration of the study."""
    header = "name\tn_layers\td_model\td_ffn\tn_heads\tlearning_rate\tschedules\n"
    rows = [f"{name}\t2\t{d}\t{4 * d}\t4\t1e-3\t{SCHEDULES}\n" for name, d in SIZES.items()]
    rows += [f"{name}\t2\t48\t192\t4\t{rate:g}\ttoken_decay\n" for name, rate in RATES.items()]
    (folder / "models.tsv").write_text(header + "".join(rows))
    (folder / "subsets.tsv").write_text(SUBSETS)
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    (folder / "proteins.fasta.gz").touch()


def loss_of(n_params: float, n_tokens: np.ndarray, *, unique: float = np.inf) -> np.ndarray:
    """The law: E = 2, A = 20, B = 60, alpha = 0.30, beta = 0.35; a token seen again wears out over 15 passes."""
    again = np.maximum(n_tokens / unique - 1, 0)
    worth = np.minimum(n_tokens, unique) + (0 if np.isinf(unique) else 15 * unique * (1 - np.exp(-again / 15)))
    return 2.0 + 20.0 * n_params**-0.30 + 60.0 * worth**-0.35


def runs_of_the_law(folder: Path) -> None:
    """Metrics and record of every cell whose `cell.json` is there; Gaussian noise of 0.003 nats."""
    from plmscale.study.flops import count_params
    from plmscale.study.grid import Cell

    for i, path in enumerate(sorted(folder.glob("results/runs/*/*/*/*/cell.json"))):
        cell = json.loads(path.read_text())
        n_params = count_params(Cell.from_json(cell).model)
        of, epochs = PASSES.get(cell["subset"], (cell["subset"], 1.0))
        budget, unique = TOKENS[of] * epochs, TOKENS[of] * min(epochs, 1)
        seen = np.unique(np.geomspace(4e4, budget, 40).round())
        diverged = path.parent.relative_to(folder / "results/runs").as_posix() == DIVERGED
        seen = seen[:1] if diverged else seen
        worth = WORTH.get(of, 1.0)
        loss = loss_of(n_params, worth * seen, unique=worth * unique)
        rate = cell["model"]["learning_rate"]
        loss = loss + 0.01 * np.log(rate / 1e-3) ** 2 + (0.02 if cell["schedule"] == "token_decay" else 0.0)
        loss = (loss + np.random.default_rng(i).normal(0, 0.003, seen.size)).round(6)
        share = 0.999 ** (seen / 1e6) if cell["schedule"] == "token_decay" else np.ones(seen.size)
        rows = {"step": (seen / 2048).round(), "n_tokens": seen, "squared_lengths": 200 * seen}
        frame = (
            pd.DataFrame(rows)
            .astype(int)
            .assign(loss=loss, n_predicted=100, learning_rate=rate * share, lr_fraction=share)
        )
        frame.to_parquet(path.with_name("metrics.parquet"), index=False, compression="none")
        record = _record(cell, frame, n_params=n_params, unique=int(unique), pass_tokens=TOKENS[of], diverged=diverged)
        path.with_name("run.json").write_text(json.dumps(record))


def _record(cell: dict, frame: pd.DataFrame, *, n_params: int, unique: int, pass_tokens: int, diverged: bool) -> dict:
    last, n_tokens = frame.iloc[-1], int(frame["n_tokens"].iloc[-1])
    seconds = 6.0 * n_params * n_tokens / 5e10
    loss = round(float(last["loss"]) + 0.05, 6)
    holdout = {"loss": loss, "loss_low": round(loss - 0.02, 6), "loss_high": round(loss + 0.02, 6)}
    holdout |= {name.replace("loss", "perplexity"): round(float(np.exp(value)), 6) for name, value in holdout.items()}
    holdout |= {"n_sequences": 500, "n_predicted": 4000, "n_tokens": 40_000}
    return {
        "cell": cell,
        "status": "diverged" if diverged else "done",
        "stopped": None,
        "reason": "the loss was nan at step 21" if diverged else None,
        "n_params": n_params,
        "n_steps": int(last["step"]),
        "n_tokens": n_tokens,
        "squared_lengths": 200 * n_tokens,
        "pass_tokens": pass_tokens,
        "unique_tokens": unique,
        "epochs": n_tokens / pass_tokens,
        "trunk": None,
        "branched_from": None,
        "holdout": None if diverged else holdout,
        "seconds": seconds,
        "wall_seconds": seconds + 6,
        "resumed_at_steps": [5, 7] if cell["subset"] == "c40" else [],
        "attempts": [_attempt(n_steps=int(last["step"]), seconds=seconds + 6)],
        "device_seconds": 2 * (seconds + 6),
        "discarded_checkpoints": [],
        "failed_checkpoints": [],
        "spikes": [],
        "allocation": {"world": 2, "device": "cpu", "threads": 1, "grad_accum": 1, "engine": "torch", "zero_stage": 0},
        "versions": {"python": "3.11.7", "commit": "0123456789ab", "plmscale": "0.1.0", "torch": "2.13.0"},
    }


def _attempt(*, n_steps: int, seconds: float) -> dict:
    when = {"start": "2026-01-01T00:00:00+00:00", "end": "2026-01-01T01:00:00+00:00", "host": "node", "slurm_job": None}
    what = {"nodes": 1, "world": 2, "device": "cpu", "from_step": 0, "to_step": n_steps}
    return when | what | {"wall_seconds": seconds, "reason": "finished"}


def sets_and_store(folder: Path) -> None:
    """Counts of the sets, and of the store the one number that the analysis reads."""
    (folder / "results/subsets").mkdir(parents=True, exist_ok=True)
    (folder / "results/store").mkdir(exist_ok=True)
    (folder / "results/store/stats.json").write_text(json.dumps({"unigram_entropy": 2.9, "n_sequences": 500_000}))
    for empty in (
        *(f"store/{name}" for name in ("tokens.npy", "offsets.npy", "keys.npy", "ids.txt")),
        "subsets/candidates.npy",
    ):
        (folder / "results" / empty).touch()  # nothing reads them; Snakemake would make what is not there
    for name, n_tokens in TOKENS.items():
        (folder / f"results/subsets/{name}.npy").touch()
        (folder / f"results/subsets/{name}.json").write_text(json.dumps(_counts(name, n_tokens, 1.0)))
    for name, (of, epochs) in PASSES.items():
        counts = _counts(name, TOKENS[of], epochs) | {"kind": "passes", "of": of, "epochs": epochs}
        (folder / f"results/subsets/{name}.json").write_text(json.dumps(counts))


def _counts(name: str, n_tokens: int, epochs: float) -> dict:
    n = n_tokens // 100
    identity = float(f"0.{name[1:]}") if name.startswith("c") else None
    return {
        "name": name,
        "kind": {"full": "all", "s40": "sample", "holdout": "holdout"}.get(name, "cluster"),
        "min_identity": identity,
        "seed": 0,
        "n_sequences": n,
        "n_residues": n_tokens + 7,
        "n_residues_cut": n_tokens - 2 * n,
        "n_tokens": int(n_tokens * epochs),
        "tokens_325_rule": 325 * n,
        "mean_length": 98.5,
        "max_length": 256,
        "n_over_length": 3,
        "sha256": "0123456789abcdef" * 4,
        "provenance": {"largest_identity": 0.481} if name == "holdout" else {},
    }


def own_runs(path: Path) -> None:
    """Runs as somebody else would write them down: every size and budget twice."""
    rng, rows = np.random.default_rng(7), []
    for n_params in np.geomspace(3e4, 2e6, 5).round():
        for budget in (1e6, 1e7, 1e8):
            for seed in (0, 1):
                seen = np.geomspace(1e4, budget, 12).round()
                loss = (loss_of(n_params, seen) + rng.normal(0, 0.002, seen.size)).round(6)
                name = f"{n_params:g}/{budget:g}/{seed}"
                rows += [(name, "theirs", seed, int(n_params), int(d), y) for d, y in zip(seen, loss, strict=True)]
    pd.DataFrame(rows, columns=pd.Index(["run", "group", "seed", "N", "D", "loss"])).to_csv(path, index=False)
