"""What a person sees of work that takes longer than a second."""

import sys
from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def on_stderr(items: Sequence[T], *, what: str) -> Iterator[T]:
    """A bar on a terminal, gone when its stage is over; elsewhere one line a stage.

    It is a `plmscale.report.stages.Progress`.
    """
    if not sys.stderr.isatty():
        print(f"plmscale: {what}", file=sys.stderr, flush=True)
        return iter(items)
    from tqdm import tqdm

    return iter(tqdm(items, desc=what, leave=False, file=sys.stderr))
