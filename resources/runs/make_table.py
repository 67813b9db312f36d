"""Make the table of a finished study: `python make_table.py results/analysis/runs.parquet TABLE.csv.gz [SCHEDULE]`."""

import sys
from pathlib import Path

import pandas as pd

COLUMNS = ["run", "model", "subset", "schedule", "n_params", "n_tokens", "flops", "loss", "unique_tokens"]
COLUMNS += ["batch_tokens", "lr_fraction", "trunk"]


def main(source: str, target: str, schedule: str | None = None) -> None:
    """Keep what fits need, losses to five decimals; of one schedule with its learning rates."""
    runs = pd.read_parquet(source)
    if schedule is not None:
        runs = runs.loc[runs["schedule"] == schedule]
    columns = [*COLUMNS, *(["learning_rate"] if schedule is not None else [])]
    runs = runs[columns].round({"loss": 5, "lr_fraction": 4})
    # Without the time in the header the same runs give the same bytes.
    runs.to_csv(Path(target), index=False, compression={"method": "gzip", "compresslevel": 9, "mtime": 0})


if __name__ == "__main__":
    main(*sys.argv[1:])
