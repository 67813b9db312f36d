"""Blocks of rows of packed sequences in buffers, and their products: what `attention_kernel` is put together from.

In a buffer a row has `width` floats, head_dim rounded up to whole vectors. A block is `LANES` rows; as columns it is
one vector, a row to a lane, for each feature.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...compiled import inlined
from .simd import (
    LANES,
    Pointer,
    Vector,
    add_scaled,
    dot,
    filled,
    load,
    load_each,
    plus,
    pointer,
    scaled,
    store,
    store_each,
    swapped,
    times,
    transposed,
    zeros,
)  # fmt: skip

_EACH_LANE = (0,) * LANES
Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


class Sequences(NamedTuple):
    """Which rows are whose, and how rows turn.

    Attributes
    ----------
    keys, queries : ndarray of int64, shape (n + 1,)
        Bounds of the sequences among the tokens and among the query rows.
    tokens : ndarray of int64, shape (n_queries,)
        Token of each query row.
    rotary : ndarray of float32, shape (longest, 2, width)
        For each place in a sequence, by what a row and by what the row with its pairs swapped are multiplied.
    """

    keys: Ints
    queries: Ints
    tokens: Ints
    rotary: Floats


class HeadOfSequence(NamedTuple):
    """A head of a sequence: tokens `begin` to `end`, `n` of them, and query rows `first` to `last`."""

    head: int
    begin: int
    end: int
    n: int
    first: int
    last: int


class HeadRows(NamedTuple):
    """Rows of one head: `dim` floats at `data[begin + i * stride]`."""

    data: Pointer
    begin: int
    stride: int
    dim: int


class RotaryTables(NamedTuple):
    """`Sequences.rotary` and `Sequences.tokens`."""

    places: Pointer
    tokens: Pointer


@inlined
def item_of(i: int, n_heads: int, seqs: Sequences) -> HeadOfSequence:
    """Index s · n_heads + h is head h of sequence s."""
    s = i // n_heads
    begin, end = seqs.keys[s], seqs.keys[s + 1]
    return HeadOfSequence(i % n_heads, begin, end, end - begin, seqs.queries[s], seqs.queries[s + 1])


@inlined
def rows_of(array: Floats, part: int, head: int) -> HeadRows:
    """Rows of an array of shape (n_rows, n_parts, n_heads, head_dim)."""
    dim = array.shape[3]
    return HeadRows(pointer(array, 0), (part * array.shape[2] + head) * dim, array.shape[1] * array.shape[2] * dim, dim)


@inlined
def copy(target: Pointer, at: int, rows: HeadRows, i: int) -> None:
    """Row i into a buffer."""
    begin = rows.begin + i * rows.stride
    for c in range(rows.dim):
        target[at + c] = rows.data[begin + c]


@inlined
def copy_back(rows: HeadRows, i: int, source: Pointer, at: int) -> None:
    """Row i out of a buffer."""
    begin = rows.begin + i * rows.stride
    for c in range(rows.dim):
        rows.data[begin + c] = source[at + c]


@inlined
def clear(target: Pointer, n: int) -> None:
    """Zeros into the first `n` floats, a multiple of `LANES`."""
    nothing = filled(0.0)
    for at in range(0, n, LANES):
        store(target, at, nothing)


@inlined
def rotate(rows: Pointer, at: int, width: int, places: Pointer, place: int, factor: Vector, sense: Vector) -> None:
    """Multiply a row by `factor` and turn it by its place in the sequence; with -`factor` as `sense`, turn it back."""
    begin = place * 2 * width
    for part in range(0, width, LANES):
        x = load(rows, at + part)
        cosine, sine = times(load(places, begin + part), factor), times(load(places, begin + width + part), sense)
        store(rows, at + part, plus(times(x, cosine), times(swapped(x), sine)))


@inlined
def transpose(target: Pointer, rows: Pointer, width: int, factor: Vector) -> None:
    """A block's rows as columns; each row times its lane of `factor`."""
    for part in range(0, width, LANES):
        vectors = transposed(load_each(rows, part, width, _EACH_LANE))
        store_each(target, part * LANES, LANES, scaled(vectors, factor))


@inlined
def transpose_back(target: Pointer, columns: Pointer, width: int, factor: Vector) -> None:
    """A block's columns as rows; each row times its lane of `factor`."""
    for part in range(0, width, LANES):
        vectors = scaled(load_each(columns, part * LANES, LANES, _EACH_LANE), factor)
        store_each(target, part, width, transposed(vectors))


@inlined
def take_rows(target: Pointer, width: int, rows: HeadRows, first: int, last: int) -> None:
    """A block of the rows from `first` on; zeros behind the last."""
    if last < first + LANES:
        clear(target, LANES * width)
    for i in range(first, min(first + LANES, last)):
        copy(target, (i - first) * width, rows, i)


@inlined
def take_queries(
    target: Pointer, width: int, rows: HeadRows, first: int, item: HeadOfSequence, rotary: RotaryTables
) -> None:
    """A block of query rows from `first` on, turned."""
    one = filled(1.0)
    take_rows(target, width, rows, first, item.last)
    for i in range(first, min(first + LANES, item.last)):
        rotate(target, (i - first) * width, width, rotary.places, rotary.tokens[i] - item.begin, one, one)


@inlined
def take_sequence(
    keys: Pointer, values: Pointer, width: int, kv: Floats, item: HeadOfSequence, rotary: RotaryTables
) -> None:
    """The item's keys, turned, and values: the last two parts of `kv`."""
    one, part = filled(1.0), kv.shape[1] - 2
    for j in range(item.n):
        copy(keys, j * width, rows_of(kv, part, item.head), item.begin + j)
        rotate(keys, j * width, width, rotary.places, j, one, one)
        copy(values, j * width, rows_of(kv, part + 1, item.head), item.begin + j)


@inlined
def products(
    target: Pointer, columns: Pointer, rows: Pointer, n: int, width: int, like: tuple[int, ...], dim: int
) -> None:
    """`target[j]` = product of the block in `columns` with row j, for `n` rows; `len(like)` features at a time."""
    for part in range(0, dim, len(like)):
        vectors = load_each(columns, part * LANES, LANES, like)
        if part == 0:
            for j in range(n):
                store(target, j * LANES, dot(vectors, rows, j * width))
        else:
            for j in range(n):
                at = j * LANES
                store(target, at, plus(load(target, at), dot(vectors, rows, j * width + part)))


@inlined
def sums(target: Pointer, weights: Pointer, rows: Pointer, n: int, width: int, like: tuple[int, ...], dim: int) -> None:
    """`target`, as columns, = sum over j of the vector `weights[j]` times row j."""
    for part in range(0, dim, len(like)):
        found = zeros(like)
        for j in range(n):
            found = add_scaled(found, load(weights, j * LANES), rows, j * width + part)
        store_each(target, part * LANES, LANES, found)


@inlined
def add_outer(target: Pointer, weights: Pointer, rows: Pointer, n: int, width: int) -> None:
    """Add to row j of `target` the block's `rows`, each times its lane of `weights[j]`."""
    for part in range(0, width, LANES):
        vectors = load_each(rows, part, width, _EACH_LANE)
        for j in range(n):
            at = j * width + part
            store(target, at, plus(load(target, at), dot(vectors, weights, j * LANES)))
