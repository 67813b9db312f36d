"""Symbols of the laws in HTML: N_opt, α_N and C^a with subscripts and exponents."""

import re
from html import escape

_SYMBOLS = (
    (re.compile(r"\b([NDCRα])_(opt|[NDcp])\b"), r"\1<sub>\2</sub>"),
    (re.compile(r"\b([NDC])\^([−-]?[0-9.]+(?:×10[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+)?|[abp]\b)"), r"\1<sup>\2</sup>"),
)


def marked(text: str) -> str:
    """Text escaped for HTML, its symbols with subscripts and exponents.

    Examples
    --------
    >>> marked("N_opt ∝ C^0.27 (0.2–0.3) & k·C^a, α_N")
    'N<sub>opt</sub> ∝ C<sup>0.27</sup> (0.2–0.3) &amp; k·C<sup>a</sup>, α<sub>N</sub>'
    """
    found = escape(text, quote=False)
    for pattern, replacement in _SYMBOLS:
        found = pattern.sub(replacement, found)
    return found
