"""`plmscale export-fasta results/store proteins.fasta.gz`: a token store as FASTA again."""

import argparse
from pathlib import Path

DESCRIPTION = "Write the sequences of a token store, or of one of its sets, as FASTA."


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("store", type=Path, help="folder of the token store")
    parser.add_argument("fasta", type=Path, help="file to write; compressed if the name ends with .gz")
    parser.add_argument(
        "--subset", type=Path, help="ids of a set, such as results/subsets/holdout.npy (default: all sequences)"
    )


def run(args: argparse.Namespace) -> None:
    """Export."""
    from ..sequences.store import Store
    from ..sets.store_export import export_fasta
    from ..sets.subsets import read_subset

    store = Store.open(args.store)
    export_fasta(store, args.fasta, ids=read_subset(args.subset, store=store) if args.subset else None)
