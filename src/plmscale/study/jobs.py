"""The training jobs of a study: its cells, each of what it trains itself, and the trunks that branches wait for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .flops import train_flops
from .grid import Cell, grid, table_tokens
from .pass_rows import planned_passes
from .study import Study
from .trunks import Trunk, decay_start, trunk_of_each, trunks

TRUNK = "wsd trunk"
"""What stands for the schedule in the row of a trunk."""

TRUNKS = "trunks/"
"""Before the path of a trunk, where jobs are named."""


@dataclass(frozen=True)
class Job:
    """What one job trains.

    Attributes
    ----------
    path : str
        `Cell.path`, or `trunks/` and `Trunk.path`.
    cell : Cell
    n_tokens : int
        Those that the job itself trains: of a branch those after its trunk.
    after : str or None
        The path of the job that must have ended before: of a branch its trunk's.
    """

    path: str
    cell: Cell
    n_tokens: int
    after: str | None = None

    @property
    def flops(self) -> float:
        """Training FLOPs by appendix E."""
        return appendix_e(self.cell, self.n_tokens)


def appendix_e(cell: Cell, n_tokens: int) -> float:
    """Training FLOPs of so many tokens of a cell, as the paper counts them."""
    return train_flops(cell.model, n_tokens, convention="appendix_e", max_length=cell.max_length)


def planned_tokens(study: Study, counted: Mapping[str, int] | None = None) -> dict[str, int]:
    """Tokens of a run on each set: counted where the set exists, else `n_tokens` of its row, else estimated.

    The estimate is the paper's 325 residues a sequence, cut to `max_length` with START and END. Sets of kind `passes`
    have the tokens of the set that they are of, as often as they pass over it.
    """
    estimated = table_tokens(study)
    once = {s.name: (counted or {}).get(s.name, estimated[s.name]) for s in study.subsets if s.of is None}
    return once | planned_passes(study.subsets, once)


def jobs(study: Study, tokens: Mapping[str, int], *, shared: Mapping[str, Trunk] | None = None) -> list[Job]:
    """The training jobs of a study: its cells in the order of the grid, then its trunks.

    Parameters
    ----------
    study : Study
    tokens : mapping of str to int
        See `planned_tokens`.
    shared : mapping of str to Trunk, optional
        The trunks that there are, where runs have been trained already (`plmscale.study.trunks.trunks_here`); without
        it those of a study of which nothing has been trained.
    """
    found = trunks(study) if shared is None else shared
    trunk_of = trunk_of_each(found)
    parts = []
    for cell in grid(study):
        trunk = trunk_of.get(cell.path)
        before = trunk_tokens(cell, tokens) if trunk else 0
        parts.append(Job(cell.path, cell, tokens[cell.subset] - before, TRUNKS + trunk.path if trunk else None))
    for trunk in found.values():
        last = max(trunk.branches, key=decay_start)
        parts.append(Job(TRUNKS + trunk.path, trunk.cell, trunk_tokens(last, tokens)))
    return parts


def trunk_tokens(cell: Cell, tokens: Mapping[str, int]) -> int:
    """Tokens after which the decay of a cell begins."""
    return round(decay_start(cell) * tokens[cell.data])


def waits(every: Sequence[Job]) -> dict[str, str]:
    """By the path of a job the path of the one that it waits for."""
    return {job.path: job.after for job in every if job.after}


def by_flops(every: Sequence[Job]) -> list[Job]:
    """Jobs with most FLOPs first, of a trunk with its longest branch: none that takes long is left at the end."""
    longest: dict[str, float] = {}
    for job in every:
        if job.after:
            longest[job.after] = max(longest.get(job.after, 0.0), job.flops)
    return sorted(every, key=lambda job: -(job.flops + longest.get(job.path, 0.0)))


@dataclass(frozen=True)
class Workload:
    """What a job has to do.

    Attributes
    ----------
    n_tokens : int
        Tokens that its run has seen at its end.
    flops : float
        Training FLOPs of the job by appendix E.
    before : int
        Those of `n_tokens` that a branch takes over from its trunk.
    """

    n_tokens: int
    flops: float
    before: int = 0


def workloads(
    study: Study, counted: Mapping[str, int], *, shared: Mapping[str, Trunk] | None = None
) -> dict[str, Workload]:
    """The workload of every job by its path; `shared` as for `jobs`."""
    tokens = planned_tokens(study, counted)
    found = {}
    for job in jobs(study, tokens, shared=shared):
        total = tokens[job.cell.subset] if not job.path.startswith(TRUNKS) else job.n_tokens
        found[job.path] = Workload(total, job.flops, before=total - job.n_tokens)
    return found
