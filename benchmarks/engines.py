"""DeepSpeed's overhead over the plain torch loop: the same steps of the same model, turn by turn in one process."""

import os
import statistics
from collections.abc import Callable
from typing import Any

import torch

from plmscale.model.esm2 import ESM2
from plmscale.sets.batches import GlobalBatch
from plmscale.study.config import ModelSize, Training
from plmscale.training.engine import ENGINES, EngineSettings, joined_ranks
from plmscale.training.optimizer import make_optimizer


def overhead(
    size: ModelSize,
    found: list[GlobalBatch],
    clock: Callable[[Callable[[], object]], float],
    *,
    rounds: int,
    precision: str,
    zero_stages: tuple[int, ...] = (0, 2),
) -> list[dict[str, Any]]:
    """Time of DeepSpeed's step ÷ time of the torch engine's, and whether their losses are the same.

    Returns
    -------
    list of dict
        One row per ZeRO stage.
    """
    os.environ.setdefault("DS_ACCELERATOR", "cuda" if torch.cuda.is_available() else "cpu")
    with joined_ranks() as ranks:
        engines = {}
        for name, stage in [("torch", 0), *((f"deepspeed ZeRO-{s}", s) for s in zero_stages)]:
            model = ESM2(size, seed=0).to(ranks.device)
            optimizer = make_optimizer(model, Training().optimizer, size.learning_rate)
            settings = EngineSettings(1, precision, 0.0, stage)
            engines[name] = ENGINES[name.split()[0]](model, optimizer, ranks=ranks, settings=settings)
        times: dict[str, list[float]] = {name: [] for name in engines}
        losses: dict[str, list[float]] = {name: [] for name in engines}
        for round_ in range(rounds + 1):  # the first warms up
            for batch in found:
                for name, engine in engines.items():

                    def step(engine=engine, batch=batch, name=name) -> None:
                        loss = engine.step(
                            batch.micro_batches(1), n_predicted=batch.n_predicted, learning_rate=size.learning_rate
                        )
                        losses[name].append(loss)

                    seconds = clock(step)
                    if round_:
                        times[name].append(seconds)
    reference = sum(times["torch"])
    return [
        {
            "size": size.name,
            "engine": name,
            "tokens_per_step": statistics.mean(float(b.lengths.sum()) for b in found),
            "overhead": sum(times[name]) / reference - 1,
            "largest_loss_difference": max(abs(a - b) for a, b in zip(losses[name], losses["torch"], strict=True)),
        }
        for name in engines
        if name != "torch"
    ]
