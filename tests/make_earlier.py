"""Make the folders of an earlier version that `test_earlier_versions` goes on with.

    git worktree add /elsewhere COMMIT
    python tests/make_earlier.py --tree /elsewhere

COMMIT is the version that is to make them: ab37910, the last one before the package had rooms. In `tests/data/earlier/`
there are then

- `finished.tar.xz`: a study that the workflow of that version has run to its end, with Snakemake's metadata;
- `killed_torch.tar.xz`: one cell of it as SIGKILL left it, with a checkpoint, to be unpacked over the finished study;
- `killed_deepspeed.tar.xz`: the same under DeepSpeed, ZeRO stage 2, one rank, and in `expected/` what the same version
  made of that cell uninterrupted;
- `machine.json`: where they were made.

Figures, the page, logs, benchmarks and TensorBoard files are left out: they are large, and nothing is made from them.
"""

import argparse
import gzip
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import yaml

from snapshots import DATA, ROOT, environment, machine, pack, run, workflow

CELL = Path("results/runs/S/all/token_decay/seed0")
LEFT_OUT = {"figures", "logs", "benchmarks", "tensorboard", "report.html", ".scratch", "locks", "log", "scripts"}
MODELS = """name\tn_layers\td_model\td_ffn\tn_heads\tlearning_rate\tschedules
S\t1\t16\t64\t1\t4e-3\ttoken_decay,wsd
"""
SUBSETS = """name\tkind\tmin_identity\tsame_size_as\tof\tepochs\tn_sequences\ttrain
all\tall\t\t\t\t\t300\tyes
half\tpasses\t\t\tall\t0.5\t\tyes
c40\tcluster\t0.4\t\t\t\t250\tno
s40\tsample\t\tc40\t\t\t250\tno
s90\tsample\t\t\t\t\t90\tyes
"""
CONFIG = {
    "source": "proteins.fasta.gz",
    "models": "models.tsv",
    "subsets": "subsets.tsv",
    "max_length": 64,
    "clustering": {"method": "linclust"},
    "holdout": {"n_sequences": 40},
    "training": {"batch_tokens": 300, "log_every_steps": 1, "decay_tokens": 20},
    "hardware": {"device": "cpu", "peak_flops": 1e11, "memory_gib": 4, "devices_per_node": 1, "max_nodes": 1},
    "execution": {"engine": "torch", "checkpoint_tokens": 2000, "monitors": ["csv"]},
    "analysis": {"n_bootstrap": 20, "n_envelope_points": 200, "budgets": [1e8, 1e9]},
}
ENGINES = {"torch": (), "deepspeed": ("--config", "execution={engine: deepspeed}")}
"""What makes a job train the cell with an engine."""


def prepare(folder: Path) -> None:
    """Write configuration and proteins: the first 300 of the example that have 30 to 100 residues."""
    folder.mkdir(parents=True)
    with gzip.open(ROOT / "resources/example/swissprot_20k.fasta.gz", "rt") as example:
        records = example.read().removeprefix(">").split("\n>")
    short = [r.rstrip("\n") for r in records if 30 <= sum(map(len, r.split("\n")[1:])) <= 100][:300]
    (folder / "proteins.fasta.gz").write_bytes(gzip.compress("".join(f">{r}\n" for r in short).encode(), mtime=0))
    (folder / "models.tsv").write_text(MODELS)
    (folder / "subsets.tsv").write_text(SUBSETS)
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))


def kill_while_it_trains(tree: Path, folder: Path, *, engine: str) -> None:
    """Train the cell again and kill everything once it has a checkpoint; once more if that was too late."""
    words = workflow(tree, folder, str(CELL / "run.json"), *ENGINES[engine])
    while True:
        shutil.rmtree(folder / CELL)
        job = subprocess.Popen(words, start_new_session=True, env=environment(tree), stderr=subprocess.DEVNULL)
        while not any((folder / CELL).glob("checkpoints/step*/progress.json")) and job.poll() is None:
            time.sleep(0.002)
        if job.poll() is None:
            os.killpg(job.pid, signal.SIGKILL)
        job.wait()
        if not any((folder / CELL / name).exists() for name in ("run.json", "finished.json")):
            return


def kept(folder: Path, *paths: str | Path) -> list[Path]:
    """The files under these paths that are worth keeping."""
    found = [file for path in paths for file in [folder / path, *(folder / path).rglob("*")] if file.is_file()]
    return [file for file in found if not LEFT_OUT & set(file.relative_to(folder).parts)]


def make(tree: Path, out: Path, scratch: Path) -> None:
    """Make all of them with the package and the workflow of a checkout."""
    study = scratch / "study"
    prepare(study)
    run(tree, study)
    pack(out / "finished.tar.xz", study, kept(study, *(path.name for path in study.iterdir())), tree=tree)
    for engine, more in ENGINES.items():
        again = scratch / engine
        shutil.copytree(study, again, symlinks=True)
        if engine != "torch":  # the finished study itself was trained with torch
            run(tree, again, str(CELL / "run.json"), "--forcerun", "train", *more)
            shutil.copytree(again / CELL, again / "expected")
        kill_while_it_trains(tree, again, engine=engine)
        pack(out / f"killed_{engine}.tar.xz", again, kept(again, CELL, ".snakemake/incomplete", "expected"), tree=tree)
    (out / "machine.json").write_text(json.dumps(machine(), indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tree", type=Path, required=True, help="a checkout of the version that is to make them")
    (DATA / "earlier").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        make(parser.parse_args().tree.resolve(), DATA / "earlier", Path(scratch))


if __name__ == "__main__":
    main()
