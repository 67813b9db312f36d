"""Ranks agree to stop, whenever their signals come."""

import signal
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import distributed as dist

from plmscale.training.engine import Ranks
from plmscale.training.interruption import StopRequest
from plmscale.training.trainer import Run

TERM, WARNING = signal.SIGTERM, signal.SIGUSR1


@pytest.fixture
def ranks(monkeypatch):
    """Two ranks of a run that take turns: each comparison gives both the larger of what they brought to it."""
    asked = [StopRequest(), StopRequest()]
    runs: list[Any] = [
        SimpleNamespace(asked=one, ranks=Ranks(rank, 2, torch.device("cpu"))) for rank, one in enumerate(asked)
    ]

    def agreed(*, during: dict[int, int] | None = None) -> list[bool]:
        """One comparison; `during` it, after ranks have read what they know, these signals come to these ranks."""
        brought = [float(one.agreed or one.signal) for one in asked]

        def turn_of(here: int) -> bool:
            def all_reduce(tensor: torch.Tensor, _: dist.ReduceOp) -> None:
                assert float(tensor) == brought[here]
                if here in (during or {}):
                    asked[here]._note((during or {})[here], None)
                tensor.fill_(max(brought))

            monkeypatch.setattr(dist, "all_reduce", all_reduce)
            return Run._stop_agreed(runs[here])

        return [turn_of(0), turn_of(1)]

    return SimpleNamespace(asked=asked, agreed=agreed)


def test_a_signal_to_all_ranks_while_they_compare_is_agreed_upon_at_the_next_step(ranks):
    """torchrun and SLURM signal all ranks at once, and on a GPU ranks wait most of a step for this comparison."""
    assert ranks.agreed(during={0: TERM, 1: TERM}) == [False, False]
    assert ranks.agreed() == [True, True]
    assert ranks.agreed() == [True, True], "once agreed, for ever"
    assert all(one.reason.startswith("SIGTERM") for one in ranks.asked)


def test_a_signal_to_one_rank_alone_stops_both_at_one_step(ranks):
    assert ranks.agreed() == [False, False]
    assert ranks.agreed(during={1: WARNING}) == [False, False], "nobody leaves alone"
    assert ranks.agreed() == [True, True]
    assert all(one.reason.startswith("SIGUSR1") for one in ranks.asked)


def test_a_second_signal_changes_nothing(ranks):
    ranks.asked[0]._note(WARNING, None)
    assert ranks.agreed(during={0: TERM, 1: TERM}) == [True, True]
    assert ranks.agreed() == [True, True]
    assert all(one.reason.startswith("SIGUSR1") for one in ranks.asked)
