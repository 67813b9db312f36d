"""`attention_kernel` as a function of torch: arrays, gradients and threads."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..attention import PackedLayout, Rotation
from .blocks import Sequences
from .kernel import Arrays, WorkRange, backward, forward, workspace_size
from .simd import LANES, MOST_VECTORS

_LINE = 64
"""Bytes in a line of the cache."""


class CPUAttention(torch.autograd.Function):
    """Turn queries and keys and attend, head by head of each sequence.

    Each head of each sequence is computed by one thread and in one order: threads do not change a bit of the result.
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor | None, kv: Tensor, rotation: Rotation, layout: PackedLayout) -> Tensor:
        kv = kv.contiguous()
        queries = kv if q is None else q.contiguous()[:, None]
        mixed = kv.new_empty(queries.shape[0], 1, *kv.shape[2:])
        stats = kv.new_empty(queries.shape[0], kv.shape[2], 2)
        arrays, sequences = _arrays(queries, kv, mixed, stats), _sequences(layout, rotation, selected=q is not None)
        _shared_out(lambda share: forward(arrays, sequences, share), sequences, kv.shape[2], kv.shape[3])
        ctx.save_for_backward(queries, kv, mixed, stats)
        ctx.sequences, ctx.selected = sequences, q is not None
        return mixed.flatten(1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, None, None]:  # type: ignore[override]  (Function leaves it open)
        queries, kv, mixed, stats = ctx.saved_tensors
        arrays, sequences = _arrays(queries, kv, mixed, stats), ctx.sequences
        d_kv = torch.empty_like(kv)
        d_queries = torch.empty_like(queries) if ctx.selected else d_kv
        given = (_array(grad.contiguous().view(mixed.shape)), arrays, _array(d_queries), _array(d_kv))
        _shared_out(lambda share: backward(*given, sequences, share), sequences, kv.shape[2], kv.shape[3])
        return d_queries[:, 0] if ctx.selected else None, d_kv, None, None


def _arrays(*tensors: Tensor) -> Arrays:
    return Arrays(*(_array(x) for x in tensors))


def _array(x: Tensor) -> NDArray[np.float32]:
    return x.detach().numpy()


@lru_cache
def _like(dim: int) -> tuple[int, ...]:
    """As many items as features are worked on together: the most that divide `dim` and stay in registers."""
    return (0,) * max(n for n in range(1, MOST_VECTORS + 1) if dim % n == 0)


def _sequences(layout: PackedLayout, rotation: Rotation, *, selected: bool) -> Sequences:
    keys, queries = (np.cumsum([0, *n], dtype=np.int64) for n in (layout.lengths, layout.queries(selected=selected)))
    tokens = layout.select.numpy() if selected and layout.select is not None else np.arange(keys[-1])
    cosines, sines = (x.numpy() for x in torch.view_as_real(rotation.places).unbind(-1))
    dim = 2 * cosines.shape[1]
    rotary = np.zeros((cosines.shape[0], 2, -(-dim // LANES) * LANES), dtype=np.float32)
    rotary[:, 0, 0:dim:2] = rotary[:, 0, 1:dim:2] = cosines
    rotary[:, 1, 0:dim:2], rotary[:, 1, 1:dim:2] = -sines, sines
    return Sequences(keys, queries, tokens, rotary)


def _shared_out(work: Callable[[WorkRange], None], sequences: Sequences, n_heads: int, dim: int) -> None:
    """Call `work` for all items, in as many threads as torch uses, with about the same number of scores in each."""
    n_threads = torch.get_num_threads()
    size = workspace_size(len(sequences.rotary), dim)
    shares = [WorkRange(*bounds, _like(dim), _aligned(size)) for bounds in _bounds(sequences, n_heads, n_threads)]
    waiting = [_pool(n_threads).submit(work, share) for share in shares[1:]]
    work(shares[0])
    for future in waiting:
        future.result()


def _bounds(sequences: Sequences, n_heads: int, n_threads: int) -> list[tuple[int, int]]:
    """First and last item of each thread that has any."""
    if n_threads == 1:  # a short batch is done before the shares of several threads are computed
        return [(0, n_heads * (sequences.keys.size - 1))]
    scores = np.diff(sequences.keys) * (np.diff(sequences.queries) + 1)  # + 1: keys and values are copied in any case
    ends = np.cumsum(np.repeat(scores, n_heads))
    inner = np.searchsorted(ends, ends[-1] * np.arange(1, n_threads) / n_threads).tolist()
    return [(first, last) for first, last in pairwise([0, *inner, ends.size]) if first < last]


def _aligned(n: int) -> NDArray[np.float32]:
    spare = np.empty(n + _LINE // 4, dtype=np.float32)
    return spare[-spare.ctypes.data % _LINE // 4 :][:n]


@lru_cache(1)
def _pool(n_threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(n_threads)


os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive a fork
