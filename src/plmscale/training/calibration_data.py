"""The files of a timed run.

Its proteins are some of the study's own or, before there are any, made-up ones of realistic lengths.
"""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..files import write_json
from ..sequences.alphabet import LETTERS, STANDARD
from ..sequences.store import Store, build_store
from ..sets.subsets import read_subset, write_ids

HOLDOUT = 200
"""Sequences that are evaluated: enough for a mean, few enough to take seconds."""

MEAN_LENGTH, LOG_SD = 325.0, 0.7
"""Residues of made-up proteins: log-normal with the paper's mean (appendix A, table 3); the spread is a guess."""

RESERVE = 1.1
"""More tokens than the steps need, since batches are not filled to the last token."""


SPECIFICATION = "spec.json"
"""What is to be timed, in the folder of a timed run."""

WARM_UP = 4
"""Steps before the clock starts: allocators, caches and kernels are settled in the first ones."""


def prepare_data(spec: dict[str, Any], work: Path, *, store: Path, subset: Path, holdout: Path) -> None:
    """Make the folder of a timed run: cell, store, training set and holdout.

    Parameters
    ----------
    spec : dict
        See `plmscale.plan.calibration.specification`.
    work : Path
        The folder; what was in it is removed.
    store, subset, holdout : Path
        The study's own files, which need not exist.
    """
    shutil.rmtree(work, ignore_errors=True)
    write_json(work / SPECIFICATION, spec)
    write_json(work / "cell.json", spec["cell"])
    max_length, seed = spec["cell"]["max_length"], spec["cell"]["seed"]
    need = round(RESERVE * (WARM_UP + spec["steps"]) * spec["cell"]["training"]["batch_tokens"])
    rng = np.random.default_rng(seed)
    if (store / "offsets.npy").is_file() and subset.is_file() and holdout.is_file():
        (work / "store").symlink_to(store.resolve(), target_is_directory=True)
        opened = Store.open(store)
        _write_part(work / "subset.npy", opened, read_subset(subset), need=need, max_length=max_length, rng=rng)
        write_ids(work / "holdout.npy", np.sort(rng.permutation(read_subset(holdout))[:HOLDOUT]))
    else:
        _make_up(work, need=need, max_length=max_length, rng=rng)


def _write_part(
    path: Path, store: Store, ids: NDArray[np.int64], *, need: int, max_length: int, rng: np.random.Generator
) -> None:
    """Write random members of a set that have `need` tokens together, or all."""
    ids = rng.permutation(ids)
    ends = np.cumsum(store.input_lengths(ids, max_length=max_length), dtype=np.int64)
    write_ids(path, np.sort(ids[: int(np.searchsorted(ends, need)) + 1]))


def _make_up(work: Path, *, need: int, max_length: int, rng: np.random.Generator) -> None:
    expected = min(MEAN_LENGTH, max_length - 2) / 2  # a log-normal cut at max_length has at least half of its mean
    n = HOLDOUT + int(need / expected) + 1
    lengths = np.maximum(8, rng.lognormal(np.log(MEAN_LENGTH) - LOG_SD**2 / 2, LOG_SD, n)).astype(np.int64)
    letters = np.frombuffer(LETTERS, np.uint8)[np.asarray(STANDARD)]
    residues = letters[rng.integers(letters.size, size=int(lengths.sum()))].tobytes().decode("ascii")
    ends = np.cumsum(lengths).tolist()
    records = (
        f">made_up_{i}\n{residues[end - n_res : end]}\n"
        for i, (end, n_res) in enumerate(zip(ends, lengths, strict=True))
    )
    (work / "made_up.fasta").write_text("".join(records))
    build_store(work / "made_up.fasta", work / "store")
    store = Store.open(work / "store")
    ids = np.arange(store.lengths.size)
    write_ids(work / "holdout.npy", ids[:HOLDOUT])
    _write_part(work / "subset.npy", store, ids[HOLDOUT:], need=need, max_length=max_length, rng=rng)


def load_libraries() -> None:
    """Load once what the timed run loads: only the first job of a study finds the libraries on disk alone."""
    import deepspeed  # noqa: F401

    from . import trainer  # noqa: F401
