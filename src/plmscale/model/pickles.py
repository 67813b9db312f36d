"""Pickles of torch, read by its restricted unpickler alone: a pickle can run any program."""

import argparse
import os
import pickle
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from ..errors import InputError

_FORCE, _NEVER = "TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"


DAMAGE: tuple[type[Exception], ...] = (
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    OSError,
    AttributeError,
    TypeError,
    AssertionError,
    ArithmeticError,
    MemoryError,
    zipfile.BadZipFile,
    NotImplementedError,
)
"""What the unpickler, and whoever takes apart what it gives, raises at a file that is not what it should be."""


@contextmanager
def restricted(*classes: type) -> Iterator[None]:
    """While it is open, every `torch.load` of this process makes tensors, plain values and these classes only.

    That holds for callers that ask for `weights_only=False`, as DeepSpeed does: torch's own switch overrules them. So
    a file is judged as it is loaded, and cannot be exchanged between a check and its use.

    Parameters
    ----------
    *classes : type
        Classes that an honest file holds. They must do nothing when they are made.
    """
    settings = {key: value for key, value in os.environ.items() if key != _NEVER}
    with (
        patch.dict(os.environ, settings | {_FORCE: "1"}, clear=True),
        torch.serialization.safe_globals(list(classes)),
    ):
        yield


def read_pickled(path: Path, *, device: torch.device | str = "cpu") -> Any:
    """What `torch.save` wrote: tensors, plain containers and argparse's Namespace only.

    Raises
    ------
    InputError
        If the file is missing or damaged, or asks for anything else.
    """
    try:
        _refuse_packed(path)
        with restricted(argparse.Namespace):
            return torch.load(path, map_location=device, weights_only=True)
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise InputError(f"cannot read {path}: {error.strerror}.") from error
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path} is not a checkpoint of tensors and plain values ({why_refused(error)}). "
            "Nothing else is loaded, since a pickle can run any program."
        ) from None
    except InputError:
        raise
    except DAMAGE as error:
        raise InputError(f"{path} is damaged or no checkpoint of torch: {first_line(error)}") from error


def _refuse_packed(path: Path) -> None:
    """torch stores tensors as they are; a compressed archive may unpack to a thousand times its size."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(one.compress_type != zipfile.ZIP_STORED for one in archive.infolist()):
                raise InputError(f"{path} is a compressed archive, which torch does not write. Copy it again.")


def why_refused(error: BaseException) -> str:
    """What the restricted unpickler found, in its own words."""
    said = str(error).partition("WeightsUnpickler error: ")[2].split("Please use")[0].strip()
    return said.splitlines()[0] if said else "it is damaged"


def first_line(error: BaseException) -> str:
    """The first line of an error, or its name."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
