"""`python -m plmscale SUBCOMMAND`: what distributed launchers start, and the console script without a script."""

import sys

from plmscale.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
