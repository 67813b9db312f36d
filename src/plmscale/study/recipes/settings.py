"""Types of settings that hold a number, the name of a published rule, a formula, or the file of one's own sweeps."""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from ..names import check_path
from .published import PUBLISHED, Quantity
from .rule import EXAMPLE, Rule, parse_rule

BOUNDS: dict[Quantity, tuple[float, float]] = {
    "learning_rate": (1e-30, 1e30),
    "batch_tokens": (1, 10**9),
    "weight_decay": (0, 100),
}
"""What a setting may be, as a number and by a rule."""

FITTED = ".json"
"""How the name of a file with the rule of one's own sweeps ends."""


def rule_of(value: float | str | None, quantity: Quantity) -> Rule | None:
    """The rule that a setting holds; None for a number."""
    if not isinstance(value, str):
        return None
    known = PUBLISHED[quantity].get(value)
    return known.rule if known else parse_rule(value)


def number_of(text: str) -> float | None:
    """The number that a text is; None where it is none."""
    try:
        return float(text)
    except ValueError:
        return None


def _checked(quantity: Quantity) -> Callable[[Any], Any]:
    """A validator: one error, whatever somebody meant."""

    def check(value: Any) -> Any:
        text = value.strip() if isinstance(value, str) else None
        if text is not None and (value := number_of(text)) is None:
            return _checked_text(text, quantity)
        return None if value is None else _checked_number(value, quantity)

    return check


def _checked_text(text: str, quantity: Quantity) -> str:
    if quantity == "learning_rate" and text.endswith(FITTED):
        check_path(text)
        return text
    try:
        rule_of(text, quantity)
    except ValueError as error:
        known = ", ".join(PUBLISHED[quantity])
        raise ValueError(f"{error}; nor is it a number or a published rule ({known})") from None
    return text


def _checked_number(value: Any, quantity: Quantity) -> float:
    low, high = BOUNDS[quantity]
    whole = quantity == "batch_tokens"
    if not isinstance(value, int | float) or not low <= value <= high or (whole and value != int(value)):
        known = ", ".join(PUBLISHED[quantity])
        kind = "a whole number" if whole else "a number"
        raise ValueError(f"must be {kind} from {low:g} to {high:g}, {known}, or a formula such as {EXAMPLE!r}")
    return int(value) if whole else float(value)


def _described(quantity: Quantity) -> WithJsonSchema:
    low, high = BOUNDS[quantity]
    kind = "integer" if quantity == "batch_tokens" else "number"
    return WithJsonSchema({"anyOf": [{"type": kind, "minimum": low, "maximum": high}, {"type": "string"}]})


RateSetting = Annotated[float | str, BeforeValidator(_checked("learning_rate")), _described("learning_rate")]
BatchSetting = Annotated[int | str, BeforeValidator(_checked("batch_tokens")), _described("batch_tokens")]
DecaySetting = Annotated[float | str, BeforeValidator(_checked("weight_decay")), _described("weight_decay")]
