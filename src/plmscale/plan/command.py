"""What a study will cost: `python -m plmscale.plan.command --configfile my.yaml`."""

import argparse
import sys
from pathlib import Path

from ..errors import InputError
from ..study.workflow_files import workflow_root
from .study import plan_study


def parser() -> argparse.ArgumentParser:
    """Command line."""
    command = argparse.ArgumentParser(
        prog="python -m plmscale.plan.command",
        description="What a study will cost before any of it is run: devices, memory, hours, energy and money of every "
        "cell. Needs no data, no network and no Snakemake.",
    )
    command.add_argument("--configfile", type=Path, help="the study's configuration (the paper's study)")
    command.add_argument("--results", type=Path, default=Path("results"), help="folder of the results (results)")
    return command


def main(argv: list[str] | None = None) -> None:
    """Plan the study that the command line names, and print the plan."""
    args = parser().parse_args(argv)
    try:
        base = workflow_root()
        configfile = args.configfile or base / "config/config.yaml"
        written = plan_study(configfile, results=args.results, base=base)
    except InputError as error:
        sys.exit(f"error: {error}")
    print(written.text)


if __name__ == "__main__":
    main()
