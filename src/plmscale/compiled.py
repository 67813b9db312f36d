"""Compile a numeric function to machine code at its first call.

Loops over bytes and over 64 million sequences have no vectorised form that does one pass; numba compiles them once
and keeps the result beside the module. Importing numba takes half a second: modules that use this are imported where
their functions are called, so that reading the workflow stays fast.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable)


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
        return cast(Function, numba.njit(cache=True, nogil=True, **options)(function))
    except RuntimeError:  # neither the package's folder nor the user's cache can be written to
        return cast(Function, numba.njit(nogil=True, **options)(function))
