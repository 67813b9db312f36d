"""The workflow as its users see it: what runs, what does not run again, and what a kill costs."""

import gzip
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import pytest
import yaml

import forked
from conftest import ROOT
from plmscale.plan.dispatch import stoppable
from plmscale.study.catalog import FITS, TABLES, figure_names

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("workflow")]

MODELS = """name\tn_layers\td_model\td_ffn\tn_heads\tlearning_rate\tschedules
S\t1\t16\t64\t1\t4e-3\ttoken_decay,constant
M\t2\t24\t96\t2\t4e-3\tconstant
wild\t1\t16\t64\t1\t1e30\tconstant
"""
SUBSETS = """name\tkind\tmin_identity\tsame_size_as\tn_sequences\ttrain
all\tall\t\t\t600\tyes
c40\tcluster\t0.4\t\t500\tno
s40\tsample\t\tc40\t500\tno
"""
CONFIG = {
    "source": "proteins.fasta.gz",
    "models": "models.tsv",
    "subsets": "subsets.tsv",
    "max_length": 48,
    "clustering": {"method": "linclust"},
    "holdout": {"n_sequences": 100},
    "training": {"batch_tokens": 1000, "log_every_steps": 1, "decay_tokens": 20},
    "hardware": {"device": "cpu", "peak_flops": 1e11, "memory_gib": 4, "devices_per_node": 1, "max_nodes": 1},
    "execution": {"engine": "torch", "checkpoint_tokens": 3000},
    "analysis": {"n_bootstrap": 20, "budgets": [1e9, 1e10]},
}
KEPT_BY_GIT = ("src", "workflow", "config", "profiles", "envs", "Snakefile")


def prepare(folder: Path, **changes) -> Path:
    """A working directory with 700 real proteins and a small configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    with gzip.open(ROOT / "resources/example/swissprot_20k.fasta.gz", "rt") as example:
        records = example.read().split("\n>")[:700]
    with gzip.open(folder / "proteins.fasta.gz", "wt") as out:
        out.write("\n>".join(records) + "\n")
    (folder / "models.tsv").write_text(MODELS)
    (folder / "subsets.tsv").write_text(SUBSETS)
    configure(folder, **changes)
    return folder


def configure(folder: Path, **changes) -> None:
    merged = {
        k: (v | changes[k] if isinstance(v, dict) and k in changes else changes.get(k, v)) for k, v in CONFIG.items()
    }
    merged |= {k: v for k, v in changes.items() if k not in merged}
    (folder / "config.yaml").write_text(yaml.safe_dump(merged))


def command(folder: Path, *args: str, root: Path = ROOT) -> list[str]:
    words = [sys.executable, "-m", "snakemake", "--snakefile", str(root / "Snakefile"), "--directory", str(folder)]
    return [*words, "--configfile", str(folder / "config.yaml"), "--cores", "2", *args]


def environment(root: Path = ROOT) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PATH": path, "PYTHONPATH": str(root / "src"), "OMP_NUM_THREADS": "1"}


def snakemake(folder: Path, *args: str, root: Path = ROOT) -> str:
    done = run(folder, *args) if root == ROOT else start(folder, *args, root=root)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def run(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """This checkout's workflow, whatever comes of it."""
    return forked.run(command(folder, *args), env=environment())


def start(folder: Path, *args: str, root: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """The workflow of a checkout, in a process that imports it."""
    return subprocess.run(command(folder, *args, root=root), capture_output=True, text=True, env=environment(root))


def planned(folder: Path, *args: str, root: Path = ROOT) -> dict[str, int]:
    """Jobs by rule that would run."""
    output = snakemake(folder, "--dry-run", *args, root=root)
    return {rule: int(n) for rule, n in re.findall(r"^(\w+) +(\d+)$", output, re.M)}


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """A finished study; tests look at it and plan changes, but run nothing in it."""
    folder = prepare(tmp_path_factory.mktemp("study"))
    done = run(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture
def changed(study) -> Path:
    """The finished study, put back as it was after a test that edits its configuration."""
    saved = {name: (study / name).read_text() for name in ("models.tsv", "subsets.tsv", "config.yaml")}
    yield study
    for name, text in saved.items():
        (study / name).write_text(text)


def test_tests_of_a_group_stay_on_one_worker(request):
    """Otherwise each worker trains a study of its own, and tests on SLURM skip where another worker has the cluster."""
    grouped = request.config.getoption("loadgroup", default=False)
    assert request.node.nodeid.endswith("@workflow") == grouped


def test_every_product_is_there(study):
    results = study / "results"
    for name in TABLES:
        assert all((results / f"tables/{name}.{suffix}").stat().st_size for suffix in ("tsv", "md", "tex"))
    for name in figure_names({"token_decay", "constant"}):
        assert all((results / f"figures/{name}.{suffix}").stat().st_size for suffix in ("pdf", "svg", "png", "csv"))
    for name in FITS:
        assert set(json.loads((results / f"fits/{name}.json").read_text())["schedules"]) == {"token_decay", "constant"}
    assert (results / "summary.txt").read_text()
    assert (results / "report.html").read_text().endswith("</html>")


def test_guarantee_1_second_run_does_nothing(study):
    assert "Nothing to be done" in snakemake(study, "--dry-run")


def test_guarantee_1_new_model_trains_its_own_cells(changed):
    (changed / "models.tsv").write_text(MODELS + "L\t2\t32\t128\t2\t4e-3\ttoken_decay,constant\n")
    jobs = planned(changed)
    assert jobs["train"] == jobs["freeze"] == 2
    assert not {"store", "subset", "holdout"} & set(jobs)


def test_guarantee_1_new_subset_trains_its_own_cells(changed):
    (changed / "subsets.tsv").write_text(SUBSETS + "s200\tsample\t\t\t200\tyes\n")
    jobs = planned(changed)
    assert jobs["train"] == jobs["freeze"] == 4
    assert jobs["subset"] == 1
    assert not {"store", "holdout"} & set(jobs)


def test_guarantee_1_training_on_a_counted_set_does_not_make_it_again(changed):
    rows = SUBSETS.replace("c40\t500\tno", "c40\t500\tyes").replace("0.4\t\t500\tno", "0.4\t\t501\tno")
    (changed / "subsets.tsv").write_text(rows)
    jobs = planned(changed)
    assert jobs["train"] == 4
    assert "subset" not in jobs


def test_guarantee_1_removed_rows_train_nothing(changed):
    (changed / "models.tsv").write_text("\n".join(MODELS.splitlines()[:-1]) + "\n")
    assert "train" not in planned(changed)


@pytest.mark.parametrize(
    "changes",
    [
        {"hardware": {"mfu": 0.1, "name": "another", "peak_flops": 1e12, "target_hours": 0.001, "devices_per_node": 8}},
        {"execution": {"engine": "deepspeed", "checkpoint_tokens": 777, "threads": 2, "zero_stage": 1}},
        {"execution": {"monitors": ["csv", "wandb"], "wandb_project": "a b'; exit 1", "progress_seconds": 0.5}},
        {"analysis": {"n_bootstrap": 30, "flops": "6nd"}},
        {"training": {"cosine": {"floor": 0.5}, "wsd": {"shape": "linear"}, "stop": {"tolerance": 0.5}}},
    ],
    ids=["hardware", "execution", "monitors", "analysis", "other-schedules"],
)
def test_guarantee_2_what_cannot_change_a_result_never_retrains(changed, changes):
    configure(changed, **changes)
    assert not {"train", "freeze", "store", "subset", "holdout"} & set(planned(changed))


def test_guarantee_2_another_learning_rate_retrains_its_model_alone(changed):
    (changed / "models.tsv").write_text(MODELS.replace("2\t24\t96\t2\t4e-3", "2\t24\t96\t2\t5e-3"))
    assert planned(changed)["train"] == 1


def test_guarantee_2_another_batch_retrains_all(changed):
    configure(changed, training={"batch_tokens": 1001})
    assert planned(changed)["train"] == 4


def test_guarantee_2_no_grid_wide_file_is_an_input_of_training(study):
    lines = [line.split("\t") for line in snakemake(study, "--detailed-summary").splitlines() if "\t" in line]
    column = lines[0].index("input-file(s)")
    inputs = [line[column] for line in lines if line[lines[0].index("rule")] == "train"]
    assert len(inputs) == 8  # metrics and record of four cells
    own = r"results/(runs/\w+/all/\w+/seed0/cell\.json|store/\w+\.\w+|subsets/(all|holdout)\.npy)"
    assert all(re.fullmatch(own, file) for files in inputs for file in files.split(","))


def test_guarantee_3_editing_the_package_retrains_nothing_but_refits(study, tmp_path):
    root = tmp_path / "edited"
    root.mkdir()
    for name in KEPT_BY_GIT:
        source = ROOT / name
        shutil.copytree(source, root / name) if source.is_dir() else shutil.copy2(source, root / name)
    edited = ("model/esm2", "training/trainer", "training/engine", "sets/batches", "sets/subsets", "sequences/store")
    for module in (*edited, "laws/solvers/chinchilla"):
        with (root / f"src/plmscale/{module}.py").open("a") as file:
            file.write("\n# edited\n")
    jobs = planned(study, root=root)
    assert not {"train", "freeze", "store", "subset", "holdout"} & set(jobs)
    assert jobs["fit"] == len(FITS)


def test_guarantee_3_mixed_versions_are_warned_of(study):
    from plmscale.runs.collect import read_runs, trained_with, version_warnings

    runs = read_runs(sorted(study.glob("results/runs/*/*/*/*/run.json")))
    assert version_warnings(trained_with(runs)) == []
    runs[0]["versions"]["torch"] = "0.4"
    (warning,) = version_warnings(trained_with(runs))
    assert "torch" in warning


def test_guarantee_6_nothing_in_code_knows_the_small_study():
    files = [
        *ROOT.glob("src/**/*.py"),
        *ROOT.glob("workflow/**/*.smk"),
        *ROOT.glob("workflow/**/*.py"),
        ROOT / "Snakefile",
    ]
    assert len(files) > 30
    assert not [f for f in files if re.search(r"\btoy\b", f.read_text(), re.I)]


def test_guarantee_6_the_papers_study_is_the_same_rules(tmp_path):
    """Without network and without data: 56 cells, and the plan."""
    words = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(tmp_path)]
    done = forked.run([*words, "--cores", "1", "-n"], env=environment())
    assert done.returncode == 0, done.stderr
    assert re.search(r"^train +56$", done.stdout, re.M)
    done = forked.run([*words, "--cores", "1", "plan"], env=environment())
    assert done.returncode == 0, done.stderr
    cells = pd.read_csv(tmp_path / "results/plan/cells.tsv", sep="\t")
    assert len(cells) == 56
    sums = pd.read_csv(tmp_path / "results/plan/summary.tsv", sep="\t").set_index("by")
    assert sums.loc["study", "device_hours"] == pytest.approx(cells["device_hours"].sum())


def test_the_slurm_profile_launches_one_process_per_device_of_the_plan(tmp_path):
    """One device, one node, several nodes; no SLURM and no data are needed to see it."""
    cells = {
        "5M/sampled20/constant": (1, 1, 8, "python"),
        "15M/uniref50/token_decay": (1, 1, 32, f"torchrun --standalone --nproc-per-node=4 {stoppable(120)}"),
        "650M/uniref50/token_decay": (4, 32, 8, "python"),
    }
    cells = {
        cell: f"step=srun; ${{step:+$step --nodes={nodes} --ntasks={tasks} --cpus-per-task={cores} "
        f"--kill-on-bad-exit=1}} {launcher} -m plmscale train"
        for cell, (nodes, tasks, cores, launcher) in cells.items()
    }
    words = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(tmp_path)]
    targets = [f"results/runs/{cell}/seed0/run.json" for cell in cells]
    words += [*targets, "--profile", str(ROOT / "profiles/slurm"), "--dry-run", "--printshellcmds"]
    done = forked.run(words, env=environment())
    assert done.returncode == 0, done.stderr
    launched = r"^Shell command: .*?(step=.* -m plmscale train) --cell results/runs/(.*?)/seed0"
    commands = re.findall(launched, done.stdout, re.M)
    assert {cell: launched for launched, cell in commands} == cells


@pytest.fixture
def server(tmp_path):
    """A local HTTP server of a folder."""
    folder = tmp_path / "server"
    folder.mkdir()
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


def test_a_source_by_url_is_downloaded_verified_and_recorded(tmp_path, server):
    served, url = server
    folder = prepare(tmp_path / "study")
    raw = (folder / "proteins.fasta.gz").read_bytes()
    (served / "proteins.fasta.gz").write_bytes(raw)
    (served / "RELEASE.metalink").write_text(
        '<metalink version="3.0" xmlns="http://www.metalinker.org/"><version>2024_02</version><files>'
        f'<file name="proteins.fasta.gz"><size>{len(raw)}</size><verification>'
        f'<hash type="md5">{hashlib.md5(raw).hexdigest()}</hash></verification></file></files></metalink>'
    )
    here = {"source": f"{url}/proteins.fasta.gz", "source_metalink": f"{url}/RELEASE.metalink"}
    configure(folder, **here, source_release="2024_03")
    refused = run(folder, "--until", "store")
    assert refused.returncode != 0
    assert "is of release 2024_02, but source_release is '2024_03'" in refused.stdout + refused.stderr
    downloaded = folder / "resources/download/proteins.fasta.gz"
    assert not downloaded.exists()
    configure(folder, **here, source_release="2024_02")
    snakemake(folder, "--until", "store")
    assert downloaded.read_bytes() == raw
    stats = json.loads((folder / "results/store/stats.json").read_text())
    assert stats["n_sequences"] == 700
    known = {"release": "2024_02", "bytes": len(raw), "verified_by": "metalink", "url": here["source"]}
    assert stats["retrieval"].items() >= known.items()
    assert stats["retrieval"]["sha256"] == stats["source_sha256"]


def test_guarantee_7_a_diverged_cell_is_shown_and_the_study_ends_well(study):
    record = json.loads((study / "results/runs/wild/all/constant/seed0/run.json").read_text())
    assert record["status"] == "diverged"
    runs = pd.read_csv(study / "results/tables/runs.tsv", sep="\t")
    shown = runs[runs["model"] == "wild"]
    assert len(shown) == 1
    assert "diverged" in shown.to_csv()


def test_guarantee_7_laws_that_the_data_do_not_give_have_no_number(study):
    fit = json.loads((study / "results/fits/envelope.json").read_text())["schedules"]["token_decay"]
    assert fit["status"] in ("not_identified", "failed")
    assert fit["reason"]
    assert fit["estimates"]["a"]["value"] is None


def test_parsing_the_workflow_never_imports_torch(study):
    code = (
        "import sys; sys.argv[0] = 'snakemake'\n"
        "from snakemake.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as e: assert not e.code, e.code\n"
        "found = {m for m in ('torch', 'deepspeed', 'matplotlib') if m in sys.modules}; assert not found, found"
    )
    words = command(study, "--dry-run", "--quiet", "all")
    done = subprocess.run([sys.executable, "-c", code, *words[3:]], capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stdout + done.stderr


def test_one_cell_again_touches_nothing_else(tmp_path, study):
    folder = tmp_path / "copy"
    shutil.copytree(study, folder, copy_function=shutil.copy2)
    target = "results/runs/S/all/constant/seed0/run.json"
    files = [p for p in sorted(folder.rglob("results/runs/**/*")) if p.is_file()]
    before = {p: p.stat().st_mtime_ns for p in files}
    metrics = pd.read_parquet(folder / "results/runs/S/all/constant/seed0/metrics.parquet")
    snakemake(folder, target, "--forcerun", "train")
    written = {
        p.parent.relative_to(folder / "results/runs").as_posix() for p in files if p.stat().st_mtime_ns != before[p]
    }
    assert written == {"S/all/constant/seed0"}
    again = pd.read_parquet(folder / "results/runs/S/all/constant/seed0/metrics.parquet")
    pd.testing.assert_frame_equal(again, metrics, check_exact=True)
    record = json.loads((folder / target).read_text())
    assert [each["reason"] for each in record["attempts"]] == ["finished", "finished"], "trained twice, and says so"
    log = (folder / "results/logs/train/S/all/constant/seed0.log").read_text()
    assert log.count("=== attempt of ") == 2, "the log of the first attempt is gone"


def test_one_cell_by_name_is_told_of_removed_and_trained_again(tmp_path, study):
    folder = tmp_path / "copy"
    shutil.copytree(study, folder, copy_function=shutil.copy2)
    named = ("--config", "cell=S/all/constant/seed0")
    assert "Nothing to be done" in snakemake(folder, "--dry-run", "cell", *named)
    assert "3 done, 1 diverged" in snakemake(folder, "status")
    snakemake(folder, "remove", *named)
    assert not (folder / "results/runs/S/all/constant").exists() or not list(
        (folder / "results/runs/S/all/constant").rglob("*.json")
    )
    assert "3 done" not in snakemake(folder, "status")
    assert planned(folder, "cell", *named)["train"] == 1
    refused = run(folder, "--dry-run", "cell", "--config", "cell=S/all/const/seed0")
    assert refused.returncode != 0
    assert "is not a cell of this study. The nearest are S/all/constant/seed0" in refused.stdout + refused.stderr


def test_killed_in_the_middle_of_training_it_finishes_with_the_same_metrics(tmp_path, study):
    folder = prepare(tmp_path / "killed")
    process = subprocess.Popen(
        command(folder, "runs"),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(),
    )
    while not list(folder.glob("results/runs/*/*/*/*/checkpoints/step*/progress.json")):
        assert process.poll() is None, "the study ended before it could be killed"
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    begun = [
        p.parent for p in folder.glob("results/runs/*/*/*/*/metrics.jsonl") if not (p.parent / "run.json").exists()
    ]
    assert begun
    snakemake(folder, "--unlock")
    snakemake(folder, "runs")
    for run in study.glob("results/runs/*/*/*/*/metrics.parquet"):
        other = folder / run.relative_to(study)
        pd.testing.assert_frame_equal(pd.read_parquet(other), pd.read_parquet(run), check_exact=True)
    assert any(json.loads((run / "run.json").read_text())["resumed_at_steps"] for run in begun)
