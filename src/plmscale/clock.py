"""How long a process has lived."""

import os
import time
from pathlib import Path


def start_ticks(pid: str) -> int | None:
    """When a process began, in clock ticks since boot (Linux: field 22 of /proc/PID/stat, proc(5)).

    None if there is no such process, or nothing but its entry is left (state Z or X).
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def process_age() -> float:
    """Seconds since this process began, its imports included."""
    began = start_ticks("self") or 0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - began / os.sysconf("SC_CLK_TCK")
