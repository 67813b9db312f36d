"""Being asked to stop: SIGTERM of a scheduler or a launcher, SIGUSR1 of SLURM's `--signal`."""

import signal
from collections.abc import Callable
from types import FrameType

INTERRUPTED = 75
"""Exit status of a run that was asked to stop and wrote its checkpoint: EX_TEMPFAIL, to be run again."""

REASONS = {
    signal.SIGUSR1: "SIGUSR1: the warning before the walltime",
    signal.SIGTERM: "SIGTERM: cancelled, preempted, requeued, or out of time",
}


class StopRequest:
    """Notes that this process was asked to stop; the training loop leaves when it next looks.

    Before `listen` the signals end the process, when there is nothing to be lost. Asked twice is asked once: a second
    signal while the checkpoint is being written changes nothing.

    Attributes
    ----------
    signal : int
        The signal that asked this rank; 0 is none. It may come at any moment, and is never taken back.
    agreed : int
        The signal that all ranks know of, at the same step; 0 is none.
    told : callable
        Called with the reason when the first signal comes: a job that is killed before it could leave has said why.
    """

    def __init__(self) -> None:
        self.signal = 0
        self.agreed = 0
        self.told: Callable[[str], None] = lambda reason: None

    @property
    def made(self) -> bool:
        """Whether this rank was asked, or knows of another that was."""
        return bool(self.signal or self.agreed)

    @property
    def reason(self) -> str:
        """What the signal says."""
        known = self.agreed or self.signal
        return REASONS.get(signal.Signals(known), "stopped") if known else "stopped"

    def listen(self) -> None:
        """Begin to take the signals."""
        for number in REASONS:
            signal.signal(number, self._note)

    def _note(self, number: int, _: FrameType | None) -> None:
        if not self.signal:
            self.signal = number
            self.told(REASONS[signal.Signals(number)])
