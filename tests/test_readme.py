"""The commands of the README, typed in its order in one folder: each does what it says, or says what is missing.

What takes nodes or hours is asked for as a dry run; placeholders (`runs.csv`, `my.yaml`, `study_a`, ...) are small real
files; the small study of `make study` is a finished one of an earlier version, so that nothing is trained.
"""

import gzip
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT, SHARED
from scaling_data import chinchilla, make_runs
from snapshots import DATA, unpack
from test_workflow import prepare

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("readme")]

NEEDS_NODES = ("calibrate", "run")
"""Subcommands that are typed with `--dry-run`: the paper's study has its sequences elsewhere."""


def readme_commands() -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```bash\n(.*?)^```", text, re.M | re.S)
    lines = [line.partition("   #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with what the README's placeholders stand for."""
    here = tmp_path_factory.mktemp("readme") / "plmscale"
    here.mkdir()
    study = unpack(DATA / "earlier/finished.tar.xz", tmp_path_factory.mktemp("finished"))
    shutil.copytree(study, here / "small_study", symlinks=True)  # `make study`
    for name in ("config", "profiles", "resources"):
        shutil.copytree(ROOT / name, here / name, ignore=shutil.ignore_patterns("download"))
    prepare(here.parent / "my_study")
    shutil.move(here.parent / "my_study/config.yaml", here / "my.yaml")
    runs = make_runs(chinchilla, sizes=(3e4, 1e5, 3e5, 1e6, 3e6), tokens=(1e6, 1e7, 1e8), noise=0.002, n_rows=40)
    runs[["run", "n_params", "n_tokens", "loss"]].to_csv(here / "runs.csv", index=False)
    with gzip.open(ROOT / "resources/example/swissprot_20k.fasta.gz", "rt") as example:
        few = example.read(4000).rpartition("\n>")[0]
    with gzip.open(here / "proteins.fasta.gz", "wt") as out:
        out.write(few + "\n")
    return here


def supply(folder: Path, words: list[str]) -> None:
    """What an earlier command of a real study would have left, where a command reads it."""
    if words[1] == "compare":
        for name in ("study_a", "study_b"):
            shutil.copytree(folder / "fits", folder / name / "results")
    if words[1] == "published":
        shutil.copytree(folder / "fits/fits", folder / "results/fits", dirs_exist_ok=True)
    if words[1] in ("evaluate", "export"):
        run = next((folder / "small_study/results/runs").rglob("model.safetensors")).parent
        there = folder / next(word for word in words if "/seed" in word)
        if not there.exists():
            shutil.copytree(run, there)


def test_commands_in_their_order_in_one_folder(folder):
    bin_folder = str(Path(sys.executable).parent)
    env = os.environ | {"PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    typed = []
    for command in readme_commands():
        words = shlex.split(command)
        if words[0] == "make":  # `make test` is what runs this; the small study is there
            continue
        if words[1] == "publish":  # needs a whole study with its record: see test_publish
            continue
        if words[1] in NEEDS_NODES:
            words.append("--dry-run")
        if words[1] == "reproduce":
            if not SHARED.is_dir():
                continue
            words = [str(SHARED / "truth/porian") if word == "FOLDER_OR_URL" else word for word in words]
            words += ["--bootstrap", "2"]
        supply(folder, words)
        done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True)
        assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        typed.append(words[1])
    known = ["run", "plan", "calibrate", "status", "fit", "advise", "compare", "published", "evaluate", "export"]
    assert set(known) <= set(typed)
    plan = (folder / "results/plan/plan.md").read_text()
    assert "small_study" not in plan
    assert (folder / "small_study/results/runs").is_dir()


def test_the_small_study_beside_it_is_not_counted_in_the_papers_plan(folder):
    """`plan` after `make study` printed 12,310 device-hours once, with the small study's sets for the paper's."""
    env = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["plmscale", "plan"], cwd=folder, env=env, capture_output=True, text=True)
    assert "20,799 device-hours" in done.stdout
    done = subprocess.run(
        ["plmscale", "plan", "--directory", "small_study"], cwd=folder, env=env, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: results/ holds")
