"""Vectors of floats in registers: for use inside compiled functions.

A compiler turns loops into vector instructions if it can prove that it may, and keeps what a loop sums up in registers
if it sees through the arrays. Here both are said outright, in the vector types of LLVM: any processor gets its own
instructions, and what it has no registers for is spilled. A tuple of vectors has its length in its type, so that
a function that takes one is unrolled.
"""

from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, register_model
from numpy.typing import NDArray

from ...compiled import has_feature

_WIDE = has_feature("avx512f")
LANES = 16 if _WIDE else 8
"""Floats in a vector: those of a 512-bit register where there are such, else those of a 256-bit one."""

MOST_VECTORS = 26 if _WIDE else 12
"""How many vectors of a tuple stay in registers beside the few others that a loop needs (of 32, of 16)."""

_FLOAT, _INT = ir.FloatType(), ir.IntType(32)
_FLOATS, _INTS = ir.VectorType(_FLOAT, LANES), ir.VectorType(_INT, LANES)
_EXP2 = (1.0, 0.693147207, 0.240226509, 0.0555032723, 0.00961805668, 0.00134004282, 0.000154614447)
"""Coefficients of 2^x on [-1/2, 1/2], interpolated at Chebyshev's nodes: off by 3e-9 before rounding."""

Vector = Any
Vectors = tuple[Any, ...]
Pointer = Any
Typed = tuple[Any, Callable[..., Any]]


class _VectorType(types.Type):
    def __init__(self) -> None:
        super().__init__(name=f"Vector({LANES})")


@register_model(_VectorType)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _FLOATS)


_vector = _VectorType()


def _constant(value: float) -> Any:
    return ir.Constant(_FLOATS, [value] * LANES)


def _splat(builder: Any, value: Any) -> Any:
    one = builder.insert_element(ir.Constant(_FLOATS, ir.Undefined), value, ir.Constant(_INT, 0))
    return builder.shuffle_vector(one, ir.Constant(_FLOATS, ir.Undefined), ir.Constant(_INTS, [0] * LANES))


def _call(builder: Any, name: str, *args: Any) -> Any:
    kind = ir.FunctionType(_FLOATS, [_FLOATS] * len(args))
    function = builder.module.globals.get(f"llvm.{name}.v{LANES}f32")
    function = function or ir.Function(builder.module, kind, f"llvm.{name}.v{LANES}f32")
    return builder.call(function, args)


def _address(builder: Any, data: Any, at: Any, kind: Any = _FLOATS) -> Any:
    return builder.bitcast(builder.gep(data, [at]), kind.as_pointer())


def _read(builder: Any, data: Any, at: Any, kind: Any = _FLOATS) -> Any:
    return builder.load(_address(builder, data, at, kind), align=4)


def _pointer(_: Any, array: Any, at: Any) -> Typed:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.gep(data, [args[1]])

    return types.CPointer(array.dtype)(array, at), generate


def _further(builder: Any, at: Any, n: int) -> Any:
    return builder.add(at, ir.Constant(at.type, n))


def _load(_: Any, data: Any, at: Any) -> Typed:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _read(builder, *args)

    return _vector(data, at), generate


def _store(_: Any, data: Any, at: Any, x: Any) -> Typed:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], _address(builder, *args[:2]), align=4)
        return context.get_dummy_value()

    return types.void(data, at, x), generate


def _load_each(_: Any, data: Any, at: Any, stride: Any, like: Any) -> Typed:
    found = types.UniTuple(_vector, len(like))

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vectors, place = [], args[1]
        for _ in range(len(like)):
            vectors.append(_read(builder, args[0], place))
            place = builder.add(place, args[2])
        return context.make_tuple(builder, found, vectors)

    return found(data, at, stride, like), generate


def _store_each(_: Any, data: Any, at: Any, stride: Any, vectors: Any) -> Typed:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = args[1]
        for i in range(len(vectors)):
            x = builder.extract_value(args[3], i)
            builder.store(x, _address(builder, args[0], place), align=4)
            place = builder.add(place, args[2])
        return context.get_dummy_value()

    return types.void(data, at, stride, vectors), generate


def _zeros(_: Any, like: Any) -> Typed:
    found = types.UniTuple(_vector, len(like))

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.make_tuple(builder, found, [_constant(0.0)] * len(like))

    return found(like), generate


def _filled(_: Any, value: Any) -> Typed:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _splat(builder, context.cast(builder, args[0], signature.args[0], types.float32))

    return _vector(value), generate


def _dot(_: Any, vectors: Any, scalars: Any, at: Any) -> Typed:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        sums: list[Any] = [None, None]  # two: a product need not wait for the one before
        for i in range(len(vectors)):
            place = _further(builder, args[2], i)
            factor = _splat(builder, _read(builder, args[1], place, _FLOAT))
            x, old = builder.extract_value(args[0], i), sums[i % 2]
            sums[i % 2] = builder.fmul(x, factor) if old is None else _call(builder, "fma", x, factor, old)
        return sums[0] if sums[1] is None else builder.fadd(*sums)

    return _vector(vectors, scalars, at), generate


def _add_scaled(_: Any, sums: Any, x: Any, scalars: Any, at: Any) -> Typed:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        found = []
        for i in range(len(sums)):
            place = _further(builder, args[3], i)
            factor = _splat(builder, _read(builder, args[2], place, _FLOAT))
            found.append(_call(builder, "fma", args[1], factor, builder.extract_value(args[0], i)))
        return context.make_tuple(builder, sums, found)

    return sums(sums, x, scalars, at), generate


def _scaled(_: Any, vectors: Any, x: Any) -> Typed:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        each = [builder.fmul(builder.extract_value(args[0], i), args[1]) for i in range(len(vectors))]
        return context.make_tuple(builder, vectors, each)

    return vectors(vectors, x), generate


def _shuffled(builder: Any, a: Any, b: Any, places: list[int]) -> Any:
    return builder.shuffle_vector(a, b, ir.Constant(_INTS, places))


def _swapped(_: Any, x: Any) -> Typed:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _shuffled(builder, args[0], args[0], [lane ^ 1 for lane in range(LANES)])

    return _vector(x), generate


def _transposed(_: Any, vectors: Any) -> Typed:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        rows = [builder.extract_value(args[0], i) for i in range(LANES)]
        size = 1
        while size < LANES:  # blocks of size x size within blocks of twice that change places, from the smallest on
            first = [lane + (LANES - size if lane & size else 0) for lane in range(LANES)]
            second = [lane + (LANES if lane & size else size) for lane in range(LANES)]
            for i in (i for i in range(LANES) if not i & size):
                a, b = rows[i], rows[i | size]
                rows[i], rows[i | size] = _shuffled(builder, a, b, first), _shuffled(builder, a, b, second)
            size *= 2
        return context.make_tuple(builder, vectors, rows)

    return vectors(vectors), generate


def _binary(operation: Callable[[Any, Any, Any], Any]) -> Callable[..., Typed]:
    def typed(_: Any, a: Any, b: Any) -> Typed:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return operation(builder, *args)

        return _vector(a, b), generate

    return typed


def _larger(builder: Any, a: Any, b: Any) -> Any:
    """`b` where it is not a number, unlike `llvm.maxnum`."""
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


def _exp2(_: Any, x: Any) -> Typed:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bounded = _larger(builder, _constant(-126.0), args[0])  # below, the exponent's bits would wrap around
        whole = _call(builder, "rint", bounded)
        rest = builder.fsub(bounded, whole)
        value = _constant(_EXP2[-1])
        for coefficient in _EXP2[-2::-1]:
            value = _call(builder, "fma", value, rest, _constant(coefficient))
        exponent = builder.shl(builder.fptosi(whole, _INTS), ir.Constant(_INTS, [23] * LANES))
        return builder.bitcast(builder.add(builder.bitcast(value, _INTS), exponent), _FLOATS)

    return _vector(x), generate


pointer = cast(Callable[[NDArray[Any], int], Any], intrinsic(_pointer))
"""`pointer(array, at)`: where the contiguous array has its item `at`; `p[i]` is the item i behind it.

Passing an array on, even to an inlined function, may count a reference to it up and down; passing a pointer does not.
Nor does it keep the array: only the caller of compiled code can, by its arguments.
"""

load = cast(Callable[[Pointer, int], Vector], intrinsic(_load))
"""`load(data, at)`: `data[at : at + LANES]`. As in all functions here, the caller knows that they are there."""

store = cast(Callable[[Pointer, int, Vector], None], intrinsic(_store))
"""`store(data, at, x)`: `data[at : at + LANES] = x`."""

load_each = cast(Callable[[Pointer, int, int, tuple[Any, ...]], Vectors], intrinsic(_load_each))
"""`load_each(data, at, stride, like)`: as many vectors as `like` has items, each `stride` behind the one before."""

store_each = cast(Callable[[Pointer, int, int, Vectors], None], intrinsic(_store_each))
"""`store_each(data, at, stride, vectors)`: the reverse of `load_each`."""

zeros = cast(Callable[[tuple[Any, ...]], Vectors], intrinsic(_zeros))
"""`zeros(like)`: as many vectors of zeros as `like` has items."""

filled = cast(Callable[[float], Vector], intrinsic(_filled))
"""`filled(value)`: a vector of one value."""

dot = cast(Callable[[Vectors, Pointer, int], Vector], intrinsic(_dot))
"""`dot(vectors, scalars, at)`: the sum of `vectors[i] * scalars[at + i]`."""

add_scaled = cast(Callable[[Vectors, Vector, Pointer, int], Vectors], intrinsic(_add_scaled))
"""`add_scaled(sums, x, scalars, at)`: `sums[i] + x * scalars[at + i]` for each of them."""

scaled = cast(Callable[[Vectors, Vector], Vectors], intrinsic(_scaled))
"""`scaled(vectors, x)`: `vectors[i] * x` for each of them."""

swapped = cast(Callable[[Vector], Vector], intrinsic(_swapped))
"""`swapped(x)`: each two neighbours in the other order."""

transposed = cast(Callable[[Vectors], Vectors], intrinsic(_transposed))
"""`transposed(vectors)`: of `LANES` vectors, the first lanes as the first, and so on."""

plus = cast(Callable[[Vector, Vector], Vector], intrinsic(_binary(lambda builder, a, b: builder.fadd(a, b))))
minus = cast(Callable[[Vector, Vector], Vector], intrinsic(_binary(lambda builder, a, b: builder.fsub(a, b))))
times = cast(Callable[[Vector, Vector], Vector], intrinsic(_binary(lambda builder, a, b: builder.fmul(a, b))))
over = cast(Callable[[Vector, Vector], Vector], intrinsic(_binary(lambda builder, a, b: builder.fdiv(a, b))))
larger = cast(Callable[[Vector, Vector], Vector], intrinsic(_binary(_larger)))

exp2 = cast(Callable[[Vector], Vector], intrinsic(_exp2))
"""`exp2(x)`: 2^x for x ≤ 127; 2^-126, not 0, for all that is below; not a number where x is none."""
