"""Being asked to stop: SIGTERM of a scheduler or a launcher, SIGUSR1 of SLURM's `--signal`."""

import signal
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
        The signal that asked, of this rank or, once agreed upon, of any; 0 is none.
    """

    def __init__(self) -> None:
        self.signal = 0

    @property
    def made(self) -> bool:
        """Whether it was asked."""
        return bool(self.signal)

    @property
    def reason(self) -> str:
        """What the signal says."""
        return REASONS.get(signal.Signals(self.signal), "stopped") if self.signal else "stopped"

    def listen(self) -> None:
        """Begin to take the signals."""
        for number in REASONS:
            signal.signal(number, self._note)

    def _note(self, number: int, _: FrameType | None) -> None:
        self.signal = self.signal or number
