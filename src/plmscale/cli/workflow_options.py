"""Options that name a study and where it runs: what `run`, `calibrate` and `plan` have in common."""

import argparse
from pathlib import Path

DESIGNED = "study.yaml"
"""Configuration in a study's folder, as `plmscale design` writes it: used where no other is named."""


def study_arguments(parser: argparse.ArgumentParser) -> None:
    """Options that say which study."""
    parser.add_argument(
        "--configfile",
        action="append",
        type=Path,
        default=[],
        help="configuration of the study, applied over config/config.yaml; repeat it for several files "
        "(default: study.yaml in --directory, if it is there)",
    )
    parser.add_argument(
        "--config", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="single settings, applied last"
    )
    parser.add_argument(
        "--directory", type=Path, default=Path(), help="folder of the study, which contains results/ (default: .)"
    )


def run_arguments(parser: argparse.ArgumentParser) -> None:
    """Options that say how it runs."""
    study_arguments(parser)
    parser.add_argument("--profile", help="Snakemake profile, such as profiles/slurm; without one, run on this machine")
    parser.add_argument("--cores", help="cores of this machine to use (default: all)")
    counted = "count the jobs that would run, and run nothing; with --verbose list each"
    parser.add_argument("-n", "--dry-run", action="store_true", help=counted)
    parser.add_argument("--verbose", action="store_true", help="also print the messages of Snakemake")
    parser.add_argument("--unlock", action="store_true", help="first remove the lock of a killed Snakemake")


def words_apart(args: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Settings, and the words among them without `=`: targets that `--config` would take for settings."""
    return [word for word in args.config if "=" in word], [word for word in args.config if "=" not in word]


def study_files(args: argparse.Namespace, root: Path) -> list[Path]:
    """The configurations that are named, by default the study's own. A path that is not here may be the workflow's."""
    own = args.directory / DESIGNED
    if not args.configfile and own.is_file():
        return [own]
    return [path if path.exists() or not (root / path).is_file() else root / path for path in args.configfile]
