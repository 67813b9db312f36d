"""`python -m plmscale SUBCOMMAND`: what distributed launchers start, and the console script without a script."""

import os
import sys

if __name__ == "__main__":
    if "PLMSCALE_FORK_SERVER" in os.environ and sys.argv[1:2] == ["train"]:
        from plmscale.cli.in_jobs.fork_client import handed_over, leave

        if (status := handed_over(sys.argv[1:])) is not None:
            leave(status)
    from plmscale.cli.main import main

    sys.exit(main())
