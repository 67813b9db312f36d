"""The rooms of the package: small, described, and found from a question."""

import ast
import re
from pathlib import Path

import pytest

from conftest import ROOT

PACKAGE = ROOT / "src/plmscale"
ROOMS = sorted(path.parent for path in PACKAGE.rglob("__init__.py"))
MOST_MODULES, MOST_LINES, MOST_IN_ROOT = 25, 300, 8
MAP = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def modules(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*.py") if path.name not in ("__init__.py", "__main__.py")]


@pytest.mark.parametrize("room", ROOMS, ids=lambda path: path.relative_to(PACKAGE.parent).as_posix())
def test_a_room_is_small_and_says_what_happens_in_it(room):
    assert len(modules(room)) <= (MOST_IN_ROOT if room == PACKAGE else MOST_MODULES)
    said = ast.get_docstring(ast.parse((room / "__init__.py").read_text(encoding="utf-8")))
    assert said, "its __init__.py has no docstring"
    if room.parent == PACKAGE and room.name not in ("cli", "api", "analysis"):
        assert "In:" in said and "Out:" in said, "what comes in, and what goes out"


def test_no_module_is_long():
    longest = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in PACKAGE.rglob("*.py")}
    assert {str(path): n for path, n in longest.items() if n > MOST_LINES} == {}


def test_every_room_is_on_the_map_in_one_line():
    table = MAP.partition("\n## Map\n")[2].partition("Ten questions")[0]
    rows = re.findall(r"^\| `(\w+)/` \| .+ \|$", table, re.M)
    assert sorted(rows) == sorted(room.name for room in ROOMS if room.parent == PACKAGE)


def test_every_question_leads_to_places_that_exist_in_one_room():
    table = MAP.partition("Ten questions")[2].partition("\n\n## ")[0]
    rows = re.findall(r"^\| ([^|]+\?|What makes[^|]+) \| (.+) \|$", table, re.M)
    assert len(rows) == 10
    for question, answer in rows:
        places = re.findall(r"`([\w/]+/[\w/.]*)`", answer)
        assert places, question
        for place in places:
            assert (PACKAGE / place).exists(), f"{question} {place}"
