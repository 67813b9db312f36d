"""Eight bytes at a time, wherever they lie: for use inside compiled functions.

Put together from single bytes, a word takes eight loads and a dozen shifts unless the compiler sees through it, which
depends on what stands around it.
"""

import sys
from collections.abc import Callable
from typing import Any, cast

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from ..compiled import inlined

HIGH_BITS = np.uint64(0xE0E0E0E0E0E0E0E0)
"""The three high bits of each byte of a word."""
_EACH = np.uint64(0x0101010101010101)
_WORD = ir.IntType(64)
_SWAPPED = sys.byteorder == "big"


def _pointer(context: Any, builder: Any, array: Any, value: Any, at: Any) -> Any:
    data = context.make_array(array)(context, builder, value).data
    return builder.bitcast(builder.gep(data, [at]), _WORD.as_pointer())


def _load(_: Any, data: Any, at: Any) -> tuple[Any, Callable[..., Any]]:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word = builder.load(_pointer(context, builder, signature.args[0], *args), align=1)
        return builder.bswap(word) if _SWAPPED else word

    return types.uint64(data, at), generate


def _store(_: Any, data: Any, at: Any, word: Any) -> tuple[Any, Callable[..., Any]]:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _pointer(context, builder, signature.args[0], *args[:2])
        builder.store(builder.bswap(args[2]) if _SWAPPED else args[2], pointer, align=1)
        return context.get_dummy_value()

    return types.void(data, at, word), generate


load_word = cast(Callable[[NDArray[np.uint8], np.uint64], np.uint64], intrinsic(_load))
"""`load_word(data, at)`: `data[at:at + 8]` as a number, the first byte lowest. The caller knows that they are there."""

store_word = cast(Callable[[NDArray[np.uint8], np.uint64, np.uint64], None], intrinsic(_store))
"""`store_word(data, at, word)`: its bytes, the lowest first, into `data[at:at + 8]`. The caller knows of the room."""


@inlined
def below(word: np.uint64, limit: np.uint64) -> np.uint64:
    """Not 0 if a byte of the word is below `limit` (at most 128): the lowest bit set is in the first such byte.

    S. E. Anderson, Bit Twiddling Hacks, "Determine if a word has a byte less than n".
    """
    return (word - _EACH * limit) & ~word & (_EACH << np.uint64(7))


@inlined
def n_before(flags: np.uint64) -> np.uint64:
    """How many bytes of a word come before the first in which one of the three high bits is set; there is one."""
    n = np.uint64(0)
    if not flags & (HIGH_BITS >> np.uint64(32)):
        n, flags = n + np.uint64(4), flags >> np.uint64(32)
    if not flags & (HIGH_BITS >> np.uint64(48)):
        n, flags = n + np.uint64(2), flags >> np.uint64(16)
    if not flags & (HIGH_BITS >> np.uint64(56)):
        n += np.uint64(1)
    return n
