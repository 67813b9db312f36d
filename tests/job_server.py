"""Starts training jobs without paying for imports: `python job_server.py`, then one JSON list of arguments a line.

For each it forks a process that is a training job like any other, prints the process id, and when it has ended its
status, negative for a signal.
"""

import json
import os
import sys
import traceback
from contextlib import redirect_stdout


def main() -> None:
    """Serve jobs one after the other until standard input ends."""
    with redirect_stdout(sys.stderr):  # DeepSpeed's remarks at import are no answers
        import deepspeed  # noqa: F401, I001  (all imports happen here, once)
        import plmscale.cli.main
        import plmscale.training.train  # `plmscale train` imports it where it runs: after the fork

    print("ready", flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        child = os.fork()
        if child == 0:
            os.setsid()
            run(plmscale.cli.main.main, job)
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def run(train, job: dict) -> None:
    """Be the job: never returns."""
    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    if job.get("largest_file"):
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (job["largest_file"],) * 2)
    sys.argv = ["plmscale", "train", *job["arguments"]]
    status = 1
    try:
        train()
        status = 0
    except SystemExit as left:
        if isinstance(left.code, str):
            print(left.code, file=sys.stderr)
        status = left.code if isinstance(left.code, int) else 1
    except BaseException:
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
