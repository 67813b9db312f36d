"""What a checked checkpoint costs beside the plain ones of torch, written and read back turn by turn in one process.

    python benchmarks/checkpoints.py --sizes 5M 35M --out benchmarks/results/checkpoints.md

The state is that of the torch engine: weights and Adam's two moments in fp32, 12 bytes per parameter. `torch.save` is
one call that forces nothing to disk and checks nothing; `torch.distributed.checkpoint` forces its files to disk and
checks nothing. A ratio is our median over theirs. Both clocks are given: the processor time of the process, and the
wall, which is mostly the disk's.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import machine
import pandas as pd
import torch
import torch.distributed.checkpoint as dcp

from plmscale.model.esm2 import ESM2
from plmscale.study.config import ModelSize, Training
from plmscale.training.checkpoints import Checkpoints, Progress
from plmscale.training.engine import EngineSettings, TorchEngine, joined_ranks
from plmscale.training.optimizer import make_optimizer
from plmscale.training.resume import CheckpointManager

ROOT = Path(__file__).parents[1]


def sizes(names: list[str]) -> list[ModelSize]:
    """Rows of config/models.tsv."""
    table = pd.read_csv(ROOT / "config/models.tsv", sep="\t", comment="#").set_index("name", drop=False)
    keys = ("name", "n_layers", "d_model", "d_ffn", "n_heads", "learning_rate")
    return [
        ModelSize.model_validate({k: table.loc[name, k] for k in keys} | {"schedules": ["constant"]}) for name in names
    ]


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of the processor and of the wall."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def measure(size: ModelSize, folder: Path, *, rounds: int) -> list[dict[str, str]]:
    """Write and read with each, `rounds` times."""
    with joined_ranks() as ranks:
        model = ESM2(size, seed=0)
        optimizer = make_optimizer(model, Training().optimizer, 1e-3)
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        engine = TorchEngine(model, optimizer, ranks=ranks, settings=EngineSettings(1, "fp32", 0.0, 0))
        manager = CheckpointManager(Checkpoints(folder / "ours"), engine, ranks=ranks, written_by="torch")
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
        plain, distributed = folder / "plain.pt", folder / "dcp"
        variants: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
            "ours": (lambda: manager.write(Progress(step=1), rows=[], wall_seconds=0.0), manager.take_up),
            "torch.save": (lambda: torch.save(state, plain), lambda: torch.load(plain, weights_only=True)),
            "torch.distributed.checkpoint": (
                lambda: dcp.save(state, checkpoint_id=distributed),
                lambda: dcp.load(state, checkpoint_id=distributed),
            ),
        }
        found: dict[str, list[tuple[float, ...]]] = {name: [] for name in variants}
        for round_ in range(rounds + 1):  # the first warms up
            for name, (write, read) in variants.items():
                seconds = (*timed(write), *timed(read))
                if round_:
                    found[name].append(seconds)
        n_bytes = plain.stat().st_size
    return rows(
        size.name, n_bytes, {name: [statistics.median(c) for c in zip(*t, strict=True)] for name, t in found.items()}
    )


def rows(size: str, n_bytes: int, medians: dict[str, list[float]]) -> list[dict[str, str]]:
    """One row of the table for each variant."""
    ours = medians["ours"]
    return [
        {
            "size": size,
            "GB": f"{n_bytes / 1e9:.3f}",
            "checkpoint": name,
            "write, cpu s": f"{found[0]:.3f}",
            "write, wall s": f"{found[1]:.3f}",
            "read, cpu s": f"{found[2]:.3f}",
            "read, wall s": f"{found[3]:.3f}",
            "ours ÷ this, write cpu": f"{ours[0] / found[0]:.2f}",
            "ours ÷ this, write wall": f"{ours[1] / found[1]:.2f}",
            "ours ÷ this, read cpu": f"{ours[2] / found[2]:.2f}",
        }
        for name, found in medians.items()
    ]


def main() -> None:
    """Measure, print, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["5M", "35M"], help="rows of config/models.tsv")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="markdown to write")
    args = parser.parse_args()
    torch.set_num_threads(1)
    facts = machine.facts("torch")
    table: list[dict[str, str]] = []
    for size in sizes(args.sizes):
        folder = Path(tempfile.mkdtemp(dir=Path.cwd(), prefix=".checkpoints-"))
        try:
            table += measure(size, folder, rounds=args.rounds)
        finally:
            shutil.rmtree(folder)
    machine.write_page(table, facts, args.out)


if __name__ == "__main__":
    main()
