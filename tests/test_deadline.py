"""The cheapest allocation that meets a deadline, against every allocation there is."""

from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest

from plmscale.config import Hardware
from plmscale.deadline import cheapest, fastest, least_device_hours, makespan, scheduled
from plmscale.jobs import planned_tokens
from plmscale.plan import all_options, chosen
from plmscale.plan_words import deadline_words
from results_data import make_study


def options(seed: int):
    """A few cells of random length that may have 1, 2 or 4 devices."""
    study = make_study(widths=("w32", "w80", "w128"), schedules=("constant",), sets=("all_20k", "tenth"))
    rng = np.random.default_rng(seed)
    tokens = {name: int(rng.integers(10**8, 10**10)) for name in planned_tokens(study)}
    hardware = Hardware(name="x", peak_flops=1e11, memory_gib=80, devices_per_node=4, max_nodes=1, startup_seconds=60)
    found = all_options(study, tokens, {}, hardware=hardware)
    return {path: found[path] for path in list(found)[:4]}


def test_makespan_against_jobs_worked_out_by_hand():
    assert makespan([(3, 2), (2, 1), (2, 1), (1, 2)], 2) == 6  # 3, then 2 | 2, then 1
    assert makespan([(5, 1)], 8) == 5
    assert makespan([], 8) == 0


@pytest.mark.parametrize("seed", range(6))
def test_a_schedule_keeps_its_deadline_and_none_is_much_cheaper(seed):
    """All 81 allocations of four cells in all 24 orders: what is found holds, and the bound is one."""
    cells = options(seed)
    slow = scheduled({path: found[0] for path, found in cells.items()}, 4)
    quick = fastest(cells, max_devices=4)
    deadline = (slow.makespan + 2 * quick.makespan) / 3
    found = cheapest(cells, deadline=deadline, max_devices=4)
    assert found is not None and found.makespan <= deadline
    best = min(
        sum(each.device_hours for each in every)
        for every in product(*cells.values())
        if min(makespan([(a.hours, a.devices) for a in order], 4) for order in permutations(every)) <= deadline
    )
    assert least_device_hours(cells, deadline=deadline) <= best * (1 + 1e-12)
    assert best <= found.device_hours * (1 + 1e-12)
    assert found.device_hours <= 1.1 * best


def with_hardware(study, **settings):
    hardware = Hardware(name="x", peak_flops=1e11, memory_gib=80, startup_seconds=0, **settings)
    return replace(study, config=study.config.model_copy(update={"hardware": hardware}))


def test_tighter_deadlines_cost_more_and_a_loose_one_nothing():
    study = make_study()
    tokens = planned_tokens(study)
    free = chosen(with_hardware(study, target_hours=1e9), tokens, {})
    costs = []
    quick = chosen(with_hardware(study, deadline_hours=1e-9, max_devices=64), tokens, {}).makespan
    for deadline in (1e4, 4 * quick, 2 * quick, 1.2 * quick):
        found = chosen(with_hardware(study, deadline_hours=deadline, max_devices=64), tokens, {})
        assert found.makespan <= deadline
        costs.append(found.device_hours)
    assert costs == sorted(costs)
    assert costs[0] == pytest.approx(free.device_hours, rel=1e-12)
    assert costs[-1] > 1.01 * costs[0]


def test_a_deadline_out_of_reach_says_what_would_help():
    study = make_study()
    quick = chosen(with_hardware(study, deadline_hours=1e-9, max_devices=8), planned_tokens(study), {}).makespan
    words = deadline_words(with_hardware(study, deadline_hours=0.7 * quick, max_devices=8), {}, {})
    assert "cannot be met on 8 devices at once" in words and "With max_devices" in words
    words = deadline_words(with_hardware(study, deadline_hours=1e-4, max_devices=8, max_nodes=1), {}, {})
    assert "No number of max_devices meets it: w288/all_20k/" in words and "max_nodes 1 × 8" in words
