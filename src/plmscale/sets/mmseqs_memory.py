"""How much memory a job that runs MMseqs2 asks for, and what it tells MMseqs2 to keep to."""

import os

_MB = 1_000_000
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_BASE = 4000 * _MB  # the programs, and what is left for the files that they read
_LARGE = 3_350_000_000
"""Residues from which on MMseqs2 takes k-mers of 7 letters instead of 6 (user guide, "Memory consumption")."""

UNIREF50 = 20_800_000_000
"""Residues of UniRef50, for a job whose store is not there yet."""


def job_memory_mb(n_residues: int, *, per_residue: float, limit: str | None = None) -> int:
    """Memory in MB that a job asks for.

    Parameters
    ----------
    n_residues : int
        Residues in the store.
    per_residue : float
        Bytes per residue. An index that is not split takes 7, and 8 · 21^k beside them (user guide of MMseqs2, "Memory
        consumption").
    limit : str, optional
        What MMseqs2 may use, for example "64G"; it is asked for with a quarter more if it is less.

    Examples
    --------
    UniRef50 of 20.8 billion residues, and Swiss-Prot:

    >>> job_memory_mb(20_800_000_000, per_residue=10), job_memory_mb(155_000_000, per_residue=10)
    (226408, 6236)
    """
    table = 8 * 21 ** (7 if n_residues > _LARGE else 6)
    need = _BASE + table + per_residue * n_residues
    if limit:
        need = min(need, _BASE + 1.25 * _bytes(limit))
    return int(need / _MB)


def split_memory_limit(memory_mb: int, *, limit: str | None = None) -> str | None:
    """MMseqs2's `--split-memory-limit` in a job that was given `memory_mb`.

    MMseqs2 itself looks at the memory of the machine, not at what the job may use, and would be killed for it. None
    where the machine has less than the job asks for.

    Examples
    --------
    >>> split_memory_limit(1000), split_memory_limit(1000, limit="2G")
    ('762M', '2G')
    """
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return limit or (f"{int(0.8 * memory_mb * _MB / _UNITS['M'])}M" if memory_mb * _MB < machine else None)


def _bytes(size: str) -> int:
    unit = size[-1] if size[-1] in _UNITS else ""
    return int(size.removesuffix(unit)) * _UNITS[unit]
