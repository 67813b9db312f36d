"""Encoders from disk: a run of ours, a checkpoint of fair-esm or a folder of Hugging Face."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..errors import InputError
from ..files import read_object
from ..study.grid import Cell
from .architecture import OURS, Shape
from .fair_esm import read_checkpoint
from .huggingface import read_folder
from .weights import Weights, read_safetensors


def read_weights(path: str | Path) -> Weights:
    """Read an ESM-2 encoder.

    Parameters
    ----------
    path : str or Path
        A run folder (run.json and model.safetensors), a Hugging Face folder (config.json, model.safetensors or
        pytorch_model.bin), or a checkpoint of fair-esm (`.pt`).

    Returns
    -------
    Weights
        `Weights.encoder()` is the module.

    Raises
    ------
    InputError
        If there is nothing, or something else.
    """
    path = Path(path)
    if (path / "run.json").is_file():
        return read_run(path)[0]
    if (path / "config.json").is_file():
        return read_folder(path)
    if path.is_file() and path.suffix == ".pt":
        return read_checkpoint(path)
    found = "is a folder without run.json or config.json" if path.is_dir() else "is not a .pt file"
    raise InputError(
        f"{path} {found if path.exists() else 'does not exist'}. Give a run folder (with run.json), a Hugging Face "
        "folder of ESM-2 (with config.json), or a checkpoint of fair-esm (esm2_….pt)."
    )


def read_run(folder: str | Path) -> tuple[Weights, dict[str, Any]]:
    """Weights and record of a finished run.

    Raises
    ------
    InputError
        If the folder holds no finished run, or one that diverged.
    """
    folder = Path(folder)
    path = folder / "run.json"
    record = read_object(path)
    if record.get("status") == "diverged":
        raise InputError(f"{path}: the run diverged ({record.get('reason')}). It has no weights worth reading.")
    try:
        size = Cell.from_json(record["cell"]).model
    except (KeyError, TypeError, ValidationError) as error:
        raise InputError(
            f"{path} is not a run record: its cell cannot be read ({str(error).splitlines()[0]})."
        ) from None
    shape = Shape(size.n_layers, size.d_model, size.d_ffn, size.n_heads).check(path)
    weights = folder / "model.safetensors"
    state = read_safetensors(weights)
    shape.check_layers(len(state), where=weights)
    return Weights(weights, shape, OURS, state), record
