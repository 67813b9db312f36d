"""`plmscale plan`: what a study would cost. Needs neither Snakemake nor data."""

import argparse

from .workflow_options import study_arguments, study_files, words_apart

DESCRIPTION = """Compute the FLOPs, devices, memory, hours, energy and money of every cell, before anything runs. This
needs no data and no network. Speeds are assumed until `plmscale calibrate` has measured them."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    study_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Write the plan, and print its headline last."""
    from ..errors import InputError
    from ..plan.study import plan_study
    from ..study.configuration import read_configuration
    from ..study.workflow_files import workflow_root

    root = workflow_root()
    settings, others = words_apart(args)
    if others:
        raise InputError(f"--config: {others[0]!r} is not a setting. Give key=value.")
    raw = read_configuration(study_files(args, root), settings, root=root)
    print(plan_study(raw, folder=args.directory, root=root))
