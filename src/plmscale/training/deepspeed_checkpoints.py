"""What DeepSpeed's checkpoints lack: failures that do not leave other ranks waiting, and another number of ranks."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch.distributed as dist

from ..errors import InputError

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
        engine.load_checkpoint(str(universal.parent), tag=universal.name)
    dist.barrier()
    if dist.get_rank() == 0:
        shutil.rmtree(universal)


def _convert(folder: Path, universal: Path) -> str | None:
    """Run the converter. Returns the last line of what went wrong, or None."""
    shutil.rmtree(universal, ignore_errors=True)
    converter = [sys.executable, "-m", "deepspeed.checkpoint.ds_to_universal", "--inject_missing_state"]
    workers = ["--num_extract_workers", "1", "--num_merge_workers", "1"]
    folders = ["--input_folder", str(folder), "--output_folder", str(universal)]
    done = subprocess.run([*converter, *workers, *folders], capture_output=True, text=True)
    universal.with_name("latest_universal").unlink(missing_ok=True)
    if done.returncode:
        shutil.rmtree(universal, ignore_errors=True)
        return (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    return None
