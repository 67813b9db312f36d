"""UniProt's `RELEASE.metalink`: which release a folder holds, and size and checksum of each file in it."""

import re
from dataclasses import dataclass
from xml.etree import ElementTree

from ..errors import InputError

LARGEST = 1 << 24
"""Bytes of a metalink that are read; UniProt's are a few kB."""


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
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:  # no metalink has one, and entities can be made to fill the memory
        raise InputError(f"{where} declares a document type: it is not a metalink. Check the URL.")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise InputError(f"{where} is not a metalink: {error}. Check the URL.") from error
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]  # versions 3 and 4 differ in namespace and nesting alone
    listed = {file.get("name", ""): file for file in root.iter("file")}
    if name not in listed:
        raise InputError(
            f"{where} does not list {name}, but: {', '.join(sorted(listed)) or 'nothing'}. Set source_metalink to the "
            "metalink of the file, or to null for a file that has none."
        )
    file = listed[name]
    size = (file.findtext("size") or "").strip()
    md5 = next((found.text or "" for found in file.iter("hash") if found.get("type", "").lower() == "md5"), "").strip()
    if not size.isdecimal() or not re.fullmatch(r"[0-9a-fA-F]{32}", md5):
        raise InputError(f"{where} gives {name} the size {size!r} and the MD5 {md5!r}. A metalink has both.")
    return MetalinkEntry((root.findtext("version") or "").strip() or None, int(size), md5.lower())
