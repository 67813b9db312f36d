"""A folder of results belongs to one study: others are refused, the same one goes on, however it has grown or moved."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import yaml

import file_formats
import forked
from conftest import ROOT
from plmscale.errors import InputError
from plmscale.files import read_json, write_json
from plmscale.results import owner, unrecorded
from plmscale.sequences.store import Store, build_store
from plmscale.sets.counted import counted_tokens
from plmscale.sets.datasets import SetFiles, make_subset
from plmscale.sets.holdout import choose_holdout_candidates
from plmscale.sets.subsets import write_ids
from plmscale.status.status import study_there, write_status
from plmscale.study.grid import grid
from plmscale.study.pass_rows import pass_counts
from plmscale.study.study import Study, load_study
from test_workflow import MODELS, SUBSETS, environment, prepare

SETS = "name\tkind\tsame_size_as\tof\tepochs\tn_sequences\ttrain\n"
ROWS = """all\tall\t\t\t\t9999\tyes
half\tsample\t\t\t\t300\tyes
like\tsample\thalf\t\t\t9999\tno
twice\tpasses\t\thalf\t2\t\tyes
"""


def study_of(folder: Path, **changes) -> Study:
    """The study of the configuration in a folder, with some settings changed."""
    raw = yaml.safe_load((folder / "config.yaml").read_text())
    return load_study(raw | changes, base=folder, with_published=False)


def source_of(folder: Path) -> Path:
    return folder / "proteins.fasta.gz"


@pytest.fixture
def folder(tmp_path) -> Path:
    """Real proteins, their store and sets, and two finished runs, as the rules leave them: by an older version, without
    a record."""
    prepare(tmp_path, models=str(tmp_path / "models.tsv"), subsets=str(tmp_path / "subsets.tsv"))
    (tmp_path / "subsets.tsv").write_text(SETS + ROWS)
    study, results = study_of(tmp_path), tmp_path / "results"
    build_store(source_of(tmp_path), results / "store")
    store, held_out = Store.open(results / "store"), study.config.holdout.n_sequences
    write_ids(results / "subsets/candidates.npy", choose_holdout_candidates(store, n=held_out, seed=0))
    for row in study.subsets:
        counts = results / f"subsets/{row.name}.json"
        if row.of:
            write_json(counts, pass_counts(read_json(results / f"subsets/{row.of}.json"), row))
            continue
        ids, candidates = results / f"subsets/{row.name}.npy", results / "subsets/candidates.npy"
        files = SetFiles(results / "store", candidates, ids, counts, tmp_path / "log", tmp_path / "scratch")
        other = [results / f"subsets/{row.same_size_as}.json"] if row.same_size_as else []
        settings = {"max_length": study.config.max_length, "seed": study.config.data_seed}
        make_subset(files, subset=row, clustering=None, same_size_as=other, **settings)
    for cell in grid(study)[:2]:
        write_json(results / f"runs/{cell.path}/cell.json", cell.frozen())
        record = {"status": "done", "reason": None, "holdout": {"loss": 2.5}, "attempts": []}
        write_json(results / f"runs/{cell.path}/run.json", record)
    return tmp_path


@pytest.fixture
def claimed(folder) -> Path:
    """The same with its record."""
    claim(folder, study_of(folder))
    return folder


def claim(folder: Path, study: Study, **given) -> None:
    named = {"configfiles": ["small.yaml"]} | given
    owner.claim(folder / "results", study=study, source=source_of(folder), **named)


def refusal(folder: Path, study: Study, *, source: Path | None = None) -> str | None:
    return owner.another(folder / "results", study=study, source=source or source_of(folder))


def workflow(folder: Path, *args: str) -> subprocess.CompletedProcess:
    """Snakemake in a folder, with the paper's configuration unless another one is named."""
    words = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    return forked.run([*words, "--cores", "1", *args], env=environment())


@pytest.fixture
def old_small_study(tmp_path) -> Path:
    """A small study without a record whose sets have names of the paper's."""
    results = tmp_path / "results"
    stats = {"source": "swissprot_20k.fasta.gz", "source_bytes": 1, "source_sha256": "0", "n_sequences": 20_000}
    write_json(results / "store/stats.json", stats)
    for name in ("sampled20", "sampled30"):
        made = {"n_requested": 10_263, "n_available": 19_000, "seed": 0}
        counts = {"kind": "sample", "min_identity": None, "max_length": 64, "n_sequences": 10_263, "n_tokens": 649_611}
        write_json(results / f"subsets/{name}.json", counts | {"name": name, "provenance": made})
    (results / "runs/30K/sampled20/constant/seed0").mkdir(parents=True)
    (results / "runs/30K/sampled20/constant/seed0/cell.json").write_text("{}")
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(
    "target", [("plan",), ("-n",), ("-n", "status"), ("-n", "calibrate"), ("-n", "results/fits/kaplan.json")]
)
def test_the_papers_commands_are_refused_beside_a_small_study(old_small_study, target):
    before = sorted(old_small_study.rglob("results/**/*"))
    done = workflow(old_small_study, *target, "--quiet", "all")
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert (
        "error: results/ holds a study that an older version of plmscale made (swissprot_20k.fasta.gz, 0 runs" in said
    )
    assert "uniref50.fasta.gz here) and max_length (64 there, 1024 here)" in said
    assert "--directory FOLDER" in said
    assert "Traceback" not in said
    assert sorted(p for p in old_small_study.rglob("results/**/*") if "logs" not in p.parts) == before


@pytest.mark.slow
def test_what_is_of_no_study_runs_beside_any(old_small_study):
    (old_small_study / "runs.csv").write_text("n_params,n_tokens,loss\n1e6,1e9,2.9\n")
    done = workflow(old_small_study, "-n", "fits", "--config", "runs=runs.csv")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "fits" in done.stdout


@pytest.mark.slow
def test_plan_never_counts_sets_of_another_definition(tmp_path):
    """The paper's plan beside samples of its names: with their store it is refused, without it they are not counted."""
    made = {"n_requested": 10_263, "n_available": 19_000, "seed": 0}
    counts = {"kind": "sample", "min_identity": None, "max_length": 64, "n_tokens": 649_611, "n_sequences": 10_263}
    elsewhere = tmp_path / "small"
    write_json(elsewhere / "results/plan/subsets/sampled20.json", counts | {"provenance": made})
    done = workflow(elsewhere, "plan", "--quiet", "all")
    assert done.returncode == 0, done.stdout + done.stderr
    sums = pd.read_csv(elsewhere / "results/plan/summary.tsv", sep="\t").set_index("by")
    assert sums.loc["study", "device_hours"] == pytest.approx(20_799, abs=1)
    assert not (elsewhere / "results/study.json").exists(), "a plan claims no folder"
    write_json(tmp_path / "results/subsets/sampled20.json", counts | {"provenance": made})
    paper = load_study(yaml.safe_load((ROOT / "config/config.yaml").read_text()), base=ROOT)
    assert counted_tokens(tmp_path / "results", study=paper) == {}


def test_an_empty_folder_and_one_with_a_plan_alone_are_anybodys(tmp_path):
    study = study_of(prepare(tmp_path), models=str(tmp_path / "models.tsv"), subsets=str(tmp_path / "subsets.tsv"))
    (tmp_path / "results/plan").mkdir(parents=True)
    (tmp_path / "results/plan/plan.md").write_text("a plan")
    assert refusal(tmp_path, study) is None
    claim(tmp_path, study)
    other = replace(study, config=study.config.model_copy(update={"source": "https://example.org/x.fasta"}))
    claim(tmp_path, other)  # nothing has been written since: no harm in another one
    assert owner.read(tmp_path / "results").study().config.source == "https://example.org/x.fasta"


def test_a_folder_of_an_older_version_is_adopted_by_its_configuration_alone(folder):
    results = folder / "results"
    assert refusal(folder, study_of(folder)) is None
    other = refusal(folder, study_of(folder, max_length=50))
    assert other.startswith(
        f"{results}/ holds a study that an older version of plmscale made (proteins.fasta.gz, 2 runs"
    )
    assert "yours differs in max_length (48 there, 50 here): type --directory FOLDER" in other
    assert "data_seed (0 there, 3 here)" in refusal(folder, study_of(folder, data_seed=3))
    assert "source (" in refusal(folder, study_of(folder, source="https://example.org/proteins.fasta.gz"))
    (folder / "other.tsv").write_text(
        MODELS.replace("\nS\t", "\nQ\t").replace("\nM\t", "\nR\t").replace("wild", "tame")
    )
    assert "no cell in common" in refusal(folder, study_of(folder, models=str(folder / "other.tsv")))
    owner.begin(results, rules=["plan"], study=study_of(folder), configfiles=["my.yaml"], source=source_of(folder))
    assert owner.read(results).study() == study_of(folder)


def test_other_proteins_under_the_same_name_are_another_study(folder):
    other = folder / "elsewhere/proteins.fasta.gz"
    other.parent.mkdir()
    raw = source_of(folder).read_bytes()
    other.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))  # of the same size
    study = study_of(folder, source=str(other))
    assert "source (" in refusal(folder, study, source=other)
    claim(folder, study_of(folder))
    assert "source (" in refusal(folder, study, source=other)


def test_the_refusal_says_what_lies_there_and_what_to_type(claimed):
    claim(claimed, study_of(claimed), configfiles=["config/small.yaml"], settings={"seeds": [0], "cell": "a/b"})
    said = refusal(claimed, study_of(claimed, max_length=50, data_seed=1, holdout={"n_sequences": 7}))
    assert said == (
        f"{claimed / 'results'}/ holds the study of config/small.yaml --config 'seeds=[0]' (proteins.fasta.gz, "
        "3 sizes, 3 training sets, 2 of 12 runs done), and yours differs in max_length (48 there, 50 here) and "
        "data_seed (0 there, 1 here) and more: type --directory FOLDER to give yours a folder of its own, or "
        "--configfile config/small.yaml --config 'seeds=[0]' to go on with it."
    )
    with pytest.raises(InputError, match="holds the study of config/small.yaml"):
        claim(claimed, study_of(claimed, max_length=50))
    assert owner.read(claimed / "results").study() == study_of(claimed)


def test_the_same_study_goes_on_with_other_rows_and_settings(claimed):
    (claimed / "models.tsv").write_text(MODELS + "L\t2\t32\t128\t2\t4e-3\tconstant\n")
    (claimed / "subsets.tsv").write_text(SETS + ROWS.replace("\t300\t", "\t200\t") + "s100\tsample\t\t\t\t100\tyes\n")
    grown = study_of(claimed, training={"batch_tokens": 500}, hardware={"name": "H100"}, seeds=[0, 1])
    assert refusal(claimed, grown) is None
    before = (claimed / "results/study.json").read_text()
    claim(claimed, grown)
    assert owner.read(claimed / "results").study() == grown
    assert (claimed / "results/study.json").read_text() != before
    (claimed / "models.tsv").write_text(MODELS.splitlines()[0] + "\nL\t2\t32\t128\t2\t4e-3\tconstant\n")
    assert refusal(claimed, study_of(claimed)) is None, "its own table, however it was changed"


def test_a_moved_configuration_is_the_same_study(claimed):
    """Tables and proteins move with it: names and a checksum tell."""
    away = claimed / "away"
    away.mkdir()
    for name in ("config.yaml", "models.tsv", "subsets.tsv", "proteins.fasta.gz"):
        shutil.copy(claimed / name, away / name)
    with (away / "models.tsv").open("a") as table:
        table.write("L\t2\t32\t128\t2\t4e-3\tconstant\n")
    tables = {"models": str(away / "models.tsv"), "subsets": str(away / "subsets.tsv")}
    moved = study_of(away, source=str(away / "proteins.fasta.gz"), **tables)
    assert refusal(claimed, moved, source=source_of(away)) is None
    (away / "models.tsv").write_text(MODELS.replace("wild", "tame"))
    assert "models (" in refusal(claimed, study_of(away, **tables))


def test_the_papers_sizes_on_other_sets_are_another_study(paper_study, tmp_path):
    """config/ladder.yaml names other tables: neither has all sets of the other."""
    results = tmp_path / "results"
    owner.claim(results, study=paper_study, configfiles=["config/config.yaml"])
    (results / "store").mkdir()
    (results / "store/stats.json").write_text("{}")
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    ladder = load_study(config | yaml.safe_load((ROOT / "config/ladder.yaml").read_text()), base=ROOT)
    said = owner.another(results, study=ladder)
    assert "subsets (config/subsets.tsv there, config/ladder_subsets.tsv here)" in said
    assert owner.another(results, study=paper_study) is None


def test_a_record_is_written_once_and_only_by_those_who_write_the_study(claimed):
    results, study = claimed / "results", study_of(claimed)
    path = results / "study.json"
    at = path.stat().st_mtime_ns
    claim(claimed, study)
    assert path.stat().st_mtime_ns == at
    assert list(file_formats.OWNER_MEANINGS) == list(json.loads(path.read_text())), "the reference of file formats"
    cut = replace(study, left_out=(grid(study)[-1].path,))
    for rules in (["plan"], ["status"], ["fits"], ["advise", "calibrate"], []):
        owner.begin(results, rules=rules, study=cut, configfiles=["x.yaml"], source=source_of(claimed))
        assert path.stat().st_mtime_ns == at
    owner.begin(results, rules=["plan", "train"], study=cut, configfiles=["x.yaml"], source=source_of(claimed))
    assert owner.read(results).study() == cut


@pytest.mark.parametrize("text", [b'{"format_version": 1, "configf', b"[]", b'{"study": {"config": {}}}', b"\xff"])
def test_a_damaged_record_is_named_and_can_be_deleted(claimed, text):
    path = claimed / "results/study.json"
    path.write_bytes(text)
    said = refusal(claimed, study_of(claimed))
    assert str(path) in said
    assert "Delete it" in said
    with pytest.raises(InputError, match="Delete it"):
        claim(claimed, study_of(claimed))
    path.unlink()
    claim(claimed, study_of(claimed))
    assert owner.read(claimed / "results").study() == study_of(claimed)


def test_a_record_of_a_later_version_still_refuses_and_asks_for_the_configuration(claimed):
    path = claimed / "results/study.json"
    found = json.loads(path.read_text())
    found["study"]["config"]["of_a_later_version"] = 1
    path.write_text(json.dumps(found))
    assert refusal(claimed, study_of(claimed)) is None
    assert "2 runs done" in refusal(claimed, study_of(claimed, max_length=50))
    with pytest.raises(InputError, match="another version of plmscale.*--configfile small.yaml"):
        study_there(claimed / "results")


def test_status_without_a_configuration_is_that_of_the_study_there(claimed, monkeypatch):
    (claimed / "here/config").mkdir(parents=True)
    shutil.copy(ROOT / "config/config.yaml", claimed / "here/config/config.yaml")
    for name in ("models.tsv", "subsets.tsv"):
        shutil.copy(ROOT / "config" / name, claimed / "here/config" / name)
    monkeypatch.chdir(claimed / "here")
    results = claimed / "results"
    said = write_status(study_there(results), results=results)
    assert said.splitlines()[0] == (
        f"{results}/: the study of small.yaml (proteins.fasta.gz, 3 sizes, 3 training sets, 2 of 12 runs done)"
    )
    assert said.splitlines()[-1].startswith("2 done, 10 not begun;")
    with pytest.raises(InputError, match="Without --configfile the status is that of the study there"):
        study_there(results, configfile=Path("config/config.yaml"))
    (results / "study.json").unlink()
    with pytest.raises(InputError, match="holds a study that an older version of plmscale made"):
        study_there(results)


@pytest.mark.slow
def test_snakemake_status_without_a_configuration_is_that_of_the_study_there(claimed):
    done = workflow(claimed, "status", "--quiet", "all")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("results/: the study of small.yaml")
    assert "2 done, 10 not begun" in done.stdout


@pytest.mark.slow
def test_the_first_job_that_writes_claims_the_folder(tmp_path):
    prepare(tmp_path)
    named = ("--configfile", str(tmp_path / "config.yaml"))
    assert workflow(tmp_path, "-n", "--quiet", "all", *named).returncode == 0
    assert not (tmp_path / "results/study.json").exists()
    done = workflow(tmp_path, "results/store/stats.json", "--quiet", "all", *named, "--config", "data_seed=1")
    assert done.returncode == 0, done.stdout + done.stderr
    found = owner.read(tmp_path / "results")
    assert found.configfiles == (str(tmp_path / "config.yaml"),)
    assert found.settings == {"data_seed": 1}
    assert (found.study().config.data_seed, [m.name for m in found.study().models]) == (1, ["S", "M", "wild"])
    other = workflow(tmp_path, "-n", "--quiet", "all")
    assert other.returncode == 1
    assert f"--configfile {tmp_path}/config.yaml --config data_seed=1 to go on with it." in other.stderr + other.stdout


def test_counted_are_the_sets_that_were_made_as_the_table_says(folder):
    results = folder / "results"
    there = {name: read_json(results / f"subsets/{name}.json")["n_tokens"] for name in ("all", "half", "like", "twice")}
    assert counted_tokens(results, study=study_of(folder)) == there

    def counted(**changes) -> set[str]:
        return set(counted_tokens(results, study=study_of(folder, **changes)))

    assert counted(max_length=50) == set()
    assert counted(data_seed=1) == {"all"}
    assert counted(holdout={"n_sequences": 99}) == set()
    (folder / "subsets.tsv").write_text(SETS + ROWS.replace("\t300\t", "\t200\t").replace("9999", "1"))
    assert counted() == {"all"}, "the other three are drawn from the sample that changed, or as large as it"
    (folder / "subsets.tsv").write_text(SETS + ROWS.replace("half\t2\t", "half\t3\t"))
    assert counted() == {"all", "half", "like"}
    (folder / "subsets.tsv").write_text(SETS + ROWS)
    (results / "subsets/like.json").unlink()
    assert counted() == {"all", "half", "twice"}
    stats = read_json(results / "store/stats.json")
    write_json(results / "store/stats.json", stats | {"n_sequences": 701})
    assert counted() == set()


def test_a_cluster_set_is_counted_while_its_mmseqs2_command_is_the_same(tmp_path):
    prepare(tmp_path, models=str(tmp_path / "models.tsv"), subsets=str(tmp_path / "subsets.tsv"))
    assert "c40" in SUBSETS
    made = {"mmseqs_flags": "linclust --min-seq-id 0.4 -c 0.8 --cov-mode 1 --cluster-mode 2 --kmer-per-seq 100"}
    counts = {"kind": "cluster", "max_length": 48, "n_sequences": 500, "n_tokens": 5, "provenance": made}
    write_json(tmp_path / "results/subsets/c40.json", counts)
    assert counted_tokens(tmp_path / "results", study=study_of(tmp_path)) == {"c40": 5}
    other = study_of(tmp_path, clustering={"method": "linclust", "coverage": 0.9})
    assert counted_tokens(tmp_path / "results", study=other) == {}
    more = study_of(tmp_path, clustering={"method": "linclust", "threads": 3, "memory_limit": "2G"})
    assert counted_tokens(tmp_path / "results", study=more) == {"c40": 5}


def test_samples_of_each_others_size_are_not_counted(folder):
    (folder / "subsets.tsv").write_text(SETS + "half\tsample\tlike\t\t\t300\tyes\nlike\tsample\thalf\t\t\t300\tyes\n")
    assert counted_tokens(folder / "results", study=study_of(folder)) == {}


STUB = """#!/bin/sh
echo "$*" >> {log}
case "$*" in *-n*) exit {refused};; esac
while [ $# -gt 0 ]; do [ "$1" = --directory ] && mkdir -p $2; shift; done
echo the numbers
"""


def make_study(folder: Path, *, refused: int = 0, config: str = "config/toy.yaml") -> tuple[str, list[str]]:
    """What `make study` prints, and how it calls plmscale; `refused`: the exit status of its dry run."""
    log, stub = folder / "calls", folder / "venv/bin/plmscale"
    log.unlink(missing_ok=True)
    stub.parent.mkdir(parents=True, exist_ok=True)
    stub.write_text(STUB.format(log=log, refused=refused))
    stub.chmod(0o755)
    shutil.copy(ROOT / "Makefile", folder)
    words = ["make", "-o", "setup", f"VENV={folder / 'venv'}", f"CONFIG={config}", "CORES=2", "study"]
    outside = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}  # `make test` runs this
    done = subprocess.run(words, cwd=folder, env=outside, capture_output=True, text=True, check=True)
    return done.stdout, [line for line in log.read_text().splitlines() if "-n" not in line.split()]


def test_make_study_leaves_results_to_the_papers_study(tmp_path):
    said, calls = make_study(tmp_path)
    assert calls == ["run --configfile config/toy.yaml --cores 2 --directory small_study"]
    assert said == "the numbers\n"
    assert not (tmp_path / "results").exists()
    (tmp_path / "results/runs").mkdir(parents=True)
    assert make_study(tmp_path)[1] == calls, "begun there, it goes on there"


@pytest.mark.parametrize(("refused", "folder"), [(0, "."), (1, "small_study")], ids=["its-own", "another-study"])
def test_make_study_goes_on_where_an_older_version_ran_it(tmp_path, refused, folder):
    (tmp_path / "results/runs").mkdir(parents=True)
    _, calls = make_study(tmp_path, refused=refused)
    assert calls == [f"run --configfile config/toy.yaml --cores 2 --directory {folder}"]


def test_make_study_of_your_own_configuration_is_here(tmp_path):
    _, calls = make_study(tmp_path, config="my.yaml")
    assert calls == ["run --configfile my.yaml --cores 2 --directory ."]


def test_files_of_the_workflow_are_named_from_its_folder():
    named = owner.named([ROOT / "config/toy.yaml", Path("/elsewhere/my.yaml")], base=ROOT)
    assert named == ["config/toy.yaml", "/elsewhere/my.yaml"]


def test_only_data_and_runs_make_a_folder_a_studys(tmp_path):
    for name in ("calibration/5M.json", "own_runs/runs.parquet", "logs/plan.log", "study.json"):
        write_json(tmp_path / name, {})
    (tmp_path / "store").mkdir()
    assert not unrecorded.holds_a_study(tmp_path)
    write_json(tmp_path / "trunks/5M/all/seed0/cell.json", {})
    assert unrecorded.holds_a_study(tmp_path)
