"""Names and numbers that a person typed: the right one, or an error that says what would be right."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from ..errors import InputError


def known(name: Any, names: Iterable[str], *, what: str) -> str:
    """`name` if it is one of `names`.

    Raises
    ------
    InputError
        Else; the message has the nearest names first.
    """
    allowed = list(names)
    if name in allowed:
        return str(name)
    lower = {one.lower(): one for one in allowed}
    like = [lower[one] for one in get_close_matches(str(name).lower(), lower, n=1)]
    hint = f" Did you mean {like[0]!r}?" if like else ""
    raise InputError(f"there is no {what} {name!r}.{hint} Choose one of {', '.join(allowed)}.")
