"""Run the commands that a page shows, and write what they print: `python docs/generators/transcripts.py PAGE`.

A block of `bash` that is followed by a block of `text` is a transcript; one without is run, and its output left out.
Where blocks stand below a line `<!-- run -->`, they alone are run. All commands of a page run in one empty folder in
which `resources/` and `config/` are those of the checkout; a page that names `study/` finds there the finished study of
`tests/data/frozen`, which was made up.
"""

import argparse
import contextlib
import io
import os
import re
import shlex
import tarfile
import tempfile
from pathlib import Path

from plmscale.cli.main import main as plmscale
from plmscale.files import atomic

INSIDE = r"(?:(?!```).)*"
MARK = "<!-- run -->\n"
FINISHED = "tests/data/frozen/{}.tar.xz"
BLOCK = re.compile(rf"(?P<mark>{MARK})?(```bash\n(?P<commands>{INSIDE})```\n)(?P<text>\n```text\n{INSIDE})?", re.S)


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
        if marked and not found["mark"]:
            return found[0]
        commands = [line for line in found["commands"].splitlines() if line.startswith("plmscale ")]
        outputs = "\n".join([printed(command) for command in commands])
        shown = f"{found['mark'] or ''}{found[2]}"
        return shown if found["text"] is None else f"{shown}\n```text\n{outputs}"

    here, marked = Path.cwd(), MARK in page
    with tempfile.TemporaryDirectory() as folder:
        for name in ("resources", "config"):
            (Path(folder) / name).symlink_to(root / name)
        if " study/" in page and marked:
            _finished_study(Path(folder) / "study", root=root)
        os.chdir(folder)
        try:
            return BLOCK.sub(block, page)
        finally:
            os.chdir(here)


def _finished_study(folder: Path, *, root: Path) -> None:
    for name, place in (("inputs", folder), ("products", folder / "results")):
        with tarfile.open(root / FINISHED.format(name)) as packed:
            packed.extractall(place, filter="data")
    (folder / "config.yaml").rename(folder / "my.yaml")


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
