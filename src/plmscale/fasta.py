"""A streaming FASTA parser that turns proteins into the 29 tokens; the alphabet itself is re-exported from here.

The parser works on blocks of whole records: split at `>`, one `bytes.translate` per record, numpy for the rest. It
reads plain, gzip and zstd files, told apart by their first bytes, and counts everything that it mapped or dropped.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .alphabet import (
    CODES,
    END,
    FIRST_RESIDUE,
    FOLD,
    ILLEGAL,
    LOWER,
    MASK,
    N_STANDARD,
    PAD,
    RESIDUES,
    STANDARD,
    STAR,
    START,
    TOKENS,
    J,
    decode,
    encode,
    show_letter,
)
from .errors import InputError
from .streams import DamagedStream, HashedFile, UnsupportedCompression, decompressed

__all__ = [
    "END", "FIRST_RESIDUE", "MASK", "N_STANDARD", "PAD", "RESIDUES", "STANDARD", "START", "TOKENS",
    "FastaReader", "Records", "Tally", "decode", "encode",
]  # fmt: skip

_WHITE_SPACE = b" \t\n\r\v\f"
_EXAMPLES = 5
_BAD = (STAR, ILLEGAL)


@dataclass(frozen=True)
class Records:
    """Some consecutive records of a file.

    Attributes
    ----------
    ids : list of bytes
        The first word of each header.
    tokens : ndarray of uint8, shape (n_residues,)
        Residue ids of all records, one after the other.
    lengths : ndarray of int64, shape (n_records,)
        Residues of each record; never 0.
    """

    ids: list[bytes]
    tokens: NDArray[np.uint8]
    lengths: NDArray[np.int64]


@dataclass
class Tally:
    """What a parser read, mapped and dropped so far; exact counts.

    `white_space_removed` counts spaces and tabs in sequence lines, not line ends. `empty_examples` names the first few
    records that were dropped because they have no residues.
    """

    n_records_read: int = 0
    lower_case_to_upper: int = 0
    j_to_x: int = 0
    stars_removed: int = 0
    crlf_lines: int = 0
    blank_lines: int = 0
    white_space_removed: int = 0
    empty_dropped: int = 0
    empty_examples: list[str] = field(default_factory=list)


class FastaReader:
    """Iterate once over the records of a FASTA file, in blocks.

    Parameters
    ----------
    path : Path
        Plain, gzip (several members allowed) or zstd, told apart by its first bytes.
    block_size : int
        Bytes of text read at a time. Memory is a small multiple of this and of the longest record.

    Attributes
    ----------
    tally : Tally
        Counts so far.
    n_bytes, sha256
        Size in bytes and checksum of the file as it lies on disk; complete after the last block.

    Raises
    ------
    InputError
        While iterating: missing or unreadable file, nothing in it, text before the first `>`, a compressed stream that
        is cut or damaged, a record without a name, an illegal letter.
    """

    def __init__(self, path: str | Path, *, block_size: int = 1 << 20) -> None:
        self.path = Path(path)
        self.tally = Tally()
        self._block_size = block_size
        self._source: HashedFile | None = None
        self._line = 1  # number of the first line of the text being parsed

    @property
    def n_bytes(self) -> int:
        """Bytes read from disk so far."""
        return self._source.n_bytes if self._source else 0

    @property
    def sha256(self) -> str:
        """SHA-256 (hex) of the bytes read from disk so far."""
        return self._source.digest.hexdigest() if self._source else ""

    def __iter__(self) -> Iterator[Records]:
        try:
            with self.path.open("rb") as raw:
                self._source = HashedFile(raw)
                for text in self._whole_records(decompressed(self._source, block_size=self._block_size)):
                    yield self._parse(text)
        except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
            raise InputError(f"cannot read {self.path}: {error.strerror}. Give the path of a FASTA file.") from error
        if not self.tally.n_records_read:
            what = "is empty" if not self.n_bytes else "holds no record"
            raise InputError(
                f"{self.path} {what}. A FASTA file has at least one `>name` line with a sequence below it."
            )

    def _whole_records(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """Regroup blocks of any size into texts that begin with `>` and end where the next record begins."""
        pending: list[bytes] = []
        try:
            for block in blocks:
                if not pending:
                    block = self._skip_to_first_record(block)
                cut = block.rfind(b"\n>") + 1
                if cut or (block.startswith(b">") and pending and pending[-1].endswith(b"\n")):
                    yield b"".join([*pending, block[:cut]])
                    pending = [block[cut:]]
                elif block:
                    pending.append(block)
        except UnsupportedCompression as error:
            raise InputError(
                f"{self.path} is compressed with {error}. Compress it with gzip or zstd instead."
            ) from None
        except DamagedStream as error:
            raise InputError(
                f"{self.path} {error}, after {self.tally.n_records_read} complete records. "
                "Download it again and compare its checksum with the one that the source publishes."
            ) from error
        if pending:
            yield b"".join(pending)

    def _skip_to_first_record(self, block: bytes) -> bytes:
        text = block.lstrip()
        n_lines = block.count(b"\n", 0, len(block) - len(text))
        self._line += n_lines
        self.tally.blank_lines += n_lines
        if text and not text.startswith(b">"):
            found = text[:40].split(b"\n")[0].decode("utf-8", "backslashreplace")
            raise InputError(
                f"{self.path}, line {self._line}: {found!r} stands before the first `>`. Give a FASTA file, plain or "
                "compressed with gzip or zstd."
            )
        return text

    def _parse(self, text: bytes) -> Records:
        parts = [record.partition(b"\n") for record in text[1:].split(b"\n>")]
        codes = [body.translate(CODES, _WHITE_SPACE) for _, _, body in parts]
        try:
            ids = [head.split(None, 1)[0] for head, _, _ in parts]
        except IndexError:
            raise self._nameless(parts) from None
        joined = b"".join(codes)
        tokens = np.frombuffer(joined, dtype=np.uint8)
        if joined and tokens.max() >= MASK:
            codes = self._fold(codes, tokens, parts)
            tokens = np.frombuffer(b"".join(codes), dtype=np.uint8)
        self._count_lines(text, parts, n_codes=len(joined))
        lengths = np.fromiter(map(len, codes), dtype=np.int64, count=len(codes))
        self.tally.n_records_read += len(ids)
        return self._without_empty(Records(ids, tokens, lengths))

    def _fold(
        self, codes: list[bytes], joined: NDArray[np.uint8], parts: list[tuple[bytes, bytes, bytes]]
    ) -> list[bytes]:
        """Bring codes that are not token ids to token ids, counting each kind."""
        counts = np.bincount(joined, minlength=256)
        ended = [_without_star(code) for code in codes]
        n_stars = sum(map(len, codes)) - sum(map(len, ended))
        if counts[ILLEGAL] or counts[STAR] > n_stars:
            raise self._illegal(parts)
        self.tally.stars_removed += n_stars
        self.tally.lower_case_to_upper += int(counts[LOWER + FIRST_RESIDUE : LOWER + J + 1].sum())
        self.tally.j_to_x += int(counts[J] + counts[J + LOWER])
        return [code.translate(FOLD) for code in ended]

    def _count_lines(self, text: bytes, parts: list[tuple[bytes, bytes, bytes]], *, n_codes: int) -> None:
        """Advance the line number, and count line ends and blanks. Exact counting is done only where there are any."""
        line_end = np.frombuffer(text, dtype=np.uint8) == ord("\n")  # a third of the time of text.count and text.find
        n_lines = int(np.count_nonzero(line_end))
        self._line += n_lines
        n_body_lines = n_lines - (len(parts) - 1) - sum(end == b"\n" for _, end, _ in parts)
        n_blanks = sum(len(body) for _, _, body in parts) - n_body_lines - n_codes
        if b"\r" in text:
            self.tally.crlf_lines += text.count(b"\r\n")
        if n_blanks:
            self.tally.white_space_removed += n_blanks - sum(body.count(b"\r") for _, _, body in parts)
        if n_blanks or (line_end[1:] & line_end[:-1]).any():
            self.tally.blank_lines += sum(not line.strip() for line in text.split(b"\n")[:-1])

    def _without_empty(self, records: Records) -> Records:
        if records.lengths.all():
            return records
        kept = [i for i, length in enumerate(records.lengths) if length]
        empty = [
            name.decode("utf-8", "backslashreplace")
            for name, n in zip(records.ids, records.lengths, strict=True)
            if not n
        ]
        self.tally.empty_dropped += len(empty)
        self.tally.empty_examples += empty[: _EXAMPLES - len(self.tally.empty_examples)]
        return Records([records.ids[i] for i in kept], records.tokens, records.lengths[kept])

    def _nameless(self, parts: list[tuple[bytes, bytes, bytes]]) -> InputError:
        line = self._line
        for head, end, body in parts:
            if not head.strip():
                break
            line += _n_lines(end, body)
        return InputError(
            f"{self.path}, line {line}: a `>` without a name. Write `>name`, a different name for each record."
        )

    def _illegal(self, parts: list[tuple[bytes, bytes, bytes]]) -> InputError:
        """Describe the first illegal letter; only called when there is one."""
        number = self._line
        for head, end, body in parts:
            sequence = body.translate(None, _WHITE_SPACE)
            bad = next((i for i, code in enumerate(_without_star(sequence.translate(CODES))) if code in _BAD), None)
            if bad is not None:
                name = head.split(None, 1)[0].decode("utf-8", "backslashreplace")
                return InputError(
                    f"{self.path}, line {number + 1 + _line_of_residue(body, bad)}: record {name} has "
                    f"{show_letter(sequence[bad])} at residue {bad + 1}. Legal letters are {RESIDUES}J in upper or "
                    "lower case, and one * at the end. If the file was downloaded, check its checksum."
                )
            number += _n_lines(end, body)
        raise AssertionError("no illegal letter found")


def _n_lines(end: bytes, body: bytes) -> int:
    """Lines of a record: a header directly above the next one is followed by neither a line end nor a body here."""
    return 1 + len(end) + body.count(b"\n")


def _without_star(codes: bytes) -> bytes:
    return codes[:-1] if codes.endswith(bytes([STAR])) else codes


def _line_of_residue(body: bytes, index: int) -> int:
    """Index of the line of `body` in which residue `index` stands."""
    ends = np.cumsum([len(line.translate(None, _WHITE_SPACE)) for line in body.split(b"\n")])
    return int(np.searchsorted(ends, index, side="right"))
