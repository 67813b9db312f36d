"""Analyse the study of Swiss-Prot again, and write what docs show of it: `python docs/generators/swissprot.py`.

The study is studies/swissprot, as `plmscale publish` wrote it. Today's code repeats its analysis from the records of
its runs, and publishes it in its place with the description below; docs/explanation gets its figures. The table of
learning rates there is that of studies/swissprot_rates. A test makes analysis and table again.
"""

import re
import shutil
import tempfile
from pathlib import Path

import pandas as pd

from plmscale.cli.main import main as plmscale
from plmscale.files import atomic

ROOT = Path(__file__).parents[2]
STUDY, RATES = ROOT / "studies/swissprot", ROOT / "studies/swissprot_rates/runs.tsv"
PAGE, FIGURES = "docs/explanation/swissprot.md", ("forecast", "isoflop", "compute_optimal")
DESCRIPTION = [
    *("--title", "Scaling laws of all of Swiss-Prot on two CPU cores"),
    "--summary",
    "Nine sizes of 4K to 470K parameters on 3 to 51 million tokens of Swiss-Prot (release 2014_01, 435,059 distinct "
    "sequences), two seeds of each, and a run of 617K parameters at 8.2 times the compute that was predicted before it "
    "was trained. The proteins are those of UniProt's archive, under CC BY 4.0.",
    *("--author", "The plmscale developers", "--licence", "CC-BY-4.0", "--date", "2026-11-30"),
    *(word for part in ("figures", "analysis", "cards", "lock") for word in ("--without", part)),
]
"""Of the published study: figures, model cards and locks would be larger than all the rest."""

BLOCK = re.compile(r"(<!-- rates -->\n)(.*?)(\n<!-- end -->)", re.S)


def rates() -> str:
    """Holdout loss by rate of each size and length, the lowest in bold."""
    runs = pd.read_csv(RATES, sep="\t")
    lines = ["| parameters | features | tokens | learning rate: holdout loss (nats) |", "|---|---|---|---|"]
    for _, own in runs.groupby(["n_tokens", "n_params"]):
        tokens, n_params, width = (int(own[name].iloc[0]) for name in ("n_tokens", "n_params", "d_model"))
        best = own["holdout_loss"].min()
        tried = [f"{row['learning_rate']:g}: {row['holdout_loss']:.4f}" for row in own.to_dict("records")]
        shown = [f"**{text}**" if loss == best else text for text, loss in zip(tried, own["holdout_loss"], strict=True)]
        lines.append(f"| {n_params:,} | {width} | {tokens / 1e6:.1f}M | {'; '.join(shown)} |")
    return "\n".join(lines)


def with_tables(page: str) -> str:
    """The page with the table of today."""
    return BLOCK.sub(lambda found: f"{found[1]}{rates()}{found[3]}", page)


def main() -> None:
    """Write the page, its figures, and the published study."""
    text = with_tables((ROOT / PAGE).read_text(encoding="utf-8"))
    with atomic(ROOT / PAGE) as partial:
        partial.write_text(text, encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        again, new = Path(folder) / "again", Path(folder) / "new"
        # Its status is not asked: after a change of what is said, the published texts differ, and are replaced.
        plmscale(["reproduce", "--study", str(STUDY), "--out", str(again)])
        for name in FIGURES:
            shutil.copyfile(again / f"results/figures/{name}.png", ROOT / f"docs/explanation/swissprot_{name}.png")
        assert plmscale(["publish", "--results", str(again / "results"), "--out", str(new), *DESCRIPTION]) == 0
        shutil.rmtree(STUDY)
        shutil.copytree(new, STUDY)


if __name__ == "__main__":
    main()
