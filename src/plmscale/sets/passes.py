"""Which sequences make up which step of a run of several passes over a set, or of a part of one."""

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .batch_plan import BatchPlan, plan_batches

Ids = NDArray[np.int64]


class Passes:
    """The steps of a run: pass after pass over the same sequences, each in an order of its own.

    The order of a pass is that of (seed, number of the pass), so that the steps of a shorter run are the first steps of
    every longer one. One plan is held at a time.

    Parameters
    ----------
    lengths : ndarray of int, shape (n,)
        Positions of each sequence, START and END included.
    epochs : float
        Passes: 0.25 is the first quarter of the first, 2.5 two and the first half of the third. Part of a pass ends
        with the first step at which so large a share of its tokens is seen.
    batch_tokens, order, seed
        See `plmscale.sets.batch_plan.plan_batches`.

    Attributes
    ----------
    pass_tokens : int
        Tokens of one pass.
    n_tokens : int
        Tokens of all steps.

    Examples
    --------
    Batches of two sequences of 10; one and a half passes over four of them are three steps:

    >>> passes = Passes(np.full(4, 10), epochs=1.5, batch_tokens=20, order="bucketed", seed=0)
    >>> len(passes), passes.n_tokens, passes.unique_tokens, passes.epochs
    (3, 60, 40, 1.5)
    """

    def __init__(
        self,
        lengths: NDArray[Any],
        *,
        epochs: float,
        batch_tokens: int,
        order: Literal["bucketed", "sorted"],
        seed: int,
    ) -> None:
        self._lengths, self._batch_tokens, self._seed = lengths, batch_tokens, seed
        self._order: Literal["bucketed", "sorted"] = order
        self._current: tuple[int, BatchPlan] | None = None
        self.pass_tokens = int(lengths.sum(dtype=np.int64))
        whole, share = int(epochs), epochs - int(epochs)
        ends = [0]
        for epoch in range(whole):
            ends.append(ends[-1] + len(self._plan(epoch)))
        self.n_tokens = whole * self.pass_tokens
        if share:
            seen = self._seen(whole)
            n_steps = min(seen.size, int(np.searchsorted(seen, share * self.pass_tokens, side="left")) + 1)
            ends.append(ends[-1] + n_steps)
            self.n_tokens += int(seen[n_steps - 1])
        self._ends = ends

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, step: int) -> Ids:
        """Positions in `lengths` of the sequences of a step."""
        if not 0 <= step < len(self):
            raise IndexError(f"step {step} of {len(self)}")
        epoch = int(np.searchsorted(self._ends, step, side="right")) - 1
        return self._plan(epoch)[step - self._ends[epoch]]

    @property
    def unique_tokens(self) -> int:
        """Tokens of the sequences that are seen, each counted once."""
        return min(self.n_tokens, self.pass_tokens)

    @property
    def epochs(self) -> float:
        """Tokens of all steps ÷ tokens of one pass."""
        return self.n_tokens / self.pass_tokens

    def steps_within(self, epochs: float) -> int:
        """Steps from the start that together see at most the tokens of so many passes.

        Examples
        --------
        >>> Passes(np.full(4, 10), epochs=2, batch_tokens=20, order="bucketed", seed=0).steps_within(1.74)
        3
        """
        whole = math.floor(epochs)
        if whole >= len(self._ends) - 1:
            return len(self)
        seen = self._seen(whole)
        inside = int(np.searchsorted(seen, (epochs - whole) * self.pass_tokens, side="right"))
        return min(len(self), self._ends[whole] + inside)

    def _plan(self, epoch: int) -> BatchPlan:
        current = self._current  # a thread that prepares batches may put another one there meanwhile
        if current is None or current[0] != epoch:
            found = plan_batches(
                self._lengths, batch_tokens=self._batch_tokens, order=self._order, seed=self._seed, epoch=epoch
            )
            current = self._current = (epoch, found)
        return current[1]

    def _seen(self, epoch: int) -> Ids:
        """Tokens seen in a pass after each of its steps."""
        return np.cumsum(self._plan(epoch).step_tokens(self._lengths))
