"""`plmscale init`: the folder of a study on this cluster."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

DESCRIPTION = """Ask the cluster (sinfo, scontrol, sacctmgr, nvidia-smi) and write a study's folder: my.yaml and
profile/. For what the cluster does not answer, plmscale asks you, unless an option gives the answer."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("folder", type=Path, help="folder of the study; it is made")
    parser.add_argument("--account", help="account that jobs are charged to")
    parser.add_argument("--cpu-partition", help="partition of data and analysis")
    parser.add_argument("--gpu-partition", help="partition that cells are trained on")
    parser.add_argument("--device", help="type of its GPUs, as hardware.name: H100, A100-80GB")
    parser.add_argument("--source", help="FASTA of the proteins: a path or a URL (default: UniRef50)")
    parser.add_argument("--configfile", type=Path, help="configuration whose settings are taken into my.yaml")


def run(args: argparse.Namespace) -> None:
    """Write, and say what to type next."""
    from ..cluster.description import describe
    from ..cluster.new_study import Answers, refuse_to_ask, write_study
    from ..errors import InputError
    from ..study.workflow_files import workflow_root

    cluster = describe()
    if cluster is None:
        raise InputError("sinfo gives no answer: run `plmscale init` on a login node of the cluster.")
    template = (workflow_root() / "profiles/slurm/profile.yaml").read_text(encoding="utf-8")
    source = str(Path(args.source).absolute()) if args.source and "://" not in args.source else args.source
    answers = Answers(args.account, args.cpu_partition, args.gpu_partition, args.device, source, args.configfile)
    ask = asked if sys.stdin.isatty() else refuse_to_ask
    for path in write_study(args.folder, cluster, answers, template=template, ask=ask):
        print(f"wrote {path}")
    print(f"Next:\n  cd {args.folder}\n  plmscale plan --configfile my.yaml\n  plmscale doctor")
    print("  plmscale calibrate --configfile my.yaml --profile profile")
    print("  plmscale run --configfile my.yaml --profile profile")


def asked(question: str, choices: Sequence[str]) -> str:
    """A question on the terminal."""
    for choice in choices:
        print(f"  {choice}")
    return input(f"{question} ").strip()
