"""Sizes of an ESM-2-like ladder: depth, heads and feed-forward width as functions of the width."""

from collections.abc import Sequence
from functools import cache

import numpy as np

from ..presentation.formats import short
from ..study.config import ModelSize
from ..study.flops import count_params

ESM2 = ((320, 6), (480, 12), (640, 30), (1280, 33), (2560, 36), (5120, 48))
"""Width and layers of ESM-2's sizes of 8M to 15B parameters (Lin et al. 2023, Science 379:1123)."""

NARROWEST, WIDEST = 8, 5120
LEAST_LAYERS = 2
NARROW_DEPTH = 0.7
"""Below 320 features, layers fall with this power of the width: an assumption."""

FFN = 4
"""Feed-forward width ÷ width, as in ESM-2."""


def layers_of(width: int) -> int:
    """Layers of a width: between ESM-2's sizes by interpolation over log width.

    Examples
    --------
    >>> [layers_of(width) for width in (8, 64, 160, 320, 400, 640, 1280)]
    [2, 2, 4, 6, 9, 30, 33]
    """
    widths, layers = np.array(ESM2, dtype=float).T
    if width < widths[0]:
        return max(LEAST_LAYERS, round(layers[0] * (width / widths[0]) ** NARROW_DEPTH))
    return round(float(np.interp(np.log(width), np.log(widths), layers)))


def heads_of(width: int) -> int:
    """Attention heads: 2 below 64 features, then of 16, from 320 on 20, from 1280 on of 64 features each (ESM-2).

    Examples
    --------
    >>> [heads_of(width) for width in (8, 64, 320, 640, 1280, 2560)]
    [2, 4, 20, 20, 20, 40]
    """
    if width < 64:
        return 2
    if width < 320:
        return width // 16
    return 20 if width < 1280 else width // 64


@cache
def widths() -> tuple[int, ...]:
    """Widths of the ladder: whole heads of an even number of features."""
    steps = ((NARROWEST, 64, 4), (64, 320, 16), (320, 1280, 40), (1280, WIDEST + 1, 128))
    return tuple(width for start, end, step in steps for width in range(start, end, step))


def size_of(width: int, *, learning_rate: float = 1e-3) -> ModelSize:
    """The size of a width; its name is its number of parameters."""
    shape = {"n_layers": layers_of(width), "d_model": width, "d_ffn": FFN * width, "n_heads": heads_of(width)}
    size = ModelSize(name="size", **shape, learning_rate=learning_rate, schedules=["wsd"])
    return size.model_copy(update={"name": short(count_params(size))})


@cache
def ladder() -> tuple[ModelSize, ...]:
    """All sizes, the smallest first."""
    return tuple(size_of(width) for width in widths())


@cache
def ladder_params() -> tuple[int, ...]:
    """Parameters of `ladder`."""
    return tuple(count_params(size) for size in ladder())


def spaced(smallest: float, *, ratio: float, n: int) -> Sequence[int] | None:
    """Places in the ladder of `n` sizes that grow by `ratio` each; None where it has no such sizes.

    Examples
    --------
    >>> [ladder()[i].name for i in spaced(2e3, ratio=2.0, n=4)]
    ['2.06k', '4.3k', '7.33k', '15.8k']
    """
    logs = np.log(np.array(ladder_params(), dtype=float))
    wanted = np.log(smallest) + np.log(ratio) * np.arange(n)
    if wanted[0] < logs[0] - 0.5 * np.log(ratio) or wanted[-1] > logs[-1] + 0.1:
        return None
    places = np.abs(logs[None] - wanted[:, None]).argmin(axis=1)
    return places.tolist() if len(set(places.tolist())) == n else None
