"""Write what `plmscale forecast --score` prints of the small study: `python docs/generators/forecast_shown.py`.

It is made again from the table of the study's runs: the laws of all others predict the largest, which is then scored.
It stands in docs/howto/forecast.md, and a test makes it again. Date and checksum, each forecast's own, are left out.
"""

import re
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

import plmscale
from plmscale.files import atomic
from plmscale.forecast.freeze import Asked, freeze
from plmscale.forecast.score import score_cells, score_sizes
from plmscale.forecast.words import forecast_text
from plmscale.laws.fit import FitSettings
from plmscale.presentation.figure_style import SizeScale
from plmscale.report.forecast import predicted_and_came

ROOT = Path(__file__).parents[2]
PAGE = "docs/howto/forecast.md"
TABLE = "resources/runs/identified_study.csv.gz"
LARGE = "large"
BLOCK = re.compile(r"(<!-- forecast -->\n```text\n)(.*?)(```\n)", re.S)


def made() -> tuple[dict[str, Any], pd.DataFrame]:
    """The forecast of the largest run, and its score by cell."""
    runs = plmscale.read_runs(ROOT / TABLE).frame
    named, others = (runs.loc[(runs["subset"] == LARGE) == large] for large in (True, False))
    cells = [
        Asked(
            str(row["run"]),
            str(row["model"]),
            LARGE,
            str(row["schedule"]),
            0,
            int(row["n_params"]),
            int(row["n_tokens"]),
        )
        for row in named.to_dict("records")
    ]
    found = freeze(others, cells, data={}, seed=0, settings=FitSettings())
    came = pd.DataFrame({"run": named["run"], "status": "done", "final_loss": named["loss"]}, dtype=object)
    return found, score_cells(found, came)


def printed() -> str:
    """The lines of every cell, and the score."""
    laws = plmscale.fit(ROOT / TABLE)
    found, scored = made()
    return forecast_text({**found, "checksum": ""}, scored, score_sizes(found, laws.results.fits)).split("\n\n", 1)[1]


def figure(laws: Any) -> Figure:
    """The largest run beside the others, from whose laws it was predicted."""
    return predicted_and_came(made()[1], laws.results.curves, SizeScale(laws.results.sizes))


def with_output(page: str) -> str:
    """The page with what is printed today."""
    return BLOCK.sub(lambda found: f"{found[1]}{printed()}{found[3]}", page)


def main() -> None:
    """Write the page."""
    text = with_output((ROOT / PAGE).read_text(encoding="utf-8"))
    with atomic(ROOT / PAGE) as partial:
        partial.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
