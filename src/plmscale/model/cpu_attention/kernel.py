"""Attention of one head within packed sequences, forward and backward. Compiled; `cpu_attention` calls it.

The scores of a block of `LANES` queries with one key are a vector: a query to a lane. Features of the queries stay in
registers, those of keys and values are read one by one and spread over the lanes, so that all products are sums of
vectors times a scalar and no lanes need to be summed up. A block's scores with all keys of its sequence are kept
(4 to 64 KB), as is their gradient; no matrix of queries times keys is, which is the bargain of FlashAttention (Dao et
al. 2022) with blocks of queries alone. Exponentials are to base 2, log2(e) being part of the scale of the scores.
"""

from typing import NamedTuple

import numpy as np

from ...compiled import compiled, inlined
from .blocks import (
    Floats,
    HeadOfSequence,
    HeadRows,
    RotaryTables,
    Sequences,
    add_outer,
    clear,
    copy_back,
    item_of,
    products,
    rotate,
    rows_of,
    sums,
    take_queries,
    take_rows,
    take_sequence,
    transpose,
    transpose_back,
)  # fmt: skip
from .simd import (
    LANES,
    Pointer,
    Vector,
    exp2,
    filled,
    larger,
    load,
    minus,
    over,
    plus,
    pointer,
    store,
    times,
)

_LOG2_E = 1.4426950408889634


class Workspace(NamedTuple):
    """Where an item and a block of its queries lie while they are worked on.

    Attributes
    ----------
    keys, values, d_keys, d_values
        Rows of the item and their gradients.
    scores, d_scores
        Of the block: a vector for each key.
    rows, columns, grad_rows, grad_columns
        The block's queries, and the gradient of its mixed values.
    stats
        Two vectors: the largest score of each query of the block, and 1 ÷ its sum of exponentials.
    """

    keys: Pointer
    values: Pointer
    d_keys: Pointer
    d_values: Pointer
    scores: Pointer
    d_scores: Pointer
    rows: Pointer
    columns: Pointer
    grad_rows: Pointer
    grad_columns: Pointer
    stats: Pointer


def workspace_size(longest: int, dim: int) -> int:
    """Floats that `forward` and `backward` need to work in."""
    width = -(-dim // LANES) * LANES
    return longest * (4 * width + 2 * LANES) + 4 * LANES * width + 2 * LANES


@inlined
def _workspace(memory: Floats, longest: int, width: int) -> Workspace:
    rows, scores = longest * width, longest * LANES
    of_scores, of_block, block = 4 * rows, 4 * rows + 2 * scores, LANES * width
    return Workspace(
        pointer(memory, 0), pointer(memory, rows), pointer(memory, 2 * rows), pointer(memory, 3 * rows),
        pointer(memory, of_scores), pointer(memory, of_scores + scores),
        pointer(memory, of_block), pointer(memory, of_block + block), pointer(memory, of_block + 2 * block),
        pointer(memory, of_block + 3 * block), pointer(memory, of_block + 4 * block),
    )  # fmt: skip


class Arrays(NamedTuple):
    """What attention takes and gives.

    Attributes
    ----------
    queries : ndarray of float32, shape (n_queries, …, n_heads, head_dim)
        The first of the second axis.
    kv : ndarray of float32, shape (n_tokens, …, n_heads, head_dim)
        Keys and values are the last two of the second axis.
    mixed : ndarray of float32, shape (n_queries, 1, n_heads, head_dim)
        The mean of the values, weighted by the softmax of the scores.
    stats : ndarray of float32, shape (n_queries, n_heads, 2)
        Of each query, as in `Workspace`.
    """

    queries: Floats
    kv: Floats
    mixed: Floats
    stats: Floats


class WorkRange(NamedTuple):
    """What one call computes, and in what memory.

    Attributes
    ----------
    first, last : int
        Items from `first` to before `last`; see `attention_blocks.item_of`.
    like : tuple
        As many items as features are worked on together, which divide head_dim.
    memory : ndarray of float32, shape (at least `workspace_size(longest, head_dim)`,)
        Not read. It should begin where a line of the cache does: else half of all loads touch two lines.
    """

    first: int
    last: int
    like: tuple[int, ...]
    memory: Floats


@compiled
def forward(arrays: Arrays, seqs: Sequences, work: WorkRange) -> None:
    """Fill the range's part of `arrays.mixed` and `arrays.stats`."""
    n_heads, dim, width = arrays.kv.shape[2], arrays.kv.shape[3], seqs.rotary.shape[2]
    workspace, rotary = (
        _workspace(work.memory, seqs.rotary.shape[0], width),
        RotaryTables(pointer(seqs.rotary, 0), pointer(seqs.tokens, 0)),
    )
    scale = filled(_LOG2_E / np.sqrt(dim))
    for i in range(work.first, work.last):
        item = item_of(i, n_heads, seqs)
        stats = pointer(arrays.stats, item.head * 2)
        take_sequence(workspace.keys, workspace.values, width, arrays.kv, item, rotary)
        for first in range(item.first, item.last, LANES):
            take_queries(workspace.rows, width, rows_of(arrays.queries, 0, item.head), first, item, rotary)
            transpose(workspace.columns, workspace.rows, width, scale)
            products(workspace.scores, workspace.columns, workspace.keys, item.n, width, work.like, dim)
            _softmax(workspace.scores, item.n, workspace.stats)
            sums(workspace.columns, workspace.scores, workspace.values, item.n, width, work.like, dim)
            transpose_back(workspace.rows, workspace.columns, width, load(workspace.stats, LANES))
            _give_block(workspace, rows_of(arrays.mixed, 0, item.head), stats, n_heads * 2, first, item, width)


@inlined
def _softmax(scores: Pointer, n: int, stats: Pointer) -> None:
    """Exponentials of the scores less their largest."""
    most, total = filled(-np.inf), filled(0.0)
    for j in range(n):
        most = larger(most, load(scores, j * LANES))
    for j in range(n):
        part = exp2(minus(load(scores, j * LANES), most))
        total = plus(total, part)
        store(scores, j * LANES, part)
    store(stats, 0, most)
    store(stats, LANES, over(filled(1.0), total))


@inlined
def _give_block(
    workspace: Workspace, mixed: HeadRows, stats: Pointer, stride: int, first: int, item: HeadOfSequence, width: int
) -> None:
    for row in range(first, min(first + LANES, item.last)):
        i = row - first
        copy_back(mixed, row, workspace.rows, i * width)
        stats[row * stride], stats[row * stride + 1] = workspace.stats[i], workspace.stats[LANES + i]


@compiled
def backward(grad: Floats, arrays: Arrays, d_queries: Floats, d_kv: Floats, seqs: Sequences, work: WorkRange) -> None:
    """Gradients of the range's queries, keys and values, given that of `arrays.mixed`.

    Parameters
    ----------
    grad : ndarray of float32, shape (n_queries, 1, n_heads, head_dim)
    arrays : Arrays
        As `forward` left them.
    d_queries : ndarray of float32, shape (n_queries, …, n_heads, head_dim)
        The first of its second axis is written.
    d_kv : ndarray of float32, shape (n_tokens, …, n_heads, head_dim)
        The last two of its second axis are written.
    seqs : Sequences
    work : WorkRange

    Notes
    -----
    With g, the gradient of a query's mixed values o divided by its sum of exponentials, and its exponentials e_j: the
    gradient of value j is the sum of e_j g over the queries, that of a score e_j (g · value j - g · o).
    """
    n_heads, dim, width = arrays.kv.shape[2], arrays.kv.shape[3], seqs.rotary.shape[2]
    workspace, rotary = (
        _workspace(work.memory, seqs.rotary.shape[0], width),
        RotaryTables(pointer(seqs.rotary, 0), pointer(seqs.tokens, 0)),
    )
    scale = filled(_LOG2_E / np.sqrt(dim))
    for i in range(work.first, work.last):
        item = item_of(i, n_heads, seqs)
        head, n = item.head, item.n
        take_sequence(workspace.keys, workspace.values, width, arrays.kv, item, rotary)
        clear(workspace.d_keys, n * width)
        clear(workspace.d_values, n * width)
        for first in range(item.first, item.last, LANES):
            _take_stats(workspace, pointer(arrays.stats, head * 2), n_heads * 2, first, item)
            delta = _take_gradient(
                workspace, rows_of(grad, 0, head), rows_of(arrays.mixed, 0, head), first, item, width
            )
            take_queries(workspace.rows, width, rows_of(arrays.queries, 0, head), first, item, rotary)
            transpose(workspace.columns, workspace.rows, width, scale)
            products(workspace.scores, workspace.columns, workspace.keys, n, width, work.like, dim)
            products(workspace.d_scores, workspace.grad_columns, workspace.values, n, width, work.like, dim)
            _softmax_gradient(workspace, n, delta)
            add_outer(workspace.d_values, workspace.scores, workspace.grad_rows, n, width)
            add_outer(workspace.d_keys, workspace.d_scores, workspace.rows, n, width)
            sums(workspace.columns, workspace.d_scores, workspace.keys, n, width, work.like, dim)
            _give_queries(rows_of(d_queries, 0, head), workspace, first, item, width, rotary)
        _give_sequence(d_kv, workspace, item, width, rotary)


@inlined
def _take_stats(workspace: Workspace, stats: Pointer, stride: int, first: int, item: HeadOfSequence) -> None:
    clear(workspace.stats, 2 * LANES)
    for row in range(first, min(first + LANES, item.last)):
        i = row - first
        workspace.stats[i], workspace.stats[LANES + i] = stats[row * stride], stats[row * stride + 1]


@inlined
def _take_gradient(
    workspace: Workspace, grad: HeadRows, mixed: HeadRows, first: int, item: HeadOfSequence, width: int
) -> Vector:
    """Put the block's g of `backward` into the workspace; its products with o."""
    one, delta = filled(1.0), filled(0.0)
    take_rows(workspace.rows, width, mixed, first, item.last)
    take_rows(workspace.grad_rows, width, grad, first, item.last)
    transpose(workspace.columns, workspace.rows, width, one)
    transpose(workspace.grad_columns, workspace.grad_rows, width, load(workspace.stats, LANES))
    transpose_back(workspace.grad_rows, workspace.grad_columns, width, one)
    for c in range(mixed.dim):
        delta = plus(delta, times(load(workspace.grad_columns, c * LANES), load(workspace.columns, c * LANES)))
    return delta


@inlined
def _softmax_gradient(workspace: Workspace, n: int, delta: Vector) -> None:
    """Scores become their exponentials, and gradients of those the gradients of scores."""
    most = load(workspace.stats, 0)
    for j in range(n):
        at = j * LANES
        part = exp2(minus(load(workspace.scores, at), most))
        store(workspace.scores, at, part)
        store(workspace.d_scores, at, times(part, minus(load(workspace.d_scores, at), delta)))


@inlined
def _give_queries(
    d_queries: HeadRows, workspace: Workspace, first: int, item: HeadOfSequence, width: int, rotary: RotaryTables
) -> None:
    factor, back = filled(1 / np.sqrt(d_queries.dim)), filled(-1 / np.sqrt(d_queries.dim))
    transpose_back(workspace.rows, workspace.columns, width, filled(1.0))
    for row in range(first, min(first + LANES, item.last)):
        at = (row - first) * width
        rotate(workspace.rows, at, width, rotary.places, rotary.tokens[row] - item.begin, factor, back)
        copy_back(d_queries, row, workspace.rows, at)


@inlined
def _give_sequence(d_kv: Floats, workspace: Workspace, item: HeadOfSequence, width: int, rotary: RotaryTables) -> None:
    dim, part = d_kv.shape[3], d_kv.shape[1] - 2
    factor, back = filled(1 / np.sqrt(dim)), filled(-1 / np.sqrt(dim))
    for j in range(item.n):
        rotate(workspace.d_keys, j * width, width, rotary.places, j, factor, back)
        copy_back(rows_of(d_kv, part, item.head), item.begin + j, workspace.d_keys, j * width)
        copy_back(rows_of(d_kv, part + 1, item.head), item.begin + j, workspace.d_values, j * width)
