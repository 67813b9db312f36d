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
    Item,
    Rows,
    Sequences,
    Turns,
    add_outer,
    clear,
    copy_back,
    item_of,
    products,
    rows_of,
    sums,
    take_queries,
    take_rows,
    take_sequence,
    transpose,
    transpose_back,
    turn,
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


class Room(NamedTuple):
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


def room_size(longest: int, dim: int) -> int:
    """Floats that `forward` and `backward` need to work in."""
    width = -(-dim // LANES) * LANES
    return longest * (4 * width + 2 * LANES) + 4 * LANES * width + 2 * LANES


@inlined
def _room(work: Floats, longest: int, width: int) -> Room:
    rows, scores = longest * width, longest * LANES
    of_scores, of_block, block = 4 * rows, 4 * rows + 2 * scores, LANES * width
    return Room(
        pointer(work, 0), pointer(work, rows), pointer(work, 2 * rows), pointer(work, 3 * rows),
        pointer(work, of_scores), pointer(work, of_scores + scores),
        pointer(work, of_block), pointer(work, of_block + block), pointer(work, of_block + 2 * block),
        pointer(work, of_block + 3 * block), pointer(work, of_block + 4 * block),
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
        Of each query, as in `Room`.
    """

    queries: Floats
    kv: Floats
    mixed: Floats
    stats: Floats


class Share(NamedTuple):
    """What one call computes, and in what memory.

    Attributes
    ----------
    first, last : int
        Items from `first` to before `last`; see `attention_blocks.item_of`.
    like : tuple
        As many items as features are worked on together, which divide head_dim.
    work : ndarray of float32, shape (at least `room_size(longest, head_dim)`,)
        Not read. It should begin where a line of the cache does: else half of all loads touch two lines.
    """

    first: int
    last: int
    like: tuple[int, ...]
    work: Floats


@compiled
def forward(arrays: Arrays, seqs: Sequences, share: Share) -> None:
    """Fill the share's part of `arrays.mixed` and `arrays.stats`."""
    n_heads, dim, width = arrays.kv.shape[2], arrays.kv.shape[3], seqs.turns.shape[2]
    room, turns = _room(share.work, seqs.turns.shape[0], width), Turns(pointer(seqs.turns, 0), pointer(seqs.tokens, 0))
    scale = filled(_LOG2_E / np.sqrt(dim))
    for i in range(share.first, share.last):
        item = item_of(i, n_heads, seqs)
        stats = pointer(arrays.stats, item.head * 2)
        take_sequence(room.keys, room.values, width, arrays.kv, item, turns)
        for first in range(item.first, item.last, LANES):
            take_queries(room.rows, width, rows_of(arrays.queries, 0, item.head), first, item, turns)
            transpose(room.columns, room.rows, width, scale)
            products(room.scores, room.columns, room.keys, item.n, width, share.like, dim)
            _softmax(room.scores, item.n, room.stats)
            sums(room.columns, room.scores, room.values, item.n, width, share.like, dim)
            transpose_back(room.rows, room.columns, width, load(room.stats, LANES))
            _give_block(room, rows_of(arrays.mixed, 0, item.head), stats, n_heads * 2, first, item, width)


@inlined
def _softmax(scores: Pointer, n: int, stats: Pointer) -> None:
    """Exponentials of the scores less their largest."""
    most, total = filled(-np.inf), filled(0.0)
    for j in range(n):
        most = larger(most, load(scores, j * LANES))
    for j in range(n):
        share = exp2(minus(load(scores, j * LANES), most))
        total = plus(total, share)
        store(scores, j * LANES, share)
    store(stats, 0, most)
    store(stats, LANES, over(filled(1.0), total))


@inlined
def _give_block(room: Room, mixed: Rows, stats: Pointer, stride: int, first: int, item: Item, width: int) -> None:
    for row in range(first, min(first + LANES, item.last)):
        i = row - first
        copy_back(mixed, row, room.rows, i * width)
        stats[row * stride], stats[row * stride + 1] = room.stats[i], room.stats[LANES + i]


@compiled
def backward(grad: Floats, arrays: Arrays, d_queries: Floats, d_kv: Floats, seqs: Sequences, share: Share) -> None:
    """Gradients of the share's queries, keys and values, given that of `arrays.mixed`.

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
    share : Share

    Notes
    -----
    With g, the gradient of a query's mixed values o divided by its sum of exponentials, and its exponentials e_j: the
    gradient of value j is the sum of e_j g over the queries, that of a score e_j (g · value j - g · o).
    """
    n_heads, dim, width = arrays.kv.shape[2], arrays.kv.shape[3], seqs.turns.shape[2]
    room, turns = _room(share.work, seqs.turns.shape[0], width), Turns(pointer(seqs.turns, 0), pointer(seqs.tokens, 0))
    scale = filled(_LOG2_E / np.sqrt(dim))
    for i in range(share.first, share.last):
        item = item_of(i, n_heads, seqs)
        head, n = item.head, item.n
        take_sequence(room.keys, room.values, width, arrays.kv, item, turns)
        clear(room.d_keys, n * width)
        clear(room.d_values, n * width)
        for first in range(item.first, item.last, LANES):
            _take_stats(room, pointer(arrays.stats, head * 2), n_heads * 2, first, item)
            delta = _take_gradient(room, rows_of(grad, 0, head), rows_of(arrays.mixed, 0, head), first, item, width)
            take_queries(room.rows, width, rows_of(arrays.queries, 0, head), first, item, turns)
            transpose(room.columns, room.rows, width, scale)
            products(room.scores, room.columns, room.keys, n, width, share.like, dim)
            products(room.d_scores, room.grad_columns, room.values, n, width, share.like, dim)
            _softmax_gradient(room, n, delta)
            add_outer(room.d_values, room.scores, room.grad_rows, n, width)
            add_outer(room.d_keys, room.d_scores, room.rows, n, width)
            sums(room.columns, room.d_scores, room.keys, n, width, share.like, dim)
            _give_queries(rows_of(d_queries, 0, head), room, first, item, width, turns)
        _give_sequence(d_kv, room, item, width, turns)


@inlined
def _take_stats(room: Room, stats: Pointer, stride: int, first: int, item: Item) -> None:
    clear(room.stats, 2 * LANES)
    for row in range(first, min(first + LANES, item.last)):
        i = row - first
        room.stats[i], room.stats[LANES + i] = stats[row * stride], stats[row * stride + 1]


@inlined
def _take_gradient(room: Room, grad: Rows, mixed: Rows, first: int, item: Item, width: int) -> Vector:
    """Put the block's g of `backward` into the room; its products with o."""
    one, delta = filled(1.0), filled(0.0)
    take_rows(room.rows, width, mixed, first, item.last)
    take_rows(room.grad_rows, width, grad, first, item.last)
    transpose(room.columns, room.rows, width, one)
    transpose(room.grad_columns, room.grad_rows, width, load(room.stats, LANES))
    transpose_back(room.grad_rows, room.grad_columns, width, one)
    for c in range(mixed.dim):
        delta = plus(delta, times(load(room.grad_columns, c * LANES), load(room.columns, c * LANES)))
    return delta


@inlined
def _softmax_gradient(room: Room, n: int, delta: Vector) -> None:
    """Scores become their exponentials, and gradients of those the gradients of scores."""
    most = load(room.stats, 0)
    for j in range(n):
        at = j * LANES
        share = exp2(minus(load(room.scores, at), most))
        store(room.scores, at, share)
        store(room.d_scores, at, times(share, minus(load(room.d_scores, at), delta)))


@inlined
def _give_queries(d_queries: Rows, room: Room, first: int, item: Item, width: int, turns: Turns) -> None:
    factor, back = filled(1 / np.sqrt(d_queries.dim)), filled(-1 / np.sqrt(d_queries.dim))
    transpose_back(room.rows, room.columns, width, filled(1.0))
    for row in range(first, min(first + LANES, item.last)):
        at = (row - first) * width
        turn(room.rows, at, width, turns.places, turns.tokens[row] - item.begin, factor, back)
        copy_back(d_queries, row, room.rows, at)


@inlined
def _give_sequence(d_kv: Floats, room: Room, item: Item, width: int, turns: Turns) -> None:
    dim, part = d_kv.shape[3], d_kv.shape[1] - 2
    factor, back = filled(1 / np.sqrt(dim)), filled(-1 / np.sqrt(dim))
    for j in range(item.n):
        turn(room.d_keys, j * width, width, turns.places, j, factor, back)
        copy_back(rows_of(d_kv, part, item.head), item.begin + j, room.d_keys, j * width)
        copy_back(rows_of(d_kv, part + 1, item.head), item.begin + j, room.d_values, j * width)
