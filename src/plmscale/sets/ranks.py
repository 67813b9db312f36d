"""Random ranks computed from record ids: what the holdout and the samples are drawn by."""

import numpy as np
from numpy.typing import NDArray


def rank(keys: NDArray[np.uint64], *, seed: int, salt: int = 0) -> NDArray[np.uint64]:
    """Random rank of each record: splitmix64 of its key and of the seed.

    The finaliser is that of Steele, Lea and Flood (OOPSLA 2014, `SplittableRandom`), a bijection of 64 bits: different
    keys never tie.

    Parameters
    ----------
    keys : ndarray of uint64
        `Store.keys`, or a part of them.
    seed : int
        0 ≤ seed < 2**64.
    salt : int
        Another sequence of ranks at the same seed.
    """
    return mix(keys ^ _start(seed, salt))


def _start(seed: int, salt: int) -> np.uint64:
    return mix(mix(np.array([seed], dtype=np.uint64)) ^ np.uint64(salt))[0]


def mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of splitmix64, for each value."""
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def lowest(
    keys: NDArray[np.uint64], among: NDArray[np.bool_], *, n: int, seed: int, salt: int = 0
) -> NDArray[np.int64]:
    """Those `n` of the sequences `among` whose rank is lowest: a uniform sample without replacement, ascending.

    64 million are gone through in about a second, in no memory to speak of beside input and result.

    Parameters
    ----------
    keys : ndarray of uint64, shape (n_sequences,)
        `Store.keys`.
    among : ndarray of bool, shape (n_sequences,)
        Which sequences can be chosen.
    n : int
        How many; all if there are not more.
    seed, salt : int
        As for `rank`.
    """
    from .rank_kernel import lowest as compiled_lowest  # here, since it imports the compiler

    if n >= np.count_nonzero(among):
        return np.flatnonzero(among)
    return compiled_lowest(keys, among, _start(seed, salt), n) if n else np.empty(0, dtype=np.int64)
