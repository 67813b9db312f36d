"""What "inside the data" means: inside in size, in tokens and in compute, wherever a number is given."""

import json
import math

import numpy as np
import pytest

from plmscale.laws.budgets import NO_OPTIMUM, optimal_sizes
from plmscale.laws.fit import FitSettings
from plmscale.laws.size_law import SizeLaw
from plmscale.runs.curves import smooth
from plmscale.runs.extent import EXTRAPOLATED, INSIDE, OUTSIDE, Extent
from scaling_data import chinchilla, make_runs

SIZES, TOKENS = (1e4, 3e4, 1e5, 3e5), (4e5, 1.2e6)
RUNS = Extent((1e7, 1e8), (1e9, 1e10), (6e16, 6e18))


@pytest.fixture(scope="module")
def curves():
    return smooth(make_runs(chinchilla, sizes=SIZES, tokens=TOKENS, noise=0.002, n_rows=20))


def at(curves, size, flops, **settings):
    asked = FitSettings(budgets=(flops,), **settings)
    return optimal_sizes(lambda _: (size, np.full(5, size)), curves=curves, settings=asked)[0]


def test_a_size_that_was_trained_on_far_fewer_tokens_is_not_inside(curves):
    """1e13 FLOPs at 60k parameters are 28M tokens, where the longest run has 1.2M."""
    found = at(curves, 6e4, 1e13)
    assert found["n_tokens"] == pytest.approx(2.8e7, rel=0.02)
    assert found["status"] == EXTRAPOLATED
    assert at(curves, 6e4, 6 * 6e4 * 1e6)["status"] == INSIDE
    assert at(curves, 1.1e4, 6 * 1.1e4 * 1e6)["status"] == INSIDE


def test_beyond_a_hundred_times_the_tokens_or_three_times_the_size_there_is_no_number(curves):
    for size, tokens in ((6e4, 1.3e8), (1e6, 1e6), (6e4, 1e5), (3e3, 1e6)):
        found = at(curves, size, 6 * size * tokens)
        assert (found["status"], found["n_params"]) == (OUTSIDE, None), (size, tokens)
    assert at(curves, 6e4, 6 * 6e4 * 1.3e8, extrapolation_factor=1000.0)["status"] == EXTRAPOLATED
    assert at(curves, math.nan, 1e12)["status"] == NO_OPTIMUM


def test_laws_of_whole_curves_know_what_the_curves_passed(curves):
    first = min(curve.n_tokens[0] for curve in curves)
    ends, whole = Extent.of(curves), Extent.of(curves, whole=True)
    assert ends is not None and whole is not None
    assert ends.n_tokens == pytest.approx(TOKENS) and whole.n_tokens == pytest.approx((first, TOKENS[1]))
    assert ends.n_params == whole.n_params == (min(SIZES), max(SIZES))
    assert Extent.of([]) is None


def test_distances_are_signed_decades_of_each():
    far = RUNS.decades(1e9, 1e8, 6e17)
    assert (far.n_params, far.n_tokens, far.flops) == pytest.approx((1.0, -1.0, 0.0))
    assert far.furthest == pytest.approx(1.0)
    assert RUNS.decades(1e8, 1e10, 6e18).furthest == 0


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ((1e9, 1e10, 6e19), "N = 1B parameters; it is known for N = 3.33M to 300M parameters, and the runs end 1.0"),
        (
            (1e8, 1e13, 6e21),
            "D = 10T tokens; it is known for D = 333M to 1T tokens, and the runs end 3.0 decades below",
        ),
        (
            (1e7, 1e8, 6e15),
            "D = 100M tokens; it is known for D = 333M to 1T tokens, and the runs begin 1.0 decades above",
        ),
    ],
)
def test_what_is_outside_is_said_with_how_far(asked, words):
    assert RUNS.outside(*asked, factor=3).startswith(words)
    assert RUNS.outside(5e7, 5e9, 1.5e18, factor=3) == ""


def test_an_extent_is_itself_again_from_json():
    assert Extent.from_json(json.loads(json.dumps(RUNS.to_json()))) == RUNS
    assert Extent.from_json(None) is None


def test_a_size_law_says_inside_only_where_tokens_are_inside():
    """Half decades of compute at which only the tokens leave the runs."""
    rows = [
        {"flops": c, "status": INSIDE, "n_params": n, "n_params_low": n, "n_params_high": n, "n_tokens": c / 6 / n}
        | {"n_tokens_low": c / 6 / n, "n_tokens_high": c / 6 / n}
        for c, n in ((6e16, 1e7), (6e17, 1.5e7), (6e18, 2e7))
    ]
    law = SizeLaw("chinchilla", "one", "identified", "", rows, (6e16, 6e18), seen=RUNS)
    near, far = law.at(5e17), law.at(5e18)
    assert near is not None and far is not None
    assert (near.position, far.position) == (INSIDE, EXTRAPOLATED)
