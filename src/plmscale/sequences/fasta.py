"""A streaming FASTA parser that turns proteins into the 29 tokens; the alphabet itself is re-exported from here.

It reads plain, gzip and zstd files, told apart by their first bytes, and counts everything that it mapped or dropped.
Inflating, hashing and parsing run in threads of their own, so two cores are busy.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from .alphabet import (
    END,
    FIRST_RESIDUE,
    MASK,
    N_STANDARD,
    PAD,
    RESIDUES,
    STANDARD,
    START,
    TOKENS,
    decode,
    encode,
    show_letter,
)
from .plain_text import OtherText, plain_text
from .streams import DamagedStream, HashedFile, UnsupportedCompression, ahead, decompressed

if TYPE_CHECKING:
    from .fasta_records import InvalidRecord, RecordParser, Records

__all__ = [
    "END", "FIRST_RESIDUE", "MASK", "N_STANDARD", "PAD", "RESIDUES", "STANDARD", "START", "TOKENS",
    "FastaReader", "ParserCounts", "decode", "encode",
]  # fmt: skip

BLOCK_SIZE = 1 << 20
"""Bytes of text at a time: a block and its tokens fit in a second-level cache."""
_EXAMPLES = 5


@dataclass
class ParserCounts:
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
    """Iterate once over the records of a FASTA file, in blocks (`fasta_records.Records`); none of them is empty.

    Parameters
    ----------
    path : Path
        Plain, gzip (several members allowed) or zstd, told apart by its first bytes.
    block_size : int
        Bytes of text read at a time. Memory is a small multiple of this and of the longest record.

    Attributes
    ----------
    tally : ParserCounts
        Counts so far.
    n_bytes, sha256
        Size in bytes and checksum of the file as it lies on disk; complete after the last block.

    Raises
    ------
    InputError
        While iterating: missing or unreadable file, nothing in it, text before the first `>`, a compressed stream that
        is cut or damaged, a record without a name, an illegal letter.
    """

    def __init__(self, path: str | Path, *, block_size: int = BLOCK_SIZE) -> None:
        self.path = Path(path)
        self.tally = ParserCounts()
        self._block_size = block_size
        self._source: HashedFile | None = None

    @property
    def n_bytes(self) -> int:
        """Bytes read from disk so far."""
        return self._source.n_bytes if self._source else 0

    @property
    def sha256(self) -> str:
        """SHA-256 (hex) of the bytes read from disk so far."""
        return self._source.hexdigest() if self._source else ""

    def __iter__(self) -> Iterator["Records"]:
        from .fasta_kernel import LINE
        from .fasta_records import InvalidRecord, RecordParser  # here, since they import the compiler

        parser = RecordParser()
        try:
            with self.path.open("rb") as raw, HashedFile(raw) as self._source:
                for text in self._blocks(self._source):
                    yield self._counted(parser.feed(text), parser)
            yield self._counted(parser.end(), parser)
        except InvalidRecord as problem:
            raise self._error(problem) from None
        except OtherText as problem:
            line = parser[LINE] + problem.n_lines  # the blocks before have been parsed
            raise InputError(f"{self.path}, line {line}: {problem}") from None
        except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
            raise InputError(f"cannot read {self.path}: {error.strerror}. Give the path of a FASTA file.") from error
        if not self.tally.n_records_read:
            what = "is empty" if not self.n_bytes else "holds no record"
            raise InputError(
                f"{self.path} {what}. A FASTA file has at least one `>name` line with a sequence below it."
            )

    def _blocks(self, source: HashedFile) -> Iterator[bytes]:
        try:
            yield from ahead(plain_text(decompressed(source, block_size=self._block_size)))
        except UnsupportedCompression as error:
            raise InputError(
                f"{self.path} is compressed with {error}. Compress it with gzip or zstd instead."
            ) from None
        except DamagedStream as error:
            raise InputError(
                f"{self.path} {error}, after {self.tally.n_records_read} complete records. "
                "Download it again and compare its checksum with the one that the source publishes."
            ) from error

    def _counted(self, records: "Records", parser: "RecordParser") -> "Records":
        """Bring the tally up to date, and leave out records without residues."""
        from . import fasta_kernel as kernel

        tally = self.tally
        tally.n_records_read = parser.n_records
        tally.lower_case_to_upper, tally.j_to_x = parser[kernel.LOWER_CASE], parser[kernel.J_TO_X]
        tally.stars_removed, tally.white_space_removed = parser[kernel.STARS], parser[kernel.WHITE_SPACE]
        tally.crlf_lines, tally.blank_lines = parser[kernel.CRLF], parser[kernel.BLANK_LINES]
        if records.lengths.all():
            return records
        kept = records.lengths > 0
        empty = [name for name, keep in zip(records.ids, kept.tolist(), strict=True) if not keep]
        tally.empty_dropped += len(empty)
        room = _EXAMPLES - len(tally.empty_examples)
        tally.empty_examples += [name.decode("utf-8", "backslashreplace") for name in empty[:room]]
        return records.only(kept)

    def _error(self, problem: "InvalidRecord") -> InputError:
        from . import fasta_kernel as kernel
        from .fasta_records import LARGEST_NAME, LARGEST_RECORD

        where = f"{self.path}, line {problem.line}"
        if problem.kind == kernel.BEFORE_FIRST:
            found = problem.found.split(b"\n")[0].decode("utf-8", "backslashreplace")
            return InputError(
                f"{where}: {found!r} stands before the first `>`. Give a FASTA file, plain or compressed with gzip or "
                "zstd."
            )
        if problem.kind == kernel.NAMELESS:
            return InputError(f"{where}: a `>` without a name. Write `>name`, a different name for each record.")
        if problem.kind in (kernel.TOO_LONG, kernel.LONG_NAME):
            long = problem.kind == kernel.TOO_LONG
            what = f"more than {LARGEST_RECORD:,} residues" if long else f"a name of more than {LARGEST_NAME:,} bytes"
            return InputError(f"{where}: record {problem.name} has {what}. It is no protein. Check the file.")
        return InputError(
            f"{where}: record {problem.name} has {show_letter(problem.found[0])} at residue {problem.residue}. "
            f"Legal letters are {RESIDUES}J in upper or lower case, and one * at the end. If the file was downloaded, "
            "check its checksum."
        )
