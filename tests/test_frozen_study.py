"""A study that was analysed by an earlier version is analysed again: every product is what it was.

`make_frozen` made it, and prints with --check what has changed. The commit of the code, the date on the page and the
wording of settings are put aside (`make_frozen.VARIES`).
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import ROOT
from make_frozen import FROZEN, changes, checksum, is_text, make_products, normal
from snapshots import differences, unpack

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("frozen")]

ADDED_KEYS: set[str] = set()
"""Keys of JSON files that the frozen ones lack, whatever their depth. Nothing else may be new in them."""

ADDED_FILES: set[str] = set()
"""Products that the frozen study lacks, by their path under results/."""

REPLACED: dict[str, tuple[str, str]] = {}
"""Wording that changed on purpose: what it was, and what it is now and why. Applied to every frozen text."""

OTHERWISE: dict[str, str] = {}
"""Products kept as checksums that are others on purpose, each with the reason."""

TOLERANCE = 1e-6
"""Relative, of numbers on another processor or with other versions. Words are the same there, too."""

MANY_OPTIMA = re.compile(r"repeated|R_\{?D", re.I)
"""In names of products, or in lines of texts, what is about the law of repeated data: two lengths of training do not
tell its token term from its floor, so that equally good optima lie in a valley. On another processor (an Intel and an
AMD one were compared) the fit ends elsewhere in it, at the same objective to 3e-13. There its words are compared."""

FLAT = re.compile(r"N_\{?c\b|own_runs/fits/kaplan")
FLAT_TOLERANCE = 1e-3
"""The same of an interval of Kaplan's law that ends on a nearly flat profile: 4e-4 between the two processors."""

NUMBER = re.compile(r"(?<![\w.])[-−+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?(?![\w.]*\w)")
NOT_OF_ANALYSIS = ("torch", "deepspeed")


@pytest.fixture(scope="module")
def frozen(tmp_path_factory) -> Path:
    """The texts as they were."""
    return unpack(FROZEN / "products.tar.xz", tmp_path_factory.mktemp("before"))


@pytest.fixture(scope="module")
def products(tmp_path_factory) -> dict[str, Path]:
    """What today's code makes."""
    return make_products(ROOT, tmp_path_factory.mktemp("today") / "study")


@pytest.fixture(scope="module")
def known() -> dict:
    return json.loads((FROZEN / "products.json").read_text())


@pytest.fixture(scope="module")
def unlike(known) -> list[str]:
    """What differs from the machine that made the products: empty where everything must be the same to the byte."""
    return differences(known["machine"], but=NOT_OF_ANALYSIS)


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_no_product_is_gone_and_new_ones_are_listed(frozen, products, known):
    before = names(frozen) | set(known["sha256"])
    assert before - set(products) == set()
    assert set(products) - before == ADDED_FILES


def test_texts_say_the_same(frozen, products, unlike, record_property):
    record_property("compared", f"to {TOLERANCE:g}, since {unlike}" if unlike else "to the byte")
    texts = [name for name in sorted(names(frozen)) if not name.endswith(".json")]
    assert {"summary.txt", "tables/advice.md", "plan/plan.md", "comparison/summary.txt", "own_runs/summary.txt"} <= set(
        texts
    )
    told = [f"{name}: {said}" for name in texts for said in otherwise(frozen / name, products[name], exact=not unlike)]
    assert not told, "\n".join(told)


def otherwise(before: Path, now: Path, *, exact: bool) -> Iterator[str]:
    """The first line of a text that is another."""
    old = normal(before.read_text())
    for was, (now_is, _) in REPLACED.items():
        old = old.replace(was, now_is)
    lines, found = old.splitlines(), normal(now.read_text()).splitlines()
    for number, (one, other) in enumerate(zip(lines, found, strict=False), start=1):
        if one != other and (exact or not close(one, other, rel=tolerance(f"{before.name} {one}"))):
            yield f"line {number} was\n  {one}\nand is\n  {other}"
            return
    if len(lines) != len(found):
        yield f"{len(lines)} lines were there, {len(found)} are"


def tolerance(about: str) -> float | None:
    """Of numbers on another processor, by the name of their product and the line that they stand in."""
    return None if MANY_OPTIMA.search(about) else FLAT_TOLERANCE if FLAT.search(about) else TOLERANCE


def close(one: str, other: str, *, rel: float | None = TOLERANCE) -> bool:
    """Whether two lines have the same words, and the same numbers within the tolerance; None: whatever the numbers."""
    if rel is None:
        return NUMBER.sub("#", one) == NUMBER.sub("#", other)
    numbers = [[float(n.replace("−", "-")) for n in NUMBER.findall(line)] for line in (one, other)]
    return NUMBER.sub("#", one) == NUMBER.sub("#", other) and numbers[0] == pytest.approx(numbers[1], rel=rel)


def test_close_lines_have_the_same_words_and_numbers():
    assert close("a\t0.5000000001\tidentified", "a\t0.5\tidentified")
    assert close("from 1.20e+13 (w32)", "from 1.2000000001e+13 (w32)")
    assert not close("a\t0.5001\tidentified", "a\t0.5\tidentified")
    assert not close("a\t0.5\tidentified", "a\t0.5\tfailed")
    assert not close("w32 0.5", "w48 0.5")
    assert close("R_D* = 2,782 (≥ 1.18)", "R_D* = 1,896 (≥ 1.16)", rel=None)
    assert not close("R_D* = 2,782 (≥ 1.18)", "R_D* = 1,896 (≤ 1.16)", rel=None)


def test_json_files_hold_the_same_values(frozen, products, unlike):
    files = [name for name in sorted(names(frozen)) if name.endswith(".json")]
    assert {"fits/chinchilla.json", "own_runs/fits/kaplan.json", "comparison/comparison.json"} <= set(files)
    told, added = [], set()
    for name in files:
        old, new = (json.loads(path.read_text()) for path in (frozen / name, products[name]))
        told += list(changed(old, new, name, exact=not unlike, added=added, rel=tolerance(name)))
    assert not told, "\n".join(told[:20])
    assert added == ADDED_KEYS


def changed(old, new, where: str, *, exact: bool, added: set[str], rel: float | None = TOLERANCE) -> Iterator[str]:
    """Places where a value is another or gone; keys that are new are collected in `added`. `rel`: as for `close`."""
    if isinstance(old, dict) and isinstance(new, dict):
        added |= set(new) - set(old)
        for key, value in old.items():
            if key not in new:
                yield f"{where}.{key} is gone"
            else:
                yield from changed(value, new[key], f"{where}.{key}", exact=exact, added=added, rel=rel)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for i, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from changed(one, other, f"{where}[{i}]", exact=exact, added=added, rel=rel)
    elif not _same(old, new, exact=exact, rel=rel):
        yield f"{where} was {old!r} and is {new!r}"


def _same(old, new, *, exact: bool, rel: float | None) -> bool:
    if isinstance(old, str):
        for was, (now_is, _) in REPLACED.items():
            old = old.replace(was, now_is)
    if isinstance(old, str) and isinstance(new, str):
        old, new = normal(old), normal(new)
    if not exact and rel is None and not isinstance(old, str):
        return True
    if exact or type(old) is not type(new):
        return old == new
    if isinstance(old, float):
        return old == pytest.approx(new, rel=rel, nan_ok=True)
    return close(old, new, rel=rel) if isinstance(old, str) else old == new


def test_changed_values_and_keys_are_found():
    added: set[str] = set()
    assert list(changed({"a": [1.0, "x"]}, {"a": [1.0, "x"], "b": 2}, "f", exact=True, added=added)) == []
    assert added == {"b"}
    assert list(changed({"a": 1.0}, {"a": 1.0 + 1e-9}, "f", exact=True, added=added)) == [
        "f.a was 1.0 and is 1.000000001"
    ]
    assert list(changed({"a": 1.0}, {"a": 1.0 + 1e-9}, "f", exact=False, added=added)) == []
    assert list(changed({"a": [1]}, {"a": [1, 2]}, "f", exact=False, added=added)) == ["f.a was [1] and is [1, 2]"]
    assert list(changed({"a": 1}, {}, "f", exact=False, added=added)) == ["f.a is gone"]


def test_figures_and_pages_are_the_same_to_the_byte(products, known, unlike):
    if unlike:
        pytest.skip(f"figures depend on versions and processor: {'; '.join(unlike)}")
    others = {name for name, before in known["sha256"].items() if checksum(products[name]) != before}
    assert others == set(OTHERWISE)


def test_the_check_tells_what_has_changed(frozen, products, tmp_path):
    """`make_frozen.py --check`: a changed word, a file that is gone and a new one."""
    again = {name: frozen / name for name in sorted(names(frozen))}
    (tmp_path / "summary.txt").write_text((frozen / "summary.txt").read_text().replace("identified", "found"))
    again |= {"summary.txt": tmp_path / "summary.txt", "new.tsv": tmp_path / "new.tsv"}
    del again["fits/kaplan.json"]
    told = [line for line in changes(again, frozen) if not line.startswith(" ")]
    assert [line for line in told if is_text(line)] == [
        "gone: fits/kaplan.json",
        "new: new.tsv",
        "another: summary.txt",
    ]
