"""Records out of blocks of text: the buffers around `fasta_kernel`, which parses."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import fasta_kernel as kernel

LARGEST_RECORD = 1 << 28
"""Residues of the largest record, 7,000 times the largest protein known: more is another kind of file."""

LARGEST_NAME = 1 << 20
"""Bytes of the longest name of a record."""


@dataclass(frozen=True)
class Records:
    """Some consecutive records of a file.

    Attributes
    ----------
    id_text : bytes
        The first word of each header, each followed by a line end.
    tokens : ndarray of uint8, shape (n_residues,)
        Residue ids of all records, one after the other.
    lengths : ndarray of int64, shape (n_records,)
        Residues of each record.
    keys : ndarray of uint64, shape (n_records,)
        XXH64 of each id.
    """

    id_text: bytes
    tokens: NDArray[np.uint8]
    lengths: NDArray[np.int64]
    keys: NDArray[np.uint64]

    @property
    def ids(self) -> list[bytes]:
        """The id of each record."""
        return self.id_text.split(b"\n")[:-1]

    def only(self, kept: NDArray[np.bool_]) -> "Records":
        """Those records of which `kept` is true."""
        ids = b"".join(name + b"\n" for name, keep in zip(self.ids, kept.tolist(), strict=True) if keep)
        tokens = self.tokens[np.repeat(kept, self.lengths)]
        return Records(ids, tokens, self.lengths[kept], self.keys[kept])


class InvalidRecord(Exception):
    """Text that is no FASTA.

    Attributes
    ----------
    kind : int
        One of the problems of `fasta_kernel`.
    line : int
        Its line in the file, from 1.
    name : str
        The record, where there is one.
    residue : int
        Which letter of the record, from 1.
    found : bytes
        The text from there on.
    """

    def __init__(self, state: NDArray[np.int64], *, name: str, found: bytes) -> None:
        super().__init__()
        self.kind = int(state[kernel.PROBLEM])
        star = self.kind == kernel.INNER_STAR
        self.line = int(state[kernel.STAR_LINE if star else kernel.LINE])
        self.residue = int(state[kernel.LENGTH]) + (not star)  # the star is counted already, another letter is not
        self.name, self.found = name, b"*" if star else found


class RecordParser:
    """Turn blocks of text, cut anywhere, into records.

    Attributes
    ----------
    n_records : int
        Records completed so far.
    """

    def __init__(self) -> None:
        self.n_records = 0
        self._state = kernel.new_state()
        self._tokens = self._ids = np.empty(0, dtype=np.uint8)
        self._lengths, self._keys = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.uint64)

    def __getitem__(self, entry: int) -> int:
        """An entry of the parser's state, by its name in `fasta_kernel`."""
        return int(self._state[entry])

    def feed(self, text: bytes) -> Records:
        """The records that end in this block; what is unfinished is kept.

        Raises
        ------
        InvalidRecord
        """
        block = np.frombuffer(text, dtype=np.uint8)
        out = self._output(block.size)
        taken = kernel.parse_block(block, self._state, out)
        if self[kernel.PROBLEM]:
            raise self._problem(text[taken : taken + 40])
        return self._finished(out)

    def end(self) -> Records:
        """The record that the text ends with, if there is one.

        Raises
        ------
        InvalidRecord
        """
        if self[kernel.MODE] == kernel.NAME_START:
            self._state[kernel.PROBLEM] = kernel.NAMELESS
            raise self._problem(b"")
        out = self._output(0)
        if self[kernel.MODE] != kernel.BEFORE:
            kernel.end_record(self._state, out)
        return self._finished(out)

    def _output(self, n_bytes: int) -> kernel.Output:
        """Room for a block behind what is unfinished. Tokens get new memory where records were given: they are views.

        A record that fills several blocks stays where it is, in memory that doubles: its letters are copied once or
        twice, not once a block.
        """
        n_tokens, n_ids = self[kernel.N_TOKENS], self[kernel.N_ID_BYTES]
        if n_tokens > LARGEST_RECORD or n_ids > LARGEST_NAME:
            raise self._too_large(self._ids[:n_ids].tobytes())
        tokens = self._tokens
        if tokens.size < n_tokens + n_bytes:
            tokens = np.empty(max(n_tokens + n_bytes, 2 * n_tokens), dtype=np.uint8)
            tokens[:n_tokens] = self._tokens[:n_tokens]
            self._tokens = tokens
        if self._ids.size < n_ids + n_bytes + 1:
            self._ids = np.concatenate([self._ids[:n_ids], np.empty(n_bytes + n_ids + 1, dtype=np.uint8)])
        if self._lengths.size < n_bytes // 2 + 1:
            self._lengths = np.empty(n_bytes // 2 + 1, dtype=np.int64)
            self._keys = np.empty(n_bytes // 2 + 1, dtype=np.uint64)
        return kernel.Output(tokens, self._ids, self._lengths, self._keys)

    def _finished(self, out: kernel.Output) -> Records:
        state = self._state
        n, n_tokens, n_ids = (self[entry] for entry in (kernel.N_RECORDS, kernel.RECORD_BEGIN, kernel.ID_BEGIN))
        if n and out.lengths[:n].max() > LARGEST_RECORD:
            names = out.ids[:n_ids].tobytes().split(b"\n")
            raise self._too_large(names[int(out.lengths[:n].argmax())])
        found = Records(out.ids[:n_ids].tobytes(), out.tokens[:n_tokens], out.lengths[:n].copy(), out.keys[:n].copy())
        if n:
            self._tokens = out.tokens[n_tokens : state[kernel.N_TOKENS]].copy()
        rest = out.ids[n_ids : state[kernel.N_ID_BYTES]].copy()
        self._ids[: rest.size] = rest
        state[kernel.N_TOKENS] -= n_tokens
        state[kernel.N_ID_BYTES] -= n_ids
        state[kernel.N_RECORDS] = state[kernel.RECORD_BEGIN] = state[kernel.ID_BEGIN] = 0
        self.n_records += n
        return found

    def _too_large(self, name: bytes) -> InvalidRecord:
        state = self._state
        state[kernel.PROBLEM] = kernel.LONG_NAME if self[kernel.N_ID_BYTES] > LARGEST_NAME else kernel.TOO_LONG
        return InvalidRecord(state, name=name[:40].decode("utf-8", "backslashreplace"), found=b"")

    def _problem(self, found: bytes) -> InvalidRecord:
        name = self._ids[self[kernel.ID_BEGIN] : self[kernel.N_ID_BYTES]].tobytes()
        return InvalidRecord(self._state, name=name.decode("utf-8", "backslashreplace"), found=found)
