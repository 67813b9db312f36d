"""What a resumed run leaves in its log: steps logged twice, abandoned rows, counters that fall.

Of what was logged twice the later row counts. A counter that begins anew while the training went on cannot be mended
without knowing where: it is refused.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# A counter began anew if the loss goes on from where it was, and not from where the counter says: so many times nearer.
NEARER = 3.0
CLEAR = 0.05


class Settled(NamedTuple):
    """Rows that count, in order, as indices; those that do not; the row at which a counter began anew, if one did."""

    kept: list[int]
    dropped: list[int]
    reset: int | None = None


def settle(position: Array, loss: Array) -> Settled:
    """The rows of one run that count, from rows in the order of time.

    Parameters
    ----------
    position : array of shape (rows,)
        Step, tokens or FLOPs of each row, in the order in which they were logged.
    loss : array of shape (rows,)

    Examples
    --------
    Resumed at step 2: the row that was at step 3 was abandoned.

    >>> settle(np.array([1.0, 2.0, 3.0, 3.0, 4.0]), np.array([4.0, 3.0, 9.0, 2.5, 2.2])).kept
    [0, 1, 3, 4]
    """
    kept: list[int] = []
    dropped: list[int] = []
    for i in range(position.size):
        if not kept or position[i] > position[kept[-1]]:
            kept.append(i)
            continue
        before = len(kept)  # positions of what is kept rise: what is above the new row is at the end
        while before and position[kept[before - 1]] >= position[i]:
            before -= 1
        if _began_anew(kept, before, i, position, loss):
            return Settled(kept, dropped, reset=i)
        dropped += kept[before:]
        del kept[before:]
        kept.append(i)
    return Settled(kept, sorted(dropped))


def _began_anew(kept: list[int], before: int, i: int, position: Array, loss: Array) -> bool:
    """Whether the loss at row i says that the training went on, where its counter fell behind `before` rows."""
    new, last, first = loss[i], loss[kept[-1]], kept[before]
    if position[first] == position[i] and abs(new - loss[first]) <= abs(new - last):
        return False
    if before == 0:  # back to the first row or before it
        return len(kept) > 1 and abs(new - loss[first]) > abs(new - last)
    there = loss[kept[before - 1]]
    return bool(there - new > NEARER * abs(last - new) and there - new > CLEAR * there)


def falls(position: Array) -> int:
    """How often a position is below the one before it."""
    return int(np.sum(np.diff(position) < 0))
