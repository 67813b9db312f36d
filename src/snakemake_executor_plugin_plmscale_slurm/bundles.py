"""Short cells that wait some seconds for others, to be trained in one job."""

import threading
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

WAIT = 15.0
"""Seconds that a short cell waits for others that become ready."""

SAME = ("slurm_account", "slurm_partition", "constraint", "mem_mb", "nodes", "tasks", "cpus_per_task", "slurm_extra")
"""Resources that cells have in common which share a job."""


class Bundles:
    """Collects short cells of the same request, and submits as many together as the plan says.

    Parameters
    ----------
    pool : Executor
        Threads that submit.
    submit : callable
        Submits some jobs as one.
    """

    def __init__(self, pool: Executor, submit: Callable[[list[Any]], None]) -> None:
        self._pool, self._submit = pool, submit
        self._waiting: dict[tuple[Any, ...], list[Any]] = {}
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def takes(self, job: Any) -> bool:
        """Whether a job is of a cell that may share one."""
        return not job.is_group() and (job.resources.get("cells_per_job") or 1) > 1

    def add(self, job: Any) -> None:
        """Add a cell; it is submitted with the one that makes the number full, or when it has waited."""
        key = tuple(job.resources.get(name) for name in SAME)
        with self._lock:
            self._waiting.setdefault(key, []).append(job)
            if len(self._waiting[key]) >= job.resources.cells_per_job:
                self._pool.submit(self._submit, self._waiting.pop(key))
            elif self._timer is None:
                self._timer = threading.Timer(WAIT, self._flush)
                self._timer.daemon = True
                self._timer.start()

    def _flush(self) -> None:
        with self._lock:
            waiting, self._waiting, self._timer = self._waiting, {}, None
            for jobs in waiting.values():
                self._pool.submit(self._submit, jobs)

    def stop(self) -> None:
        """Submit nothing more."""
        with self._lock:
            self._waiting.clear()
            if self._timer:
                self._timer.cancel()
