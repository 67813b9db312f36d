"""Write a run for other libraries."""

from pathlib import Path
from typing import Any

from ..study.grid import Cell
from .encoders import read_run
from .fair_esm import write_checkpoint
from .huggingface import write_folder
from .model_card import model_card

FORMATS = ("huggingface", "fair-esm")


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
