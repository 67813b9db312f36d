"""Settings of clusters and holdout; `config` has them among all others."""

from typing import Literal

from pydantic import Field

from .settings import Cores, Fraction, Sensitivity, Settings


class Clustering(Settings):
    """How MMseqs2 makes the identity subsets."""

    method: Literal["cluster", "linclust"] = Field(
        default="cluster",
        description="`cluster`: MMseqs2's sensitive cascade; `linclust`: linear time, finds fewer remote pairs.",
    )
    coverage: Fraction = Field(
        default=0.8, description="Smallest aligned share of a sequence; `cov_mode` chooses the sequence."
    )
    cov_mode: Literal[0, 1, 2] = Field(
        default=1,
        description="Coverage of: 0 both sequences, 1 the member (as in ESM), 2 the representative (the paper, "
        "literally).",
    )
    cluster_mode: Literal[0, 1, 2] = Field(
        default=2,
        description="0 greedy set cover, 1 connected component, 2 longest sequence first (as in ESM).",
    )
    sensitivity: Sensitivity | None = Field(
        default=None,
        description="MMseqs2 `-s` for `cluster`; null: MMseqs2's default, and 7.5 below 30 % identity.",
    )
    kmer_length: int | None = Field(
        default=None, ge=1, le=32, description="k-mer length for `cluster`; null: MMseqs2's default."
    )
    kmer_per_seq: int | None = Field(
        default=100, ge=1, le=100_000, description="k-mers per sequence for `linclust` (ESM used 100)."
    )
    memory_limit: str | None = Field(
        default=None,
        pattern=r"^[0-9]{1,15}[KMGT]?$",
        description="MMseqs2 `--split-memory-limit`, for example `64G`; null: no limit. Changes no result.",
    )
    threads: Cores = Field(default=16, description="CPU cores for MMseqs2. Changes no result.")
    scratch: str | None = Field(
        default=None,
        min_length=1,
        description="Scratch folder of MMseqs2, best on a local disk; a killed job continues there, in one of this "
        "user and study alone. null: beside the sets.",
    )

    def science(self) -> dict[str, object]:
        """What can change a result: all but cores, memory and scratch."""
        return self.model_dump(mode="json", exclude={"memory_limit", "threads", "scratch"})


class Holdout(Settings):
    """The sequences that no model trains on."""

    n_sequences: int = Field(
        default=8000, ge=1, le=10**9, description="Candidates, drawn before any set and excluded from all sets."
    )
    max_identity: Fraction = Field(
        default=0.5, description="A candidate with a higher identity to any training sequence leaves the holdout."
    )
    coverage: Fraction = Field(default=0.8, description="Smallest aligned share at which an identity counts.")
    cov_mode: Literal[0, 1, 2] = Field(
        default=0, description="Coverage of: 0 both sequences, 1 the training sequence, 2 the candidate."
    )
    sensitivity: Sensitivity = Field(default=4.0, description="MMseqs2 `-s` for the search of the holdout.")
