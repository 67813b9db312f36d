"""The plan against arithmetic by hand, and the progress line against files."""

import json
import os
import time

import pytest

from plmscale.config import Hardware
from plmscale.errors import InputError
from plmscale.grid import grid
from plmscale.plan import Workload, allocate, grid_resources, plan, plan_summary, workloads
from plmscale.progress import line, state


def test_the_papers_study_by_hand(paper_study):
    """FLOPs per token of appendix E (paper, table 4 at 1024) × sequences × 325, on A100s at 19.5 TFLOP/s and 50 %."""
    per_token = [4.668e7, 1.341e8, 2.736e8, 3.924e8, 7.723e8, 1.129e9, 2.141e9, 4.428e9]
    sequences = 64e6 + 30e6 + 23e6 + 20e6
    flops = (sum(per_token) + sum(per_token[:6])) * sequences * 325
    table = plan(paper_study)
    assert table["flops_appendix_e"].sum() == pytest.approx(flops, rel=1e-3)
    total = plan_summary(table, paper_study.config.hardware).iloc[-1]
    startup = (table["nodes"] * table["devices_per_node"]).sum() * 60 / 3600
    assert total["device_hours"] == pytest.approx(flops / (19.5e12 * 0.5) / 3600 + startup, rel=1e-3)
    assert set(table["tokens_from"]) == {"estimate"}


def test_counted_tokens_replace_the_estimate(paper_study):
    table = plan(paper_study, {"sampled20": 1_000_000}).set_index(["subset", "model", "schedule"])
    assert table.loc[("sampled20", "5M", "constant"), "n_tokens"] == 1_000_000
    assert table.loc[("sampled20", "5M", "constant"), "tokens_from"] == "counted"
    assert table.loc[("sampled30", "5M", "constant"), "n_tokens"] == 30_000_000 * 325


def test_fewest_devices_within_the_target(paper_study):
    cell = next(c for c in grid(paper_study) if c.model.name == "35M")
    hardware = Hardware(peak_flops=1e12, mfu=0.5, devices_per_node=4, max_nodes=2, target_hours=10, startup_seconds=0)
    for hours, devices, nodes, launcher in [
        (9.9, 1, 1, "python"),
        (10.1, 2, 1, "torchrun --standalone --nproc-per-node=2"),
        (39, 4, 1, "torchrun --standalone --nproc-per-node=4"),
        (41, 8, 2, "srun --nodes=2 --ntasks=8 --kill-on-bad-exit=1 python"),
        (1000, 8, 2, "srun --nodes=2 --ntasks=8 --kill-on-bad-exit=1 python"),
    ]:
        n_tokens = round(hours * 3600 * 0.5e12 / 2.7361e8)
        found = allocate(cell, n_tokens, hardware=hardware)
        assert (found.devices, found.nodes, found.launcher) == (devices, nodes, launcher)
        ranks = devices // nodes if nodes > 1 else 1
        expected = f"--gpus-per-node={devices // nodes} --ntasks-per-node={ranks} --signal=USR1@120"
        assert found.slurm_extra == expected
        assert found.devices * found.grad_accum * found.micro_batch_tokens >= cell.training.batch_tokens


def test_a_cell_that_cannot_fit_names_cell_need_and_limit(paper_study):
    cell = next(c for c in grid(paper_study) if c.model.name == "650M")
    with pytest.raises(InputError, match=r"cell 650M/uniref50/token_decay/seed0 needs .* GiB .*memory_gib is 2"):
        allocate(cell, 10**9, hardware=Hardware(memory_gib=2.0))


def test_longest_cells_have_the_highest_priority(paper_study):
    work, resources = workloads(paper_study, {}), grid_resources(paper_study, {})
    by_priority = sorted(work, key=lambda path: resources[path]["priority"])
    assert [work[p].flops for p in by_priority] == sorted(w.flops for w in work.values())


def test_progress_is_read_from_the_files_of_the_runs(tmp_path):
    cells = {name: Workload(n_tokens=100, flops=10.0) for name in ("done", "running", "stale", "left")}
    for name in ("done", "running", "stale"):
        (tmp_path / name).mkdir()
    (tmp_path / "done/run.json").write_text("{}")
    rows = [json.dumps({"step": i, "n_tokens": 10 * i}) for i in (1, 2, 3)]
    (tmp_path / "running/metrics.jsonl").write_text("\n".join(rows) + '\n{"step": 4, "n_to')  # a row being written
    (tmp_path / "stale/metrics.jsonl").write_text(rows[0] + "\n")
    os.utime(tmp_path / "stale/metrics.jsonl", (time.time() - 3600,) * 2)
    found = state(cells, folder=tmp_path)
    assert (found.done, found.running, found.left) == (1, 1, 2)
    assert found.share == pytest.approx((10 + 3 + 1) / 40)
    text = line(found, share_before=0.1, seconds=100)
    assert text == "cells: 1 done, 1 running, 2 left; 35 % of the FLOPs; about 4 min left"
