"""The error that ended a job, read from its log where the job could not keep a record."""

import re
from pathlib import Path

ERROR = re.compile(r"(error|srun: error|slurmstepd: error|([a-z_]+\.)*[A-Z]\w*(Error|Exception|Interrupt))\b", re.ASCII)
"""How lines begin that name what ended a job: our own, SLURM's, and the last line of a Python traceback."""


def error_in(log: Path) -> str | None:
    """The error of the last attempt in a log, for jobs that died before they could keep a record; None without one."""
    if not log.is_file():
        return None
    attempt = log.read_text(errors="replace").rpartition("=== attempt of ")[2]
    lines = [line.strip() for line in attempt.splitlines() if line.strip()]
    found = [line for line in lines if ERROR.match(line)]
    return found[-1].removeprefix("error: ") if found else None
