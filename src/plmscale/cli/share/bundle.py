"""`plmscale bundle --out FOLDER`: what an installation needs, for machines without a network."""

import argparse
from pathlib import Path

DESCRIPTION = """Download the wheels of plmscale and of all that it needs, at the versions of its lock, into one folder
with a script that installs from them. Everything after `--` is passed to `pip wheel`. Run it on a machine with a
network, and with the Python and platform of the one without."""

PASSES_ON = True
"""Words behind `--` are kept for pip."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    from ...bundle.bundle import EXTRAS

    parser.add_argument("--out", type=Path, required=True, help="folder to write, new or empty")
    parser.add_argument("--extra", choices=EXTRAS, default="all", help="what is to be installed (default: all)")
    parser.add_argument("--cpu", action="store_true", help="leave the libraries of CUDA out")
    parser.add_argument("--wheel", type=Path, help="wheel of plmscale (default: of this checkout, or of the index)")
    parser.add_argument("--container", type=Path, help="image of the container, to be copied into the folder")


def run(args: argparse.Namespace) -> None:
    """Write the folder, and say how to install from it."""
    from ...bundle.bundle import INSTALL, bundle

    bundle(args.out, extra=args.extra, wheel=args.wheel, container=args.container, cpu=args.cpu, pip=args.passed_on)
    print(f"wrote {args.out}. Copy it to the other machine; there: PYTHON=…/bin/python sh {args.out.name}/{INSTALL}")
