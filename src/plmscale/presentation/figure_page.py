"""Where a figure is printed: over the width of a page, or in one column of a journal with its panels stacked."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Page:
    """Room for a figure.

    Attributes
    ----------
    name : str
    one, several : float
        Width in inches of a figure of one panel, and of several.
    stacked : bool
        Whether panels stand below each other, whatever their number.
    shorter : float
        Height of a panel, times what it is on a page.
    folder : str
        Where its figures lie, below the folder of all figures; empty: there.
    tallest : float
        Most inches of height of a figure.
    """

    name: str
    one: float
    several: float
    stacked: bool
    shorter: float
    folder: str
    tallest: float


FULL = Page("page", one=5.5, several=7.0, stacked=False, shorter=1.0, folder="", tallest=9.5)
COLUMN = Page("column", one=3.42, several=3.42, stacked=True, shorter=0.8, folder="column", tallest=9.0)
"""87 mm: a column of Nature and Science is 89 to 90 mm, of PNAS 87, of PLOS 132, of two-column IEEE 88."""

PAGES = (FULL, COLUMN)
_CURRENT: ContextVar[Page] = ContextVar("page", default=FULL)


def page() -> Page:
    """The page that is drawn for."""
    return _CURRENT.get()


@contextmanager
def printed_on(where: Page) -> Iterator[None]:
    """Figures that are begun inside are for this page."""
    token = _CURRENT.set(where)
    try:
        yield
    finally:
        _CURRENT.reset(token)
