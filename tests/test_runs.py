"""All runs as one frame."""

import json
from dataclasses import replace
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


def write(
    folder: Path, cell: Cell, rows: pd.DataFrame, *, status: str = "done", holdout: float | None = None
) -> tuple[Path, Path]:
    folder.mkdir(parents=True)
    record = {"cell": cell.frozen(), "status": status, "n_params": 7, "unique_tokens": 220, "versions": {}}
    record["holdout"] = None if holdout is None else {"loss": holdout}
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
        assert fit_all(frame, name=name) == {}


def test_runs_that_are_compared_at_their_ends_may_enter_by_their_holdout_loss(tmp_path, paper_study):
    first = grid(paper_study)[0]
    cells = {name: replace(first, schedule=name) for name in ("token_decay", "constant", "cosine", "wsd")}
    written = [write(tmp_path / name, cell, ROWS, holdout=2.5) for name, cell in cells.items()]
    files = [record for record, _ in written], [metrics for _, metrics in written]
    by_training = collect(*files, convention="6nd")
    frame = collect(*files, convention="6nd", final_loss="holdout")
    for name in cells:
        mine, theirs = (one[one["schedule"] == name].reset_index(drop=True) for one in (frame, by_training))
        if name in ("cosine", "wsd"):
            end = theirs.tail(1).assign(loss=2.5, learning_rate=theirs["learning_rate"].max())
            pd.testing.assert_frame_equal(mine, end.reset_index(drop=True))
            assert mine["learning_rate"].item() > theirs["learning_rate"].iloc[-1], "its last step has a smaller one"
        else:
            pd.testing.assert_frame_equal(mine, theirs)


def test_a_run_without_the_holdout_loss_that_is_asked_for_is_refused(tmp_path, paper_study):
    cell = replace(grid(paper_study)[0], schedule="wsd")
    record, metrics = write(tmp_path / "a", cell, ROWS)
    with pytest.raises(InputError, match=r"a/run.json has no loss on the holdout set"):
        collect([record], [metrics], convention="6nd", final_loss="holdout")
    diverged, rows = write(tmp_path / "b", cell, ROWS, status="diverged")
    pd.testing.assert_frame_equal(
        collect([diverged], [rows], convention="6nd", final_loss="holdout"),
        collect([diverged], [rows], convention="6nd"),
    )


def test_metrics_without_a_column_are_refused(tmp_path, paper_study):
    record, metrics = write(tmp_path / "a", grid(paper_study)[0], ROWS.drop(columns="loss"))
    with pytest.raises(InputError, match=r"metrics.parquet: columns \['loss'\] are missing"):
        collect([record], [metrics], convention="6nd")
