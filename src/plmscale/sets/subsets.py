"""Subsets of a store: the holdout, identity clusters, uniform samples, and their exact counts.

A subset is a sorted array of store ids. No token is copied. Every random choice is a rank computed from the record id,
so that it does not depend on the order of the file, and a smaller sample lies within a larger one of the same seed.
"""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..files import atomic, write_json
from ..sequences.store import Store
from .mmseqs import MmseqsSettings, cluster, mmseqs_version
from .ranks import lowest

HOLDOUT_SALT, SAMPLE_SALT = 1, 2
"""Keep the ranks of the holdout apart from those of the samples: at one seed the two choices are independent."""
TOKENS_PER_SEQUENCE = 325
"""The paper's estimate of the tokens of a sequence (arXiv 2406.07249, table 3)."""

Ids = NDArray[np.int64]
_CHUNK = 1 << 20


class Selection(NamedTuple):
    """Store ids, sorted, and how they came about (for `describe`)."""

    ids: Ids
    provenance: dict[str, Any]


def pool(store: Store, candidates: Ids) -> Ids:
    """All sequences that are not holdout candidates: every subset is part of this."""
    return np.flatnonzero(in_pool(store, candidates)).astype(np.int64)


def in_pool(store: Store, candidates: Ids) -> NDArray[np.bool_]:
    """Of each sequence, whether it is part of the pool: an eighth of the memory of `pool`."""
    rest = np.ones(store.n_sequences, dtype=np.bool_)
    rest[candidates] = False
    return rest


def sample_subset(store: Store, available: NDArray[np.bool_], *, name: str, n: int, seed: int) -> Selection:
    """`n` of the sequences for which `available` is true (see `in_pool`), uniform without replacement.

    Raises
    ------
    InputError
        If the pool has fewer; the message names the subset and both numbers.
    """
    n_available = int(np.count_nonzero(available))
    if n > n_available:
        raise InputError(
            f"subset {name}: {n} sequences requested, but {n_available} are available. "
            "Lower `n_sequences` in the table of subsets, or give a larger source."
        )
    ids = lowest(store.keys, available, n=n, seed=seed, salt=SAMPLE_SALT)
    return Selection(ids, {"n_requested": n, "n_available": n_available, "seed": seed})


def cluster_subset(
    store: Store,
    pool_ids: Ids,
    *,
    min_identity: float,
    settings: MmseqsSettings,
    workdir: Path,
    log: Path | None = None,
) -> Selection:
    """Representatives of the MMseqs2 clusters of the pool; see `mmseqs.cluster`.

    The FASTA file for MMseqs2 and its databases are made in `workdir`, and removed again on success; the same call goes
    on with what a failure or a kill left.
    """
    fasta = workdir / "pool.fasta"
    store.write_fasta(pool_ids, fasta)
    clusters = cluster(fasta, min_identity=min_identity, settings=settings, workdir=workdir, log=log)
    fasta.unlink()
    provenance = {"mmseqs_version": mmseqs_version(), "mmseqs_flags": clusters.flags, "n_available": pool_ids.size}
    return Selection(np.unique(clusters.representatives), provenance)


def describe(
    store: Store,
    ids: Ids,
    *,
    name: str,
    kind: str,
    min_identity: float | None,
    max_length: int,
    provenance: Mapping[str, Any],
) -> dict[str, Any]:
    """Exact counts of a subset, as they stand in table 3 and beside its ids.

    Parameters
    ----------
    store, ids
        The subset.
    name, kind, min_identity
        Its row in the table of subsets.
    max_length : int
        Longest input in positions, START and END included: of longer sequences `max_length − 2` residues are seen.
    provenance : mapping
        How it came about. A `seed` in it is also shown at the top.

    Returns
    -------
    dict
        `n_tokens` counts what one pass shows a model: residues after the cut, plus START and END of each sequence.
        `tokens_325_rule` is the paper's estimate. `sha256` is that of the ids as little-endian int64.

    Examples
    --------
    Sequences of 10 and 2000 residues at `max_length` 1024: 2010 residues, 1032 after the cut, 1036 tokens.
    """
    n_residues = n_cut = n_over = 0
    digest = sha256()
    for begin in range(0, ids.size, _CHUNK):
        part = ids[begin : begin + _CHUNK]
        lengths = store.offsets[part + 1] - store.offsets[part]
        n_residues += int(lengths.sum())
        n_cut += int(np.minimum(lengths, max_length - 2).sum())
        n_over += int((lengths > max_length - 2).sum())
        digest.update(part.astype("<i8").tobytes())
    return {
        "name": name,
        "kind": kind,
        "min_identity": min_identity,
        "seed": provenance.get("seed"),
        "n_sequences": ids.size,
        "n_residues": n_residues,
        "n_residues_cut": n_cut,
        "n_tokens": n_cut + 2 * ids.size,
        "tokens_325_rule": TOKENS_PER_SEQUENCE * ids.size,
        "mean_length": n_residues / ids.size,
        "max_length": max_length,
        "n_over_length": n_over,
        "sha256": digest.hexdigest(),
        "provenance": dict(provenance),
    }


def write_ids(path: str | Path, ids: Ids) -> None:
    """Write store ids as .npy, atomically."""
    with atomic(path) as partial, partial.open("wb") as out:
        np.save(out, ids.astype("<i8"))


def write_subset(path_npy: str | Path, path_json: str | Path, ids: Ids, description: Mapping[str, Any]) -> None:
    """Write a subset and its description, each atomically; the ids first."""
    write_ids(path_npy, ids)
    write_json(path_json, dict(description))


def read_subset(path_npy: str | Path, *, store: Store | None = None) -> Ids:
    """Read the ids of a subset.

    Parameters
    ----------
    path_npy : str or Path
        What `write_subset` wrote.
    store : Store, optional
        The store that they must lie in.

    Raises
    ------
    InputError
        If the file is missing or no subset: not int64, empty, not strictly ascending, or not within the store.
    """
    path = Path(path_npy)
    try:
        ids = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))  # mapped: all ranks of a node share it
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist.") from error
    except (ValueError, OSError) as error:
        raise InputError(f"{path} is not a subset: {error}. Delete it and run again.") from error
    problem = _problem(ids, store)
    if problem:
        raise InputError(f"{path} is not a subset: {problem}. Delete it and run again.")
    return ids


def _problem(ids: NDArray[Any], store: Store | None) -> str | None:
    if ids.dtype != np.dtype("<i8") or ids.ndim != 1:
        return f"it holds {ids.dtype} of shape {list(ids.shape)}, not a row of int64"
    if not ids.size:
        return "it is empty"
    for begin in range(0, ids.size, _CHUNK):
        falls = np.diff(ids[begin : begin + _CHUNK + 1]) <= 0
        if falls.any():
            at = begin + int(np.argmax(falls))
            return f"the ids are not strictly ascending ({ids[at]} before {ids[at + 1]} at position {at})"
    if ids[0] < 0:
        return f"it has the id {ids[0]}"
    if store is not None and ids[-1] >= store.n_sequences:
        return f"it has the id {ids[-1]}, but {store.folder} has {store.n_sequences} sequences"
    return None
