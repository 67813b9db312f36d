"""What laws say, as lines of plain text: the same in the summary of a study and of anybody's runs."""

import textwrap

from ..laws.fit import Fit
from ..presentation.formats import FIT_TITLES, STATUS_WORDS, UNTESTED, balance, beside, growth, with_interval

LINE = 115
"""Longest line in characters."""

HEADLINES = {
    "kaplan": {"alpha_N": "α_N = {}", "alpha_D": "α_D = {}"},
    "plateau": {"plateau_loss": "Plateau at {} nats", "exponent_100": "FLOPs to reach it ~ N^{}"},
    "repeated": {"r_d": "R_D* = {}", "r_n": "R_N* = {}"},
}
"""What is said of the laws that give no optimal size at every budget."""


def law_lines(fits: dict[str, Fit]) -> list[str]:
    """What each fit of one schedule says, as lines of text; `caveats` writes out what is said beside their numbers."""
    lines = []
    for name, fit in fits.items():
        size, tokens = fit.estimates.get("a"), fit.estimates.get("b")
        if size is None or tokens is None or size.value is None or tokens.value is None:
            lines += paragraph(f"{FIT_TITLES[name]}, {STATUS_WORDS[fit.status]}: {fit.reason}{headline(name, fit)}")
            continue
        caveat = "" if fit.status == "identified" else f" {fit.reason[:1].upper()}{fit.reason[1:]}"
        lines += paragraph(
            f"{FIT_TITLES[name]}, {STATUS_WORDS[fit.status]}: N_opt ~ C^{with_interval(size)}, {growth(size)}; "
            f"D_opt ~ C^{with_interval(tokens)}, {growth(tokens)}; {balance(size, tokens)}{_untested(fit)}.{caveat}"
        )
    return lines


def caveats(fits: dict[str, Fit]) -> str:
    """What is said beside the numbers of the fits of one schedule, each sentence once; empty where there is nothing."""
    return " ".join(dict.fromkeys(beside(fit).strip() for fit in fits.values() if fit.caveat))


def _untested(fit: Fit) -> str:
    return f"; {UNTESTED}" if fit.caveat else ""


def headline(name: str, fit: Fit) -> str:
    """The numbers of a law without a and b, where it has them, with a blank before."""
    if fit.status not in ("identified", "weakly_identified"):
        return ""
    words = HEADLINES.get(name, {}).items()
    known = [text.format(with_interval(fit.estimates[key])) for key, text in words if key in fit.estimates]
    number = any(fit.estimates[key].value is not None for key, _ in words if key in fit.estimates)
    return f" {', '.join(known)}{_untested(fit) if number else ''}." if known else ""


def paragraph(text: str) -> list[str]:
    """Text in lines of at most `LINE` characters, indented below a heading."""
    return textwrap.wrap(text, LINE, initial_indent="  ", subsequent_indent="    ")
