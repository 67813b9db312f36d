"""The workflow as others use it: from another folder, by the catalogue's path, and as a module of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from conftest import ROOT

MODULE = """
module plmscale:
    snakefile: "{root}/workflow/Snakefile"
    config: {{"models": "{root}/config/toy_models.tsv", "subsets": "{root}/config/toy_subsets.tsv"}}
    {more}

use rule * from plmscale as plmscale_*

onstart:
    plmscale.onstart()

rule costs:
    default_target: True
    input: rules.plmscale_plan.output.text
    output: "costs.md"
    shell: "cp {{input}} {{output}}"
"""


def snakemake(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "snakemake", "--cores", "1", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_the_catalogue_finds_what_standardised_usage_asks_for():
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert set(usage) == {"mandatory-flags", "software-stack-deployment", "report"}
    assert set(usage["software-stack-deployment"]) == {"conda", "apptainer", "apptainer+conda"}
    assert (ROOT / "workflow/Snakefile").is_file() and (ROOT / "config/README.md").is_file()
    readme = (ROOT / "README.md").read_text().lower()
    assert "snakemake" in readme and "workflow" in readme


@pytest.mark.parametrize("snakefile", ["Snakefile", "workflow/Snakefile"])
def test_from_another_folder_with_the_profile_that_nobody_names(snakefile, tmp_path):
    """Its triggers are what keeps a new version of a rule from training the grid again."""
    toy = str(ROOT / "config/toy.yaml")
    done = snakemake(tmp_path, "plan", "--snakefile", str(ROOT / snakefile), "--configfile", toy, "--dry-run")
    assert done.returncode == 0, done.stderr
    profile = (ROOT / snakefile).parent / "profiles/default"
    assert f"Using workflow specific profile {profile} for setting default command line arguments" in done.stderr
    assert "results/plan/plan.md" in done.stdout + done.stderr


def test_as_a_module_of_another_workflow(tmp_path):
    """A plan leaves the folder unclaimed: the module knows its rules whatever they are called there."""
    (tmp_path / "Snakefile").write_text(MODULE.format(root=ROOT, more=""))
    done = snakemake(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "57 cells" in (tmp_path / "costs.md").read_text()
    assert not (tmp_path / "results/study.json").exists()


def test_a_module_with_a_prefix_is_refused(tmp_path):
    (tmp_path / "Snakefile").write_text(MODULE.format(root=ROOT, more='prefix: "plm"'))
    done = snakemake(tmp_path, "--dry-run")
    assert done.returncode == 1
    assert "error: plmscale as a module takes no prefix" in done.stderr


def test_jobs_run_in_the_container_of_the_configuration(tmp_path, monkeypatch):
    """A program that stands for apptainer is told the image."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/apptainer").symlink_to(ROOT / "tests/fake_apptainer.sh")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("APPTAINER_CALLS", str(tmp_path / "calls"))
    (tmp_path / "image.sif").touch()
    words = ["plan", "--snakefile", str(ROOT / "Snakefile"), "--sdm", "apptainer", "--configfile"]
    words += [str(ROOT / "config/toy.yaml"), "--config", f"execution={{container: {tmp_path / 'image.sif'}}}"]
    done = snakemake(tmp_path, *words)
    assert done.returncode == 0, done.stderr
    assert f" {tmp_path / 'image.sif'} " in (tmp_path / "calls").read_text()
    assert "165 cells" in (tmp_path / "results/plan/plan.md").read_text()
