"""`plmscale run [target …]`: the workflow, from any folder."""

import argparse
from pathlib import Path

from .workflow_options import run_arguments

DESCRIPTION = """Run a study, or one of its targets, with Snakemake. Options may be in any order; everything after `--`
is passed to Snakemake. You can stop it at any time: the same command resumes the study."""

TARGETS = {
    "all": "the whole study (the default)",
    "runs": "train every cell, without the analysis",
    "cell": "train one cell: --config cell=35M/sampled20/constant/seed0",
    "bracket": "half and twice the learning rate at the largest size, before the expensive cells",
    "advise": "rank the cells to train next: --config advice='{budget_gpu_hours: 500}'",
    "fits": "fit all laws to your own runs: --config runs=runs.csv",
    "compare": "compare studies: --config compare=[a/results,b/results]",
    "results/...": "any file that the workflow makes",
}

PASSES_ON = True
"""Words behind `--` are kept for Snakemake."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.epilog = "targets:\n" + "\n".join(f"  {name:13}{what}" for name, what in TARGETS.items())
    parser.add_argument("targets", nargs="*", metavar="target", help="what to make (default: all)")
    run_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Start Snakemake, and say where everything is when the study is complete."""
    from .snakemake_process import run_workflow

    status, targets = run_workflow(args, args.targets)
    if status == 0 and not args.dry_run and set(targets) <= {"all"}:
        print(_closing(args.directory / "results"))
    if status == 0 and not args.dry_run and "bracket" in targets:
        print((args.directory / "results/bracket/bracket.txt").read_text(encoding="utf-8").strip())
    return status


def _closing(results: Path) -> str:
    places = [f"report   {results}/report.html", f"tables   {results}/tables/", f"figures  {results}/figures/"]
    return "\n".join([(results / "summary.txt").read_text(encoding="utf-8"), *places])
