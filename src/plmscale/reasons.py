"""Why there is no number, or what to mind about one: a code with its values.

Whoever finds a reason gives its code; `plmscale.presentation.reasons` makes the words of every code, and whoever acts
on a reason asks for its codes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

IN_WORDS = "in_words"
"""Code of a reason that is known as a sentence alone, as in the fits of versions that wrote no codes."""


@dataclass(frozen=True)
class Reason:
    """One reason.

    Attributes
    ----------
    code : str
        A key of `plmscale.presentation.reasons.WORDS`.
    values : mapping
        What its words name: JSON-able values, or reasons in their turn.
    """

    code: str
    values: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, code: str, **values: Any) -> "Reason":
        """A reason with its values by name."""
        return cls(code, values)

    @classmethod
    def in_words(cls, sentence: str) -> "Reason":
        """A reason of which only the sentence is known."""
        return cls(IN_WORDS, {"sentence": sentence})

    @property
    def codes(self) -> tuple[str, ...]:
        """Its own code, then those of the reasons among its values."""
        return (self.code, *(code for inner in self._inner() for code in inner.codes))

    def _inner(self) -> Iterator["Reason"]:
        return (value for value in self.values.values() if isinstance(value, Reason))

    def to_json(self) -> dict[str, Any]:
        """{"code": ..., "values": {...}}, reasons among the values likewise."""
        values = {key: one.to_json() if isinstance(one, Reason) else one for key, one in self.values.items()}
        return {"code": self.code, "values": values}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Reason":
        """The reason that `to_json` wrote."""
        return cls(value["code"], {key: _read(one) for key, one in value["values"].items()})


def _read(value: Any) -> Any:
    is_reason = isinstance(value, Mapping) and set(value) == {"code", "values"}
    return Reason.from_json(value) if is_reason else value
