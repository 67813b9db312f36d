"""Numbers and verdicts as words, the same in tables, figures and summary."""

import math
from typing import Any

from ..estimates import Estimate, Judged

MISSING = "–"
"""What a reader sees where there is no value."""

STATUS_WORDS = {
    "identified": "identified",
    "weakly_identified": "weakly identified",
    "not_identified": "not identified",
    "failed": "failed",
}
"""Statuses of a fit (`plmscale.estimates.STATUSES`) in words."""

UNTESTED = "learning rates untested"
"""What is said in short beside a number of `plmscale.laws.rates.suited`'s caveat."""

FIT_TITLES = {
    "envelope": "Envelope",
    "isoflop": "IsoFLOP",
    "chinchilla": "Chinchilla",
    "kaplan": "Kaplan",
    "plateau": "Plateau",
    "repeated": "Repeated data",
}
"""Fit methods as a reader knows them."""

_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_PREFIXES = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))
_FIXED = (1e-3, 1e5)


def is_missing(value: Any) -> bool:
    """Whether a value is None, NaN or an empty text."""
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def number(value: float | None, *, digits: int = 3) -> str:
    """A measured number to so many significant digits, as a power of ten outside 0.001 to 100,000.

    Examples
    --------
    >>> number(0.27), number(4.85e79), number(-1.33e69), number(None)
    ('0.270', '4.85×10⁷⁹', '−1.33×10⁶⁹', '–')
    """
    if value is None or math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "−∞" if value < 0 else "∞"
    if value == 0:
        return "0"
    rounded = f"{value:.{digits - 1}e}"
    mantissa, exponent = rounded.split("e")
    if _FIXED[0] <= abs(float(rounded)) < _FIXED[1]:
        return _minus(f"{value:,.{max(0, digits - 1 - int(exponent))}f}")
    return _minus(f"{mantissa}×10{str(int(exponent)).translate(_SUPERSCRIPTS)}")


def power_of_ten(log10: float, *, negative: bool = False) -> str:
    """The order of magnitude of a number of which the decimal logarithm is known, however large.

    Examples
    --------
    >>> power_of_ten(412.7), power_of_ten(-691.2, negative=True)
    ('10⁴¹²', '−10⁻⁶⁹²')
    """
    return f"{'−' if negative else ''}10{str(math.floor(log10)).translate(_SUPERSCRIPTS)}"


def given(value: float | None) -> str:
    """A number that somebody chose or printed, without the zeros that `number` would add: 0.0063, 10¹⁷."""
    if value is None or math.isnan(value) or value == 0 or math.isinf(value):
        return number(value)
    digits = len(f"{value:.9e}".split("e")[0].rstrip("0").lstrip("-").replace(".", ""))
    text = number(value, digits=digits)
    return text.removeprefix("1×") if text.startswith("1×10") else text


def compact(value: float | None, *, digits: int = 3) -> str:
    """A number to so many digits without zeros behind them: FLOPs that were asked for, the peak of a device.

    Examples
    --------
    >>> compact(1e11), compact(10**11.5), compact(2.5e18), compact(2e-5), compact(None)
    ('10¹¹', '3.16×10¹¹', '2.5×10¹⁸', '2×10⁻⁵', '–')
    """
    return given(None if value is None else float(f"{value:.{digits - 1}e}"))


def per_cent(share: float, *, decimals: int = 0) -> str:
    """A share in per cent.

    Examples
    --------
    >>> per_cent(0.45), per_cent(0.7333, decimals=1)
    ('45 %', '73.3 %')
    """
    return f"{100 * share:.{decimals}f} %"


def counted(n: int, one: str, many: str = "") -> str:
    """So many of something.

    Examples
    --------
    >>> counted(1, "run"), counted(1200, "run"), counted(2, "loss", "losses")
    ('1 run', '1,200 runs', '2 losses')
    """
    return f"{count(n)} {one if n == 1 else many or f'{one}s'}"


def count(value: float | None) -> str:
    """A whole number with its thousands marked: 5,036,160."""
    return MISSING if value is None or math.isnan(value) else _minus(f"{value:,.0f}")


def short(value: float) -> str:
    """A number with k, M, B (10⁹) or T (10¹²), to three digits.

    Examples
    --------
    >>> short(5_036_160), short(650_519_040), short(29_696)
    ('5.04M', '651M', '29.7k')
    """
    for step, (size, prefix) in enumerate(_PREFIXES):
        if abs(value) >= size * 0.9995:
            scaled = f"{value / size:.3g}"
            if float(scaled) >= 1000 and step == 0:
                break
            return f"{scaled}{prefix}"
    return number(value)


def with_interval(one: Estimate) -> str:
    """An estimate with its 95 % interval, rounded to two digits of the interval's width or of the value.

    Examples
    --------
    >>> with_interval(Estimate(0.2712, 0.2214, 0.3108)), with_interval(Estimate(0.27))
    ('0.271 (0.221–0.311)', '0.270')
    >>> with_interval(Estimate(1.0, 1 - 1e-9, 1 + 1e-9)), with_interval(Estimate(1.5e5, 9e4, 2.1e5))
    ('1.00 (1.00–1.00)', '1.50×10⁵ (0.90×10⁵–2.10×10⁵)')
    """
    if one.value is None:
        return MISSING
    if one.low is None or one.high is None:
        bounds = [f"{sign} {number(v)}" for sign, v in (("≥", one.low), ("≤", one.high)) if v is not None]
        return " ".join([number(one.value), *(f"({bound})" for bound in bounds)])
    value, low, high = to_width(one.value, one.low, one.high)
    return f"{value} ({low}{' to ' if one.low < 0 else '–'}{high})"


def sized(one: Estimate) -> str:
    """An estimate of a size or of tokens with its 95 % interval, value and ends in one unit: k, M, B or T.

    Examples
    --------
    >>> sized(Estimate(26_000, 15_500, 166_000)), sized(Estimate(2_238_000, 2_101_000, 2_399_000)), sized(Estimate(9e5))
    ('26k (16–166k)', '2.24M (2.10–2.40M)', '900k')
    """
    if one.value is None:
        return MISSING
    if one.low is None or one.high is None:
        bounds = [f"({sign} {short(v)})" for sign, v in (("≥", one.low), ("≤", one.high)) if v is not None]
        return " ".join([short(one.value), *bounds])
    unit, prefix = next((pair for pair in _PREFIXES if abs(one.value) >= pair[0] * 0.9995), (1.0, ""))
    if max(abs(one.low), abs(one.high)) / unit >= _FIXED[1]:
        return f"{short(one.value)} ({short(one.low)}–{short(one.high)})"
    value, low, high = to_width(one.value / unit, one.low / unit, one.high / unit)
    return f"{value}{prefix} ({low}{' to ' if one.low < 0 else '–'}{high}{prefix})"


def to_width(value: float, low: float, high: float) -> list[str]:
    """A value and the ends of its interval, rounded alike: see `with_interval`."""
    largest, width = max(abs(value), abs(low), abs(high)), high - low
    if largest == 0 or not math.isfinite(largest) or width <= 0:
        return [number(v) for v in (value, low, high)]
    if not _FIXED[0] <= largest < _FIXED[1]:
        return _to_power(value, low, high)
    finest = min(width, abs(value)) if value else width
    decimals = max(0, 1 - math.floor(math.log10(finest)))
    if decimals > 5:
        return [number(v) for v in (value, low, high)]
    return [_minus(f"{v:,.{decimals}f}") for v in (value, low, high)]


def _to_power(value: float, low: float, high: float) -> list[str]:
    """The three as multiples of one power of ten; as powers of their own where they lie too far apart for that."""
    power = int(f"{abs(value) or max(abs(low), abs(high)):.2e}".partition("e")[2])
    scaled = [v / 10**power for v in (value, low, high)] if -300 < power < 300 else []
    smallest = min((abs(v) for v in scaled if v), default=0.0)
    if not scaled or max(map(abs, scaled)) >= 1000 or smallest < 0.01:
        return [number(v) for v in (value, low, high)]
    decimals = min(max(2, 1 - math.floor(math.log10(high / 10**power - low / 10**power))), 5)
    unit = f"×10{str(power).translate(_SUPERSCRIPTS)}"
    return [_minus(f"{v:,.{decimals}f}{unit}") for v in scaled]


def growth(exponent: Estimate) -> str:
    """What an exponent's interval says about growth with compute; `sublinear` only if the whole interval is below 1.

    Examples
    --------
    The paper's C^0.71 is sublinear, though its text says superlinear:

    >>> growth(Estimate(0.71, 0.69, 0.73)), growth(Estimate(0.9, 0.7, 1.1))
    ('sublinear', 'sublinear or superlinear')
    """
    if exponent.low is None or exponent.high is None:
        return "no interval"
    if exponent.high < 0:
        return "falling"
    if exponent.low <= 0:
        return "not shown to grow"
    if exponent.high < 1:
        return "sublinear"
    return "superlinear" if exponent.low > 1 else "sublinear or superlinear"


def balance(size: Estimate, tokens: Estimate) -> str:
    """Whether the optimal size grows faster than the optimal number of tokens, as far as their intervals tell."""
    if None in (size.low, size.high, tokens.low, tokens.high):
        return "which grows faster is open"
    if (size.low or 0.0) > (tokens.high or 0.0):
        return "size grows faster than tokens"
    if (tokens.low or 0.0) > (size.high or 0.0):
        return "tokens grow faster than size"
    return "which grows faster is open, the intervals overlap"


def verdict(fit: Judged) -> str:
    """Status and reason of a fit in one sentence, and what is said beside its numbers in another."""
    return f"{STATUS_WORDS[fit.status]}: {fit.reason}{beside(fit)}"


def beside(fit: Judged) -> str:
    """What is said beside the numbers of a fit as a sentence, with a blank before; empty where there is nothing."""
    return f" {fit.caveat[:1].upper()}{fit.caveat[1:]}" if fit.caveat else ""


def standing(fit: Judged) -> str:
    """Status of a fit in as few words as fit a cell of a table; that there is a caveat, too.

    The only caveats are those of `plmscale.laws.rates.suited`.
    """
    return f"{STATUS_WORDS[fit.status]}, {UNTESTED}" if fit.caveat else STATUS_WORDS[fit.status]


def duration(seconds: float) -> str:
    """Seconds in words: 40 s, 3 min, 1.5 h."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


def _minus(text: str) -> str:
    return text.replace("-", "−")
