"""`plmscale ask --device-hours 500 --device H100`: two quantities of a run give the others."""

import argparse
import json

from ..plan.hardware.device_types import DEVICE_TYPES
from ..plan.hardware.utilisation import UTILISATION

DESCRIPTION = """Ask a law: what gives a budget, what costs a loss, what becomes of a size and its tokens. Any two of
parameters, tokens, compute and loss give the rest; compute alone gives the optimum, a loss alone the least compute.
Numbers may have k, M, B or T."""

QUANTITIES = {
    "params": "parameters N",
    "tokens": "tokens seen in training, D",
    "flops": "training FLOPs C; with --served-tokens those of training and serving",
    "loss": "loss in nats per token",
    "device-hours": "compute, as hours of one --device",
    "days": "compute, as days on --devices",
    "devices": "number of devices that train together",
    "money": "compute, as what it may cost at --price",
    "price": "price of a device-hour, in the currency of --money",
    "sequences": "different sequences of the data, of 325 residues in the mean",
    "residues": "different residues of the data",
    "passes": "passes over the data",
    "served-tokens": "tokens that the model will process after training; their cost is added",
}
"""Options that are numbers, in words."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    for name, meaning in QUANTITIES.items():
        parser.add_argument(f"--{name}", metavar="NUMBER", help=meaning)
    parser.add_argument("--device", help=f"type of the device: {', '.join(DEVICE_TYPES)}; or any with --peak-flops")
    parser.add_argument("--precision", choices=list(UTILISATION), help="precision of training (default: fp32)")
    parser.add_argument("--peak-flops", metavar="NUMBER", help="peak FLOP/s of a device (default: the data sheet's)")
    parser.add_argument(
        "--utilisation", metavar="NUMBER", help="share of the peak that a device reaches (default: as the plan assumes)"
    )
    parser.add_argument(
        "--law",
        metavar="NAME_OR_PATH",
        help="a study's results, the folder that `fit` wrote, a saved file of laws, or a published law: cheng2024-mlm, "
        "cheng2024-clm (default: cheng2024-mlm)",
    )
    parser.add_argument(
        "--fit", help="which fit of the runs answers (default: the law of a loss with the best verdict)"
    )
    parser.add_argument("--group", "--schedule", help="group or schedule of runs, where there are several")
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")


def run(args: argparse.Namespace) -> None:
    """Ask, and print the answer."""
    from ..ask.ask import ask
    from ..ask.sources import read_law

    names = [*QUANTITIES, "device", "precision", "peak-flops", "utilisation"]
    given = {name: getattr(args, name) for name in (one.replace("-", "_") for one in names)}
    answer = ask(read_law(args.law, fit=args.fit, group=args.group), **given)
    print(json.dumps(answer.to_json(), indent=1, ensure_ascii=False, allow_nan=False) if args.json else answer)
