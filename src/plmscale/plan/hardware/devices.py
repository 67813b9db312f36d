"""The device of a study: what its settings say, and for the rest the data sheet of the type that they name."""

import re
from dataclasses import dataclass

from ...errors import InputError
from ...study.config import Hardware
from .device_types import DEVICE_TYPES, MULTIPROCESSORS, ONE_ADAPTER, PCIE_4, DeviceType
from .utilisation import UTILISATION


@dataclass(frozen=True)
class Device:
    """The device that a study is planned on.

    Attributes
    ----------
    name : str
    peak_flops : float
        FLOP/s at the study's precision.
    mfu : float
        Share of it that training is assumed to reach.
    memory_gib : float
    watts : float or None
        Power draw at work; None: not known.
    multiprocessors : int
    link, network : float
        GB/s of a device to the others of its node, and of a node to others; one direction.
    source : str
        Where what the configuration leaves open is from; empty if it says everything.
    peers : int or None
        See `DeviceType.peers`; None also where the configuration says `hardware.link_gb_s`.
    """

    name: str
    peak_flops: float
    mfu: float
    memory_gib: float
    watts: float | None
    multiprocessors: int
    link: float
    network: float
    source: str
    peers: int | None = None


def device_of(hardware: Hardware, precision: str) -> Device:
    """The device of a study: what its configuration says, and for the rest the data sheet of the type it names.

    Parameters
    ----------
    hardware : Hardware
    precision : {"fp32", "tf32", "bf16"}

    Raises
    ------
    InputError
        If something is left open and the name is no known type, or the type cannot compute in this precision.

    Examples
    --------
    >>> device_of(Hardware(name="H100"), "bf16").peak_flops
    989500000000000.0
    """
    known = DEVICE_TYPES.get(hardware.name)
    open_fields = [name for name in ("peak_flops", "memory_gib") if getattr(hardware, name) is None]
    if open_fields and known is None:
        raise InputError(
            f"hardware.name: {hardware.name!r} is not a known type ({', '.join(DEVICE_TYPES)}), and "
            f"hardware.{' and hardware.'.join(open_fields)} are not set. Name a known type, or set them."
        )
    peak, memory, watts = hardware.peak_flops, hardware.memory_gib, hardware.watts
    if known is not None:
        peak = _peak(hardware.name, known, precision) if peak is None else peak
        memory = known.memory_gib if memory is None else memory
        watts = known.watts if watts is None and hardware.device == "gpu" else watts
    assert peak is not None and memory is not None
    mfu = UTILISATION[precision] if hardware.mfu is None else hardware.mfu
    source = known.source if known is not None and (open_fields or hardware.watts is None) else ""
    units = MULTIPROCESSORS if known is None else known.multiprocessors
    peers = None if known is None or hardware.link_gb_s else known.peers
    return Device(hardware.name, peak, mfu, memory, watts, units, *_bandwidths(hardware, known), source, peers)


def _bandwidths(hardware: Hardware, known: DeviceType | None) -> tuple[float, float]:
    """To the other devices of a node, and of a node to others, GB/s."""
    link = PCIE_4 if known is None else known.link
    network = ONE_ADAPTER
    if known is not None and known.network is not None:
        network = known.network * hardware.devices_per_node
    return hardware.link_gb_s or link, hardware.network_gb_s or network


def _peak(name: str, known: DeviceType, precision: str) -> float:
    tera = {"fp32": known.fp32, "tf32": known.tf32, "bf16": known.bf16}[precision]
    if tera is None:
        raise InputError(
            f"training.precision is {precision!r}, which {name} does not compute in. Choose fp32, or another device."
        )
    return tera * 1e12


def same_device(name: str, reported: str) -> bool:
    """Whether what the driver calls a device (`reported`) can be the type `name`; a name that is not known may be any.

    Examples
    --------
    >>> same_device("H100", "NVIDIA H100 80GB HBM3"), same_device("A100-80GB", "NVIDIA H100 80GB HBM3")
    (True, False)
    """
    known = DEVICE_TYPES.get(name)
    return known is None or re.search(known.reported, reported) is not None
