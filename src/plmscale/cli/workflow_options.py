"""Options that name a study and where it runs: what `run`, `calibrate` and `plan` have in common."""

import argparse
from pathlib import Path


def study_arguments(parser: argparse.ArgumentParser) -> None:
    """Options that say which study."""
    parser.add_argument(
        "--configfile",
        action="append",
        type=Path,
        default=[],
        help="the study's configuration, over config/config.yaml; again: one over the other",
    )
    parser.add_argument(
        "--config", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="single settings, over the files"
    )
    parser.add_argument("--directory", type=Path, default=Path(), help="the study's folder; results/ lies in it (.)")


def run_arguments(parser: argparse.ArgumentParser) -> None:
    """Options that say how it runs."""
    study_arguments(parser)
    parser.add_argument("--profile", help="Snakemake profile, such as profiles/slurm; without one: on this machine")
    parser.add_argument("--cores", help="cores of this machine that are used (all)")
    parser.add_argument("-n", "--dry-run", action="store_true", help="say what would run, and run nothing")
    parser.add_argument("--verbose", action="store_true", help="print Snakemake's own messages too")
    parser.add_argument("--unlock", action="store_true", help="first remove the lock that a killed Snakemake left")


def words_apart(args: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Settings, and what stands among them without a `=`: targets, which `--config` would swallow."""
    return [word for word in args.config if "=" in word], [word for word in args.config if "=" not in word]


def study_files(args: argparse.Namespace, root: Path) -> list[Path]:
    """The configurations that are named; one that is not here may be the workflow's own, such as config/toy.yaml."""
    return [path if path.exists() or not (root / path).is_file() else root / path for path in args.configfile]
