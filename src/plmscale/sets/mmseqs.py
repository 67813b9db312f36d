"""MMseqs2: find the program, run it, cluster proteins, search some proteins among others.

Steinegger and Söding, Nat Biotechnol 35, 1026 (2017); linclust: Nat Commun 9, 2542 (2018). Results do not depend on the
number of threads.
"""

import logging
import shlex
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .mmseqs_program import MmseqsError, find_mmseqs, mmseqs_version, run

__all__ = [
    "Clusters", "Hits", "MmseqsError", "MmseqsSettings", "SearchSettings",
    "cluster", "cluster_command", "find_mmseqs", "identity", "mmseqs_version", "run", "search",
]  # fmt: skip

LOWEST_RELIABLE_IDENTITY = 0.3
"""Below this many pairs share too few similar k-mers to pass MMseqs2's prefilter, whatever the sensitivity."""
HIGHEST_SENSITIVITY = 7.5

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MmseqsSettings:
    """How proteins are clustered.

    The defaults for coverage and cluster mode are those of ESM's pipelines (ESM Atlas `scripts/atlas/README.md`, ESM3
    appendix A.2: `--kmer-per-seq 100 --cluster-mode 2 --cov-mode 1 -c 0.8`).

    Attributes
    ----------
    method : "cluster" or "linclust"
        Cascaded prefilter clustering, or linear-time clustering on shared k-mers, which hardly sees pairs below 40 %.
    coverage : float
        Smallest aligned share of a sequence (`-c`).
    cov_mode : int
        Whose share: 0 both, 1 the member, 2 the representative.
    cluster_mode : int
        0 greedy set cover, 1 connected component, 2 longest sequence first.
    sensitivity : float or None
        `-s` of `cluster`. None: 7.5 below 30 % identity, else MMseqs2's own choice by identity.
    kmer_length : int or None
        `-k` of `cluster`. None: MMseqs2's choice (6). With 5 the index is 21 times smaller, which halves the time on
        some 10,000 sequences; on millions it is slower than 6.
    kmer_per_seq : int or None
        `--kmer-per-seq` of `linclust`. None: MMseqs2's choice (21).
    threads : int
        CPU cores.
    memory_limit : str or None
        `--split-memory-limit`, for example "64G". None: all there is.
    """

    method: Literal["cluster", "linclust"] = "cluster"
    coverage: float = 0.8
    cov_mode: int = 1
    cluster_mode: int = 2
    sensitivity: float | None = None
    kmer_length: int | None = None
    kmer_per_seq: int | None = 100
    threads: int = 1
    memory_limit: str | None = None


@dataclass(frozen=True)
class SearchSettings:
    """How proteins are searched for among others. The fields mean what they mean in `MmseqsSettings`.

    `max_seqs` is the number of targets per query that are aligned; `e_value` the largest that counts. At 50 % identity
    a sensitivity above 4 finds no further hits (500 queries in 20,000 proteins: 423 at -s 4, 5.7 and 7.5).
    """

    sensitivity: float = 4.0
    coverage: float = 0.8
    cov_mode: int = 0
    max_seqs: int = 300
    e_value: float = 1e-3
    threads: int = 1
    memory_limit: str | None = None


@dataclass(frozen=True)
class Clusters:
    """Result of `cluster`: `members[i]` belongs to `representatives[i]`, both the integers that name the sequences.

    Every sequence is a member exactly once; `flags` is the MMseqs2 command without file names, threads and
    memory limit, which change no result.
    """

    representatives: NDArray[np.int64]
    members: NDArray[np.int64]
    flags: str


@dataclass(frozen=True)
class Hits:
    """Result of `search`: the largest identity (0..1) by query; queries without a hit are absent. `flags` as above."""

    largest_identity: dict[int, float]
    flags: str


def cluster(
    fasta: Path, *, min_identity: float, settings: MmseqsSettings, workdir: Path, log: Path | None = None
) -> Clusters:
    """Cluster proteins at a smallest sequence identity.

    Parameters
    ----------
    fasta : Path
        Proteins named by integers, as `Store.write_fasta` writes them.
    min_identity : float
        Smallest identity to the representative, 0..1 (`--min-seq-id`).
    settings : MmseqsSettings
        Everything else. Below `LOWEST_RELIABLE_IDENTITY` a warning is logged.
    workdir : Path
        Where a folder is made, and removed again on success. About 10 times the size of `fasta`. After a failure or a
        kill it stays, and the same call goes on with it: MMseqs2 skips the steps whose results are there.
    log : Path, optional
        Gets MMseqs2's output.
    """
    if min_identity < LOWEST_RELIABLE_IDENTITY:
        _log.warning(
            "clustering at %g identity: below %g MMseqs2's prefilter misses many pairs, too many clusters remain",
            min_identity,
            LOWEST_RELIABLE_IDENTITY,
        )
    flags = _cluster_flags(min_identity, settings)
    with _resumable(workdir, [fasta], flags=[settings.method, *flags]) as work:
        # Ties between representatives are broken by the order of the database: without the shuffling, which is there to
        # balance loads, the clusters are those of `mmseqs easy-cluster` and `easy-linclust` on the same file.
        _once(work, "proteins", ["createdb", fasta, work / "proteins", "--dbtype", "1", "--shuffle", "0"], log=log)
        command = [settings.method, work / "proteins", work / "clusters", work / "tmp", *flags]
        command += _option("--split-memory-limit", settings.memory_limit)
        _once(work, "clusters", [*command, "--threads", str(settings.threads)], log=log)
        run(["createtsv", work / "proteins", work / "proteins", work / "clusters", work / "clusters.tsv"], log=log)
        table = np.loadtxt(work / "clusters.tsv", dtype=np.int64, delimiter="\t", ndmin=2)
    return Clusters(table[:, 0], table[:, 1], cluster_command(min_identity, settings=settings))


def cluster_command(min_identity: float, *, settings: MmseqsSettings) -> str:
    """The MMseqs2 command that clusters, as `Clusters.flags` has it: what the clusters of given proteins depend on."""
    return shlex.join([settings.method, *_cluster_flags(min_identity, settings)])


@contextmanager
def _resumable(workdir: Path, sequences: Sequence[Path], *, flags: Sequence[str]) -> Iterator[Path]:
    """A folder named by what is computed in it (sequences, flags, version); kept if the block fails."""
    digest = blake2b(shlex.join([*flags, mmseqs_version()]).encode(), digest_size=8)
    for fasta in sequences:
        digest.update(str(fasta.stat().st_size).encode())
        with fasta.open("rb") as text:
            while block := text.read(1 << 20):
                digest.update(block)
    work = workdir / f"mmseqs-{digest.hexdigest()}"
    work.mkdir(parents=True, exist_ok=True)
    yield work
    shutil.rmtree(work)


def _once(work: Path, name: str, command: Sequence[str | Path], *, log: Path | None) -> None:
    """Make the database `name`, unless an earlier call finished it."""
    done = work / f"{name}.done"
    if done.exists():
        return
    for half_written in [*work.glob(name), *work.glob(f"{name}.*"), *work.glob(f"{name}_h*")]:
        half_written.unlink()
    run(command, log=log)
    done.touch()


def _cluster_flags(min_identity: float, settings: MmseqsSettings) -> list[str]:
    flags = ["--min-seq-id", f"{min_identity:g}", "-c", f"{settings.coverage:g}", "--cov-mode", str(settings.cov_mode)]
    flags += ["--cluster-mode", str(settings.cluster_mode)]
    if settings.method == "linclust":
        flags += _option("--kmer-per-seq", settings.kmer_per_seq)
    else:
        highest = HIGHEST_SENSITIVITY if min_identity < LOWEST_RELIABLE_IDENTITY else None
        flags += _option("-s", settings.sensitivity or highest) + _option("-k", settings.kmer_length)
    return flags


def search(queries: Path, targets: Path, *, settings: SearchSettings, workdir: Path, log: Path | None = None) -> Hits:
    """Find for each query the largest identity of an alignment with any target.

    Identity is identical residues / alignment length, gaps included (MMseqs2's `--seq-id-mode 0`). See `identity` for
    how it is recovered from the three digits that MMseqs2 reports.

    Parameters
    ----------
    queries, targets : Path
        Proteins named by integers, as `Store.write_fasta` writes them.
    settings : SearchSettings
        What counts as a hit. Peptides below about 14 residues share no k-mer pattern of 6 with anything and reach no
        e-value of 1e-3: for them no hit means little.
    workdir, log
        As for `cluster`: a search that was killed goes on, too.
    """
    flags = ["-s", f"{settings.sensitivity:g}", "--alignment-mode", "3", "-a", "1", "-c", f"{settings.coverage:g}"]
    flags += ["--cov-mode", str(settings.cov_mode), "--max-seqs", str(settings.max_seqs), "-e", f"{settings.e_value:g}"]
    with _resumable(workdir, [queries, targets], flags=["search", *flags]) as work:
        for fasta, database in ((queries, "queries"), (targets, "targets")):
            _once(work, database, ["createdb", fasta, work / database, "--dbtype", "1"], log=log)
        databases, threads = (
            [work / name for name in ("queries", "targets", "hits")],
            ["--threads", str(settings.threads)],
        )
        limit = _option("--split-memory-limit", settings.memory_limit)
        _once(work, "hits", ["search", *databases, work / "tmp", *flags, *limit, *threads], log=log)
        columns = ["--format-output", "query,fident,alnlen"]
        run(["convertalis", *databases, work / "hits.tsv", *columns, *threads], log=log)
        hits = work / "hits.tsv"
        table = np.loadtxt(hits, ndmin=2) if hits.stat().st_size else np.empty((0, 3))
    largest: dict[int, float] = {}
    for query, printed, length in table.tolist():
        largest[int(query)] = max(largest.get(int(query), 0.0), identity(printed, n_aligned=int(length)))
    return Hits(largest, shlex.join(["search", *flags]))


def identity(printed: float, *, n_aligned: int) -> float:
    """Identity of an alignment from its first three digits, which is all that MMseqs2 stores.

    It is the largest fraction k / n_aligned in [printed, printed + 0.001], k a whole number. Below 1000 aligned
    positions there is only one, the exact identity; beyond it is too high by less than 0.001, never too low.
    (MMseqs2's own column `nident` is computed from the cut digits and can be too low by several residues.)

    Examples
    --------
    111 identical residues of 429 are 0.25874:

    >>> identity(0.258, n_aligned=429) * 429
    111.0
    """
    return (round(printed * 1000) + 1) * n_aligned // 1000 / n_aligned


def _option(flag: str, value: object | None) -> list[str]:
    return [] if value is None else [flag, f"{value:g}" if isinstance(value, float) else str(value)]
