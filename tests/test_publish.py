"""A published study: what goes in, that it is whole, and that the validator of RO-Crate takes it."""

import hashlib
import json
import re
import shutil
from dataclasses import replace
from importlib.resources import files as package_files
from pathlib import Path

import pytest
import yaml
from rocrate_validator import services
from rocrate_validator.models import Severity, ValidationSettings
from rocrate_validator.utils.http import HttpRequester

from conftest import ROOT
from plmscale.cli.main import main
from plmscale.errors import InputError
from plmscale.estimates import Estimate
from plmscale.laws.fit import Fit
from plmscale.publish.again import Compared, compared, lay_out
from plmscale.publish.cards import law_loss
from plmscale.publish.configuration import absolute_paths, configuration_texts
from plmscale.publish.contents import CELL_FILES, OPTIONAL, Item
from plmscale.publish.crate import Description, person
from plmscale.publish.records import copy_files, numbered, without_links
from plmscale.reasons import Reason
from plmscale.results import owner
from plmscale.study.study import load_study
from snapshots import DATA, unpack

WORDS = ("--title", "Small laws", "--author", "Ada Lovelace <0000-0002-1825-0097>", "--author", "B. C.")
WORDS += ("--licence", "CC-BY-4.0", "--date", "2026-11-30")


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """A finished study that says whose it is."""
    folder = unpack(DATA / "earlier/finished.tar.xz", tmp_path_factory.mktemp("study"))
    raw = yaml.safe_load((folder / "config.yaml").read_text())
    raw |= {key: str(folder / raw[key]) for key in ("models", "subsets")}
    known = load_study(raw, base=ROOT)
    owner.claim(folder / "results", study=known, configfiles=["config.yaml"], source=folder / "proteins.fasta.gz")
    return folder


@pytest.fixture(scope="module")
def small(study) -> Path:
    """The same without all that can be made again but the tables."""
    out = study / "small"
    left = [word for part in OPTIONAL if part != "tables" for word in ("--without", part)]
    assert main(["publish", "--results", str(study / "results"), "--out", str(out), *WORDS, *left]) == 0
    return out


@pytest.fixture(scope="module")
def published(study) -> Path:
    out = study / "published"
    assert main(["publish", "--results", str(study / "results"), "--out", str(out), *WORDS]) == 0
    return out


def paths(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_dry_run_lists_what_is_written_then(study, published, capsys):
    assert main(["publish", "--results", str(study / "results"), "--dry-run"]) == 0
    *lines, total = capsys.readouterr().out.splitlines()
    assert {line.split()[-1] for line in lines} == paths(published)
    assert total.startswith(f"{len(lines)} files")


def test_every_run_has_its_card_with_curve_and_laws(study, published):
    cells = [path.parent for path in published.glob("results/runs/*/*/*/seed*/run.json")]
    assert len(cells) == 6
    for cell in cells:
        text = (cell / "README.md").read_text()
        record = json.loads((cell / "run.json").read_text())
        assert f"| tokens seen | {record['n_tokens']:,} in" in text
        assert "| chinchilla | " in text and "| kaplan | " in text
        assert "](curve.svg)" in text and (cell / "curve.svg").read_text().startswith("<?xml")
        assert "license: cc-by-4.0" in text
        assert not (cell / "model.safetensors").exists()
    kept = published.glob("results/tables/*.tsv")
    assert {path.name for path in kept} == {path.name for path in (study / "results/tables").glob("*.tsv")}


def test_parts_are_left_out(study, published, small, capsys):
    gone = {path for path in paths(published) - paths(small) if not path.startswith("results/runs/")}
    parts = {path.split("/")[1] for path in gone if path.startswith("results/")}
    assert parts == {"analysis", "fits", "summary.html", "summary.txt"}, "this study has neither figures nor report"
    assert gone - {path for path in gone if path.startswith("results/")} == {"locks/all.txt"}
    assert {path.name for path in (small / "results/runs").rglob("*") if path.is_file()} == set(CELL_FILES)
    text = (small / "README.md").read_text()
    assert "results/figures/" not in text and "locks/" not in text and "results/tables/" in text
    words = ["--without", "cards", "--without", "lock"]
    assert main(["publish", "--results", str(study / "results"), "--dry-run", *words]) == 0
    listed = {line.split()[-1] for line in capsys.readouterr().out.splitlines()[:-1]}
    assert listed == {path for path in paths(published) if "lock" not in path and path not in cards(published)}


def cards(folder: Path) -> set[str]:
    """Model cards and what they show."""
    return {path for path in paths(folder) if path.startswith("results/runs/") and path.endswith((".md", ".svg"))}


def test_hosts_have_numbers_and_nothing_else_of_a_record_changes(study, published):
    hosts = set()
    for path in (study / "results/runs").rglob("run.json"):
        was = json.loads(path.read_text())
        now = json.loads((published / path.relative_to(study)).read_text())
        hosts |= {each.pop("host") for each in now["attempts"]}
        assert all(each.pop("host") for each in was["attempts"])
        assert now == was
    assert hosts == {"host 1"}
    two = {"attempts": [{"host": "a"}, {"host": "b"}, {"host": "a"}]}
    assert numbered(two, {}) == {"attempts": [{"host": "host 1"}, {"host": "host 2"}, {"host": "host 1"}]}


def test_the_report_has_no_link_to_what_is_left_out(tmp_path):
    page = '<p class="files">Law: <a href="figures/a.pdf">pdf</a><a href="figures/column/a.pdf">one column</a></p>'
    table = '<p class="files"><a href="#t">tsv, in this page</a><a href="tables/t.tsv">tsv</a></p>'
    assert without_links(page + table, ["figures"]) == table
    assert without_links(page + table, ["tables"]) == page + table.replace('<a href="tables/t.tsv">tsv</a>', "")
    assert without_links(page + table, []) == page + table


def test_no_absolute_path_is_told(study, tmp_path):
    recorded = owner.read(study / "results")
    assert recorded is not None
    was = recorded.study()
    paths = {"source": str(tmp_path / "p.fasta"), "models": str(tmp_path / "m.tsv")}
    here = replace(was, config=was.config.model_copy(update=paths))
    for path, text in configuration_texts(here).items():
        assert str(tmp_path) not in text, path
    assert "source: p.fasta\n" in configuration_texts(here)["configuration/study.yaml"]
    (tmp_path / "report.html").write_text(f"<code>{paths['source']}</code> <code>{paths['models']}</code>")
    item = Item(tmp_path / "report.html", "results/report.html", "report")
    copy_files([item], tmp_path / "out", paths=absolute_paths(here.config))
    assert (tmp_path / "out/results/report.html").read_text() == "<code>p.fasta</code> <code>m.tsv</code>"


def test_checksums_are_those_of_all_files(published):
    lines = (published / "SHA256SUMS").read_text().splitlines()
    listed = {path: digest for digest, path in (line.split("  ", 1) for line in lines)}
    assert set(listed) == paths(published) - {"SHA256SUMS"}
    for path, digest in listed.items():
        assert hashlib.sha256((published / path).read_bytes()).hexdigest() == digest, path


def test_the_configuration_is_the_study(study, published, monkeypatch):
    monkeypatch.chdir(published)
    again = load_study(yaml.safe_load(Path("configuration/study.yaml").read_text()), base=ROOT)
    recorded = owner.read(study / "results")
    assert recorded is not None
    was = recorded.study()
    assert (again.models, again.subsets) == (was.models, was.subsets)
    assert again.config.training == was.config.training and again.config.analysis == was.config.analysis
    assert again.config.source == was.config.source


class Context:
    """What the address of RO-Crate's JSON-LD context would answer; rocrate carries it."""

    status_code = 200
    headers = {"Content-Type": "application/ld+json"}
    text = (package_files("rocrate") / "data/ro-crate.jsonld").read_text(encoding="utf-8")

    def json(self):
        return json.loads(self.text)


def problems(folder: Path, *, first: bool = False) -> list[str]:
    """What the validator finds of what RO-Crate requires, or the first of it."""
    settings = ValidationSettings(str(folder), requirement_severity=Severity.REQUIRED, abort_on_first=first)
    return [f"{issue.check.identifier}: {issue.message}" for issue in services.validate(settings).get_issues()]


def test_the_validator_of_ro_crate_takes_it(published, tmp_path, monkeypatch):
    monkeypatch.setattr(HttpRequester, "get", lambda self, url, **more: Context(), raising=False)
    assert problems(published) == []
    metadata = json.loads((published / "ro-crate-metadata.json").read_text())
    root = next(one for one in metadata["@graph"] if one["@id"] == "./")
    descriptor = next(one for one in metadata["@graph"] if one["@id"] == "ro-crate-metadata.json")
    alone = {key: root[key] for key in ("@id", "@type", "name", "description")}
    text = json.dumps(metadata | {"@graph": [descriptor, alone]})
    (tmp_path / "ro-crate-metadata.json").write_text(text)
    assert problems(tmp_path, first=True), "the validator has nothing to say of a crate without licence and date"


def test_loss_by_a_law_is_that_of_its_formula():
    """Hoffmann et al. 2022, equation 10, for Chinchilla itself (70B on 1.4T): 1.69 + 406.4/N^0.34 + 410.7/D^0.28."""
    values = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
    fit = Fit("chinchilla", "identified", Reason.in_words(""), {key: Estimate(one) for key, one in values.items()})
    assert law_loss(fit, n_params=70e9, n_tokens=1.4e12) == pytest.approx(1.9366, abs=2e-4)
    assert law_loss(Fit("envelope", "identified", Reason.in_words(""), {}), n_params=1, n_tokens=1) is None


@pytest.mark.parametrize(
    ("author", "says"),
    [("<0000-0002-1825-0097>", "no name"), ("A <1>", "no ORCID"), ("A <0000-0002-1825-0098>", "no ORCID")],
)
def test_an_author_who_is_none_is_refused(author, says):
    with pytest.raises(InputError, match=says):
        person(author)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--licence", "CC BY"), "neither an SPDX identifier"),
        (("--date", "yesterday"), "is no date"),
        (("--results", "nowhere"), "does not exist"),
        (("--title", " "), "no title"),
    ],
)
def test_what_cannot_be_published_is_one_sentence(words, says, study, tmp_path):
    given = ["publish", "--results", str(study / "results"), "--out", str(tmp_path / "out"), *WORDS, *words]
    with pytest.raises(SystemExit, match=says):
        main(given)
    assert not (tmp_path / "out").exists()


def test_nothing_is_written_over(study, published):
    before = {path: (published / path).stat().st_mtime_ns for path in paths(published)}
    with pytest.raises(SystemExit, match="exists already"):
        main(["publish", "--results", str(study / "results"), "--out", str(published), *WORDS])
    assert {path: (published / path).stat().st_mtime_ns for path in paths(published)} == before


def test_a_description_needs_an_author():
    from datetime import date

    with pytest.raises(InputError, match="nobody is named"):
        Description("T", "S", "MIT", (), date(2026, 11, 30))


# The analysis once more


def test_records_alone_are_laid_out(small, tmp_path):
    configuration = lay_out(small, tmp_path / "again")
    assert configuration == tmp_path / "again/configuration/study.yaml"
    there = {path.split("/")[1] for path in paths(tmp_path / "again") if path.startswith("results/")}
    assert there == {"runs", "store", "subsets", "trunks"}, "no table, and no weights"
    assert len({path.stat().st_mtime for path in (tmp_path / "again").rglob("*")}) == 1, "none is newer than another"


def test_what_differs_is_found(published, tmp_path):
    again = tmp_path / "again"
    shutil.copytree(published, again)
    assert {(each.largest, each.otherwise) for each in compared(published, again)} == {(0.0, "")}
    table = again / "results/tables/runs.tsv"
    lines = table.read_text().splitlines()
    number = next(word for word in lines[1].split("\t") if re.fullmatch(r"\d\.\d{3,}", word))
    for changed, agrees in ((float(number) * (1 + 1e-9), True), (float(number) * 1.01, False)):
        table.write_text("\n".join([lines[0], lines[1].replace(number, repr(changed), 1), *lines[2:], ""]))
        (told,) = (each for each in compared(published, again) if each.largest)
        assert (told.path, told.agrees, told.otherwise) == ("tables/runs.tsv", agrees, "")
        assert told.largest == pytest.approx(abs(changed - float(number)) / max(changed, float(number)))
    table.write_text("\n".join([lines[0].replace("loss", "lost"), *lines[1:], ""]))
    (told,) = (each for each in compared(published, again) if each.otherwise)
    assert "lost" in told.otherwise and not told.agrees
    table.write_text("\n".join([lines[0], lines[1].replace(number, f"{number}0", 1), *lines[2:], ""]))
    assert all(each.agrees and not each.largest for each in compared(published, again)), "the same number, longer"
    table.unlink()
    assert Compared("tables/runs.tsv", 0.0, "the file is not made any more") in compared(published, again)


@pytest.mark.parametrize("spoilt", ["no study", "not complete", "changed", "lost", "not empty"])
def test_a_folder_that_cannot_be_analysed_again_is_refused(small, tmp_path, spoilt):
    folder = tmp_path / "published"
    shutil.copytree(small, folder)
    (tmp_path / "out").mkdir()
    if spoilt == "no study":
        (folder / "configuration/study.yaml").unlink()
    elif spoilt == "not complete":
        next(folder.rglob("run.json")).unlink()
    elif spoilt == "changed":
        record = next(folder.rglob("run.json"))
        record.write_text(record.read_text().replace("0", "1", 1))
    elif spoilt == "lost":
        next(folder.rglob("tables/*.tsv")).unlink()
    else:
        (tmp_path / "out/mine").touch()
    says = {"changed": "run.json is not as published", "lost": "is missing, though SHA256SUMS lists it"}
    says |= {"no study": "plmscale publish wrote", "not complete": "1 of 6 cells", "not empty": "Name a new folder"}
    with pytest.raises(SystemExit, match=says[spoilt]):
        main(["reproduce", "--study", str(folder), "--out", str(tmp_path / "out")])
    assert [path.name for path in (tmp_path / "out").iterdir()] == (["mine"] if spoilt == "not empty" else [])
