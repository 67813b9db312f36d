"""The holdout: drawn before any training set, and far from all of them."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..sequences.store import Store
from .mmseqs import SearchSettings, mmseqs_version, search
from .ranks import lowest
from .subsets import HOLDOUT_SALT, Selection

Ids = NDArray[np.int64]


def choose_holdout_candidates(store: Store, *, n: int, seed: int) -> Ids:
    """`n` sequences, uniform without replacement, that no subset will contain.

    Raises
    ------
    InputError
        If nothing would be left to train on.
    """
    if n >= store.n_sequences:
        raise InputError(
            f"holdout: {n} candidates requested, but the source has {store.n_sequences} sequences and some must be "
            "left for training. Ask for fewer candidates (`holdout.n_sequences`), or give a larger source."
        )
    every = np.ones(store.n_sequences, dtype=np.bool_)
    return lowest(store.keys, every, n=n, seed=seed, salt=HOLDOUT_SALT)


@dataclass(frozen=True)
class HoldoutSettings:
    """`max_identity`: largest identity (0..1) that a holdout sequence may have to the pool; `search`: what is a hit."""

    max_identity: float = 0.5
    search: SearchSettings = field(default_factory=SearchSettings)


def holdout(
    store: Store, candidates: Ids, pool_ids: Ids, *, settings: HoldoutSettings, workdir: Path, log: Path | None = None
) -> Selection:
    """Candidates that have no MMseqs2 hit of more than `max_identity` in the pool.

    The search is against the whole pool, which contains every training set: the holdout is the same for all of them,
    and clean for all of them. Violators leave the holdout, never the training sets. Representatives of one UniRef50
    can share more than 50 %, so this is needed even there.

    Returns
    -------
    Selection
        Ids that stay. The provenance has the number of candidates and of those removed, `largest_identity`, the largest
        that remains (None if no candidate that stays has any hit), and MMseqs2's version and flags.

    Raises
    ------
    InputError
        If no candidate stays.
    """
    queries, targets = workdir / "candidates.fasta", workdir / "pool.fasta"
    store.write_fasta(candidates, queries)
    store.write_fasta(pool_ids, targets)
    hits = search(queries, targets, settings=settings.search, workdir=workdir, log=log)
    queries.unlink()
    targets.unlink()
    nearest = np.array([hits.largest_identity.get(i, -1.0) for i in candidates.tolist()])
    stays = nearest <= settings.max_identity
    if not stays.any():
        raise InputError(
            f"holdout: each of the {candidates.size} candidates is more than {settings.max_identity:.0%} identical to "
            "a sequence to train on. Raise `holdout.n_sequences`, or give a less redundant source, such as UniRef50."
        )
    report = {
        "n_candidates": candidates.size,
        "n_removed": int((~stays).sum()),
        "max_identity": settings.max_identity,
        "largest_identity": max(nearest[stays].max().item(), 0.0) if (nearest[stays] >= 0).any() else None,
        "mmseqs_version": mmseqs_version(),
        "mmseqs_flags": hits.flags,
    }
    return Selection(np.sort(candidates[stays]), report)
