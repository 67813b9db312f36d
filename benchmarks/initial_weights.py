"""What initial weights do to the order of small sizes: a study of seven sizes per choice, on the example proteins.

    python benchmarks/initial_weights.py --work FOLDER > benchmarks/results/initial_weights.md

Sizes of 2K to 106K parameters, budgets of 0.12M to 0.95M tokens as branches of trunks, windows of 64, AdamW, one seed.
Each choice is a study of its own in FOLDER, trained by `plmscale run`; one that was interrupted goes on. All sizes of a
choice see the same batches and masks, and the holdout's masks are the same for all, so that differences between sizes
are smaller than the standard error of a loss.
"""

import argparse
import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import get_args

import pandas as pd
from machine import facts, markdown

from plmscale.study.settings import InitialWeights

ROOT = Path(__file__).parents[1]

WIDTHS = {8: 1e-2, 12: 8e-3, 16: 7e-3, 24: 6e-3, 32: 5e-3, 48: 4e-3, 64: 3e-3}
"""Learning rate by width; guessed, not tuned."""

PASSES = (0.1, 0.2, 0.4, 0.8)


def configuration(choice: str) -> dict:
    """The study of one choice."""
    cpu = {"device": "cpu", "name": "one CPU core", "peak_flops": 100e9, "mfu": 0.1, "memory_gib": 4}
    cpu |= {"devices_per_node": 1, "max_nodes": 1, "target_hours": 1, "startup_seconds": 6, "calibration_steps": 20}
    training = {"batch_tokens": 2048, "warmup_tokens": 20_000, "log_every_steps": 4, "optimizer": {"name": "adamw"}}
    return {
        "source": str(ROOT / "resources/example/swissprot_20k.fasta.gz"),
        "models": "models.tsv",
        "subsets": "subsets.tsv",
        "max_length": 64,
        "clustering": {"method": "linclust", "threads": 1},
        "holdout": {"n_sequences": 1000},
        "training": training | {"initial_weights": choice},
        "hardware": cpu,
        "execution": {"checkpoint_tokens": 2_000_000, "engine": "torch", "monitors": []},
    }


def write(folder: Path, choice: str) -> None:
    """Configuration and tables of one choice."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(json.dumps(configuration(choice)))
    sizes = [f"w{d}\t2\t{d}\t{4 * d}\t2\t{rate}\twsd\n" for d, rate in WIDTHS.items()]
    head = "name\tn_layers\td_model\td_ffn\tn_heads\tlearning_rate\tschedules\n"
    (folder / "models.tsv").write_text(head + "".join(sizes))
    sets = [f"p{one:g}\tpasses\tswissprot\t{one:g}\t\tyes\n" for one in PASSES]
    head = "name\tkind\tof\tepochs\tn_sequences\ttrain\n"
    (folder / "subsets.tsv").write_text(head + "swissprot\tall\t\t\t19000\tno\n" + "".join(sets))


def losses(folder: Path) -> pd.DataFrame:
    """Holdout losses: a row a size, a column a budget in tokens."""
    rows = []
    for path in sorted(folder.glob("results/runs/*/*/*/*/run.json")):
        record = json.loads(path.read_text())
        rows.append((record["n_params"], record["n_tokens"], record["holdout"]["loss"]))
    table = pd.DataFrame(rows, columns=["n_params", "n_tokens", "loss"])
    return table.pivot_table(index="n_params", columns="n_tokens", values="loss")


def out_of_order(column: pd.Series) -> int:
    """Pairs of neighbouring sizes of which the larger is worse."""
    return sum(larger > smaller for smaller, larger in pairwise(column))


def main() -> None:
    """Train, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of the studies")
    parser.add_argument("--choices", nargs="+", default=get_args(InitialWeights), choices=get_args(InitialWeights))
    parser.add_argument("--cores", type=int, default=2)
    args = parser.parse_args()
    machine, shown = facts("torch"), []
    for choice in args.choices:
        folder = args.work / choice
        write(folder, choice)
        command = [sys.executable, "-m", "plmscale", "run", "runs", "--configfile", "config.yaml"]
        subprocess.run([*command, "--cores", str(args.cores)], cwd=folder, check=True, stdout=sys.stderr)
        table = losses(folder)
        for n_params, row in table.iterrows():
            columns = zip(table.columns.astype(float), row, strict=True)
            budgets = {f"{tokens / 1e6:.2f}M tokens": f"{loss:.3f}" for tokens, loss in columns}
            shown.append({"initial weights": choice, "N": f"{n_params:,}"} | budgets)
        wrong = {f"{tokens / 1e6:.2f}M tokens": str(out_of_order(table[tokens])) for tokens in table}
        shown.append({"initial weights": choice, "N": f"pairs out of order, of {len(table) - 1}"} | wrong)
    print("# Initial weights of small sizes: holdout loss (nats)\n")
    print(markdown(shown))
    print(markdown([{"fact": key, "value": value} for key, value in machine.items()]))


if __name__ == "__main__":
    main()
