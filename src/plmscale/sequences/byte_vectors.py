"""Up to 64 bytes at a time, in vector registers: for use inside compiled functions, as `words` is for eight.

Comparisons and their counts are LLVM's own vector operations, which every processor has instructions for. Looking up
each byte of a vector in a table is not among them: x86 processors have an instruction for tables of 16.
"""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from ..compiled import has_feature
from .alphabet import CODES, MASK

_SHUFFLES = {64: ("avx512bw", "avx512.pshuf.b.512"), 32: ("avx2", "avx2.pshuf.b"), 16: ("ssse3", "ssse3.pshuf.b.128")}
_FOUND = [n for n, (feature, _) in _SHUFFLES.items() if has_feature(feature)]
LOOKED_UP = _FOUND[0] if _FOUND else 0
"""Bytes that `look_up` takes; 0 where the processor has no instruction for it, or none that is known here."""
WIDTH = LOOKED_UP or 16
"""Bytes that all others take."""

_BYTE, _WORD = ir.IntType(8), ir.IntType(64)
_BYTES = ir.VectorType(_BYTE, WIDTH)
Bytes = NDArray[np.uint8]
Typed = tuple[Any, Callable[..., Any]]


def _pointer(context: Any, builder: Any, array: Any, value: Any, at: Any) -> Any:
    data = context.make_array(array)(context, builder, value).data
    return builder.bitcast(builder.gep(data, [at]), _BYTES.as_pointer())


def _constant(values: list[int]) -> Any:
    return ir.Constant(_BYTES, values)


def _flags(builder: Any, comparison: Any) -> Any:
    """One bit for each byte, the first lowest."""
    bits = builder.bitcast(comparison, ir.IntType(WIDTH))
    return bits if WIDTH == 64 else builder.zext(bits, _WORD)


def _splat(builder: Any, byte: Any) -> Any:
    one = builder.insert_element(ir.Constant(_BYTES, ir.Undefined), byte, ir.Constant(ir.IntType(32), 0))
    places = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)
    return builder.shuffle_vector(one, ir.Constant(_BYTES, ir.Undefined), places)


def _equal(join: Callable[[Any, Any], Any]) -> Callable[..., Typed]:
    def typed(_: Any, data: Any, at: Any, byte: Any) -> Typed:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            x = builder.load(_pointer(context, builder, signature.args[0], *args[:2]), align=1)
            other = _splat(builder, context.cast(builder, args[2], signature.args[2], types.uint8))
            return join(builder, _flags(builder, builder.icmp_unsigned("==", x, other)))

        return types.uint64(data, at, byte), generate

    return typed


def _first(_: Any, flags: Any) -> Typed:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), generate


def _look_up(_: Any, text: Any, at: Any, target: Any, to: Any) -> Typed:
    """Letters are 0x40 to 0x5F: one table for each half. In both 0 stands for what is no residue."""
    halves = [[code if code < MASK else 0 for code in CODES[begin : begin + 16]] for begin in (0x40, 0x50)]

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if not LOOKED_UP:
            return ir.Constant(_WORD, 0)
        x = builder.load(_pointer(context, builder, signature.args[0], *args[:2]), align=1)
        kind = builder.and_(x, _constant([0xF0] * WIDTH))
        name = f"llvm.x86.{_SHUFFLES[WIDTH][1]}"
        shuffle = builder.module.globals.get(name)
        shuffle = shuffle or ir.Function(builder.module, ir.FunctionType(_BYTES, [_BYTES, _BYTES]), name)
        found = _constant([0] * WIDTH)
        for begin, table in zip((0x40, 0x50), halves, strict=True):
            here = builder.call(shuffle, [_constant(table * (WIDTH // 16)), x])
            found = builder.select(builder.icmp_unsigned("==", kind, _constant([begin] * WIDTH)), here, found)
        builder.store(found, _pointer(context, builder, signature.args[2], *args[2:]), align=1)
        return _flags(builder, builder.icmp_unsigned("==", found, _constant([0] * WIDTH)))

    return types.uint64(text, at, target, to), generate


look_up = cast(Callable[[Bytes, Any, Bytes, Any], np.uint64], intrinsic(_look_up))
"""`look_up(text, at, target, to)`: token ids of `text[at : at + LOOKED_UP]` into `target` from `to` on; one bit for
each byte that is no upper-case residue, whose id is 0. As in all functions here, the caller knows of the room."""

equal_bytes = cast(Callable[[Bytes, Any, int], np.uint64], intrinsic(_equal(lambda _, flags: flags)))
"""`equal_bytes(data, at, byte)`: one bit for each byte of `data[at : at + WIDTH]` that is `byte`, the first lowest."""

n_equal = cast(Callable[[Bytes, Any, int], np.uint64], intrinsic(_equal(lambda builder, flags: builder.ctpop(flags))))
"""`n_equal(data, at, byte)`: how many bytes of `data[at : at + WIDTH]` are `byte`."""

first_flag = cast(Callable[[np.uint64], np.uint64], intrinsic(_first))
"""`first_flag(flags)`: the place of the lowest bit that is set; there is one."""
