"""Write a run for other libraries: `python -m plmscale.model.export --run FOLDER --format huggingface --out FOLDER`."""

import argparse
import sys
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..study.grid import Cell
from .encoders import read_run
from .fair_esm import write_checkpoint
from .huggingface import write_folder
from .model_card import model_card

FORMATS = ("huggingface", "fair-esm")


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m plmscale.model.export", description="Write the weights of a run for Hugging Face or fair-esm."
    )
    parser.add_argument("--run", type=Path, required=True, help="run folder: run.json and model.safetensors")
    parser.add_argument("--format", choices=FORMATS, required=True, help="which library is to load it")
    parser.add_argument("--out", type=Path, required=True, help="new folder (huggingface), or esm2_….pt (fair-esm)")
    return parser.parse_args(argv)


def export(run: Path, out: Path, *, kind: str) -> dict[str, Any]:
    """Export a run; gives its record.

    Parameters
    ----------
    run : Path
        Run folder.
    out : Path
        What to write; see `huggingface.write_folder` and `fair_esm.write_checkpoint`.
    kind : {"huggingface", "fair-esm"}

    Raises
    ------
    InputError
        If the run or `out` cannot be used; nothing that looks complete is left.
    """
    weights, record = read_run(run)
    if kind == "fair-esm":
        write_checkpoint(weights, out)
    else:
        max_length = Cell.from_json(record["cell"]).max_length
        write_folder(weights, out, max_length=max_length, card=model_card(record))
    return record


def main() -> None:
    """Export the run that the command line names."""
    args = parse()
    try:
        export(args.run, args.out, kind=args.format)
    except InputError as error:
        sys.exit(f"error: {error}")
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
