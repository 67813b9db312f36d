"""`plmscale doctor`: what would go wrong on a cluster, before a study is started."""

import argparse
from pathlib import Path

DESCRIPTION = """Test what a study needs, on this machine and in a job on each partition: a line each, with the remedy.
What needs a GPU is skipped where there is none. The exit status is 1 if a check failed."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("--directory", type=Path, default=Path(), help="folder of the study (default: .)")
    parser.add_argument("--profile", type=Path, help="its profile (default: profile/ in the folder, if it is there)")
    parser.add_argument(
        "--partition", action="append", help="start a job on this one only; repeat it (default: those of the profile)"
    )
    parser.add_argument("--no-jobs", action="store_true", help="start no job")
    parser.add_argument("--wait", type=float, default=900, help="seconds that a job may take, the queue included")
    parser.add_argument("--node", action="store_true", help="test this machine alone, and print JSON: what a job runs")
    parser.add_argument("--gpu", action="store_true", help="with --node: that there is no GPU is a failure")


def run(args: argparse.Namespace) -> int:
    """Print the checks as they are made."""
    import json
    import os
    import time

    from ..cluster.checks import worst
    from ..cluster.doctor import MARK, diagnose
    from ..cluster.node_checks import check_node
    from ..cluster.profile import read_profile, refuse_placeholders

    if args.node:
        rows = [check.as_json() for check in check_node(args.directory, computes=args.gpu)]
        print(MARK + json.dumps({"host": os.uname().nodename, "time": time.time(), "checks": rows}))
        return 0
    folder = args.profile or args.directory / "profile"
    profile = read_profile(folder) if args.profile or folder.is_dir() else None
    if profile is not None:
        refuse_placeholders(folder)
    partitions = [] if args.no_jobs else args.partition
    made = []
    for where, check in diagnose(args.directory, profile, partitions=partitions, wait=args.wait):
        print(check.line(where), flush=True)
        made.append(check)
    return worst(made)
