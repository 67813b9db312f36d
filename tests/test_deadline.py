"""The cheapest allocation that meets a deadline, against every allocation there is."""

from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest

from plmscale.plan.deadline import cheapest, fastest, least_device_hours, makespan, scheduled
from plmscale.plan.plan import all_options, chosen
from plmscale.plan.words import deadline_words
from plmscale.study.config import Hardware, Subset
from plmscale.study.jobs import by_flops, jobs, planned_tokens, waits
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


def test_a_job_waits_for_the_one_before_it_and_others_go_first():
    """On two devices: the branches 1 and 2 begin at 4, when their trunk 0 ends; 3 does not wait for them."""
    jobs = [(4, 1), (3, 1), (2, 1), (1, 1)]
    assert makespan(jobs, 2, after={1: 0, 2: 0}) == 7
    assert makespan(jobs, 2) == 5
    assert makespan(jobs, 1, after={1: 0, 2: 0}) == 10
    assert makespan([(2, 1), (5, 1)], 2, after={0: 1}) == 7, "whatever their order"
    assert makespan([(5, 1), (1, 2), (1, 1)], 2, after={1: 0}) == 6, "the last one goes before"


def branching(**settings):
    """Three sizes at a whole pass, half a pass and a quarter of it, at `wsd`."""
    study = make_study(widths=("w32", "w128", "w288"), schedules=("wsd",), sets=("all_20k",))
    parts = [
        Subset(name=f"p{epochs:g}", kind="passes", of="all_20k", epochs=epochs, n_sequences=400_000, train=True)
        for epochs in (0.5, 0.25)
    ]
    return with_hardware(replace(study, subsets=(*study.subsets, *parts)), **settings)


def test_a_deadline_of_trunks_holds_with_every_branch_after_its_trunk():
    tokens = planned_tokens(branching())
    quick = chosen(branching(deadline_hours=1e-9, max_devices=16), tokens, {}).makespan
    every = jobs(branching(), tokens)
    after = waits(every)
    assert len(after) == 9 and set(after.values()) == {job.path for job in every if job.after is None}
    for deadline in (1.01 * quick, 2 * quick, 8 * quick):
        found = chosen(branching(deadline_hours=deadline, max_devices=16), tokens, {})
        assert found.makespan <= deadline
        assert found.makespan == scheduled(found.allocations, 16, after=after).makespan
        hours = {path: each.hours for path, each in found.allocations.items()}
        chain = max(hours[path] + hours[before] for path, before in after.items())
        assert found.makespan >= chain > max(hours.values())


def test_a_deadline_shorter_than_a_trunk_and_its_branch_says_so():
    """On all devices the longest job alone would be done in time."""
    study = branching(devices_per_node=8, max_nodes=1)
    tokens = planned_tokens(study)
    options = all_options(study, tokens, {}, hardware=study.config.hardware)
    hours = {path: min(each.hours for each in found) for path, found in options.items()}
    deadline = 1.1 * max(hours.values())
    words = deadline_words(branching(devices_per_node=8, max_nodes=1, deadline_hours=deadline, max_devices=512), {}, {})
    path = "trunks/w288/all_20k/seed0 and then w288/all_20k/wsd/seed0 take"
    assert f"No number of max_devices meets it: {path}" in words
    words = deadline_words(branching(deadline_hours=1e4, max_devices=16), {}, {})
    assert "branches after their trunks, on 16 devices at once" in words


def test_trunks_go_first_with_the_longest_of_their_branches():
    """A trunk of 0.8 passes and its branch of 0.2 count as the run of a whole pass, which is longer than 0.9."""
    study = branching()
    part = Subset(name="most", kind="passes", of="all_20k", epochs=0.9, n_sequences=400_000, train=True)
    models = tuple(model.model_copy(update={"schedules": ["wsd", "constant"]}) for model in study.models)
    study = replace(study, models=models, subsets=(*study.subsets, part))
    order = [job.path for job in by_flops(jobs(study, planned_tokens(study)))]
    assert order.index("trunks/w288/all_20k/seed0") < order.index("w288/most/constant/seed0")
