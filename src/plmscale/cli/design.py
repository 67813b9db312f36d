"""`plmscale design --flops 2e13 --proteins x.fasta.gz --out my_study`: from a budget to a study."""

import argparse
from pathlib import Path

from ..plan.hardware.device_types import DEVICE_TYPES

DESCRIPTION = """Design a study that a budget pays for: sizes, token budgets, seeds, precision and recipe. Writes a
folder for `plmscale plan --directory` and `plmscale run --directory`, and first prints the intervals to expect from the
study. Give one budget. Numbers may have k, M, B or T."""

BUDGETS = {
    "gpu-hours": "budget: hours of one --device",
    "deadline": "budget: hours from start to end, on --devices",
    "flops": "budget: training FLOPs, by default on CPU cores",
    "money": "budget: what it may cost at --price",
}

OTHERS = {
    "devices": "devices that train at a time",
    "price": "price of a device-hour, in the currency of --money",
    "target-flops": "FLOPs for which the best size is asked (default: the whole budget in one run)",
    "noise": "standard deviation of the log loss of a run (default: 0.005)",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    for name, meaning in BUDGETS.items():
        parser.add_argument(f"--{name}", metavar="NUMBER", help=meaning)
    parser.add_argument("--proteins", type=Path, required=True, help="FASTA of the proteins, plain, gzip or zstd")
    parser.add_argument("--out", type=Path, required=True, help="folder to make; it must not exist")
    parser.add_argument("--device", help=f"type of the device: {', '.join(DEVICE_TYPES)}, or cpu")
    for name, meaning in OTHERS.items():
        parser.add_argument(f"--{name}", metavar="NUMBER", help=meaning)
    parser.add_argument("--precision", choices=["fp32", "tf32", "bf16"], help="default: bf16 where the device has it")
    parser.add_argument("--max-length", type=int, help="longest input in positions (default: 1024; on a CPU 128)")
    parser.add_argument(
        "--law",
        metavar="NAME_OR_PATH",
        help="law that is expected to hold, as for `ask` (default: cheng2024-mlm; small budgets: that of small runs)",
    )


def run(args: argparse.Namespace) -> None:
    """Design, write, and print the first lines."""
    from ..design.design import design
    from ..design.words import closing
    from ..study.workflow_files import workflow_root

    names = [name.replace("-", "_") for name in (*BUDGETS, *OTHERS, "device", "precision", "max-length", "law")]
    given = {name: getattr(args, name) for name in names}
    made = design(args.proteins, args.out, root=workflow_root(), **given)
    print(f"{made.text}\n\n{closing(str(made.folder), made.source)}")
