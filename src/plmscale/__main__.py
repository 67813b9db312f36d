"""`python -m plmscale SUBCOMMAND`: what distributed launchers start, and the console script without a script."""

import os
import sys

if __name__ == "__main__":
    if "PLMSCALE_TRAINING_SERVER" in os.environ and sys.argv[1:2] == ["train"]:
        from plmscale.cli.in_jobs.fork_client import TRAINING_SERVER, handed_over, leave

        if (status := handed_over(sys.argv[1:], to=TRAINING_SERVER)) is not None:
            leave(status)
    from plmscale.cli.main import main

    sys.exit(main())
