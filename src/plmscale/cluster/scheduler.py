"""Snakemake's scheduler on a login node: it looks for jobs to start when something has changed, not ever more often."""

import threading
from typing import Any


def look_once_a_second(scheduler: type[Any]) -> None:
    """Let one timer at a time wake a scheduler.

    Where jobs per timespan are limited, which is Snakemake's default, each selection of jobs arms a timer for the next
    one, and so does the selection that a finished job causes. No timer ends: after n jobs jobs are selected n times a
    second, and each time the inputs of all that are ready are looked up (Snakemake 9.27; snakemake/snakemake#2967).

    Parameters
    ----------
    scheduler : type
        `snakemake.scheduling.job_scheduler.JobScheduler`; another version that has no such timers is left as it is.
    """
    if not hasattr(scheduler, "_schedule_reevalutation"):
        return

    def once(self: Any, delay: float) -> None:
        if self.__dict__.get("_armed"):
            return
        self._armed = True

        def wake() -> None:
            self._armed = False
            self._open_jobs.release()

        timer = threading.Timer(delay, wake)
        timer.daemon = True
        timer.start()

    scheduler._schedule_reevalutation = once
