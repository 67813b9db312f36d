"""All runs as one frame."""

import json
from pathlib import Path

import pandas as pd
import pytest

from plmscale.errors import InputError
from plmscale.laws.methods import FITS, fit_all
from plmscale.runs.collect import collect
from plmscale.runs.curves import smooth
from plmscale.study.flops import forward_flops
from plmscale.study.grid import Cell, grid

ROWS = pd.DataFrame(
    {
        "step": [1, 2],
        "n_tokens": [100, 220],
        "squared_lengths": [100 * 50, 220 * 50],
        "loss": [3.0, 2.9],
        "n_predicted": [15, 17],
        "learning_rate": [1e-3, 5e-4],
        "lr_fraction": [1.0, 0.5],
    }
)


def write(folder: Path, cell: Cell, rows: pd.DataFrame, *, status: str = "done") -> tuple[Path, Path]:
    folder.mkdir(parents=True)
    record = {"cell": cell.frozen(), "status": status, "n_params": 7, "unique_tokens": 220, "versions": {}}
    (folder / "run.json").write_text(json.dumps(record))
    rows.to_parquet(folder / "metrics.parquet")
    return folder / "run.json", folder / "metrics.parquet"


def test_flops_of_each_row_by_each_convention(tmp_path, paper_study):
    cell = grid(paper_study)[0]
    record, metrics = write(tmp_path / "a", cell, ROWS)
    frame = collect([record], [metrics], convention="measured_lengths")
    # Sequences of 50: 2 and 4.4 of them.
    expected = [3 * forward_flops(cell.model, 50) * n / 50 for n in (100, 220)]
    assert frame["flops"].tolist() == pytest.approx(expected, rel=1e-12)
    frame = collect([record], [metrics], convention="6nd")
    assert frame["flops"].tolist() == [6.0 * 5_036_160 * n for n in (100, 220)]
    assert frame["run"].unique().tolist() == [cell.path]


def test_a_study_of_diverged_runs_alone_fails_no_rule(tmp_path, paper_study):
    written = [
        write(tmp_path / str(i), cell, ROWS.head(0), status="diverged") for i, cell in enumerate(grid(paper_study)[:2])
    ]
    frame = collect([r for r, _ in written], [m for _, m in written], convention="appendix_e")
    assert frame.empty
    assert smooth(frame) == []
    for name in FITS:
        assert fit_all(frame, name=name)["schedules"] == {}


def test_metrics_without_a_column_are_refused(tmp_path, paper_study):
    record, metrics = write(tmp_path / "a", grid(paper_study)[0], ROWS.drop(columns="loss"))
    with pytest.raises(InputError, match=r"metrics.parquet: columns \['loss'\] are missing"):
        collect([record], [metrics], convention="6nd")
