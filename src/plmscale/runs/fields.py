"""Names of what runs are read from: the columns of a table, and the formats. Light: command lines import it."""

from typing import NamedTuple


class Field(NamedTuple):
    """A column of the tidy table: its other names (compared without case, blanks, `_` and `-`), and what it holds."""

    aliases: tuple[str, ...]
    meaning: str


FIELDS: dict[str, Field] = {
    "run": Field(("run_name", "run_id", "experiment"), "Name of the run. If absent, every row is a run."),
    "model": Field(("model_name", "architecture"), "Name of the size. If absent, N in words."),
    "n_params": Field(
        ("N", "n", "params", "parameters", "num_params", "n_parameters", "model_size", "size", "N_nonemb")
        + ("non_embedding_params", "n_non_embedding", "model_parameters"),
        "Parameters N. 5e6, 5000000, 5M and 0.005B are the same number.",
    ),
    "n_tokens": Field(
        ("D", "t", "tokens", "num_tokens", "tokens_seen", "training_tokens", "train_tokens", "D_total", "total_tokens")
        + ("num_input_tokens_seen", "dataset_size"),
        "Tokens seen so far, D.",
    ),
    "flops": Field(
        ("C", "flop", "compute", "training_flop", "training_flops", "train_flops", "total_flos", "total_flops"),
        "Training FLOPs spent so far, C.",
    ),
    "loss": Field(
        ("L", "val_loss", "valid_loss", "validation_loss", "eval_loss", "test_loss", "final_loss"),
        "Loss in nats per token at this point.",
    ),
    "seed": Field(("random_seed",), "Seed; runs that differ only in it are reruns."),
    "group": Field((), "Runs of different groups are never fitted together."),
    "schedule": Field(
        ("lr_schedule", "learning_rate_schedule"),
        "Learning-rate schedule; runs of different schedules are never fitted together.",
    ),
    "subset": Field(
        ("dataset", "data_set", "train_set", "training_set"),
        "Training set; runs of different sets are fitted together.",
    ),
    "unique_tokens": Field(("D_unique", "n_unique_tokens"), "Tokens of the training set, each counted once."),
    "batch_tokens": Field(
        ("batch_size_tokens", "tokens_per_step"), "Tokens of one optimizer step; a warning names mixed values."
    ),
    "trunk": Field(
        ("branched_from", "trunk_name"),
        "Runs with the same value share noise: branches of one run, points along one run. If empty, independent.",
    ),
    "lr_fraction": Field(("lr_share",), "Learning rate at this point ÷ the largest of the run."),
    "learning_rate": Field(
        ("lr", "lr0", "peak_lr", "max_lr", "base_lr", "initial_lr", "peak_learning_rate", "max_learning_rate"),
        "Learning rate at this point, or the largest of the run. Runs that differ only in it are a sweep: laws use "
        "the best rate.",
    ),
    "step": Field(("iteration", "iter", "global_step"), "Order of the rows of a run. If absent, tokens."),
    "status": Field(
        ("state", "run_status"),
        "`done` (the default) or `finished`; runs with another status (crashed, running) are shown and not fitted.",
    ),
}
"""Columns of the tidy table. `loss` and two of `n_params`, `n_tokens`, `flops` are needed; the rest is optional."""

FORMATS = {
    "scaling_protein_lm": "ScalingProteinLM (Cheng et al. 2024): the folder of its TensorBoard exports, or the "
    "same merged into one table",
    "porian": "Porian et al. 2024: IsoFLOP points as a table",
    "gadre": "Gadre et al. 2024: exp_data/models/*.json, or the same as a table",
    "study": "results of this workflow: a folder that contains run.json and metrics.parquet at any depth",
    "trainer_state": "Hugging Face Trainer: trainer_state.json, or a folder of them",
    "tensorboard": "TensorBoard: CSV or JSON downloads (Wall time, Step, Value), a file or a folder of them",
    "wandb": "Weights & Biases: a chart's CSV export, one column per run",
    "deepspeed": "DeepSpeed: the folder of its csv monitor",
    "history": "metrics by step, a file per run or a column `run`: Lightning's metrics.csv, a history of Weights & "
    "Biases, MLflow's table of metrics",
    "tidy": "a table: csv, tsv, jsonl or parquet, one row per run or evaluation",
}
"""Formats of runs in words, special ones before general ones; `plmscale.runs.importers.IMPORTERS` reads them."""
