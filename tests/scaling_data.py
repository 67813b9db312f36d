"""Runs whose law is known, and the published data sets, for the tests of the analysis."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

TRUTH = Path(__file__).parents[2] / "shared" / "truth"

Law = Callable[[float, np.ndarray], np.ndarray]

SIZES = tuple(np.geomspace(3e4, 2e6, 8).round())
TOKENS = tuple(np.geomspace(1e6, 1e8, 4).round())
INITIAL_LOSS = float(np.log(29))


def published(*parts: str) -> Path:
    """A file of the published data; skips the test where they are not beside the checkout."""
    path = TRUTH.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"published data are absent: {path}")
    return path


def chinchilla(n_params: float, n_tokens: np.ndarray) -> np.ndarray:
    """E = 2, A = 20, B = 60, alpha = 0.30, beta = 0.35: a = 0.538."""
    return 2.0 + 20.0 * n_params**-0.30 + 60.0 * n_tokens**-0.35


def make_runs(
    law: Law,
    *,
    sizes: Sequence[float] = SIZES,
    tokens: Sequence[float] = TOKENS,
    noise: float = 0.0,
    n_rows: int = 80,
    seed: int = 0,
) -> pd.DataFrame:
    """Tidy frame of runs, loss by `law` with Gaussian noise (nats), flops 6ND, and an evaluation at step 0."""
    rng = np.random.default_rng(seed)
    frames = []
    for i, size in enumerate(sizes):
        for j, last in enumerate(tokens):
            seen = np.unique(np.geomspace(2e3, last, n_rows).round()) if n_rows > 1 else np.array([last])
            loss = law(size, seen) + rng.normal(0, noise, seen.size)
            seen, loss = np.r_[0.0, seen], np.r_[INITIAL_LOSS, loss]
            identity = {"run": f"m{i}/s{j}/constant/seed0", "model": f"m{i}", "subset": f"s{j}", "schedule": "constant"}
            counts = {"seed": 0, "status": "done", "n_params": int(size), "unique_tokens": int(last)}
            series = {"step": np.arange(seen.size), "n_tokens": seen.astype(int), "flops": 6.0 * size * seen}
            frame = pd.DataFrame({**series, "loss": loss, **identity, **counts, "batch_tokens": 2000})
            frames.append(frame.assign(learning_rate=1e-3, lr_fraction=1.0))
    return pd.concat(frames, ignore_index=True)
