"""`plmscale export --run FOLDER --format huggingface --out FOLDER`: a run for other libraries."""

import argparse
from pathlib import Path

DESCRIPTION = "Write the weights of a run for Hugging Face or fair-esm."


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("--run", type=Path, required=True, help="run folder: run.json and model.safetensors")
    parser.add_argument(
        "--format", choices=("huggingface", "fair-esm"), required=True, help="library that will load it"
    )
    parser.add_argument("--out", type=Path, required=True, help="new folder (huggingface), or esm2_….pt (fair-esm)")


def run(args: argparse.Namespace) -> None:
    """Export."""
    from ..model.export import export

    export(args.run, args.out, kind=args.format)
    print(f"wrote {args.out}")
