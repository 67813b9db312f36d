"""Steps of small encoders on one core: parameters in one vector beside a tensor each, turn by turn in one process.

    python benchmarks/small_steps.py --out benchmarks/results/small_steps.md

Both take the same steps to the same bits, which is checked. A batch holds 1,024 tokens in windows of 128, as in
config/toy.yaml. A ratio is the median of single tensors over that of the vector, in seconds of the processor.
"""

import argparse
import statistics
import time
from pathlib import Path
from unittest.mock import patch

import machine
import numpy as np
import torch

from plmscale.model.esm2 import ESM2
from plmscale.sets.batches import MicroBatch
from plmscale.study.config import ModelSize, Optimizer
from plmscale.training.engine import EngineSettings, Ranks, TorchEngine
from plmscale.training.optimizer import make_optimizer

ALONE = Ranks(0, 1, torch.device("cpu"))
SETTINGS = EngineSettings(1, "fp32", 0.0, 0)


def size_of(width: int) -> ModelSize:
    """A size of config/toy_models.tsv, or a larger one of the same kind."""
    shape = {"n_layers": 2, "d_model": width, "d_ffn": 4 * width, "n_heads": max(1, width // 32)}
    return ModelSize.model_validate({"name": str(width), "learning_rate": 1e-3, "schedules": ["constant"]} | shape)


def batches(n: int) -> list[MicroBatch]:
    """Random residues, a seventh of them masked."""
    rng, lengths = np.random.default_rng(0), np.full(8, 128, dtype=np.int64)
    found = []
    for _ in range(n):
        tokens = rng.integers(4, 24, lengths.sum()).astype(np.uint8)
        select = np.flatnonzero(rng.random(tokens.size) < 0.15)
        targets = tokens[select]
        tokens[select] = 28
        found.append(MicroBatch(tokens, lengths, select, targets))
    return found


def engine_of(width: int, *, most_flat: int) -> TorchEngine:
    """The engine, with one vector for up to so many parameters."""
    model = ESM2(size_of(width), seed=0, initial_weights="fan_in")
    with patch("plmscale.training.optimizer.MOST_FLAT", most_flat):
        optimizer = make_optimizer(model, Optimizer(name="adamw"), 1e-3)
        return TorchEngine(model, optimizer, ranks=ALONE, settings=SETTINGS)


def measure(width: int, *, rounds: int, steps: int) -> dict[str, str]:
    """Milliseconds a step of both."""
    given, engines = batches(steps), [engine_of(width, most_flat=most) for most in (0, 2**40)]
    found: list[list[float]] = [[], []]
    for round_ in range(rounds + 1):  # the first warms up
        for engine, times in zip(engines, found, strict=True):
            started = time.process_time()
            for micro in given:
                engine.step([micro], n_predicted=micro.select.size, learning_rate=1e-3)
            if round_:
                times.append((time.process_time() - started) / steps * 1e3)
    pairs = zip(*(engine.module.parameters() for engine in engines), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs), "the two are not the same training"
    single, vector = (statistics.median(times) for times in found)
    n_params = sum(parameter.numel() for parameter in engines[0].module.parameters())
    return {
        "parameters": f"{n_params:,}",
        "a tensor each, ms": f"{single:.2f}",
        "one vector, ms": f"{vector:.2f}",
        "ratio": f"{single / vector:.2f}",
    }


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", type=int, nargs="+", default=[8, 16, 32, 128, 320])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    facts = machine.facts("torch")
    table = [measure(width, rounds=args.rounds, steps=args.steps) for width in args.widths]
    machine.write_page(table, facts, args.out)


if __name__ == "__main__":
    main()
