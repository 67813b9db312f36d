"""URLs of sources: what in them is secret, and the file name at their end."""

import re
from urllib.parse import unquote, urlsplit

_USER = re.compile(r"(?P<scheme>\b[A-Za-z][A-Za-z0-9+.-]*://)[^/?#\s]*@")
_QUERY = re.compile(
    r"(?P<key>[?&;](?:password|passwd|pwd|pass|token|access_token|auth_token|api_?key|secret|signature|sig"
    r"|x-amz-(?:signature|credential|security-token)|x-goog-(?:signature|credential))=)[^&;#\s'\"]+",
    re.IGNORECASE,
)
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+=@~-]{0,199}")


def without_secrets(text: str) -> str:
    """A URL, or a text with URLs, without what nobody else should read: user, password, tokens of a query.

    Examples
    --------
    >>> without_secrets("https://me:pw@example.org/a.fasta?token=1")
    'https://example.org/a.fasta?token=…'
    """
    return _QUERY.sub(r"\g<key>…", _USER.sub(r"\g<scheme>", text))


def has_secrets(url: str) -> bool:
    """Whether a URL has a user, a password or a token."""
    return without_secrets(url) != url


def file_name(url: str) -> str | None:
    """The name of the file that a URL ends with; None where it is none that every program takes as a name.

    Examples
    --------
    >>> file_name("https://example.org/uniref50.fasta.gz?x=1"), file_name("https://example.org/"), file_name("ftp://a/{b}")
    ('uniref50.fasta.gz', None, None)
    """
    name = unquote(urlsplit(url).path.rpartition("/")[2])
    return name if _FILE.fullmatch(name) else None
