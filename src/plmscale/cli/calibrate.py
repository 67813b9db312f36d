"""`plmscale calibrate`: measure the speeds that a plan assumes."""

import argparse

from .workflow_options import run_arguments

DESCRIPTION = """Time some steps of each size on the devices that train it. `plmscale plan` then uses the measured
speeds. Without the data of the study, it uses random proteins."""

PASSES_ON = True


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    run_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Start Snakemake on the target `calibrate`."""
    from .snakemake_process import run_workflow

    status, _ = run_workflow(args, ["calibrate"])
    if status == 0 and not args.dry_run:
        print(f"Measured speeds are in {args.directory / 'results/calibration'}; `plmscale plan` uses them.")
    return status
