"""Known types of devices, so that a study can name one instead of its figures.

Peaks are those of dense matrix products in the vendor's data sheets: fp32 without tensor cores, TF32 and bf16 with them
(half of what is printed "with sparsity"). A type without such units computes TF32 as fp32.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ..errors import InputError
from ..study.config import Hardware

UTILISATION: Mapping[str, float] = MappingProxyType({"fp32": 0.5, "tf32": 0.35, "bf16": 0.35})
"""Share of the peak that training is assumed to reach, by precision: assumptions, not measurements. Published bf16 runs
of ESM-2 650M reach 0.43 (H100) to 0.59 (A100) in far larger batches (NVIDIA BioNeMo); small sizes reach less."""


@dataclass(frozen=True)
class DeviceType:
    """What a data sheet says of a type of device.

    Attributes
    ----------
    fp32, tf32, bf16 : float or None
        Peak in TFLOP/s; None: not supported.
    memory_gib : float
        Memory, as it is sold.
    watts : float
        Largest power draw (TDP).
    reported : str
        Regular expression that what the driver calls the device must match.
    source : str
        Where the figures are from.
    """

    fp32: float
    tf32: float
    bf16: float | None
    memory_gib: float
    watts: float
    reported: str
    source: str


DEVICE_TYPES: Mapping[str, DeviceType] = MappingProxyType(
    {
        "V100-16GB": DeviceType(15.7, 15.7, None, 16, 300, r"V100.*16GB", "NVIDIA V100 data sheet, 2020: SXM2"),
        "V100-32GB": DeviceType(15.7, 15.7, None, 32, 300, r"V100.*32GB", "NVIDIA V100 data sheet, 2020: SXM2"),
        "A10": DeviceType(31.2, 62.5, 125, 24, 150, r"A10\b", "NVIDIA A10 data sheet, 2021"),
        "A30": DeviceType(10.3, 82, 165, 24, 165, r"A30\b", "NVIDIA A30 data sheet, 2022"),
        "A40": DeviceType(37.4, 74.8, 149.7, 48, 300, r"A40\b", "NVIDIA A40 data sheet, 2022"),
        "A100-40GB": DeviceType(19.5, 156, 312, 40, 400, r"A100.*40GB", "NVIDIA A100 data sheet, 2021: SXM4"),
        "A100-80GB": DeviceType(19.5, 156, 312, 80, 400, r"A100.*80GB", "NVIDIA A100 data sheet, 2021: SXM4"),
        "L4": DeviceType(30.3, 60, 121, 24, 72, r"L4\b", "NVIDIA L4 data sheet, 2023"),
        "L40S": DeviceType(91.6, 183, 362, 48, 350, r"L40S", "NVIDIA L40S data sheet, 2023"),
        "RTX-4090": DeviceType(82.6, 82.6, 165.2, 24, 450, r"RTX 4090", "NVIDIA Ada architecture paper, 2022"),
        "H100": DeviceType(67, 494.5, 989.5, 80, 700, r"H100.*HBM3", "NVIDIA H100 data sheet, 2023: SXM5"),
        "H100-PCIe": DeviceType(51, 378, 756, 80, 350, r"H100 PCIe", "NVIDIA H100 data sheet, 2023: PCIe"),
        "H100-NVL": DeviceType(60, 417.5, 835.5, 94, 400, r"H100 NVL", "NVIDIA H100 data sheet, 2024: NVL"),
        "H200": DeviceType(67, 494.5, 989.5, 141, 700, r"H200", "NVIDIA H200 data sheet, 2024: SXM5"),
    }
)
"""Types by the name that `hardware.name` gives."""


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
    source : str
        Where what the configuration leaves open is from; empty if it says everything.
    """

    name: str
    peak_flops: float
    mfu: float
    memory_gib: float
    watts: float | None
    source: str


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
            f"hardware.{' and hardware.'.join(open_fields)} say nothing. Name one of these, or give the figures."
        )
    peak, memory, watts = hardware.peak_flops, hardware.memory_gib, hardware.watts
    if known is not None:
        peak = _peak(hardware.name, known, precision) if peak is None else peak
        memory = known.memory_gib if memory is None else memory
        watts = known.watts if watts is None and hardware.device == "gpu" else watts
    assert peak is not None and memory is not None
    mfu = UTILISATION[precision] if hardware.mfu is None else hardware.mfu
    source = known.source if known is not None and (open_fields or hardware.watts is None) else ""
    return Device(hardware.name, peak, mfu, memory, watts, source)


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
