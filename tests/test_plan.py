"""The plan against arithmetic by hand, and the progress line against files."""

import json
from dataclasses import replace

import pytest

from plmscale.errors import InputError
from plmscale.plan.allocation import allocate
from plmscale.plan.dispatch import dispatch, stoppable
from plmscale.plan.pace import assumed_pace
from plmscale.plan.plan import grid_resources, plan, plan_summary
from plmscale.status.progress import StudyProgress, line, state
from plmscale.status.time_left import Work, costs, left
from plmscale.study.config import Execution, Hardware
from plmscale.study.grid import grid
from plmscale.study.jobs import Workload, workloads
from plmscale.study.study import Study
from plmscale.training.lock import CellLock

PER_TOKEN = {
    "5M": 4.668e7,
    "15M": 1.341e8,
    "35M": 2.736e8,
    "50M": 3.925e8,
    "100M": 7.723e8,
    "150M": 1.129e9,
    "300M": 2.141e9,
    "650M": 4.428e9,
}
"""Training FLOPs per token at 1024 positions by the formula of appendix E, worked out by hand for the paper's sizes."""

SEQUENCES = {"uniref50": 64e6, "sampled30": 30e6, "sampled23": 23e6, "sampled20": 20e6}
"""Sequences of the paper's sets; it takes 325 tokens for each."""


def test_flops_of_the_papers_cells_by_hand(paper_study):
    """8 sizes × 4 sets with decay, the six smaller ones without: 56 cells, 5.37e20 FLOPs."""
    table = plan(paper_study).set_index(["model", "subset", "schedule"])
    for model, per_token in PER_TOKEN.items():
        for subset, sequences in SEQUENCES.items():
            expected = per_token * sequences * 325
            assert table.loc[(model, subset, "token_decay"), "flops_appendix_e"] == pytest.approx(expected, rel=1e-3)
            assert ((model, subset, "constant") in table.index) == (model not in ("300M", "650M"))
    assert len(table) == 56
    # (9.3186e9 + 2.7493e9 FLOPs per token) × 137e6 sequences × 325
    assert table["flops_appendix_e"].sum() == pytest.approx(5.373e20, rel=1e-3)
    assert set(table["tokens_from"]) == {"estimate"}


@pytest.mark.parametrize(("name", "peak", "hours"), [("A100-80GB", 19.5e12, 15308), ("H100", 67e12, 4455)])
def test_gpu_hours_of_the_papers_study_by_hand(paper_study, name, peak, hours):
    """5.373e20 FLOPs at half the peak in fp32, nothing lost between devices, is 15,308 hours of an A100."""
    hardware = paper_study.config.hardware.model_copy(update={"name": name, "doubling_efficiency": 1.0})
    study = with_hardware(paper_study, hardware)
    table = plan(study)
    startup = table["devices"].sum() * 60 / 3600
    assert 5.373e20 / (peak * 0.5) / 3600 == pytest.approx(hours, rel=1e-3)
    assert table["device_hours"].sum() - startup == pytest.approx(hours, rel=1e-3)
    # Energy: TDP of 400 and 700 W, PUE 1.58.
    watts = {"A100-80GB": 400, "H100": 700}[name]
    total = plan_summary(table, hardware).iloc[-1]
    assert total["energy_kwh"] == pytest.approx((hours + startup) * watts / 1000 * 1.58, rel=1e-3)
    assert total["device_hours"] == pytest.approx(table["device_hours"].sum())


def test_devices_that_share_a_cell_lose_speed(paper_study):
    """Eight devices at 0.95 a doubling: 0.95³ of eight times one device's speed."""
    cell = next(c for c in grid(paper_study) if c.model.name == "35M")
    one = assumed_pace(cell, Hardware(peak_flops=1e12, mfu=0.5, doubling_efficiency=0.95), execution=Execution())
    assert one.speed(1) == pytest.approx(0.5e12 / 2.736e8, rel=1e-3)
    assert one.speed(8) == pytest.approx(8 * 0.95**3 * one.speed(1), rel=1e-12)


def test_sums_by_size_set_and_schedule_are_those_of_the_study(paper_study):
    table = plan(paper_study)
    sums = plan_summary(table, paper_study.config.hardware)
    for by in ("model", "subset", "schedule", "study"):
        part = sums.loc[sums["by"] == by]
        assert part["cells"].sum() == 56
        assert part["device_hours"].sum() == pytest.approx(table["device_hours"].sum(), rel=1e-12)
    half = sums.set_index(["by", "name"])["flops_appendix_e"]
    assert half["model", "650M"] == pytest.approx(4.428e9 * 137e6 * 325, rel=1e-3)


def with_hardware(study: Study, hardware: Hardware, **settings) -> Study:
    """The study on other hardware."""
    return replace(study, config=study.config.model_copy(update={"hardware": hardware, **settings}))


def test_counted_tokens_replace_the_estimate(paper_study):
    table = plan(paper_study, {"sampled20": 1_000_000}).set_index(["subset", "model", "schedule"])
    assert table.loc[("sampled20", "5M", "constant"), "n_tokens"] == 1_000_000
    assert table.loc[("sampled20", "5M", "constant"), "tokens_from"] == "counted"
    assert table.loc[("sampled30", "5M", "constant"), "n_tokens"] == 30_000_000 * 325


def test_fewest_devices_within_the_target(paper_study):
    cell = next(c for c in grid(paper_study) if c.model.name == "35M")
    hardware = Hardware(peak_flops=1e12, mfu=0.5, devices_per_node=4, max_nodes=2, target_hours=10, startup_seconds=0)
    hardware = hardware.model_copy(update={"doubling_efficiency": 1.0})
    for hours, devices, nodes, launcher in [
        (9.9, 1, 1, "python"),
        (10.1, 2, 1, f"torchrun --standalone --nproc-per-node=2 {stoppable(120)}"),
        (39, 4, 1, f"torchrun --standalone --nproc-per-node=4 {stoppable(120)}"),
        (41, 8, 2, "python"),
        (1000, 8, 2, "python"),
    ]:
        n_tokens = round(hours * 3600 * 0.5e12 / 2.7361e8)
        found = allocate(cell, n_tokens, hardware=hardware)
        started = dispatch(nodes, devices_per_node=devices // nodes, hardware=hardware, execution=Execution())
        assert (found.devices, found.nodes, started["launcher"]) == (devices, nodes, launcher)
        assert (started["step"], started["step_tasks"]) == (("srun", devices) if nodes > 1 else ("", 1))
        ranks = devices // nodes if nodes > 1 else 1
        expected = f"--gpus-per-node={devices // nodes} --ntasks-per-node={ranks} --signal=USR1@120"
        assert started["slurm_extra"] == expected
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
    runs = tmp_path / "runs"
    for name in ("done", "running", "stale"):
        (runs / name).mkdir(parents=True)
    (runs / "done/run.json").write_text('{"n_tokens": 100, "device_seconds": 3600}')
    rows = [json.dumps({"step": i, "n_tokens": 10 * i, "loss": 3.0}) for i in (1, 2, 3)]
    (runs / "running/metrics.jsonl").write_text("\n".join(rows) + '\n{"step": 4, "n_to')  # a row being written
    (runs / "stale/metrics.jsonl").write_text(rows[0] + "\n")
    lock = CellLock(runs / "running")
    assert lock.take() is None
    start, found = StudyProgress(dict.fromkeys(cells, Work("", 10.0)), 0.0), state(cells, results=tmp_path)
    lock.release()
    assert found.cells == (1, 1, 2)
    assert found.share == pytest.approx((10 + 3 + 1) / 40)
    (runs / "done/run.json").write_text("not read again")
    assert state(cells, results=tmp_path, before=found).jobs["done"] == found.jobs["done"]
    assert found.jobs["done"] == Work("done", 10.0, share=1.0, taken=1.0, done=True, tokens=100)
    text = line(found, before=start, seconds=100)
    assert text == "cells: 1 done, 1 running, 2 left; 35 % of the FLOPs; about 3 min left"
    assert line(found, before=None, seconds=100).endswith("; time left not known yet")


def test_time_left_goes_by_what_jobs_of_the_size_took_and_not_by_their_flops():
    """The small size takes ten times its plan, the large one its plan: 3 hours in the first, then 8 + 10 are left."""
    cells = {
        **{f"small/{i}": Work("small", 0.1, done=i < 2, share=float(i < 2), taken=1.0) for i in range(10)},
        **{f"large/{i}": Work("large", 5.0, share=0.2 * (i == 0), taken=1.0, running=i == 0) for i in range(2)},
    }
    cells["large/1"] = Work("large", 6.0)
    first = {path: Work(job.size, job.planned) for path, job in cells.items()}
    assert sum(left(list(first.values()))) == pytest.approx(12), "by the plan"
    assert sum(left(list(cells.values()))) == pytest.approx(8 * 1.0 + 4 + 6)
    text = line(StudyProgress(cells, 0.5), before=StudyProgress(first, 0.0), seconds=3600)
    assert text.endswith("; about 6.0 h left"), text
    assert costs([Work("small", 1.0, 1.0, 3.0, True), Work("new", 2.0)]) == [3.0, 6.0], (
        "as all others, if none is known"
    )
    barely = Work("new", 2.0, share=0.01, taken=1.0, running=True)
    assert costs([barely]) == [2.0], "the start-up is no speed"
