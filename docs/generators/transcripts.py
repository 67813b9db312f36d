"""Run the commands that a page shows, and write what they print: `python docs/generators/transcripts.py PAGE`.

A block of `bash` that is followed by a block of `text` is a transcript; one without is run, and its output left out.
All commands of a page run in one empty folder in which `resources/` is that of the checkout.
"""

import argparse
import contextlib
import io
import os
import re
import shlex
import tempfile
from pathlib import Path

from plmscale.cli.main import main as plmscale
from plmscale.files import atomic

INSIDE = r"(?:(?!```).)*"
BLOCK = re.compile(rf"(```bash\n(?P<commands>{INSIDE})```\n)(?P<text>\n```text\n{INSIDE})?", re.S)


def printed(command: str) -> str:
    """What a command prints, and its error if it ends with one."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        try:
            plmscale(shlex.split(command, comments=True)[1:])
        except SystemExit as error:
            print(error)
    return out.getvalue()


def with_outputs(page: str, *, root: Path) -> str:
    """A page with what its commands print today."""

    def block(found: re.Match[str]) -> str:
        commands = [line for line in found["commands"].splitlines() if line.startswith("plmscale ")]
        outputs = "\n".join([printed(command) for command in commands])
        return found[1] if found["text"] is None else f"{found[1]}\n```text\n{outputs}"

    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "resources").symlink_to(root / "resources")
        os.chdir(folder)
        try:
            return BLOCK.sub(block, page)
        finally:
            os.chdir(here)


def main() -> None:
    """Write a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    page = parser.parse_args().page
    text = with_outputs(page.read_text(encoding="utf-8"), root=Path(__file__).parents[2])
    with atomic(page) as partial:
        partial.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
