"""How far losses depart from Chinchilla's law: the benchmark's estimate on runs whose departure is known."""

import runpy
import sys

import numpy as np
import pytest

from conftest import ROOT
from plmscale.design.expectation import Grid
from plmscale.design.prior import small_prior
from plmscale.design.simulation import departure as departing

BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture(scope="module")
def benchmark():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
        return runpy.run_path(str(BENCHMARKS / "lack_of_fit.py"))


@pytest.mark.parametrize("departure", [0.0, 0.5, 2.0], ids=lambda value: f"{value} thousandths")
def test_a_known_departure_is_found(benchmark, departure):
    # Runs scatter as those of the study of Swiss-Prot do, in thousandths.
    prior, cells = small_prior(), Grid.of(np.geomspace(4e3, 4e5, 8), np.geomspace(3e6, 5e7, 5), seeds=2)
    rng = np.random.default_rng(1)
    noise = 0.61 * rng.normal(size=cells.trunk.size) + 0.35 * rng.normal(size=cells.trunk.max() + 1)[cells.trunk]
    off = 1e-3 * (noise + departure * departing(prior, cells, rng))
    loss = prior.loss(cells.n_params, cells.n_tokens) * np.exp(off)
    told = benchmark["row"](
        benchmark["Runs"]("made up", cells.n_params, cells.n_tokens, loss, tuple(map(str, cells.trunk)))
    )
    value, low, high = (float(part) for part in told["departure"].replace("to", "").strip(")").replace("(", "").split())
    assert low <= departure <= high
    assert value == pytest.approx(departure, abs=0.25)
    assert float(told["of one run"]) == pytest.approx(0.61, rel=0.2)
