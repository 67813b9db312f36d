"""The checkpoints of a trunk: those that branches leave from, kept; and leaving from them."""

import logging
import shutil
from pathlib import Path
from typing import Any

from ..errors import InputError
from .checkpoints import Progress, read_rows
from .deepspeed.checkpoints import HalfLoaded
from .manifest import DamagedCheckpoint, unseal
from .resume import ROWS, CheckpointManager

log = logging.getLogger(__name__)


class TrunkCheckpointManager(CheckpointManager):
    """Keeps a trunk, and takes branches off it; `of` is what the trunk is a function of, also for a branch."""

    def branch(self, *, most_tokens: float, scratch: Path) -> tuple[Progress, list[dict[str, Any]]]:
        """Load the newest checkpoint of a trunk, that this manager is of, which has seen at most `most_tokens` tokens.

        The trunk is not changed: one that is damaged, of another trunk, or not to be had by this engine is named and
        passed over, since what it lacks can be trained here.

        Parameters
        ----------
        most_tokens : float
        scratch : Path
            Folder for a copy, if other ranks wrote the checkpoint.

        Returns
        -------
        Progress
            With the sums of the trunk and nothing of its cost; without a checkpoint, zero.
        list of dict
            Rows of metrics up to there.
        """
        for step in self._of_first(self._checkpoints.steps):
            folder = self._checkpoints.path(step)
            if self._of_first(lambda path=folder: _tokens(path)) > most_tokens:
                continue
            content, reason = self._read(step)
            reason = reason or self._other(content or {})
            if content is None or reason:
                log.warning("%s is not branched off from: %s", folder, reason)
                continue
            try:
                self._load_copy(folder, content["world"], scratch)
            except HalfLoaded:  # weights and moments are those of neither
                raise
            except InputError as error:
                log.warning("%s is not branched off from: %s", folder, error)
                continue
            there = Progress.from_json(content["progress"])
            sums = {name: getattr(there, name) for name in ("step", "n_tokens", "squared_lengths")}
            log.info("branched off from %s, after %d tokens", folder, there.n_tokens)
            own = Progress(**sums, summed=there.summed, n_predicted=there.n_predicted, health=there.health)
            own.branched_from = sums
            return own, read_rows(folder / ROWS)
        missing = "%s has no checkpoint to branch off from: the run is trained from its start"
        log.warning(missing, self._checkpoints.folder)
        return Progress(), []

    def _other(self, content: dict[str, Any]) -> str:
        """Why a checkpoint is none of this trunk's; empty if it is."""
        before = content.get("of", {})
        if "cell" not in before or any(before[name] != self._of[name] for name in before.keys() & self._of.keys()):
            return "it is of another trunk"
        written = content["written_by"]
        return "" if written == self._written_by else f"it was written by the engine {written}, not {self._written_by}"

    def _load_copy(self, folder: Path, world: int, scratch: Path) -> None:
        """Load a checkpoint; one of another number of ranks from a copy, since it is converted where it lies."""
        if world == self._ranks.world:
            self._engine.load(folder, world=world)
            return
        copy = scratch / f"partial-trunk-{folder.name}"
        self._of_first(lambda: shutil.copytree(folder, copy, dirs_exist_ok=True) if self._first else None)
        try:
            self._engine.load(copy, world=world)
        finally:
            self._of_first(lambda: shutil.rmtree(copy, ignore_errors=True) if self._first else None)


def _tokens(folder: Path) -> float:
    """Tokens that a checkpoint has seen; 0 where it does not say, so that it is looked at and found damaged."""
    try:
        return float(unseal(folder)["progress"]["n_tokens"])
    except (DamagedCheckpoint, OSError):
        return 0.0
