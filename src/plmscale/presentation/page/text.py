"""Words of a page in HTML."""

import re
from collections.abc import Sequence
from html import escape

from markupsafe import Markup

from ..symbols import marked
from .contents import Prose

_MARKUP = (
    (re.compile(r"``(.+?)``"), r"<code>\1</code>"),
    (re.compile(r"`([^`]+?) &lt;(https?://[^&\s]+)&gt;`_"), r'<a href="\2">\1</a>'),
    (re.compile(r"\*\*(.+?)\*\*"), r"<strong>\1</strong>"),
    (re.compile(r"\*(.+?)\*"), r"<em>\1</em>"),
)


def from_rst(text: str) -> Markup:
    """A caption in HTML: code, emphasis and links of reStructuredText, everything else escaped.

    Examples
    --------
    >>> str(from_rst("*Hollow* < 1, see ``runs``"))
    '<em>Hollow</em> &lt; 1, see <code>runs</code>'
    """
    found = escape(" ".join(text.split()), quote=False)
    for pattern, replacement in _MARKUP:
        found = pattern.sub(replacement, found)
    return Markup(found)  # escaped above


def mathematics(text: str) -> Markup:
    """A sentence in HTML, its symbols with subscripts and exponents."""
    return Markup(marked(text))  # it escapes


def paragraphs(*texts: str, kind: str = "") -> Prose:
    """Sentences, one paragraph each; empty ones are left out."""
    attribute = Markup(' class="{}"').format(kind) if kind else ""
    return Prose(
        Markup("\n").join(Markup("<p{}>{}</p>").format(attribute, mathematics(text)) for text in texts if text)
    )


def caveat(text: str) -> Prose:
    """What limits the numbers above it."""
    return Prose(Markup('<p class="caveat"><strong>Caveat.</strong> {}</p>').format(mathematics(text)))


def listed(texts: Sequence[str]) -> Prose:
    """Sentences as a list."""
    items = (Markup("<li>{}</li>").format(mathematics(text)) for text in texts)
    return Prose(Markup("<ul>{}</ul>").format(Markup("").join(items)))


def remark(text: str) -> Markup:
    """A sentence beside the answer."""
    return Markup("<p>{}</p>").format(mathematics(text))
