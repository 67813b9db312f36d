"""Score an encoder on sequences: `python -m plmscale.model.evaluate --model PATH --fasta FILE`."""

import argparse
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import InputError
from ..files import atomic, check_writable, write_json
from ..provenance import versions
from ..sequences.fasta import FastaReader
from .encoders import read_weights
from .evaluation import Scores, masked_scores, pseudo_scores
from .evaluation_masks import EVALUATION_SEED, EvaluationSettings


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Command line."""
    defaults = EvaluationSettings()
    parser = argparse.ArgumentParser(
        prog="python -m plmscale.model.evaluate",
        description="Masked loss and perplexity of an ESM-2 encoder, with the same masks for every model.",
    )
    parser.add_argument(
        "--model", type=Path, required=True, help="run folder, Hugging Face folder, or fair-esm's esm2_….pt"
    )
    parser.add_argument("--fasta", type=Path, required=True, help="sequences: plain, gzip or zstd")
    parser.add_argument(
        "--pseudo-perplexity",
        action="store_true",
        help="also mask every residue alone: one forward row per residue instead of per sequence",
    )
    parser.add_argument(
        "--max-length", type=int, default=defaults.max_length, help="longest input, START and END included"
    )
    parser.add_argument("--seed", type=int, default=EVALUATION_SEED, help="seed of the masks")
    parser.add_argument(
        "--batch-tokens", type=int, default=defaults.batch_tokens, help="most positions per forward pass: memory only"
    )
    parser.add_argument("--device", help="torch device; by default cuda where there is one, else cpu")
    parser.add_argument("--out", type=Path, help="JSON to write")
    parser.add_argument("--per-sequence", type=Path, help="table to write, one row per sequence (tsv)")
    args = parser.parse_args(argv)
    args.device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    for option, least in (("max_length", 3), ("seed", 0), ("batch_tokens", 1)):
        value = getattr(args, option)
        if not least <= value < 2**64:
            parser.error(f"--{option.replace('_', '-')} is {value}; it must be {least} or more, below 2^64")
    return args


def read_fasta(path: Path) -> tuple[list[str], list[NDArray[np.uint8]], int]:
    """Names, residue ids and number of dropped empty records of a FASTA file; all of it in memory."""
    names: list[str] = []
    sequences: list[NDArray[np.uint8]] = []
    reader = FastaReader(path)
    for records in reader:
        names += [name.decode("utf-8", "backslashreplace") for name in records.ids]
        sequences += np.split(records.tokens, np.cumsum(records.lengths)[:-1]) if records.lengths.size else []
    if not sequences:
        raise InputError(f"{path} has {reader.tally.n_records_read} records, none of them with residues.")
    return names, sequences, reader.tally.empty_dropped


def evaluate(args: argparse.Namespace) -> dict[str, Any]:
    """Score the model of a command line on its sequences, write what it asks for, and give the JSON."""
    for option, path in (("--out", args.out), ("--per-sequence", args.per_sequence)):
        if path:
            check_writable(path.parent, option=option)  # before the hours that a large model may take
    names, sequences, n_empty = read_fasta(args.fasta)
    weights = read_weights(args.model)
    model = weights.encoder().to(_device(args.device))
    settings = EvaluationSettings(max_length=args.max_length, seed=args.seed, batch_tokens=args.batch_tokens)
    began = time.perf_counter()
    kinds = {"masked": masked_scores(model, sequences, settings=settings, vocabulary=weights.vocabulary)}
    if args.pseudo_perplexity:
        kinds["pseudo"] = pseudo_scores(model, sequences, settings=settings, vocabulary=weights.vocabulary)
    result: dict[str, Any] = {
        "model": str(args.model),
        "fasta": str(args.fasta),
        "n_empty_dropped": n_empty,
        "n_shortened": sum(s.size > args.max_length - 2 for s in sequences),
        "max_length": args.max_length,
        "seed": args.seed,
        "masking": settings.masking.model_dump(),
        "device": args.device,
        "seconds": time.perf_counter() - began,
        "versions": versions(),
    } | {kind: scores.summary() for kind, scores in kinds.items()}
    if args.per_sequence:
        write_table(args.per_sequence, names, sequences, kinds)
    if args.out:
        write_json(args.out, result)
    return result


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"--device {name} cannot be used: {str(error).splitlines()[0]}. Give cpu, or cuda on a machine with a GPU."
        ) from None
    return device


def write_table(path: Path, names: list[str], sequences: list[NDArray[np.uint8]], kinds: dict[str, Scores]) -> None:
    """Write one row per sequence, in the order of the file.

    Columns are `name`, `n_residues`, and for each kind of score its `n_predicted`, `loss` (nats per predicted
    position) and `perplexity`; the last two are empty where nothing was predicted.
    """
    header = ["name", "n_residues"]
    header += [f"{kind}_{column}" for kind in kinds for column in ("n_predicted", "loss", "perplexity")]
    with atomic(path) as partial, partial.open("w") as out:
        out.write("\t".join(header) + "\n")
        for i, (name, sequence) in enumerate(zip(names, sequences, strict=True)):
            cells = [name.replace("\t", " "), str(sequence.size)]
            for scores in kinds.values():
                n = int(scores.n_predicted[i])
                loss = scores.summed[i] / n if n else None
                cells += [str(n), *(("", "") if loss is None else (f"{loss:.6f}", f"{np.exp(loss):.6g}"))]
            out.write("\t".join(cells) + "\n")


def report(result: dict[str, Any]) -> str:
    """The result as text."""
    masked = result["masked"]
    lines = [f"{result['model']} on {masked['n_sequences']} sequences of {result['fasta']}"]
    if result["n_shortened"]:
        lines.append(
            f"{result['n_shortened']} of them longer than {result['max_length'] - 2} residues: a window of each"
        )
    for kind, title, unit in (
        ("masked", "masked", "masked positions"),
        ("pseudo", "pseudo", "residues, each masked alone"),
    ):
        if kind in result:
            lines += _lines(result[kind], title=title, unit=unit)
    return "\n".join(lines)


def _lines(summary: dict[str, Any], *, title: str, unit: str) -> list[str]:
    def shown(name: str) -> str:
        value, low, high = (summary[name + end] for end in ("", "_low", "_high"))
        if value is None or not math.isfinite(value):
            return "none"
        return f"{value:.4f}" + ("" if low is None or high is None else f"  95 % interval {low:.4f} to {high:.4f}")

    return [
        f"{title} loss (nats)  {shown('loss')}  over {summary['n_predicted']} {unit}",
        f"{title} perplexity   {shown('perplexity')}",
    ]


def main() -> None:
    """Score the model that the command line names."""
    args = parse()
    try:
        print(report(evaluate(args)))
    except InputError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
