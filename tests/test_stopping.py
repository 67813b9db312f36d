"""The stop at the plateau, on series whose plateau is known."""

import numpy as np
import pandas as pd
import pytest

from plmscale.study.schedule_settings import Stop
from plmscale.training.stopping import PlateauStop


def rows(n_tokens, loss) -> list[dict]:
    return [{"n_tokens": int(n), "loss": float(x)} for n, x in zip(n_tokens, loss, strict=True)]


def stops_at(settings: Stop, series: list[dict]) -> int | None:
    return first_stop(PlateauStop(settings), series)


def first_stop(stop: PlateauStop, series: list[dict]) -> int | None:
    for row in series:
        stop.add(row)
        if stop.reached:
            return row["n_tokens"]
    return None


def test_the_smoothed_loss_is_pandas_exponentially_weighted_mean():
    """At irregular intervals, for which pandas takes times."""
    rng = np.random.default_rng(0)
    n_tokens = np.cumsum(rng.integers(1, 1000, 60))
    loss = rng.normal(2.5, 0.1, 60)
    stop, found = PlateauStop(Stop(patience_tokens=10**9, smoothing_tokens=700)), []
    for row in rows(n_tokens, loss):
        stop.add(row)
        found.append(stop.smoothed)
    scale = 10**6  # pandas cuts the half-life to whole nanoseconds
    halflife = pd.Timedelta(int(700 * np.log(2) * scale), "ns")
    times = pd.to_datetime(n_tokens * scale)
    expected = pd.Series(loss).ewm(halflife=halflife, times=times).mean()
    np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_it_stops_patience_after_a_fall_has_ended():
    """A straight fall to 1,000,000 tokens, then rest, no noise."""
    n_tokens = np.arange(1, 400) * 10_000
    loss = 3.0 - 0.5 * np.minimum(n_tokens, 1e6) / 1e6
    settings = Stop(patience_tokens=300_000, tolerance=0.012, smoothing_tokens=1000)
    # A fall by 0.012 nats is seen after three rows of 0.005: the last one at most 20,000 tokens before the rest begins.
    assert 1_280_000 <= stops_at(settings, rows(n_tokens, loss)) <= 1_300_000


@pytest.mark.parametrize(("slower", "stops"), [(0.9, False), (1.1, True)])
def test_a_steady_fall_stops_it_if_slower_than_tolerance_per_patience(slower, stops):
    n_tokens = np.arange(1, 1001) * 1000
    loss = 3.0 - (0.01 / 100_000 / slower) * n_tokens
    settings = Stop(patience_tokens=100_000, tolerance=0.01, smoothing_tokens=1000)
    assert (stops_at(settings, rows(n_tokens, loss)) is not None) == stops


@pytest.mark.parametrize("seed", range(5))
def test_noise_neither_stops_a_run_that_learns_nor_keeps_one_alive(seed):
    """A power law and noise as of single evaluations (0.01 nats); the rate falls below tolerance ÷ patience once."""
    n_tokens = np.arange(1, 20_001) * 10_000
    exact = 2.0 + 3.0 * (n_tokens / 1e6) ** -0.5
    noisy = exact + np.random.default_rng(seed).normal(0, 0.01, n_tokens.size)
    settings = Stop(patience_tokens=4_000_000, tolerance=0.02)
    # −dL/dn = 1.5e-6 (n / 1e6)^−1.5 is 0.02 / 4e6 at 44.8 million tokens.
    found = stops_at(settings, rows(n_tokens, noisy))
    assert found is not None
    assert 44.8e6 - 4e6 <= found <= 44.8e6 + 3 * 4e6


def test_no_stop_before_the_least_number_of_tokens():
    flat = rows(np.arange(1, 101) * 100, np.full(100, 2.9))
    settings = {"patience_tokens": 500, "tolerance": 0.01}
    assert stops_at(Stop(**settings), flat) == 600
    assert stops_at(Stop(**settings, min_tokens=5000), flat) == 5000


def test_without_patience_it_never_stops():
    flat = rows(np.arange(1, 1001) * 10**6, np.full(1000, 2.9))
    assert stops_at(Stop(), flat) is None


@pytest.mark.parametrize("cut", [1, 17, 60])
def test_taken_up_from_its_rows_it_stops_at_the_same_token(cut):
    rng = np.random.default_rng(3)
    n_tokens = np.cumsum(rng.integers(500, 1500, 200))
    series = rows(n_tokens, 2.5 + np.exp(-n_tokens / 20_000) + rng.normal(0, 0.01, 200))
    settings = Stop(patience_tokens=20_000, tolerance=0.02)
    whole = stops_at(settings, series)
    assert whole is not None
    assert whole > series[cut]["n_tokens"]
    resumed = PlateauStop(settings, rows=series[:cut])
    assert first_stop(resumed, series[cut:]) == whole


def test_taken_up_after_it_had_stopped_it_is_still_at_its_plateau():
    flat = rows([100, 200, 300], [2.5, 2.5, 2.5])
    assert PlateauStop(Stop(patience_tokens=200), rows=flat).reached
    assert not PlateauStop(Stop(patience_tokens=200), rows=flat[:2]).reached


def test_the_reason_names_tokens_and_losses():
    stop = PlateauStop(Stop(patience_tokens=200, tolerance=0.01))
    for row in rows([100, 200, 300], [2.5, 2.5, 2.5]):
        stop.add(row)
    assert stop.reached
    assert all(part in stop.reason for part in ("2.5000 at 300 tokens", "0.01 nats", "since 100 tokens"))
