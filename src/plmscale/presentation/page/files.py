"""Files inside a page: as `data:` addresses, figures with fewer digits than a screen can show."""

import base64
import re
from pathlib import Path

_NUMBER = re.compile(r"(?<![\w.#])-?\d+\.\d{3,}(?![\w.])")


def data_uri(content: bytes, kind: str) -> str:
    """A file as a `data:` address."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def svg_uri(path: Path) -> str:
    """A figure as a `data:` address; its coordinates are rounded, which no screen shows and halves its size."""
    return data_uri(rounded(path.read_text(encoding="utf-8")).encode(), "image/svg+xml")


def rounded(svg: str) -> str:
    """An SVG with coordinates to hundredths of a point; numbers below one keep four decimals.

    Examples
    --------
    >>> rounded('<path d="M 12.345678 0.123456 L -3.000000 1.5"/>')
    '<path d="M 12.35 0.1235 L -3 1.5"/>'
    """
    return _NUMBER.sub(lambda found: _short(float(found[0])), svg)


def _short(value: float) -> str:
    text = f"{value:.{2 if abs(value) >= 1 else 4}f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
