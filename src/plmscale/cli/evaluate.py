"""`plmscale evaluate --model PATH --fasta FILE`: score an encoder on sequences."""

import argparse
from pathlib import Path

from ..study.catalog import EVALUATION_SEED, EVALUATION_TOKENS, MAX_LENGTH

DESCRIPTION = "Compute the masked loss and the perplexity of an ESM-2 encoder, with the same masks for every model."


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument(
        "--model", type=Path, required=True, help="run folder, Hugging Face folder, or fair-esm's esm2_….pt"
    )
    parser.add_argument("--fasta", type=Path, required=True, help="sequences: plain, gzip or zstd")
    parser.add_argument(
        "--pseudo-perplexity",
        action="store_true",
        help="also mask every residue alone, which costs one forward row per residue instead of one per sequence",
    )
    parser.add_argument(
        "--max-length", type=int, default=MAX_LENGTH, help="longest input in positions, with START and END"
    )
    parser.add_argument("--seed", type=int, default=EVALUATION_SEED, help="seed of the masks")
    parser.add_argument(
        "--batch-tokens",
        type=int,
        default=EVALUATION_TOKENS,
        help="most positions per forward pass; changes only the memory",
    )
    parser.add_argument("--device", help="torch device (default: cuda if there is one, else cpu)")
    parser.add_argument("--out", type=Path, help="JSON to write")
    parser.add_argument("--per-sequence", type=Path, help="table to write, one row per sequence (tsv)")


def run(args: argparse.Namespace) -> None:
    """Score, write what is asked for, and print the scores."""
    from ..errors import InputError
    from ..model.evaluate import evaluate, report
    from ..model.evaluation_masks import EvaluationSettings

    for option, least in (("max_length", 3), ("seed", 0), ("batch_tokens", 1)):
        value = getattr(args, option)
        if not least <= value < 2**64:
            raise InputError(f"--{option.replace('_', '-')} is {value}; it must be {least} or more, below 2^64.")
    settings = EvaluationSettings(max_length=args.max_length, seed=args.seed, batch_tokens=args.batch_tokens)
    result = evaluate(
        args.model,
        args.fasta,
        settings=settings,
        pseudo_perplexity=args.pseudo_perplexity,
        device=args.device,
        out=args.out,
        per_sequence=args.per_sequence,
    )
    print(report(result))
