"""The sets of a study, made from its store as the configuration says."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..files import read_object
from ..sequences.store import Store
from ..study.config import Clustering, Holdout, Subset
from .holdout import HoldoutSettings, holdout
from .mmseqs import MmseqsSettings, SearchSettings
from .scratch import scratch_folder
from .subsets import (
    Selection,
    cluster_subset,
    describe,
    in_pool,
    pool,
    read_subset,
    sample_subset,
    write_subset,
)


@dataclass(frozen=True)
class SetFiles:
    """Files of a set.

    Attributes
    ----------
    store : Path
        Folder of the token store.
    candidates : Path
        Ids of the holdout candidates.
    ids, counts : Path
        To be written.
    log : Path
        MMseqs2's own output is added to it.
    scratch : Path
        Where MMseqs2's files go, in a folder of this user and study (`scratch.scratch_folder`); that of a set goes when
        the set is made.
    """

    store: Path
    candidates: Path
    ids: Path
    counts: Path
    log: Path
    scratch: Path

    @classmethod
    def named(cls, *, store: Sequence[str], **paths: str | Path) -> "SetFiles":
        """The files of a job by their names; the store by any of its files."""
        return cls(Path(store[0]).parent, **{name: Path(path) for name, path in paths.items()})


def make_subset(
    files: SetFiles,
    *,
    subset: Subset,
    clustering: Clustering | None,
    same_size_as: Sequence[Path],
    max_length: int,
    seed: int,
) -> None:
    """Choose the sequences of a training set and write ids and counts.

    Parameters
    ----------
    files : SetFiles
    subset : Subset
    clustering : Clustering or None
        For kind `cluster`; `scratch` is taken from `files`.
    same_size_as : sequence of Path
        Counts of the set whose size a sample takes, if it takes one.
    max_length, seed : int

    Raises
    ------
    InputError
        If the set cannot be had from the store; the message names set and numbers.
    """
    store = Store.open(files.store)
    available = in_pool(store, read_subset(files.candidates, store=store))
    if not available.any():
        raise InputError(
            f"subset {subset.name}: all {store.n_sequences} sequences are holdout candidates, none is left. "
            "Lower holdout.n_sequences."
        )
    if subset.kind == "all":
        chosen = Selection(np.flatnonzero(available), {})
    elif subset.kind == "sample":
        n = int(read_object(same_size_as[0])["n_sequences"]) if same_size_as else subset.n_sequences
        chosen = sample_subset(store, available, name=subset.name, n=n, seed=seed)
    else:
        assert clustering is not None and subset.min_identity is not None  # checked with the table
        with scratch_folder(files.scratch, study=files.ids.parent, name=subset.name) as work:
            chosen = cluster_subset(
                store,
                np.flatnonzero(available),
                min_identity=subset.min_identity,
                settings=MmseqsSettings(**clustering.model_dump(exclude={"scratch"})),
                workdir=work,
                log=files.log,
            )
    _write(files, store, chosen, subset=subset, max_length=max_length)


def make_holdout(
    files: SetFiles, *, settings: Holdout, max_length: int, threads: int, memory_limit: str | None = None
) -> None:
    """Keep the candidates that are far from everything else, and write ids and counts.

    Raises
    ------
    InputError
        If none is left.
    """
    store = Store.open(files.store)
    candidates = read_subset(files.candidates, store=store)
    search = SearchSettings(
        sensitivity=settings.sensitivity,
        coverage=settings.coverage,
        cov_mode=settings.cov_mode,
        threads=threads,
        memory_limit=memory_limit,
    )
    with scratch_folder(files.scratch, study=files.ids.parent, name="holdout") as work:
        kept = holdout(
            store,
            candidates,
            pool(store, candidates),
            settings=HoldoutSettings(settings.max_identity, search),
            workdir=work,
            log=files.log,
        )
    row = Subset(
        name="holdout", kind="sample", min_identity=None, same_size_as=None, n_sequences=kept.ids.size, train=False
    )
    _write(files, store, kept, subset=row, max_length=max_length)


def _write(files: SetFiles, store: Store, chosen: Selection, *, subset: Subset, max_length: int) -> None:
    ids = np.asarray(chosen.ids)
    description = describe(
        store,
        ids,
        name=subset.name,
        kind=subset.kind,
        min_identity=subset.min_identity,
        max_length=max_length,
        provenance=chosen.provenance,
    )
    write_subset(files.ids, files.counts, ids, description)
