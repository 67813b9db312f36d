"""Who waits is told what for: how a stage of work is announced, whatever it is announced on."""

from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")


class Progress(Protocol):
    """Goes through the items of a stage, and says so."""

    def __call__(self, items: Sequence[T], *, what: str) -> Iterator[T]:
        """The items, one after the other.

        Parameters
        ----------
        items : sequence
        what : str
            What is done with them, for a reader: "drawing figures".
        """
        ...


def silent(items: Sequence[T], *, what: str) -> Iterator[T]:
    """Nothing is said."""
    del what
    return iter(items)
