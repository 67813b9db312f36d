"""Score an encoder on the sequences of a FASTA file."""

import math
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
from .evaluation_masks import EvaluationSettings


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


def evaluate(
    model: Path,
    fasta: Path,
    *,
    settings: EvaluationSettings,
    pseudo_perplexity: bool = False,
    device: str | None = None,
    out: Path | None = None,
    per_sequence: Path | None = None,
) -> dict[str, Any]:
    """Score an encoder on the sequences of a file.

    Parameters
    ----------
    model : Path
        Run folder, Hugging Face folder, or fair-esm's esm2_….pt.
    fasta : Path
    settings : EvaluationSettings
    pseudo_perplexity : bool
        Also mask every residue alone.
    device : str, optional
        torch's name; cuda where there is one, else cpu.
    out, per_sequence : Path, optional
        JSON and table to write.

    Returns
    -------
    dict
        What `out` holds.

    Raises
    ------
    InputError
        If the model, the sequences, the device or the places to write to cannot be used.
    """
    for option, path in (("--out", out), ("--per-sequence", per_sequence)):
        if path:
            check_writable(path.parent, option=option)  # before the hours that a large model may take
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    names, sequences, n_empty = read_fasta(fasta)
    weights = read_weights(model)
    encoder = weights.encoder().to(_device(device))
    began = time.perf_counter()
    kinds = {"masked": masked_scores(encoder, sequences, settings=settings, vocabulary=weights.vocabulary)}
    if pseudo_perplexity:
        kinds["pseudo"] = pseudo_scores(encoder, sequences, settings=settings, vocabulary=weights.vocabulary)
    result: dict[str, Any] = {
        "model": str(model),
        "fasta": str(fasta),
        "n_empty_dropped": n_empty,
        "n_shortened": sum(s.size > settings.max_length - 2 for s in sequences),
        "max_length": settings.max_length,
        "seed": settings.seed,
        "masking": settings.masking.model_dump(),
        "device": device,
        "seconds": time.perf_counter() - began,
        "versions": versions(),
    } | {kind: scores.summary() for kind, scores in kinds.items()}
    if per_sequence:
        write_table(per_sequence, names, sequences, kinds)
    if out:
        write_json(out, result)
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
