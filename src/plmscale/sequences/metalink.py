"""UniProt's `RELEASE.metalink`: which release a folder holds, and size and checksum of each file in it."""

import re
from dataclasses import dataclass
from xml.etree import ElementTree

from ..errors import InputError

LARGEST = 1 << 20
"""Bytes of a metalink that are read; UniProt's are a few kB."""

_SHOWN = 10


@dataclass(frozen=True)
class MetalinkEntry:
    """What a release says of a file.

    Attributes
    ----------
    release : str or None
        Such as 2024_02.
    size : int
        Bytes.
    md5 : str
        Lower-case hex.
    """

    release: str | None
    size: int
    md5: str


def read_metalink(text: bytes, *, name: str, where: str) -> MetalinkEntry:
    """What a metalink (version 3 or 4) says of the file `name`.

    Parameters
    ----------
    text : bytes
        The metalink.
    name : str
        File name, without folder.
    where : str
        Where the metalink is from, for messages.

    Raises
    ------
    InputError
        If it is no metalink, does not list the file, or lacks its size or MD5.
    """
    if len(text) > LARGEST:
        raise InputError(f"{where} has more than {LARGEST:,} bytes: it is not a metalink. Check the URL.")
    try:
        root = ElementTree.fromstring(text, parser=ElementTree.XMLParser(target=_WithoutTypes()))
    except _DocumentType:
        raise InputError(f"{where} declares a document type: it is not a metalink. Check the URL.") from None
    except (ElementTree.ParseError, ValueError, LookupError, RecursionError) as error:  # encodings that there are not
        raise InputError(f"{where} is not a metalink: {error}. Check the URL.") from error
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]  # versions 3 and 4 differ in namespace and nesting alone
    listed: dict[str, list[ElementTree.Element]] = {}
    for file in root.iter("file"):
        listed.setdefault(file.get("name", ""), []).append(file)
    if name not in listed:
        names = [one[:100] for one in sorted(listed)]
        others = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
        raise InputError(
            f"{where} does not list {name}, but: {others or 'nothing'}. Set source_metalink to the "
            "metalink of the file, or to null for a file that has none."
        )
    file = listed[name][0]
    if len({_said(one) for one in listed[name]}) > 1:
        raise InputError(f"{where} lists {name} {len(listed[name])} times, not always as the same file.")
    size, md5 = _said(file)
    if not re.fullmatch(r"[0-9]{1,18}", size) or not re.fullmatch(r"[0-9a-fA-F]{32}", md5):
        raise InputError(f"{where} gives {name} the size {size[:40]!r} and the MD5 {md5[:40]!r}. A metalink has both.")
    return MetalinkEntry((root.findtext("version") or "").strip()[:100] or None, int(size), md5.lower())


def _said(file: ElementTree.Element) -> tuple[str, str]:
    """Size and MD5 of a file, as they are there."""
    size = (file.findtext("size") or "").strip()
    md5 = next((found.text or "" for found in file.iter("hash") if found.get("type", "").lower() == "md5"), "").strip()
    return size, md5


class _DocumentType(Exception):
    """A document type: no metalink has one, and its entities can be made to fill the memory."""


class _WithoutTypes(ElementTree.TreeBuilder):
    def doctype(self, *_: object) -> None:
        """Called before any entity of it is read, in whatever encoding."""
        raise _DocumentType
