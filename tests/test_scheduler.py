"""Snakemake's own scheduler, with the timers that never end and without them."""

import re
import subprocess
import sys
from pathlib import Path

N_JOBS = 24
SNAKEFILE = f"""
{{first}}
rule all:
    input: expand("{{{{i}}}}.txt", i=range({N_JOBS}))
rule one:
    output: "{{{{i}}}}.txt"
    shell: "sleep 0.3; touch {{{{output}}}}"
"""
OURS = """
from snakemake.scheduling.job_scheduler import JobScheduler
from plmscale.cluster.scheduler import look_once_a_second
look_once_a_second(JobScheduler)
"""


def selections(folder: Path, first: str) -> int:
    """How often Snakemake selects jobs where one after the other runs and the others are ready."""
    folder.mkdir()
    (folder / "Snakefile").write_text(SNAKEFILE.format(first=first))
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--scheduler", "greedy", "--verbose"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=True)
    assert len(list(folder.glob("*.txt"))) == N_JOBS
    return len(re.findall(r"Ready jobs: \d+", done.stdout + done.stderr))


def test_jobs_are_not_selected_ever_more_often(tmp_path):
    ours, theirs = selections(tmp_path / "ours", OURS), selections(tmp_path / "theirs", "")
    assert theirs > 2 * ours, "if Snakemake no longer does this, plmscale.cluster.scheduler can go"
