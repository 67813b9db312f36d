"""A cluster as its own programs describe it."""

import getpass
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

PARTITION = "%R|%a|%l|%D|%c|%m|%G"
"""Name, availability, longest walltime, nodes, cores, memory in MB and generic resources of sinfo(1)."""


@dataclass(frozen=True)
class Partition:
    """A partition.

    Attributes
    ----------
    name : str
    hours : float or None
        Longest walltime; None: no limit.
    nodes, cpus, memory_mb : int
        Nodes, and cores and host memory of the smallest of them.
    gpus : int
        GPUs of a node; 0: none.
    gpu_type : str
        What SLURM calls them; empty if it does not say.
    preempt_mode : str
        What happens to a job that is preempted; empty if SLURM does not say.
    """

    name: str
    hours: float | None
    nodes: int
    cpus: int
    memory_mb: int
    gpus: int = 0
    gpu_type: str = ""
    preempt_mode: str = ""


@dataclass(frozen=True)
class Cluster:
    """What SLURM says of itself.

    Attributes
    ----------
    partitions : tuple of Partition
    accounts : tuple of str
        Accounts of this user; empty where SLURM keeps none.
    settings : mapping of str to str
        What `scontrol show config` says.
    """

    partitions: tuple[Partition, ...]
    accounts: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)


def said(words: Sequence[str], *, timeout: float = 60.0) -> str | None:
    """What a program prints; None if it is not there, fails, or does not answer."""
    try:
        done = subprocess.run(list(words), capture_output=True, text=True, timeout=timeout)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def describe() -> Cluster | None:
    """The cluster of this machine; None if there is none, or its controller does not answer."""
    partitions = said(["sinfo", "--noheader", f"--format={PARTITION}"])
    if partitions is None:
        return None
    modes = said(["scontrol", "show", "partition", "--oneliner"]) or ""
    words = ["sacctmgr", "--noheader", "--parsable2", "show", "associations", f"user={getpass.getuser()}"]
    accounts = said([*words, "format=account"]) or ""
    return Cluster(
        read_partitions(partitions, modes=modes),
        tuple(dict.fromkeys(accounts.split())),
        read_settings(said(["scontrol", "show", "config"]) or ""),
    )


def read_partitions(text: str, *, modes: str = "") -> tuple[Partition, ...]:
    """Partitions of sinfo's lines (`PARTITION`), by name; those that are up.

    Nodes of different kinds have a line each: the smallest cores and memory are kept, and the most GPUs.

    Examples
    --------
    >>> read_partitions("gpu|up|2-00:00:00|4|64+|515000+|gpu:a100:4(S:0-1)")[0].gpus
    4
    """
    preempt = dict(re.findall(r"PartitionName=(\S+).*?PreemptMode=(\S+)", modes))
    found: dict[str, Partition] = {}
    for line in text.splitlines():
        words = line.strip().split("|")
        if len(words) != 7 or words[1] != "up":
            continue
        name, _, limit, nodes, cpus, memory, gres = words
        gpus, kind = read_gpus(gres)
        before = found.get(name)
        fewest, least = int(cpus.rstrip("+")), int(memory.rstrip("+"))
        if before:
            fewest, least = min(fewest, before.cpus), min(least, before.memory_mb)
            gpus, kind = max((gpus, kind), (before.gpus, before.gpu_type))
        total = int(nodes) + (before.nodes if before else 0)
        found[name] = Partition(name, read_hours(limit), total, fewest, least, gpus, kind, preempt.get(name, ""))
    return tuple(found.values())


def read_gpus(gres: str) -> tuple[int, str]:
    """How many GPUs generic resources have, and of which type.

    Examples
    --------
    >>> read_gpus("gpu:a100:4(S:0-1),nvme:1"), read_gpus("gpu:2"), read_gpus("(null)")
    ((4, 'a100'), (2, ''), (0, ''))
    """
    found = [
        (int(n), kind or "") for kind, n in re.findall(r"(?:^|,)gpu(?::([A-Za-z][^:,()]*))?:(\d+)", gres.strip("()"))
    ]
    return max(found, default=(0, ""))


def read_hours(limit: str) -> float | None:
    """Hours of a walltime of SLURM; None of `infinite`.

    Examples
    --------
    >>> read_hours("2-12:00:00"), read_hours("30:00"), read_hours("infinite")
    (60.0, 0.5, None)
    """
    days, _, rest = limit.rpartition("-")
    parts = rest.split(":")
    if not all(part.isdigit() for part in parts):
        return None
    if days:
        parts += ["0"] * (3 - len(parts))  # with days, hours are first
    seconds = sum(
        int(part) * 60**place for place, part in enumerate(reversed(parts if len(parts) > 1 else [*parts, "0"]))
    )
    return (int(days or 0) * 86400 + seconds) / 3600


def read_settings(text: str) -> dict[str, str]:
    """Settings of `scontrol show config`.

    Examples
    --------
    >>> read_settings("MinJobAge               = 300 sec\\nPreemptMode  = REQUEUE")["MinJobAge"]
    '300 sec'
    """
    return {key: value.strip() for key, value in re.findall(r"^(\w+) *= *(.*)$", text, re.M)}
