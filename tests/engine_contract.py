"""Trains the same small encoder 20 steps with every engine: `python engine_contract.py OUT.json`, or under torchrun.

Writes the losses of each engine, stage and precision, the largest difference of final weights from plain torch,
and the bytes of gradients that it summed over ranks.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

import plmscale.model.cpu_attention.function  # noqa: F401  (numba looks at `print` when it is imported, which is patched below)
from plmscale.model.esm2 import ESM2
from plmscale.sequences.alphabet import END, MASK, STANDARD, START
from plmscale.sets.batches import GlobalBatch
from plmscale.study.config import ModelSize, Optimizer
from plmscale.training.engine import ENGINES, Engine, EngineSettings, Ranks, joined_ranks
from plmscale.training.optimizer import make_optimizer

SIZE = ModelSize(name="tiny", n_layers=2, d_model=32, d_ffn=128, n_heads=2, learning_rate=3e-3, schedules=["constant"])
N_STEPS, ACCUMULATION = 20, 2
CASES = [("torch", 0), ("deepspeed", 0), ("deepspeed", 1), ("deepspeed", 2)]


def batch(step: int) -> GlobalBatch:
    """Sixteen random proteins of 8 to 40 residues, a seventh of them to be predicted."""
    rng = np.random.default_rng(step)
    lengths = np.sort(rng.integers(10, 43, 16))
    originals = rng.choice(np.asarray(STANDARD, np.uint8), int(lengths.sum()))
    ends = np.cumsum(lengths)
    originals[ends - lengths], originals[ends - 1] = START, END
    predicted = (rng.random(originals.size) < 0.15) & (originals != START) & (originals != END)
    return GlobalBatch(np.where(predicted, np.uint8(MASK), originals), originals, lengths, predicted)


def trained(name: str, stage: int, *, precision: str, ranks: Ranks) -> tuple[list[float], torch.Tensor, float]:
    """Losses of 20 steps, the weights after them as one vector, and the bytes of gradients that a step summed."""
    settings = EngineSettings(ACCUMULATION, precision, 1.0, stage)
    model = ESM2(SIZE, seed=0).to(ranks.device)
    engine: Engine = ENGINES[name](
        model, make_optimizer(model, Optimizer(), SIZE.learning_rate), ranks=ranks, settings=settings
    )
    losses, reduced = [], 0
    whole_sum = torch.distributed.all_reduce

    def counted(tensor: torch.Tensor, *args: Any, **options: Any) -> Any:
        nonlocal reduced
        reduced += tensor.nbytes if tensor.numel() > 1 else 0  # not the loss
        return whole_sum(tensor, *args, **options)

    with patch("torch.distributed.all_reduce", counted):
        for step in range(N_STEPS):
            whole = batch(step)
            micros = whole.micro_batches(ranks.world * ACCUMULATION)[ranks.rank :: ranks.world]
            losses.append(engine.step(micros, n_predicted=whole.n_predicted, learning_rate=SIZE.learning_rate))
    weights = torch.cat([p.detach().float().flatten() for p in engine.module.parameters()])
    return losses, weights, reduced / N_STEPS


def main() -> None:
    """Run all cases; the first rank writes."""
    torch.set_num_threads(1)
    found = {}
    with joined_ranks() as ranks, patch("builtins.print"):
        for precision in ("fp32", "bf16"):
            _, reference = None, None
            for name, stage in CASES:
                losses, weights, reduced = trained(name, stage, precision=precision, ranks=ranks)
                reference = weights if reference is None else reference
                difference = float((weights - reference).abs().max())
                found[f"{name}{stage} {precision}"] = {
                    "losses": losses,
                    "largest_difference": difference,
                    "reduced": reduced,
                }
    if ranks.rank == 0:
        Path(sys.argv[1]).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
    os._exit(0)  # as plmscale.training.train: threads of gloo may abort a rank whose interpreter is being taken down
