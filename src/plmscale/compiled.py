"""Compile a numeric function to machine code at its first call.

Loops over bytes and over 64 million sequences have no vectorised form that does one pass; numba compiles them once
and keeps the result beside the module. Importing numba takes half a second: modules that use this are imported where
their functions are called, so that reading the workflow stays fast.
"""

from collections.abc import Callable
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar, cast

import llvmlite.binding as llvm
import numba

Function = TypeVar("Function", bound=Callable)
PARTS = (
    "compiled",
    "model/cpu_attention/blocks",
    "model/cpu_attention/simd",
    "sequences/alphabet",
    "sequences/byte_vectors",
    "sequences/unaligned_loads",
    "sequences/xxhash",
    "sets/ranks",
)
"""Modules whose functions and constants become part of compiled functions of other modules."""


def has_feature(name: str) -> bool:
    """Whether this processor has an instruction set, by LLVM's name for it; False where LLVM cannot tell."""
    try:
        return bool(llvm.get_host_cpu_features().get(name, False))
    except RuntimeError:
        return False


def compiled(function: Function) -> Function:
    """The same function, compiled, and without holding the interpreter lock while it runs."""
    return _compiled(function)


def inlined(function: Function) -> Function:
    """The same function, compiled into each place of compiled code that calls it.

    A call passes each array as seven arguments, and counts a reference to it up and down (atomically): some 100 ns,
    which matters where it is paid for each line of a file.
    """
    return _compiled(function, forceinline=True)


def _compiled(function: Function, **options: Any) -> Function:
    try:
        found = numba.njit(cache=True, nogil=True, **options)(function)
    except RuntimeError:  # neither the package's folder nor the user's cache can be written to
        found = numba.njit(nogil=True, **options)(function)
    else:
        _stamp(found)
    return cast(Function, found)


def _stamp(function: Any) -> None:
    """Let kept code go when its module or any of `PARTS` changes.

    numba looks at the file of the function alone, and would go on with what it inlined from others before they changed.
    It also unpickles the index before it compares that file, which fails where a class in a signature has another name
    since; what it compares before is the version.
    """
    kept = function._cache._cache_file
    kept._version = (kept._version, kept._source_stamp, parts_digest())


@cache
def parts_digest() -> str:
    """BLAKE2b of the sources that compiled code is put together from."""
    digest = blake2b(digest_size=16)
    for name in PARTS:
        digest.update(Path(__file__).parent.joinpath(f"{name}.py").read_bytes())
    return digest.hexdigest()
