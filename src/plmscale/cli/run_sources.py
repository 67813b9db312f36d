"""Options that name runs to read: what `fit` and `advise` have in common."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..runs.fields import FORMATS

if TYPE_CHECKING:
    from ..runs.tidy import ImportedRuns


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("paths", nargs="+", type=Path, metavar="path", help="table, export or folder of runs")
    parser.add_argument("--format", choices=sorted(FORMATS), help="format of the paths (default: detected)")
    parser.add_argument(
        "--flops",
        choices=("given", "6nd"),
        default="given",
        help="given: FLOPs of the file, or 6ND where it has none; 6nd: always 6ND (default: given)",
    )
    parser.add_argument("--loss-column", help="column or metric that is the loss, if there are several")
    parser.add_argument(
        "--map",
        action="append",
        default=[],
        metavar="FIELD=COLUMN",
        help="column that holds a field, as n_params=config.model.num_params; may be given several times",
    )
    parser.add_argument("--describe", type=Path, help="table with what an export lacks: run, n_params, ...")


def columns_of(pairs: Sequence[str]) -> dict[str, str]:
    """Columns by field, from `field=column` each.

    Raises
    ------
    InputError
        If one is not of this form, or a field is there twice.
    """
    columns: dict[str, str] = {}
    for pair in pairs:
        field, sign, column = (part.strip() for part in pair.partition("="))
        if not (sign and field and column):
            raise InputError(f"--map is {pair!r}; it must be FIELD=COLUMN, as n_params=config.model.num_params.")
        if field in columns:
            raise InputError(f"--map: {field} is given twice, as {columns[field]!r} and {column!r}.")
        columns[field] = column
    return columns


def read(args: argparse.Namespace) -> "ImportedRuns":
    """The runs that the options name.

    Raises
    ------
    InputError
        If they cannot be read.
    """
    from ..runs.importers import load_all
    from ..runs.table_files import read_table
    from ..runs.tidy import ImportOptions

    describe = read_table(args.describe) if args.describe else None
    options = ImportOptions(
        flops=args.flops, loss_column=args.loss_column, describe=describe, columns=columns_of(args.map)
    )
    return load_all(args.paths, kind=args.format, options=options)
