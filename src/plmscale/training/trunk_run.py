"""The training of a trunk: a run at a constant rate that keeps a checkpoint wherever a branch may leave it."""

import logging
from collections.abc import Mapping
from typing import Any

from ..errors import InputError
from ..files import read_object
from .attempts import device_seconds
from .checkpoints import Progress
from .run_record import record_of, write_outputs
from .set_aside import remove_leftovers
from .trainer import Run

log = logging.getLogger(__name__)


def reaches(record: Mapping[str, Any], until_passes: float | None) -> bool:
    """Whether what another job finished is as long as what this one was asked for."""
    return until_passes is None or record.get("until_passes", 0.0) >= until_passes


class TrunkRun(Run):
    """A trunk being trained by this rank.

    It is the run of its cell, whose schedule is `constant`, ended before its last pass is. Unlike a cell it is not
    evaluated, leaves no weights, and keeps its checkpoints.
    """

    def take_up(self) -> tuple[Progress, list[dict[str, Any]]]:
        """Its own newest checkpoint, or zero."""
        passes = self.batches.passes
        points = [point for point in _points(self.args.keep_at) if point <= self.args.until_passes]
        self._end = passes.steps_within(self.args.until_passes)
        self.pins = frozenset(passes.steps_within(point) for point in points) | {self._end}
        return self.manager.take_up()

    @property
    def epochs(self) -> float:
        """One pass more than the whole ones, so that the trunk does not end where a run of its length would."""
        return float(int(self.args.until_passes) + 1)

    @property
    def n_steps(self) -> int:
        """See `Run.n_steps`."""
        return self._end

    @property
    def n_tokens(self) -> int:
        """See `Run.n_tokens`; up to one step more than there are."""
        return round(self.args.until_passes * self.batches.passes.pass_tokens)

    def finish(self, status: str, reason: str | None, rows: list[dict[str, Any]]) -> None:
        """Write the record, which has how far the trunk is good for."""
        if self.ranks.rank:
            return
        if self.claim:
            self.claim.check()
        self.attempts.end("finished" if status == "done" else f"finished: {status}", step=self.progress.step)
        record = record_of(self, status=status, reason=reason, holdout=None)
        record["until_passes"] = self.args.until_passes
        record["attempts"] = attempts = [*self._earlier(record["attempts"]), *record["attempts"]]
        record["device_seconds"] = device_seconds(attempts)
        if self.claim:
            self.claim.leave_result(record, rows, of=self.data.seal_of_result(self.cell))
        write_outputs(self.args, record, rows)
        newest = self.checkpoints.steps()[:1]
        self.checkpoints.keep(0 if newest and self.checkpoints.pinned(newest[0]) else 1)
        remove_leftovers(self.args.checkpoints.parent)

    def _earlier(self, attempts: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The attempts at what this training has extended, of the record that it is about to replace."""
        try:
            there = read_object(self.args.record)
            earlier, cell = list(there["attempts"]), there["cell"]
        except (InputError, TypeError):
            return []
        extended = all(each["from_step"] or not each["to_step"] for each in attempts)
        return earlier if extended and cell == self.cell.frozen() else []


def _points(text: str) -> list[float]:
    """The numbers of a comma-separated list."""
    try:
        return [float(word) for word in text.split(",") if word]
    except ValueError:
        raise InputError(f"--keep-at: {text!r} is not a list of numbers. Give passes such as 0.2,0.8.") from None
