"""Which cells to train next: `python -m plmscale.advise.advise runs.csv --budget-gpu-hours 100`."""

import argparse
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import InputError
from ..laws.fit import FitSettings
from ..plan.devices import DEVICE_TYPES, UTILISATION, device_of
from ..runs.curves import smooth
from ..runs.importers import IMPORTERS, load_all
from ..runs.table_files import read_table
from ..runs.tidy import ImportOptions
from ..study.config import Hardware
from .advice import Advice, Candidates, Question, advise
from .advice_warnings import confounding_warnings, edge_warnings, law_warnings, seed_warnings
from .candidates import DeviceSpeed, of_runs
from .report import text_of, write_advice
from .targets import TARGETS, Target


def advice_by_schedule(
    runs: pd.DataFrame,
    question: Question,
    *,
    candidates: Callable[[str], Candidates],
    seed: int = 0,
    settings: FitSettings | None = None,
) -> dict[str, Advice]:
    """Advice on the runs of each schedule, with warnings.

    Parameters
    ----------
    runs : DataFrame
        The tidy frame (`plmscale.runs.curves.smooth` names its columns).
    question : Question
        The budget is that of each schedule.
    candidates : callable
        Schedule to what `plmscale.advise.advice.advise` takes.
    seed : int
        Of the resamples.
    settings : FitSettings, optional

    Returns
    -------
    dict of str to Advice
        By schedule.
    """
    settings = settings or FitSettings()
    curves = smooth(runs)
    found = {}
    for schedule in dict.fromkeys(curve.schedule for curve in curves):
        own = [curve for curve in curves if curve.schedule == schedule]
        rng = np.random.default_rng([seed, zlib.crc32(b"advise"), zlib.crc32(schedule.encode())])
        advice = advise(own, question, candidates=candidates(schedule), rng=rng, settings=settings)
        warnings = [
            *law_warnings(advice, own),
            *edge_warnings(own, settings=settings, law=advice.fit),
            *confounding_warnings(runs.loc[runs["schedule"] == schedule]),
            *seed_warnings(advice, own),
        ]
        found[schedule] = replace(advice, warnings=tuple(warnings))
    return found


def parser() -> argparse.ArgumentParser:
    """Command line."""
    targets = "\n".join(f"  {name:8}{meaning}" for name, meaning in TARGETS.items())
    command = argparse.ArgumentParser(
        prog="python -m plmscale.advise.advise",
        description="Rank the cells that could be trained next by how much they narrow the answer for their cost, "
        "under Chinchilla's law fitted to the runs, and plan a sequence of them within a budget.",
        epilog=f"targets:\n{targets}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("paths", nargs="+", type=Path, metavar="path", help="table, export or folder of runs")
    command.add_argument(
        "--budget-gpu-hours", type=float, required=True, help="device-hours that the new cells of a schedule may cost"
    )
    command.add_argument("--for", dest="target", choices=list(TARGETS), default="a", help="what is asked")
    command.add_argument("--at-flops", type=float, help="budget of the targets n_opt and loss")
    command.add_argument("--device", default="A100-80GB", help=f"type of the device: {', '.join(DEVICE_TYPES)}")
    command.add_argument("--precision", choices=list(UTILISATION), default="fp32", help="of training")
    command.add_argument("--peak-flops", type=float, help="FLOP/s of a device; left out: the data sheet's")
    command.add_argument("--utilisation", type=float, help="share of the peak; left out: the plan's assumption")
    command.add_argument("--startup-seconds", type=float, default=Hardware().startup_seconds, help="of a job")
    command.add_argument("--out", type=Path, help="folder for advice.tsv and advice.md; left out: words only")
    command.add_argument("--format", choices=sorted(IMPORTERS), help="format of the paths; found from them if absent")
    command.add_argument(
        "--flops", choices=("given", "6nd"), default="given", help="FLOPs of the file, 6ND where it has none"
    )
    command.add_argument("--loss-column", help="column or metric that is the loss, where there are several")
    command.add_argument("--describe", type=Path, help="table that says what an export lacks: run, n_params, ...")
    command.add_argument("--seed", type=int, default=0, help="seed of the resamples")
    return command


def speed_of(args: argparse.Namespace) -> DeviceSpeed:
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
        raise InputError(f"--device: {args.device!r} is no known type ({known}). Name one, or give --peak-flops.")
    hardware = Hardware(name=args.device, peak_flops=args.peak_flops, mfu=args.utilisation, memory_gib=1)
    device = device_of(hardware, args.precision)
    return DeviceSpeed(device.peak_flops * device.mfu * 3600, args.startup_seconds / 3600)


def main(argv: list[str] | None = None) -> None:
    """Read, rank, write, and print the advice."""
    args = parser().parse_args(argv)
    try:
        question = Question(Target(args.target, args.at_flops), device_hours=args.budget_gpu_hours)
        if args.seed < 0:
            raise InputError(f"--seed is {args.seed}; it must be 0 or more.")
        speed = speed_of(args)
        describe = read_table(args.describe) if args.describe else None
        options = ImportOptions(flops=args.flops, loss_column=args.loss_column, describe=describe)
        runs = load_all(args.paths, kind=args.format, options=options).frame
        each = partial(of_runs, speed=speed)
        found = advice_by_schedule(runs, question, candidates=lambda _: each, seed=args.seed)
        folder: Path | None = args.out
        words = write_advice(found, tsv=folder / "advice.tsv", md=folder / "advice.md") if folder else text_of(found)
    except InputError as error:
        sys.exit(f"error: {error}")
    print(words, end="")


if __name__ == "__main__":
    main()
