"""Run the commands that a page shows, and write what they print: `python docs/generators/transcripts.py PAGE`.

A block of `bash` that is followed by a block of `text` is a transcript; one without is run, and its output left out.
Where blocks stand below a line `<!-- run -->`, they alone are run. All commands of a page run in one empty folder in
which `resources/`, `config/` and `profiles/` are those of the checkout; a page that names `study/` finds there the
finished study of `tests/data/frozen`, which was made up; one with `plmscale evaluate`, there too the weights that a run
starts from, and some proteins; one with `plmscale init`, programs that answer as those of a cluster do. `plmscale run`
is a process of its own, as it starts Snakemake. `| head -n 5` and `| tail -n 5` work as in a shell.
"""

import argparse
import contextlib
import gzip
import io
import os
import re
import shlex
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import yaml

from plmscale.cli.main import main as plmscale
from plmscale.files import atomic, read_object
from plmscale.results.owner import claim
from plmscale.runs.collect import collect
from plmscale.runs.curve_files import to_frame
from plmscale.runs.curves import smooth
from plmscale.study.grid import Cell
from plmscale.study.study import load_study

INSIDE = r"(?:(?!```).)*"
MARK = "<!-- run -->\n"
FINISHED = "tests/data/frozen/{}.tar.xz"
BLOCK = re.compile(rf"(?P<mark>{MARK})?(```bash\n(?P<commands>{INSIDE})```\n)(?P<text>\n```text\n{INSIDE})?", re.S)


SCORED_CHARACTERS = 20_000
"""Of the example's proteins, what `plmscale evaluate` scores."""

CLUSTER = {
    "sinfo": "cpu|up|7-00:00:00|20|64|257000|(null)\ngpu|up|2-00:00:00|4|64|515000|gpu:l40s:4",
    "scontrol": "PartitionName=cpu PreemptMode=OFF\nPartitionName=gpu PreemptMode=REQUEUE",
    "sacctmgr": "biology",
}
"""What the programs of a cluster print: 20 nodes without GPUs, and 4 with four L40S each."""


def printed(command: str) -> str:
    """What a command prints, and its error if it ends with one."""
    command, _, kept = command.partition(" | ")
    words = shlex.split(command, comments=True)[1:]
    if words[:1] == ["run"]:
        done = subprocess.run([sys.executable, "-c", RUN, *words], capture_output=True, text=True)
        text = done.stdout + (done.stderr if done.returncode else "")
    else:
        text = _printed_here(words)
    lines = text.splitlines(keepends=True)
    if kept:
        end, _, n = kept.split()
        lines = lines[: int(n)] if end == "head" else lines[-int(n) :]
    return "".join(lines)


RUN = "import sys; from plmscale.cli.main import main; sys.exit(main())"
"""The command as an installation starts it."""


def _printed_here(words: list[str]) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        try:
            plmscale(words)
        except SystemExit as error:
            print(error)
    return out.getvalue()


def with_outputs(page: str, *, root: Path) -> str:
    """A page with what its commands print today."""

    def block(found: re.Match[str]) -> str:
        if marked and not found["mark"]:
            return found[0]
        commands = [line for line in found["commands"].splitlines() if line.startswith("plmscale ")]
        outputs = "\n".join([printed(command) for command in commands])
        shown = f"{found['mark'] or ''}{found[2]}"
        return shown if found["text"] is None else f"{shown}\n```text\n{outputs}"

    here, path, marked = Path.cwd(), os.environ["PATH"], MARK in page
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as programs:
        for name in ("resources", "config", "profiles"):
            (Path(folder) / name).symlink_to(root / name)
        if " study/" in page and marked:
            _finished_study(Path(folder) / "study", root=root)
            if "plmscale publish" in page:
                _recorded(Path(folder) / "study", root=root)
            if "plmscale evaluate" in page:
                _to_score(Path(folder) / "study", source=root / "resources/example/swissprot_20k.fasta.gz")
        if "plmscale init" in page and marked:
            _cluster(Path(programs))
            os.environ["PATH"] = f"{programs}{os.pathsep}{path}"
        os.chdir(folder)
        try:
            return BLOCK.sub(block, page)
        finally:
            os.chdir(here)
            os.environ["PATH"] = path


def _cluster(folder: Path) -> None:
    for name, text in CLUSTER.items():
        (folder / name).write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\n")
        (folder / name).chmod(0o755)


def _recorded(folder: Path, *, root: Path) -> None:
    """What a study's own run writes besides, and its archive needs: whose results they are, and the curves."""
    results = folder / "results"
    with contextlib.chdir(folder):
        study = load_study(yaml.safe_load(Path("my.yaml").read_text()), base=root)
        claim(Path("results"), study=study, configfiles=["my.yaml"])
    records, asked = sorted(results.glob("runs/*/*/*/*/run.json")), study.config.analysis
    metrics = [path.with_name("metrics.parquet") for path in records]
    runs = collect(records, metrics, convention=asked.flops, final_loss=asked.final_loss)
    (results / "analysis").mkdir()
    to_frame(smooth(runs)).to_parquet(results / "analysis/curves.parquet")


def _to_score(folder: Path, *, source: Path) -> None:
    """Proteins, and weights as training starts from them: no run of the made-up study was trained."""
    from safetensors.torch import save_file

    from plmscale.model.architecture import Shape
    from plmscale.model.esm2 import ESM2

    with gzip.open(source, "rt") as text:
        records = text.read(SCORED_CHARACTERS).split(">")[1:-1]
    (folder / "proteins.fasta").write_text("".join(f">{one}" for one in records))
    run = folder / "results/runs/w32/full/constant/seed0"
    size = Cell.from_json(read_object(run / "run.json")["cell"]).model
    state = ESM2(Shape(size.n_layers, size.d_model, size.d_ffn, size.n_heads), seed=0).state_dict()
    weights = {name: tensor.contiguous() for name, tensor in state.items() if name != "lm_head.weight"}
    save_file(weights, run / "model.safetensors")


def _finished_study(folder: Path, *, root: Path) -> None:
    for name, place in (("inputs", folder), ("products", folder / "results")):
        with tarfile.open(root / FINISHED.format(name)) as packed:
            packed.extractall(place, filter="data")
    (folder / "config.yaml").rename(folder / "my.yaml")


def main() -> None:
    """Write a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    page = parser.parse_args().page
    text = with_outputs(page.read_text(encoding="utf-8"), root=Path(__file__).parents[2])
    with atomic(page) as partial:
        partial.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
