"""Which sequences make up which batch: a function of their lengths, a seed and an epoch alone."""

from collections.abc import Sequence
from typing import Any, Literal, SupportsIndex, overload

import numpy as np
from numpy.typing import NDArray

WINDOW_BATCHES = 50
"""Batches in a shuffled window inside which sequences are bucketed by length: about two per cent of padding remain."""


class BatchPlan(Sequence[NDArray[np.int64]]):
    """The batches of one pass, in the order of training: `plan[step]` are positions in `lengths`.

    It holds 4 bytes a sequence and 12 a batch: 260 MB at 64 million sequences in batches of 50,000 tokens. Any step can
    be read at once, so a run goes on at any step by counting, and every rank reads the same batch and takes its part.
    """

    def __init__(self, order: NDArray[np.uint32], edges: NDArray[np.int64], steps: NDArray[np.uint32] | None) -> None:
        self._order, self._edges, self._steps = order, edges, steps

    def __len__(self) -> int:
        return self._edges.size - 1

    @overload
    def __getitem__(self, index: SupportsIndex) -> NDArray[np.int64]: ...
    @overload
    def __getitem__(self, index: slice) -> list[NDArray[np.int64]]: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        step = range(len(self))[index]
        batch = step if self._steps is None else int(self._steps[step])
        return self._order[self._edges[batch] : self._edges[batch + 1]].astype(np.int64)

    @property
    def n_bytes(self) -> int:
        """Memory that the plan takes."""
        return self._order.nbytes + self._edges.nbytes + (0 if self._steps is None else self._steps.nbytes)

    def step_tokens(self, lengths: NDArray[Any]) -> NDArray[np.int64]:
        """Tokens of each batch, in the order of training.

        Examples
        --------
        >>> plan_batches(np.array([10, 10, 30]), batch_tokens=30, order="sorted", seed=0).step_tokens(
        ...     np.array([10, 10, 30])).tolist()
        [20, 30]
        """
        tokens = np.add.reduceat(_compact(lengths)[self._order], self._edges[:-1], dtype=np.int64)
        return tokens if self._steps is None else tokens[self._steps]

    def padding_share(self, lengths: NDArray[Any]) -> float:
        """Share of positions that would be padding if every batch were filled up to its longest sequence.

        Examples
        --------
        Lengths 10, 10 and 20 in one batch: 20 of 60 positions.

        >>> plan = plan_batches(np.array([10, 10, 20]), batch_tokens=40, order="sorted", seed=0)
        >>> round(plan.padding_share(np.array([10, 10, 20])), 4)
        0.3333
        """
        from .batch_kernel import padded_size

        compact = _compact(lengths)
        return 1 - int(compact.sum(dtype=np.int64)) / padded_size(self._order, compact, self._edges)


def plan_batches(
    lengths: NDArray[Any], *, batch_tokens: int, order: Literal["bucketed", "sorted"], seed: int, epoch: int = 0
) -> BatchPlan:
    """Share out sequences over batches of at most `batch_tokens` tokens.

    Parameters
    ----------
    lengths : ndarray of int, shape (n,)
        Positions of each sequence, START and END included. uint16 takes the least memory.
    batch_tokens : int
        Token limit of a batch. A batch holds at least one sequence.
    order : {"bucketed", "sorted"}
        `sorted`: by length over the whole set (the paper). `bucketed`: each sequence falls into a random window; by
        length inside windows; and the batches shuffled, so that length does not become a curriculum.
    seed, epoch : int
        Of `bucketed`: another epoch has other windows and another order. `sorted` depends on neither.

    Returns
    -------
    BatchPlan
        Positions in `lengths`, each exactly once, by batch in the order of training.
    """
    from .batch_kernel import counting_sort, cut, sort_windows  # here, since they import the compiler

    compact = _compact(lengths)
    n_lengths, total = int(compact.max()) + 1, int(compact.sum(dtype=np.int64))
    rng = np.random.Generator(np.random.Philox(key=[seed, 0], counter=[0, 0, 0, epoch]))
    if order == "sorted":
        sequence, _ = counting_sort(compact, n_lengths)
    else:
        n_windows = max(1, round(total / batch_tokens / WINDOW_BATCHES))
        window = np.uint16 if n_windows <= 1 << 16 else np.uint32
        sequence, begins = counting_sort(rng.integers(n_windows, size=compact.size, dtype=window), n_windows)
        sort_windows(sequence, begins, compact, n_lengths)
    # Two neighbouring batches together hold more than the limit, which bounds their number.
    edges = np.empty(min(compact.size, 2 * total // batch_tokens + 1) + 1, dtype=np.int64)
    edges = edges[: cut(sequence, compact, batch_tokens, edges) + 1].copy()
    return BatchPlan(sequence, edges, _shuffled(edges.size - 1, rng) if order == "bucketed" else None)


def _compact(lengths: NDArray[Any]) -> NDArray[np.uint16 | np.uint32]:
    """The lengths in the smallest type that holds them."""
    return lengths.astype(np.uint16 if lengths.max() < 1 << 16 else np.uint32, copy=False)


def _shuffled(n: int, rng: np.random.Generator) -> NDArray[np.uint32]:
    steps = np.arange(n, dtype=np.uint32)
    rng.shuffle(steps)
    return steps
