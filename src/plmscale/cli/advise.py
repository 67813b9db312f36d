"""`plmscale advise runs.csv --budget-gpu-hours 100`: which cells to train next."""

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..files import check_writable
from ..plan.hardware.device_types import DEVICE_TYPES
from ..plan.hardware.utilisation import UTILISATION
from ..study.catalog import ADVICE_TARGETS, STARTUP_SECONDS
from . import run_sources

if TYPE_CHECKING:
    from ..advise.candidates import DeviceSpeed

DESCRIPTION = """Rank the cells that could be trained next by how much they narrow the answer for their cost, under
Chinchilla's law fitted to the runs. Plan a sequence of cells within a budget."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.epilog = "targets:\n" + "\n".join(f"  {name:8}{meaning}" for name, meaning in ADVICE_TARGETS.items())
    run_sources.arguments(parser)
    parser.add_argument(
        "--budget-gpu-hours", type=float, required=True, help="device-hours that the new cells of a schedule may cost"
    )
    parser.add_argument("--for", dest="target", choices=list(ADVICE_TARGETS), default="a", help="quantity to narrow")
    parser.add_argument("--at-flops", type=float, help="training FLOPs for the targets n_opt and loss")
    parser.add_argument("--device", default="A100-80GB", help=f"type of the device: {', '.join(DEVICE_TYPES)}")
    parser.add_argument("--precision", choices=list(UTILISATION), default="fp32", help="precision of training")
    parser.add_argument("--peak-flops", type=float, help="peak FLOP/s of a device (default: the data sheet's)")
    parser.add_argument(
        "--utilisation", type=float, help="share of the peak that a device reaches (default: as assumed by the plan)"
    )
    parser.add_argument(
        "--startup-seconds", type=float, default=STARTUP_SECONDS, help="time before the first step of a job"
    )
    parser.add_argument(
        "--out", type=Path, help="folder for report.html, advice.tsv and advice.md (default: only print)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the resamples")


def run(args: argparse.Namespace) -> None:
    """Read, rank, write, and print the advice."""
    from ..advise.advice import Question
    from ..advise.advise import advice_by_schedule
    from ..advise.candidates import of_runs
    from ..advise.report import text_of, write_advice
    from ..advise.targets import Target
    from ..runs.curves import smooth

    question = Question(Target(args.target, args.at_flops), device_hours=args.budget_gpu_hours)
    if args.seed < 0:
        raise InputError(f"--seed is {args.seed}; it must be 0 or more.")
    if args.out:
        check_writable(args.out, option="--out")
    each = partial(of_runs, speed=speed_of(args))
    curves = smooth(run_sources.read(args).frame)
    found = advice_by_schedule(curves, question, candidates=lambda _: each, seed=args.seed)
    out: Path | None = args.out
    if out is None:
        print(text_of(found), end="")
        return
    from ..advise.page import write_page

    print(write_advice(found, tsv=out / "advice.tsv", md=out / "advice.md"), end="")
    write_page(found, out / "report.html")


def speed_of(args: argparse.Namespace) -> "DeviceSpeed":
    """Speed of the device that the command line names.

    Raises
    ------
    InputError
        If the device is no known type and its peak is not given, or a figure cannot be.
    """
    for option, value in (("--peak-flops", args.peak_flops), ("--utilisation", args.utilisation)):
        if value is not None and not 0 < value < float("inf"):
            raise InputError(f"{option} is {value}; it must be positive.")
    if args.utilisation is not None and args.utilisation >= 1:
        raise InputError(f"--utilisation is {args.utilisation:g}; it is a share of the peak, between 0 and 1.")
    if not args.startup_seconds >= 0:
        raise InputError(f"--startup-seconds is {args.startup_seconds}; it must be 0 or more.")
    if args.device not in DEVICE_TYPES and args.peak_flops is None:
        known = ", ".join(DEVICE_TYPES)
        raise InputError(f"--device: {args.device!r} is not a known type ({known}). Name one, or give --peak-flops.")
    from ..advise.candidates import DeviceSpeed
    from ..plan.hardware.devices import device_of
    from ..study.config import Hardware
    from ..study.table_rows import validated

    given = {"name": args.device, "peak_flops": args.peak_flops, "mfu": args.utilisation, "memory_gib": 1}
    hardware = validated(Hardware, given, what="advise: the device (mfu is --utilisation)")
    device = device_of(hardware, args.precision)
    return DeviceSpeed(device.peak_flops * device.mfu * 3600, args.startup_seconds / 3600)
