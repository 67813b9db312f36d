"""The one place that knows Snakemake: log to the job's log, and call main by name.

To be imported first: where `plmscale run` has a server of scripts, a script goes over to a fork of it here, which has
imported what comes after. One whose memory Snakemake measures stays a process of Snakemake's, as do the few that have
several threads: libraries read the number when they are imported.
"""

import logging
import sys

from plmscale.cli.in_jobs.fork_client import SCRIPT_SERVER, handed_over, leave
from plmscale.errors import InputError

_this = sys.modules["__main__"].snakemake
_may_fork = _this.threads == 1 and _this.bench_iteration is None
if _may_fork and (status := handed_over(sys.argv, to=SCRIPT_SERVER)) is not None:
    leave(status)


def run(main, job, **more):
    """Call `main` with the job's named inputs, outputs and parameters, and with `more`."""
    logging.basicConfig(filename=job.log[0], filemode="w", format="%(asctime)s %(message)s")
    logging.getLogger("plmscale").setLevel(logging.INFO)
    logging.captureWarnings(True)
    try:
        main(**job.input, **job.output, **job.params, **more)
    except InputError as error:
        logging.error("%s", error)
        sys.exit(f"\nerror in {job.rule}: {error}\n")
    except Exception:
        logging.exception("%s failed", job.rule)
        raise
