"""How long this process has lived."""

import os
import time
from pathlib import Path


def process_age() -> float:
    """Seconds since this process began, its imports included (Linux: field 22 of /proc/self/stat, proc(5))."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
