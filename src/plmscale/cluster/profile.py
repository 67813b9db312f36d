"""The profile of a study on a cluster: written from answers, and refused while it has a placeholder."""

import re
from pathlib import Path
from typing import Any

import yaml

from ..errors import InputError
from ..files import read_text
from .description import Cluster, said

EXECUTOR = "plmscale-slurm"
PLACEHOLDERS = frozenset({"my_account", "NAME"})
"""Names that profiles/slurm has in place of a cluster's own."""

REMEDY = (
    "Write your cluster's name in the profile, or let `plmscale init` write one; a cluster without accounts needs no "
    "slurm_account."
)
"""What to do about a placeholder."""


def profile_text(template: str, *, account: str | None, cpu: str, gpu: str, cpu_mb: int, gpu_mb: int) -> str:
    """The text of profiles/slurm with the names of a cluster.

    Parameters
    ----------
    template : str
        The file of profiles/slurm.
    account : str or None
        None: the line is left out.
    cpu, gpu : str
        Partitions of data and analysis, and of training.
    cpu_mb, gpu_mb : int
        Host memory that jobs of each request, in MB.
    """
    lines = []
    for line in template.splitlines():
        if line.lstrip().startswith("slurm_account:") and account is None:
            continue
        for key, before, now in (
            ("slurm_account", "my_account", account),
            ("slurm_partition", "cpu", cpu),
            ("slurm_partition", "gpu", gpu),
        ):
            if re.match(rf" *{key}: \"'{before}'\"", line):
                line = re.sub(r"\"'.*?'\".*", lambda _, name=now: f"\"'{_name(str(name))}'\"", line)
                break
        line = re.sub(r"^( {2}mem_mb:) 8000", rf"\1 {cpu_mb}", line)
        line = re.sub(r"^( {4}mem_mb:) 64000", rf"\1 {gpu_mb}", line)
        lines.append(line)
    return "\n".join(lines) + "\n"


def _name(text: str) -> str:
    """A name of SLURM, which comes into a command line: refused with any sign that means something there."""
    if not re.fullmatch(r"[\w.,+-]+", text):
        raise InputError(f"{text!r} is no name of a partition or an account: letters, digits, and any of _ . , + -")
    return text


FILES = ("profile.v9+.yaml", "config.v9+.yaml", "profile.yaml", "config.yaml")
"""Names under which Snakemake looks for the file of a profile, the first that is there."""


def profile_file(folder: Path) -> Path:
    """The file of a profile.

    Raises
    ------
    InputError
        If there is none.
    """
    found = next((folder / name for name in FILES if (folder / name).is_file()), None)
    if found is None:
        raise InputError(f"{folder} is no profile: it has no {FILES[2]}")
    return found


def read_profile(folder: Path) -> dict[str, Any]:
    """What the file of a profile says.

    Raises
    ------
    InputError
        If there is none, or it is no YAML of keys and values.
    """
    path = profile_file(folder)
    try:
        found = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise InputError(f"{path} is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(found, dict):
        raise InputError(f"{path} has no keys and values")
    return found


def names_of(profile: dict[str, Any], key: str) -> dict[str, str]:
    """Where a profile sets a name, and to what: {"set-resources: train": "gpu"}."""
    found = {}
    places = {"default-resources": profile.get("default-resources") or {}}
    places |= {f"set-resources: {rule}": values for rule, values in (profile.get("set-resources") or {}).items()}
    for place, values in places.items():
        if isinstance(values, dict) and values.get(key) is not None:
            found[place] = str(values[key]).strip("'\"")
    return found


def refuse_placeholders(folder: Path) -> None:
    """Refuse a profile for SLURM that still has a name of the template, or a partition that the cluster has not.

    Raises
    ------
    InputError
    """
    profile = read_profile(folder)
    if profile.get("executor") != EXECUTOR:
        return
    for key in ("slurm_account", "slurm_partition"):
        for place, name in names_of(profile, key).items():
            if name in PLACEHOLDERS:
                raise InputError(f"{profile_file(folder)}, {place}: {key} is {name!r}, a placeholder. {REMEDY}")
    partitions = (said(["sinfo", "--all", "--noheader", "--format=%R"]) or "").split()
    for place, names in names_of(profile, "slurm_partition").items():
        if partitions and (unknown := [name for name in names.split(",") if name not in partitions]):
            raise InputError(
                f"{profile_file(folder)}, {place}: the cluster has no partition {unknown[0]!r}. It has: "
                f"{', '.join(dict.fromkeys(partitions))}."
            )


def choose_partitions(cluster: Cluster) -> tuple[str | None, str | None]:
    """The partition for data and analysis, and the one for training, where there is one choice; None elsewhere."""
    gpu = [each.name for each in cluster.partitions if each.gpus]
    cpu = [each.name for each in cluster.partitions if not each.gpus] or gpu
    return (cpu[0] if len(cpu) == 1 else None), (gpu[0] if len(gpu) == 1 else None)
