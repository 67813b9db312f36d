"""Bytes of a text as the parser takes them: without a byte-order mark, lines ended by LF or CR LF."""

import codecs
import re
from collections.abc import Iterator

_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, b">\0", b"\0>")
_LONE = re.compile(rb"\r(?![\r\n])")
_LOOKED_AT = 1 << 20
"""Bytes in which the first line of a text ends."""


class OtherText(Exception):
    """A text in another encoding, or with line ends of two kinds.

    Attributes
    ----------
    n_lines : int
        Line ends in its block before the place.
    """

    def __init__(self, message: str, *, n_lines: int = 0) -> None:
        super().__init__(message)
        self.n_lines = n_lines


def plain_text(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Blocks of a text, whose line ends are LF or CR LF.

    A text with CR alone, as old programs for the Macintosh write, gets LF for it. One with LF and, somewhere, CR alone
    is refused: whether a line ends there is not known, and residues behind it would be read as part of a header.

    Raises
    ------
    OtherText
        For CR alone beside LF, and for UTF-16.
    """
    first = bytearray(next(blocks, b""))
    while first and _is_open(first) and (more := next(blocks, b"")):
        first += more
    if first.startswith(_WIDE):
        raise OtherText("the text is in UTF-16. Save it as UTF-8 or ASCII.")
    block = bytes(first).removeprefix(codecs.BOM_UTF8)
    classic = b"\r" in block[:-1] and b"\n" not in block
    before = b""
    while block:
        if classic:
            _refuse(block.find(b"\n"), block)
            yield block.replace(b"\r", b"\n")
        else:
            if before == b"\r" and block[:1] not in b"\r\n":
                _refuse(0, block)
            if b"\r" in block and block.count(b"\r") != block.count(b"\r\n"):
                found = _LONE.search(block)  # at the end of a block it may be half of a CR LF
                _refuse(found.start() if found and found.end() < len(block) else -1, block)
            yield block
        before = block[-1:]
        block = next(blocks, b"")


def _is_open(begin: bytearray) -> bool:
    """Whether more of a text has to be seen to tell its line ends."""
    return len(begin) < len(codecs.BOM_UTF8) or (b"\n" not in begin and len(begin) < _LOOKED_AT)


def _refuse(at: int, block: bytes) -> None:
    if at >= 0:
        raise OtherText(
            "a carriage return (CR) alone, in a text whose lines end with LF. Whether a line ends there is not known: "
            "write LF or CR LF at the end of every line.",
            n_lines=block.count(b"\n", 0, at),
        )
