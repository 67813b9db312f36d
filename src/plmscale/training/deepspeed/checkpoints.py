"""What DeepSpeed's checkpoints lack: failures that do not leave other ranks waiting, and another number of ranks."""

import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch.distributed as dist

from ...errors import InputError
from ...model.pickles import DAMAGE, first_line, restricted, why_refused

UNIVERSAL = "partial-universal"
"""Folder of a converted checkpoint, beside the checkpoints; removed once it is loaded."""


@contextmanager
def failures_at_the_end(engine: Any) -> Iterator[None]:
    """While a DeepSpeed engine saves, put off its failures to write until all ranks are through.

    `save_checkpoint` has barriers between the files; a rank that raised before one would leave the others in it until
    the job's time is over.

    Parameters
    ----------
    engine : deepspeed.DeepSpeedEngine

    Raises
    ------
    OSError or RuntimeError
        The first failure, when the block ends.
    """
    failures: list[Exception] = []

    def put_off(write: Callable[..., Any]) -> Callable[..., Any]:
        def careful(*args: Any, **options: Any) -> Any:
            try:
                return write(*args, **options)
            except (OSError, RuntimeError) as error:
                failures.append(error)

        return careful

    writer = engine.checkpoint_engine
    with (
        patch.object(writer, "save", put_off(writer.save)),
        patch.object(writer, "makedirs", put_off(writer.makedirs)),
        # A copy of DeepSpeed's script that merges the weights of ZeRO stage 3, in every checkpoint.
        patch.object(engine, "_copy_recovery_script", lambda _: None),
    ):
        yield
    if failures:
        raise failures[0]


def classes_in_checkpoints() -> list[type]:
    """The classes that DeepSpeed's checkpoints of ZeRO stages 1 and 2 hold besides tensors and plain values.

    All of them are numbers under names: where a parameter lies in a partition, the stage, the scale of the loss.
    """
    from deepspeed.runtime.fp16.loss_scaler import LossScaler  # the torch engine needs no DeepSpeed
    from deepspeed.runtime.zero.config import ZeroStageEnum
    from deepspeed.utils.tensor_fragment import fragment_address

    return [LossScaler, ZeroStageEnum, fragment_address]


def load(engine: Any, folder: Path) -> None:
    """Load a checkpoint that the same number of ranks wrote, its files by torch's restricted unpickler.

    Parameters
    ----------
    engine : deepspeed.DeepSpeedEngine
    folder : Path

    Raises
    ------
    HalfLoaded
        If a file is not what DeepSpeed writes.
    """
    try:
        with restricted(*classes_in_checkpoints()):
            found, _ = engine.load_checkpoint(str(folder.parent), tag=folder.name)
    except pickle.UnpicklingError as error:
        raise HalfLoaded(folder, f"a file holds more than tensors and plain values ({why_refused(error)})") from None
    except DAMAGE as error:
        raise HalfLoaded(folder, first_line(error)) from error
    if found is None:
        raise HalfLoaded(folder, "DeepSpeed finds no weights in it")


class HalfLoaded(InputError):
    """A checkpoint that cannot be loaded to its end: weights and moments are not what they were before."""

    def __init__(self, folder: Path, why: str) -> None:
        super().__init__(
            f"{folder} cannot be taken up: {why}. This run did not write it. Delete it, and the one before is taken."
        )


def load_from_another_world(engine: Any, folder: Path) -> None:
    """Load a ZeRO checkpoint that another number of ranks wrote, through DeepSpeed's universal checkpoint.

    The first rank has DeepSpeed's own converter put the pieces of each parameter together (Lian et al. 2024,
    arXiv:2406.18820); then every rank takes its piece.

    Parameters
    ----------
    engine : deepspeed.DeepSpeedEngine
    folder : Path
        The checkpoint, on a file system that all ranks see.

    Raises
    ------
    InputError
        If it cannot be converted.
    """
    universal = folder.with_name(UNIVERSAL)
    said = [_convert(folder, universal) if dist.get_rank() == 0 else None]
    dist.broadcast_object_list(said)
    if said[0]:
        raise InputError(
            f"{folder} was written by another number of ranks and cannot be converted: {said[0]}. Run the cell on as "
            f"many devices as before, or delete {folder.parent} to train it from the start."
        )
    with patch.object(engine._config, "load_universal_checkpoint", True):
        load(engine, universal)
    dist.barrier()
    if dist.get_rank() == 0:
        shutil.rmtree(universal)


def _convert(folder: Path, universal: Path) -> str | None:
    """Run the converter. Returns the last line of what went wrong, or None."""
    shutil.rmtree(universal, ignore_errors=True)
    converter = [sys.executable, "-m", "plmscale.training.deepspeed.converter", "--inject_missing_state"]
    workers = ["--num_extract_workers", "1", "--num_merge_workers", "1"]
    folders = ["--input_folder", str(folder), "--output_folder", str(universal)]
    done = subprocess.run([*converter, *workers, *folders], capture_output=True, text=True)
    universal.with_name("latest_universal").unlink(missing_ok=True)
    if done.returncode:
        shutil.rmtree(universal, ignore_errors=True)
        return (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    return None
