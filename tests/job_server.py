"""Starts jobs without paying for imports: `python job_server.py training`, then one job a line, as JSON.

A job of `training` is `plmscale train`, one of `workflow` is `snakemake`. For each the server forks a process that is a
job like any other, prints the process id, and when it has ended its status, negative for a signal. A job has

- `arguments`: what follows `plmscale train` or `snakemake`;
- `log`, and `errors` if standard error has a file of its own;
- `folder` and `environment` in which it runs, if they are not the server's;
- `largest_file`: how many bytes a file may have;
- `ranks`: how many processes train together. They meet where its environment says.

It is not the server of `plmscale run` (`plmscale.cli.in_jobs.fork_server`). That one starts no Snakemake, shows its
client a proxy whose process id is not the training's, and declines the environments that tests change. What both have
in common, a fork that takes over an environment, is ten lines.
"""

import atexit
import gc
import importlib
import json
import os
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

IMPORTED = {
    # `plmscale train` imports what follows the second where it runs: after the fork
    "training": ("deepspeed", "plmscale.cli.main", "plmscale.training.train", "plmscale.cli.in_jobs.loaded_before"),
    "workflow": (
        *("snakemake.cli", "snakemake.api", "snakemake.workflow", "snakemake.dag", "snakemake.executors.local"),
        *("plmscale.forecast.before", "plmscale.plan.calibration", "plmscale.plan.plan", "plmscale.plan.grid_choice"),
        *("plmscale.results.owner", "plmscale.sets.counted", "plmscale.sets.mmseqs_memory", "plmscale.status.progress"),
        *("plmscale.status.remove", "plmscale.study.study", "plmscale.training.trunk_files", "plmscale.provenance"),
    ),
}
"""What jobs of a kind would import themselves, one after the other."""


def main() -> None:
    """Serve jobs one after the other until standard input ends."""
    (kind,) = sys.argv[1:]
    # DeepSpeed's remarks at import are no answers. The descriptor is another meanwhile, not `sys.stdout`, which modules
    # keep as a default of their functions.
    answers = os.dup(1)
    os.dup2(2, 1)
    for name in IMPORTED[kind]:
        importlib.import_module(name)
    sys.stdout.flush()
    os.dup2(answers, 1)
    os.close(answers)
    gc.freeze()  # a child that looks through all objects of the server would copy them
    print("ready", flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        ranks = [fork(kind, job, rank=rank) for rank in range(job.get("ranks", 1))]
        print(ranks[0], flush=True)
        ended = [os.waitstatus_to_exitcode(os.waitpid(rank, 0)[1]) for rank in ranks]
        print(next((status for status in ended if status), 0), flush=True)


def fork(kind: str, job: dict, *, rank: int) -> int:
    """Start a process of a job; its id."""
    child = os.fork()
    if child == 0:
        os.setsid()
        if "ranks" in job:
            job["environment"] |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(job["ranks"])}
        run(kind, job)
    return child


def run(kind: str, job: dict) -> None:
    """Be the job: never returns."""
    _prepare(job)
    status = 1
    try:
        status = _program(kind, job["arguments"])() or 0
    except SystemExit as left:
        if isinstance(left.code, str):
            print(left.code, file=sys.stderr)
        status = left.code if isinstance(left.code, int) else int(left.code is not None)
    except BaseException:
        traceback.print_exc()
    with suppress(Exception):  # as an interpreter ends
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _prepare(job: dict) -> None:
    """Files, folder, environment and limits of a job."""
    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    errors = os.open(job["errors"], os.O_WRONLY | os.O_CREAT | os.O_APPEND) if job.get("errors") else log
    for stream, file in ((0, os.open(os.devnull, os.O_RDONLY)), (1, log), (2, errors)):
        os.dup2(file, stream)
    if job.get("environment"):
        os.environ.clear()
        os.environ.update(job["environment"])
    if job.get("folder"):
        os.chdir(job["folder"])
    sys.path[0] = str(Path.cwd())  # as `python -m` has it; it was the folder of this file
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[1:1] = [folder for folder in given if folder and folder not in sys.path]
    if job.get("largest_file"):
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (job["largest_file"],) * 2)


def _program(kind: str, arguments: list[str]) -> Callable[[], int | None]:
    """What a job calls, with its arguments in place."""
    if kind == "training":
        import plmscale.cli.main

        sys.argv = ["plmscale", "train", *arguments]
        return plmscale.cli.main.main
    import snakemake.cli

    sys.argv = ["snakemake", *arguments]
    return snakemake.cli.main


if __name__ == "__main__":
    main()
