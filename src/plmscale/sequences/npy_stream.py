"""One-dimensional .npy files written and read piece by piece: for arrays that are larger than memory ought to be."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray


class NpyWriter:
    """Append to a one-dimensional .npy file whose length is not known yet.

    numpy pads its headers so that the first axis can grow (GROWTH_AXIS_MAX_DIGITS): a header of another length has the
    same size, and is written over the first one at the end.

    Parameters
    ----------
    path : Path
    dtype : str
    stack : ExitStack
        Closes the file.
    """

    def __init__(self, path: Path, dtype: str, stack: ExitStack) -> None:
        self._file = stack.enter_context(path.open("wb"))
        self._dtype = np.dtype(dtype)
        self._n = 0
        self.finish()

    def append(self, values: NDArray[Any]) -> None:
        """Write some more values."""
        self._file.write(np.ascontiguousarray(values, dtype=self._dtype).data)
        self._n += values.size

    def finish(self) -> None:
        """Write the header; nothing can be appended after it."""
        self._file.seek(0)
        header = {"descr": npy.dtype_to_descr(self._dtype), "fortran_order": False, "shape": (self._n,)}
        npy.write_array_header_1_0(self._file, header)


class NpyReader:
    """Read a one-dimensional .npy file from its beginning on.

    A memory map would do, but its pages count as memory of the process until the system takes them back.

    Attributes
    ----------
    size : int
        Values in the file.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        npy.read_magic(file)
        (self.size,), _, self._dtype = npy.read_array_header_1_0(file)

    def read(self, n: int) -> NDArray[Any]:
        """The next `n` values, or those that are left."""
        return np.frombuffer(self._file.read(n * self._dtype.itemsize), dtype=self._dtype)


def chunks(path: Path, *, size: int) -> Iterator[NDArray[Any]]:
    """The values of a .npy file, `size` at a time."""
    with path.open("rb") as file:
        reader = NpyReader(file)
        while (values := reader.read(size)).size:
            yield values
