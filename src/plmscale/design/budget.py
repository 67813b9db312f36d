"""What a person gives: one budget, a device, and what the study must keep to."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from ..errors import InputError
from ..plan.hardware.device_types import DEVICE_TYPES
from ..plan.hardware.utilisation import UTILISATION
from ..presentation.formats import compact, number
from ..runs.cells import amount, positive
from ..study.config import Hardware

CPU = "cpu"

CPU_HARDWARE: Mapping[str, Any] = {
    "device": "cpu",
    "name": "one CPU core",
    "peak_flops": 100e9,
    "mfu": 0.25,
    "memory_gib": 4,
    "devices_per_node": 1,
    "max_nodes": 1,
    "target_hours": 1000,
    "startup_seconds": 6,
}
"""A core with AVX-512: an order of magnitude, not a measurement; `plmscale calibrate` measures."""

BUDGETS = {"gpu_hours": "500", "deadline": "48 (hours)", "flops": "1e21", "money": "2000"}
OTHERS = {"price": "2.5", "devices": "8", "noise": "0.005", "target_flops": "1e22"}

LEAST_LENGTH, MOST_LENGTH = 16, 100_000


@dataclass(frozen=True)
class Budget:
    """A budget, and what it is spent on.

    Attributes
    ----------
    kind : {"gpu_hours", "deadline", "flops", "money"}
    amount : float
        Device-hours, hours, training FLOPs (appendix E at `max_length`), or money.
    device : str
        "cpu", or a known type.
    precision : str
    price : float or None
        Of a device-hour.
    devices : int or None
        Devices at a time.
    max_length : int
        Longest input in positions.
    """

    kind: str
    amount: float
    device: str
    precision: str
    price: float | None
    devices: int | None
    max_length: int

    @property
    def words(self) -> str:
        """The budget in words."""
        said = {
            "gpu_hours": f"{number(self.amount)} {self.device}-hours",
            "deadline": f"{number(self.amount)} hours on {self.devices} {self._plural}",
            "flops": f"{compact(self.amount)} FLOPs",
            "money": f"{self.amount:,.6g} at {self.price or 0:g} per {self.device}-hour",
        }
        return said[self.kind]

    @property
    def device_hours(self) -> float | None:
        """The device-hours that it buys; None where it is FLOPs."""
        if self.kind == "money":
            return self.amount / (self.price or 1.0)
        return {"gpu_hours": self.amount, "deadline": self.amount * (self.devices or 1)}.get(self.kind)

    @property
    def _plural(self) -> str:
        return "CPU cores" if self.device == CPU else self.device

    def hardware(self) -> dict[str, Any]:
        """The block `hardware` of the configuration."""
        if self.device == CPU:
            found = dict(CPU_HARDWARE)
        else:
            found: dict[str, Any] = {"device": "gpu", "name": self.device}
        if self.devices is not None:
            per_node = 1 if self.device == CPU else min(self.devices, Hardware().devices_per_node)
            found |= {"max_devices": self.devices, "devices_per_node": per_node}
            found |= {} if self.device == CPU else {"max_nodes": -(-self.devices // per_node)}
        if self.kind == "deadline":
            found["deadline_hours"] = self.amount
        if self.price is not None:
            found["price_per_device_hour"] = self.price
        return found


def budget_of(given: Mapping[str, Any]) -> Budget:
    """The budget among what is given; see `Budget`.

    Raises
    ------
    InputError
        If there is none or more than one, or what it means is open; the message says what to add or to leave out.
    """
    fixed = [name for name in BUDGETS if given.get(name) is not None]
    if len(fixed) != 1:
        listed = " and ".join(option(name) for name in fixed)
        said = f"{listed} are {len(fixed)} budgets. Leave out all but one" if fixed else f"no budget. Give {_choices()}"
        raise InputError(f"design: {said}.")
    kind = fixed[0]
    size = number_of(given, kind)
    device = _device(given.get("device"), kind=kind)
    price, devices = (_maybe(given, name) for name in ("price", "devices"))
    if devices is not None and devices != round(devices):
        raise InputError(f"--devices is {devices:g}; it must be a whole number.")
    if kind == "money" and price is None:
        raise InputError("design: --money buys device-hours at which price? Add --price, of one device-hour.")
    if kind == "deadline" and devices is None:
        raise InputError("design: --deadline on how many devices? Add --devices.")
    whole = None if devices is None else round(devices)
    return Budget(kind, size, device, _precision(given, device), price, whole, _max_length(given, device))


def _choices() -> str:
    return ", ".join(f"{option(name)} {example.split()[0]}" for name, example in BUDGETS.items())


def option(name: str) -> str:
    """A name as the command line has it."""
    return f"--{name.replace('_', '-')}"


def number_of(given: Mapping[str, Any], name: str) -> float:
    """A positive number; text such as 2e13 or 500k is one.

    Raises
    ------
    InputError
        If it is none.
    """
    value = given[name]
    if isinstance(value, str):
        with suppress(ValueError):
            value = amount(value)
    return positive(value, name=option(name), example=(BUDGETS | OTHERS)[name])


def _maybe(given: Mapping[str, Any], name: str) -> float | None:
    return None if given.get(name) is None else number_of(given, name)


def _device(name: str | None, *, kind: str) -> str:
    if name is None and kind == "flops":
        return CPU
    known = {CPU: CPU} | {one.lower(): one for one in DEVICE_TYPES}
    listed = ", ".join([*DEVICE_TYPES, CPU])
    if name is None:
        raise InputError(f"design: {option(kind)} on which device? Add --device, one of {listed}.")
    if name.lower() not in known:
        near = get_close_matches(name.lower(), known, n=1)
        hint = f" Did you mean {known[near[0]]}?" if near else ""
        raise InputError(f"--device: {name!r} is no known type.{hint} Name one of {listed}.")
    if name.lower() == CPU and kind == "gpu_hours":
        raise InputError("design: --gpu-hours are of a GPU, and --device is cpu. Give --flops, or --deadline in hours.")
    return known[name.lower()]


def _precision(given: Mapping[str, Any], device: str) -> str:
    """The precision that is asked for, else bf16 where the device has it."""
    has = ("fp32",) if device == CPU else ("fp32", "tf32", "bf16")
    has = has if device == CPU or DEVICE_TYPES[device].bf16 is not None else has[:2]
    asked = given.get("precision")
    if asked is None:
        return has[-1] if has[-1] != "tf32" else "fp32"
    if asked not in UTILISATION or asked not in has:
        raise InputError(f"--precision: {asked!r} is not available on {device}. Choose {' or '.join(has)}.")
    return str(asked)


def _max_length(given: Mapping[str, Any], device: str) -> int:
    asked = given.get("max_length")
    if asked is None:
        return 128 if device == CPU else 1024
    if not LEAST_LENGTH <= asked <= MOST_LENGTH:
        raise InputError(f"--max-length is {asked}; it must be from {LEAST_LENGTH} to {MOST_LENGTH:,} positions.")
    return int(asked)
