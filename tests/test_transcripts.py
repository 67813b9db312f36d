"""How-to pages show what their commands print today."""

import pytest

import forecast_shown
import transcripts
from conftest import ROOT

SHOWN = ["own-runs", "advise", "published", "cells", "plan", "cluster", "first-day", "proteins", "publish", "score"]
SHOWN += [pytest.param(name, marks=pytest.mark.slow) for name in ("compare", "design", "snakemake")]


@pytest.mark.parametrize("name", SHOWN)
def test_a_page_shows_what_its_commands_print(name):
    """After a change: python docs/generators/transcripts.py docs/howto/NAME.md."""
    page = (ROOT / f"docs/howto/{name}.md").read_text(encoding="utf-8")
    assert transcripts.MARK in page
    assert transcripts.with_outputs(page, root=ROOT) == page


def test_only_marked_blocks_are_run():
    page = "```bash\nplmscale no-such-command\n```\n\n<!-- run -->\n```bash\nplmscale --version\n```\n\n"
    page += "```text\nold\n```\n"
    shown = transcripts.with_outputs(page, root=ROOT)
    assert shown.startswith(page.partition("```text")[0]) and "old" not in shown and "no-such" in shown
    assert shown.count("```text") == 1


def test_the_forecast_of_the_small_study_is_what_the_page_shows():
    """After a change: python docs/generators/forecast_shown.py."""
    page = (ROOT / forecast_shown.PAGE).read_text(encoding="utf-8")
    assert forecast_shown.with_output(page) == page
    assert forecast_shown.BLOCK.search(page)
