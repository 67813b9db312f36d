"""Files inside a page: as `data:` addresses, or compressed for the page's script; figures without what nobody sees."""

import base64
import gzip
import re
from collections import Counter
from pathlib import Path

_STYLE = re.compile(r' style="([^"]*)"')
_ID = re.compile(r' id="([^"]*)"')
_REFERENCE = re.compile(r'(href="#|url\(#)([^")]+)')
_TAG = re.compile(r"<[^>]*>")
_NUMBER = re.compile(r"(?<![\w.#])-?\d+\.\d{3,}(?![\w.])")


def data_uri(content: bytes, kind: str) -> str:
    """A file as a `data:` address."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def svg_uri(path: Path) -> str:
    """A figure as a `data:` address, rounded and short."""
    return data_uri(short(rounded(path.read_text(encoding="utf-8"))).encode(), "image/svg+xml")


def compressed(content: bytes) -> str:
    """Bytes that the page's script unpacks: gzip, in base64."""
    return base64.b64encode(gzip.compress(content, 9, mtime=0)).decode("ascii")


def short(svg: str) -> str:
    """An SVG of matplotlib's in fewer bytes, with the same picture.

    Styles that occur more than once become classes; names that nothing refers to are left out; the others are short, as
    are spaces.

    Examples
    --------
    >>> print(short('''<style></style>
    ... <g id="axes_1"><path id="m0f1e2d3c4b" d="M 0 0
    ... L 1 1" style="stroke: red"/>
    ... <use href="#m0f1e2d3c4b" style="stroke: red"/></g>'''))
    <style>.c0{stroke: red}</style><g><path id="i0" d="M 0 0 L 1 1" class="c0"/><use href="#i0" class="c0"/></g>
    """
    counts = Counter(_STYLE.findall(svg))
    classes = {style: f"c{i}" for i, (style, n) in enumerate(counts.most_common()) if n > 1}
    rules = "".join(f".{name}{{{style}}}" for style, name in classes.items())
    svg = _STYLE.sub(lambda found: f' class="{classes[found[1]]}"' if found[1] in classes else found[0], svg)
    svg = svg.replace("</style>", f"{rules}</style>", 1)
    names = {name: f"i{i}" for i, name in enumerate(dict.fromkeys(name for _, name in _REFERENCE.findall(svg)))}
    svg = _ID.sub(lambda found: f' id="{names[found[1]]}"' if found[1] in names else "", svg)
    svg = _REFERENCE.sub(lambda found: f"{found[1]}{names[found[2]]}", svg)
    return re.sub(r"\s+", " ", re.sub(r">\s+<", "><", svg))


def rounded(svg: str) -> str:
    """An SVG with coordinates to hundredths of a point; numbers below one keep four decimals, words all they have.

    Examples
    --------
    >>> rounded('<path d="M 12.345678 0.123456 L -3.000000 1.5"/><tspan x="1.000000">2.825</tspan>')
    '<path d="M 12.35 0.1235 L -3 1.5"/><tspan x="1">2.825</tspan>'
    """
    return _TAG.sub(lambda tag: _NUMBER.sub(lambda found: _digits(float(found[0])), tag[0]), svg)


def _digits(value: float) -> str:
    text = f"{value:.{2 if abs(value) >= 1 else 4}f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
