"""Make the frozen study that `test_frozen_study` analyses again, or see what has changed against it.

    python tests/make_frozen.py --check            # what today's code makes of it otherwise; nothing is written
    python tests/make_frozen.py                    # its products anew, after a fault was mended on purpose
    python tests/make_frozen.py --tree CHECKOUT    # by another version of the package
    python tests/make_frozen.py --inputs           # its runs anew, too: then nothing vouches for the earlier products

In `tests/data/frozen/` there are then

- `inputs.tar.xz`: a study that was never trained: configuration, counts of its sets, and for every cell the metrics and
  the record of a run that follows a known law (`frozen_inputs`), and a table of somebody else's runs;
- `products.tar.xz`: what is made of it as text: fits, tables, summaries, plan, advice, comparison;
- `products.json`: SHA-256 of the other products (figures, the page, HTML), and the machine that made all of it.
"""

import argparse
import difflib
import hashlib
import json
import os
import re
import sys
import tempfile
from pathlib import Path

import yaml

from frozen_inputs import configure, own_runs, runs_of_the_law, sets_and_store
from plmscale.sets.mmseqs import MmseqsSettings, cluster_command
from plmscale.study.config import Config
from snapshots import DATA, ROOT, machine, pack, run, unpack

FROZEN = DATA / "frozen"
TEXTS = (".json", ".tsv", ".txt", ".md", ".tex")
"""Products that are kept whole; of others a checksum is."""

PLACES = ("fits", "tables", "figures", "plan", "own_runs", "comparison", "summary.txt", "summary.html", "report.html")
"""Of the products, under `results/`. Binary tables (`analysis/`) depend on the library that writes them; all that is
computed from them is here."""

VARIES = {
    r"(?<![\w.])[0-9a-f]{12}\b\+?(?!\.\d)": "COMMIT",  # of the code that runs; no part of a decimal number
    r"Page written \d{4}-\d\d-\d\d": "Page written DATE",
    r"((?:<td><code>[^<]*</code></td>){3})<td>.*?</td></tr>": r"\1<td>DESCRIPTION</td></tr>",  # of a setting
}
"""What every version, or every day, writes otherwise: put aside before anything is compared or summed."""

MADE_AT = 1_700_000_000
"""Time of all inputs, seconds since the epoch: none is newer than what is made of it."""


def make_inputs(tree: Path, folder: Path) -> None:
    """Cells as the workflow of a checkout freezes them, with runs, sets and store made up."""
    configure(folder)
    own_runs(folder / "own.csv")
    run(tree, folder, "--until", "freeze")
    sets_and_store(folder)
    runs_of_the_law(folder)
    files = [folder / name for name in ("config.yaml", "models.tsv", "subsets.tsv", "own.csv", "proteins.fasta.gz")]
    files += [path for path in folder.glob("results/**/*") if path.is_file() and "logs" not in path.parts]
    for path in files:
        os.utime(path, (MADE_AT, MADE_AT))
    pack(FROZEN / "inputs.tar.xz", folder, files, tree=tree)


def make_products(tree: Path, folder: Path) -> dict[str, Path]:
    """Everything that the workflow of a checkout makes of the frozen study, by its path under `results/`.

    The folder has to be called `study`: a comparison names studies by their folders.
    """
    assert folder.name == "study"
    unpack(FROZEN / "inputs.tar.xz", folder)
    say_how_sets_were_made(folder)
    # Where Snakemake recorded nothing, a script that is younger than the inputs would be a reason to train.
    only = ("--rerun-triggers", "mtime")
    run(tree, folder, "all", "plan", "advise", "fits", *only)
    run(tree, folder, "compare", *only, "--config", "compare=[results]")
    return found_products(folder / "results")


def say_how_sets_were_made(folder: Path) -> None:
    """Complete the counts of the made-up sets: a plan counts only a set that was made as the configuration defines it.

    Of the products only the table of sets shows it, with the command of MMseqs2.
    """
    config = Config.model_validate(yaml.safe_load((folder / "config.yaml").read_text()))
    clustering = MmseqsSettings(**config.clustering.model_dump(exclude={"scratch"}))
    files = {path.stem: path for path in (folder / "results/subsets").glob("*.json")}
    counts = {name: json.loads(path.read_text()) for name, path in files.items()}
    n_pool = counts["full"]["n_sequences"]
    for name, one in counts.items():
        made = {"n_available": n_pool}
        if one["kind"] == "cluster":
            made["mmseqs_flags"] = cluster_command(one["min_identity"], settings=clustering)
        if one["kind"] == "sample":
            made |= {"n_requested": counts["c40"]["n_sequences"], "seed": config.data_seed}
        if one["kind"] in ("cluster", "sample"):
            _rewrite(files[name], one | {"provenance": made})
    stats = folder / "results/store/stats.json"
    _rewrite(stats, json.loads(stats.read_text()) | {"n_sequences": n_pool + config.holdout.n_sequences})


def _rewrite(path: Path, value: dict) -> None:
    """Another content at the time that the file had: Snakemake makes again what is older than its input."""
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    path.write_text(json.dumps(value))
    os.utime(path, ns=times)


def found_products(results: Path) -> dict[str, Path]:
    files = [file for place in PLACES for file in [results / place, *(results / place).rglob("*")] if file.is_file()]
    return {file.relative_to(results).as_posix(): file for file in sorted(files) if file.suffix != ".parquet"}


def normal(text: str) -> str:
    """A text without what varies."""
    for pattern, stands_for in VARIES.items():
        text = re.sub(pattern, stands_for, text)
    return text


def is_text(name: str) -> bool:
    return name.endswith(TEXTS)


def write_products(products: dict[str, Path], folder: Path, *, tree: Path) -> None:
    texts = [file for name, file in products.items() if is_text(name)]
    pack(FROZEN / "products.tar.xz", folder / "results", texts, tree=tree)
    sums = {name: checksum(file) for name, file in products.items() if not is_text(name)}
    (FROZEN / "products.json").write_text(json.dumps({"machine": machine(), "sha256": sums}, indent=1) + "\n")


def checksum(file: Path) -> str:
    content = normal(file.read_text()).encode() if file.suffix == ".html" else file.read_bytes()
    return hashlib.sha256(content).hexdigest()


def changes(products: dict[str, Path], before: Path) -> list[str]:
    """A line for each product that is another, new or gone, with the first lines that differ."""
    sums = json.loads((FROZEN / "products.json").read_text())["sha256"]
    frozen = {path.relative_to(before).as_posix() for path in before.rglob("*") if path.is_file()} | set(sums)
    told = [f"gone: {name}" for name in sorted(frozen - set(products))]
    told += [f"new: {name}" for name in sorted(set(products) - frozen)]
    for name in sorted(frozen & set(products)):
        if not is_text(name):
            told += [f"another: {name}"] if checksum(products[name]) != sums[name] else []
            continue
        old, new = (normal((folder / name).read_text()).splitlines() for folder in (before, _root_of(products, name)))
        found = list(difflib.unified_diff(old, new, lineterm="", n=0))[2:]
        told += [f"another: {name}", *(f"    {line[:150]}" for line in found[:12])] if found else []
    return told


def _root_of(products: dict[str, Path], name: str) -> Path:
    return products[name].parents[name.count("/")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tree", type=Path, default=ROOT, help="the checkout whose code makes them; this one")
    parser.add_argument("--inputs", action="store_true", help="make the runs anew, too")
    parser.add_argument("--check", action="store_true", help="print what has changed, write nothing")
    args = parser.parse_args()
    FROZEN.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        inputs, study, before = (Path(scratch, name) for name in ("inputs", "study", "before"))
        if args.inputs:
            inputs.mkdir()
            make_inputs(args.tree.resolve(), inputs)
        products = make_products(args.tree.resolve(), study)
        if args.check:
            told = changes(products, unpack(FROZEN / "products.tar.xz", before))
            print("\n".join(told) or "nothing has changed")
            sys.exit(bool(told))
        write_products(products, study, tree=args.tree.resolve())


if __name__ == "__main__":
    main()
