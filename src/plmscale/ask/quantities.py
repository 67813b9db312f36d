"""What a person gives: quantities of a run, in any of the units that people think in."""

import contextlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any

from ..errors import InputError
from ..plan.hardware.device_types import DEVICE_TYPES
from ..plan.hardware.devices import device_of
from ..plan.hardware.step_time import DOUBLING_EFFICIENCY
from ..plan.hardware.utilisation import UTILISATION
from ..presentation.formats import compact, per_cent
from ..runs.cells import amount, positive
from ..study.config import Hardware
from ..study.grid import RESIDUES_PER_SEQUENCE
from ..study.table_rows import validated

TOKENS_PER_SEQUENCE = RESIDUES_PER_SEQUENCE + 2
"""Tokens of a sequence of mean length, START and END among them."""

COMPUTE = ("flops", "device_hours", "days", "money")
"""Quantities that fix compute: at most one is given."""

OPTIONS = {"params": "N", "tokens": "D", "flops": "C", "loss": "L"}


@dataclass(frozen=True)
class Quantities:
    """Quantities by name; None where one is not given. Numbers may be text such as "650M" or "1e21".

    Attributes
    ----------
    params, tokens, flops, loss : float, optional
        Parameters, tokens seen, training FLOPs (with `served_tokens`: of training and serving), nats.
    device_hours, days, money : float, optional
        Other ways to say FLOPs; `days` are on `devices` devices, `money` at `price` a device-hour.
    device, precision, peak_flops, utilisation
        The device: a known type, or any with its peak in FLOP/s.
    sequences, residues, passes : float, optional
        Different data, and passes over them.
    served_tokens : float, optional
        Tokens that the model will process after training.
    """

    params: float | None = None
    tokens: float | None = None
    flops: float | None = None
    loss: float | None = None
    device_hours: float | None = None
    days: float | None = None
    devices: float | None = None
    money: float | None = None
    price: float | None = None
    device: str | None = None
    precision: str | None = None
    peak_flops: float | None = None
    utilisation: float | None = None
    sequences: float | None = None
    residues: float | None = None
    passes: float | None = None
    served_tokens: float | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "Quantities":
        """Checked.

        Raises
        ------
        InputError
            For an unknown name, and what is no positive number.
        """
        names = [field.name for field in fields(cls)]
        for name in given:
            if name not in names:
                near = get_close_matches(name, names, n=1)
                hint = f" Did you mean {near[0]!r}?" if near else ""
                raise InputError(f"ask: there is no quantity {name!r}.{hint} Choose among {', '.join(names)}.")
        held: dict[str, Any] = dict(given)
        numbers = {name: _positive(value, what=name) for name, value in given.items() if name in _EXAMPLES}
        return cls(**{**held, **numbers})

    @property
    def given(self) -> list[str]:
        """Names of what is given."""
        return [field.name for field in fields(self) if getattr(self, field.name) is not None]

    @property
    def unique_tokens(self) -> float | None:
        """Tokens of the different data."""
        if self.sequences is not None:
            return self.sequences * TOKENS_PER_SEQUENCE
        return None if self.residues is None else self.residues * TOKENS_PER_SEQUENCE / RESIDUES_PER_SEQUENCE


def _positive(value: Any, *, what: str) -> float:
    """A number, or a text such as 650M, that is positive and finite."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            value = amount(value)
    return positive(value, name=option(what), example=_EXAMPLES[what])


def option(name: str) -> str:
    """A quantity as the command line and Python both have it: device_hours is --device-hours there."""
    return f"--{name.replace('_', '-')}"


_EXAMPLES = {
    "params": "650M",
    "tokens": "20B",
    "flops": "1e21",
    "loss": "2.4 (nats)",
    "device_hours": "500",
    "days": "7",
    "devices": "8",
    "money": "2000",
    "price": "2.5",
    "peak_flops": "3e14",
    "utilisation": "0.35",
    "sequences": "64M",
    "residues": "20B",
    "passes": "1",
    "served_tokens": "1T",
}


@dataclass(frozen=True)
class Machine:
    """Devices, and what an hour of one does.

    Attributes
    ----------
    name, precision : str
    flops_per_hour : float
        Of one device among `devices`.
    devices : int or None
        None: their number was not given, and does not slow them.
    price : float or None
        Of a device-hour.
    words : str
        What the speed rests on.
    """

    name: str
    precision: str
    flops_per_hour: float
    devices: int | None
    price: float | None
    words: str


def machine_of(asked: Quantities) -> Machine | None:
    """The devices that are meant; None without any.

    Raises
    ------
    InputError
        If hours, days or money are given without what turns them into FLOPs, or the device is unknown.
    """
    needed = [name for name in (*COMPUTE[1:], "devices", "price", "precision", "utilisation") if _has(asked, name)]
    if asked.device is None and asked.peak_flops is None:
        if needed:
            said = (
                f"{option(needed[0])} needs a device: add --device, one of {', '.join(DEVICE_TYPES)}, or --peak-flops"
            )
            raise InputError(f"ask: {said}.")
        return None
    devices = _whole(asked.devices)
    if asked.days is not None and devices is None:
        raise InputError("ask: --days are days on how many devices? Add --devices.")
    if asked.money is not None and asked.price is None:
        raise InputError("ask: --money buys device-hours at which price? Add --price, of one device-hour.")
    precision = asked.precision or "fp32"
    if precision not in UTILISATION:
        raise InputError(f"--precision is {precision!r}; choose one of {', '.join(UTILISATION)}.")
    if asked.utilisation is not None and asked.utilisation >= 1:
        raise InputError(f"--utilisation is {asked.utilisation:g}; it is a share of the peak, between 0 and 1.")
    name = _name(asked)
    given = {"name": name, "peak_flops": asked.peak_flops, "mfu": asked.utilisation, "memory_gib": 1}
    hardware = validated(Hardware, given, what="ask: the device (mfu is --utilisation)")
    device = device_of(hardware, precision)
    slower = DOUBLING_EFFICIENCY ** math.log2(devices or 1)
    words = f"{name} in {precision}: {per_cent(device.mfu)} of {compact(device.peak_flops)} FLOP/s"
    words += "" if asked.utilisation else " (an assumption; `plmscale calibrate` measures)"
    words += f", less {per_cent(1 - slower)} for {devices} devices together" if devices and devices > 1 else ""
    return Machine(name, precision, device.peak_flops * device.mfu * 3600 * slower, devices, asked.price, words)


def _has(asked: Quantities, name: str) -> bool:
    return getattr(asked, name) is not None


def _whole(devices: float | None) -> int | None:
    if devices is not None and devices != round(devices):
        raise InputError(f"--devices is {devices:g}; it must be a whole number.")
    return None if devices is None else round(devices)


def _name(asked: Quantities) -> str:
    """The name of a known type, whatever its case; any, where the peak is given."""
    if asked.device is None:
        return "device"
    known = {name.lower(): name for name in DEVICE_TYPES}
    if asked.device.lower() in known:
        return known[asked.device.lower()]
    if asked.peak_flops is not None:
        return asked.device
    near = [name for name in DEVICE_TYPES if name.lower().startswith(asked.device.lower())]
    near = near or [known[one] for one in get_close_matches(asked.device.lower(), known, n=1)]
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    listed = ", ".join(DEVICE_TYPES)
    raise InputError(f"--device: {asked.device!r} is no known type.{hint} Name one of {listed}, or give --peak-flops.")


def check_compute(asked: Quantities) -> None:
    """Refuse several quantities that fix compute."""
    fixed = [option(name) for name in COMPUTE if _has(asked, name)]
    if len(fixed) > 1:
        raise InputError(f"ask: {' and '.join(fixed)} each fix the compute. Leave out all but one of them.")


def compute_of(asked: Quantities, machine: Machine | None) -> float | None:
    """The FLOPs that are given, in whatever unit."""
    if asked.flops is not None or not any(_has(asked, name) for name in COMPUTE):
        return asked.flops
    assert machine is not None  # `machine_of` refuses hours without a device
    if asked.device_hours is not None:
        return asked.device_hours * machine.flops_per_hour
    if asked.days is not None:
        return asked.days * 24 * (machine.devices or 1) * machine.flops_per_hour
    return float(asked.money or 0) / float(machine.price or 1) * machine.flops_per_hour
