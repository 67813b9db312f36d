"""Parameters in the weights beside an export, from the headers of safetensors files."""

import json
import struct
from math import prod
from pathlib import Path
from typing import Any

from ...errors import InputError

LARGEST_HEADER = 100_000_000
"""Bytes; the format's own limit."""
_WHOLE = "model.safetensors"


def weights_in(folder: Path) -> int | None:
    """Parameters in `model*.safetensors` of a folder; None where there is none, or tensors are empty.

    A whole file counts and not its parts. Empty tensors are what DeepSpeed's ZeRO-3 leaves of parameters that are
    elsewhere: they say no size.

    Raises
    ------
    InputError
        If a file is no safetensors.
    """
    whole = folder / _WHOLE
    files = [whole] if whole.is_file() else sorted(folder.glob("model*-of-*.safetensors"))
    sizes: dict[str, int] = {}
    for path in files:
        for name, shape in _shapes(path).items():
            if name in sizes:
                raise InputError(f"{path}: the tensor {name!r} is in another part as well. Remove one of the two.")
            sizes[name] = prod(shape)
    if not sizes or 0 in sizes.values():
        return None
    return sum(sizes.values())


def _shapes(path: Path) -> dict[str, list[int]]:
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > min(LARGEST_HEADER, path.stat().st_size - 8):
                raise ValueError(f"a header of {length} bytes")
            header = json.loads(file.read(length))
        return {name: _shape(entry) for name, entry in header.items() if name != "__metadata__"}
    except (OSError, ValueError, RecursionError, TypeError, KeyError, AttributeError, struct.error) as error:
        raise InputError(f"{path}: not a safetensors file ({error}). Move it away, or write it again.") from error


def _shape(entry: dict[str, Any]) -> list[int]:
    shape = entry["shape"]
    if not all(type(n) is int and 0 <= n < 2**48 for n in shape):
        raise ValueError(f"a tensor of shape {shape}")
    return shape
