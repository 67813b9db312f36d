"""Extras and the files of the workflow: what is missing is one sentence that says what to type."""

import re
import tomllib

import pytest

from conftest import ROOT
from plmscale.errors import InputError
from plmscale.extras import ALONG, EXTRAS, needed_by
from plmscale.study.workflow_files import MARKS, workflow_root


def import_names(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=!~]", one)[0].replace("-", "_") for one in requirements}


def test_extras_are_those_of_pyproject():
    optional = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {extra: set(names) for extra, names in EXTRAS.items()} == {
        extra: import_names(optional[extra]) for extra in EXTRAS
    }
    assert optional["all"] == [f"plmscale[{','.join(EXTRAS)}]"]


@pytest.mark.parametrize(
    ("missing", "extra", "named"),
    [
        ("torch", "train", "torch"),
        ("torch.distributed", "train", "torch"),
        ("llvmlite", "train", "numba"),
        ("snakemake", "workflow", "snakemake"),
    ],
)
def test_a_missing_package_is_one_sentence(missing, extra, named):
    with (
        pytest.raises(InputError, match=rf"^plmscale thing needs {named}: pip install 'plmscale\[{extra}\]'$"),
        needed_by("plmscale thing", extra=extra),
    ):
        raise ModuleNotFoundError(name=missing)


@pytest.mark.parametrize(("missing", "extra"), [("plmscale.nowhere", "train"), ("torch", "workflow"), (None, "train")])
def test_other_modules_that_are_missing_are_errors_of_the_program(missing, extra):
    with pytest.raises(ModuleNotFoundError), needed_by("plmscale thing", extra=extra):
        raise ModuleNotFoundError(name=missing)


def test_packages_that_come_along_come_with_one_of_the_extras():
    assert set(ALONG.values()) <= {name for names in EXTRAS.values() for name in names}


def test_the_workflow_of_a_checkout_is_its_root():
    assert workflow_root() == ROOT


def test_the_workflow_of_an_installed_package_is_within_it(tmp_path):
    package = tmp_path / "lib/site-packages/plmscale"
    for mark in MARKS:
        (package / "_workflow" / mark).parent.mkdir(parents=True, exist_ok=True)
        (package / "_workflow" / mark).touch()
    assert workflow_root(package) == package / "_workflow"
    (package / "_workflow" / MARKS[-1]).unlink()
    with pytest.raises(InputError, match="neither in .*_workflow nor in .*lib"):
        workflow_root(package)
