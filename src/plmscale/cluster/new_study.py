"""The folder of a new study on a cluster: its configuration and its profile, from answers."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from ..errors import InputError
from ..files import atomic
from ..plan.hardware.device_types import DEVICE_TYPES
from ..plan.hardware.devices import same_device
from ..study.configuration import read_yaml
from .description import Cluster, Partition, said
from .profile import choose_partitions, profile_text

STUDY, PROFILE = "my.yaml", "profile"
"""File and folder that are written."""

CPU_MB, GPU_MB = 8000, 64000
"""Host memory that jobs request, if their partition has as much."""


@dataclass(frozen=True)
class Answers:
    """What a person said; None: nothing, so that the cluster is asked, and then the person."""

    account: str | None = None
    cpu_partition: str | None = None
    gpu_partition: str | None = None
    device: str | None = None
    source: str | None = None
    base: Path | None = None


Ask = Callable[[str, Sequence[str]], str]
"""Puts one question, with the answers that it may have; any answer where there are none."""


def refuse_to_ask(question: str, choices: Sequence[str]) -> str:
    """What a program that runs without a terminal says instead of a question."""
    option = "--" + question.split(":")[0].replace(" ", "-")
    may_be = f", one of: {', '.join(choices)}" if choices else ""
    raise InputError(f"{question} There is no terminal to ask on: give {option}{may_be}.")


def write_study(folder: Path, cluster: Cluster, answers: Answers, *, template: str, ask: Ask) -> list[Path]:
    """Write the configuration and the profile of a study.

    Parameters
    ----------
    folder : Path
        Made if it is absent; nothing that is there is written over.
    cluster : Cluster
    answers : Answers
    template : str
        Text of profiles/slurm.
    ask : callable

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    InputError
        If a file is there already, an answer does not fit the cluster, or a question cannot be put.
    """
    study, profile = folder / STUDY, folder / PROFILE / "profile.yaml"
    for path in (study, profile):
        if path.exists():
            raise InputError(f"{path} is there already; init writes over nothing. Choose another folder, or remove it.")
    cpu_name, gpu_name = choose_partitions(cluster)
    names = {each.name: each for each in cluster.partitions}
    gpu = _chosen("gpu partition", answers.gpu_partition or gpu_name, _with_gpus(cluster), ask)
    cpu = _chosen("cpu partition", answers.cpu_partition or cpu_name, list(names), ask)
    account = answers.account
    if cluster.accounts or account is not None:
        known = account or (cluster.accounts[0] if len(cluster.accounts) == 1 else None)
        account = _chosen("account", known, list(cluster.accounts), ask)
    settings = read_yaml(answers.base) if answers.base else {}
    settings["hardware"] = _hardware(names[gpu], answers, ask, base=settings.get("hardware") or {})
    if answers.source:
        settings["source"] = answers.source
    megabytes = {"cpu_mb": min(CPU_MB, names[cpu].memory_mb), "gpu_mb": min(GPU_MB, names[gpu].memory_mb)}
    text = profile_text(template, account=account, cpu=cpu, gpu=gpu, **megabytes)
    for path, written in ((study, yaml.safe_dump(settings, sort_keys=False)), (profile, text)):
        with atomic(path) as partial:
            partial.write_text(written, encoding="utf-8")
    return [study, profile]


def _with_gpus(cluster: Cluster) -> list[str]:
    if not cluster.partitions:
        raise InputError("sinfo lists no partition that is up. Ask your administrator which ones you may use.")
    return [each.name for each in cluster.partitions if each.gpus] or [each.name for each in cluster.partitions]


def _chosen(what: str, known: str | None, choices: Sequence[str], ask: Ask) -> str:
    """An answer that is one of the choices, if there are any."""
    if known is None:
        known = ask(f"{what}: which one?", choices)
    if choices and known not in choices:
        raise InputError(f"{what} {known!r} is not one of the cluster's: {', '.join(choices)}.")
    return known


def _hardware(partition: Partition, answers: Answers, ask: Ask, *, base: dict) -> dict:
    """Settings of the hardware that follow from a partition."""
    hardware = dict(base)
    hardware["devices_per_node"] = max(partition.gpus, 1)
    hardware["max_nodes"] = min(partition.nodes, int(hardware.get("max_nodes", 4)))
    if partition.hours is not None:
        hardware["max_walltime_hours"] = round(partition.hours, 4)
    if "peak_flops" in hardware:
        return hardware  # the person's own figures
    if partition.gpus:
        known = answers.device or device_named(partition.gpu_type)
        hardware["name"] = _chosen("device", known, list(DEVICE_TYPES), ask)
        hardware["cpus_per_device"] = max(1, min(8, partition.cpus // partition.gpus))
    return hardware


def device_named(gpu_type: str) -> str | None:
    """The known type of device that SLURM's name of a GPU means, where it means one alone; nvidia-smi where it is here.

    Examples
    --------
    >>> device_named("l40s"), device_named("a100"), device_named("h200")
    ('L40S', None, 'H200')
    """
    reported = (said(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]) or "").splitlines()
    found = [name for name in DEVICE_TYPES if reported and same_device(name, reported[0])]
    if not found and gpu_type:
        bare = re.sub(r"[^a-z0-9]", "", gpu_type.lower())
        found = [name for name in DEVICE_TYPES if re.sub(r"[^a-z0-9]", "", name.lower()) == bare]
        related = [name for name in DEVICE_TYPES if name.lower().startswith(f"{bare}-")]
        found = found + [name for name in related if name not in found]
    return found[0] if len(found) == 1 else None
