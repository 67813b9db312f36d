"""One pass over the bytes of a FASTA file: text in, tokens, ids and keys out. Compiled; see `fasta` for the rules.

The parser is a machine with a state of a few integers, so that a block may end anywhere. The hot loop takes as many
letters at a time as the processor looks up in one instruction, and at the end of a block, or where there is no such
instruction, eight: one look-up for two of them, one comparison for all.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..compiled import compiled, inlined
from .alphabet import FIRST_RESIDUE, RESIDUES, TOKENS
from .byte_vectors import LOOKED_UP, WIDTH, equal_bytes, first_flag, look_up
from .unaligned_loads import HIGH_BITS, below, load_word, n_before, store_word
from .xxhash import xxh64

BEFORE, NAME_START, NAME, TITLE, LINE_START, BODY = range(6)
"""Modes: before the first record; after `>`; in the id; in the rest of the header; before a line; in a line."""

(
    MODE, LINE, LENGTH, LENGTH_AT_LINE, STAR_LINE, N_TOKENS, RECORD_BEGIN, N_ID_BYTES, ID_BEGIN, N_RECORDS,
    LOWER_CASE, J_TO_X, STARS, CRLF, BLANK_LINES, WHITE_SPACE, PROBLEM, PREVIOUS, N_STATE,
) = range(19)  # fmt: skip
"""Entries of the state. LENGTH counts the letters of the record so far, a final star included; STAR_LINE is the line
of that star or 0; N_TOKENS and N_ID_BYTES are the filled parts of the output; PREVIOUS is the last byte of the last
block."""

BEFORE_FIRST, NAMELESS, ILLEGAL, INNER_STAR, TOO_LONG, LONG_NAME = range(1, 7)
"""Values of PROBLEM; the last two are found outside, by `fasta_records`."""

_LOWER = 32
_J, _J_LOWER, _STAR, _LINE_END, _BLANK, _RETURN, _OTHER = 64, 65, 66, 67, 68, 69, 255
_X = TOKENS.index("X")
_GREATER = ord(">")
_VECTOR, _LOOKED_UP = np.uint64(WIDTH), np.uint64(LOOKED_UP)
_ONE, _EIGHT = np.uint64(1), np.uint64(8)  # unsigned: signed indices are tested for < 0, which takes three times longer
Index = int | np.int64


def _table() -> NDArray[np.uint8]:
    """Byte → token id below 32, that + 32 for lower case, or one of the codes above."""
    table = np.full(256, _OTHER, dtype=np.uint8)
    for code, letter in enumerate(RESIDUES, FIRST_RESIDUE):
        table[ord(letter)] = code
        table[ord(letter.lower())] = code + _LOWER
    for letter, code in (("J", _J), ("j", _J_LOWER), ("*", _STAR), ("\n", _LINE_END), ("\r", _RETURN)):
        table[ord(letter)] = code
    for letter in " \t\v\f":
        table[ord(letter)] = _BLANK
    return table


_TABLE = _table()
_PAIRS = (_TABLE[np.arange(1 << 16) & 255] | _TABLE[np.arange(1 << 16) >> 8].astype(np.uint16) << 8).astype(np.uint16)
"""The same for two bytes at once. The few hundred pairs of residues that occur stay in the first-level cache."""
_LOW, _16, _32, _48 = np.uint64(0xFFFF), np.uint64(16), np.uint64(32), np.uint64(48)


class Output(NamedTuple):
    """Where the records of a block go.

    Attributes
    ----------
    tokens, ids : ndarray of uint8
        Residues; ids, each followed by a line end. Room for what is in them already plus the block.
    lengths, keys : ndarray of int64, of uint64
        Of each complete record. Room for half as many as the block has bytes, plus one.
    """

    tokens: NDArray[np.uint8]
    ids: NDArray[np.uint8]
    lengths: NDArray[np.int64]
    keys: NDArray[np.uint64]


def new_state() -> NDArray[np.int64]:
    """The state at the beginning of a file."""
    state = np.zeros(N_STATE, dtype=np.int64)
    state[LINE] = 1
    return state


@compiled
def parse_block(text: NDArray[np.uint8], state: NDArray[np.int64], out: Output) -> Index:
    """Go on with the next block; the number of bytes taken, fewer than there are only at a problem."""
    i, n = 0, text.size
    while i < n and state[PROBLEM] == 0:
        if state[MODE] >= LINE_START:
            i = _body(text, i, state, out)
        elif state[MODE] > BEFORE:
            i = _header(text, i, state, out)
        else:
            i = _before(text, i, state)
    if n:
        state[PREVIOUS] = text[n - 1]
    return i


@inlined
def _line_end(text: NDArray[np.uint8], i: Index, state: NDArray[np.int64]) -> None:
    state[LINE] += 1
    if (text[i - 1] if i else state[PREVIOUS]) == 13:
        state[CRLF] += 1


@compiled
def _before(text: NDArray[np.uint8], i: Index, state: NDArray[np.int64]) -> Index:
    code = _TABLE[text[i]]
    if text[i] == _GREATER:
        state[MODE] = NAME_START
    elif code == _LINE_END:
        _line_end(text, i, state)
        state[BLANK_LINES] += 1
    elif code != _BLANK and code != _RETURN:
        state[PROBLEM] = BEFORE_FIRST
        return i
    return i + 1


@inlined
def _header(text: NDArray[np.uint8], i: Index, state: NDArray[np.int64], out: Output) -> Index:
    """The rest of a header: white space, id, anything up to the line end."""
    n, j = np.uint64(text.size), np.uint64(i)
    if state[MODE] == NAME_START:
        while j < n and _is_blank(text[j]):
            j += _ONE
        if j < n and text[j] == 10:
            state[PROBLEM] = NAMELESS
        elif j < n:
            state[MODE] = NAME
    if state[MODE] == NAME:
        j = _name(text, j, state, out.ids)
    if state[MODE] == TITLE:
        j = _to_line_end(text, j)
        if j < n:
            _line_end(text, np.int64(j), state)
            state[MODE] = LINE_START
            j += _ONE
    return np.int64(j)


@inlined
def _name(text: NDArray[np.uint8], j: np.uint64, state: NDArray[np.int64], ids: NDArray[np.uint8]) -> np.uint64:
    n, at = np.uint64(text.size), np.uint64(state[N_ID_BYTES])
    while j + _EIGHT <= n:
        letters = load_word(text, j)
        store_word(ids, at, letters)
        flags = below(letters, np.uint64(33))
        taken = n_before(flags) if flags else _EIGHT
        at += taken
        j += taken
        if flags:
            break
    while j < n and not (text[j] == 10 or _is_blank(text[j])):
        ids[at] = text[j]
        at += _ONE
        j += _ONE
    state[N_ID_BYTES] = np.int64(at)
    if j < n:
        state[MODE] = TITLE
    return j


@inlined
def _to_line_end(text: NDArray[np.uint8], j: np.uint64) -> np.uint64:
    n = np.uint64(text.size)
    while j + _VECTOR <= n:
        flags = equal_bytes(text, j, 10)
        if flags:
            return j + first_flag(flags)
        j += _VECTOR
    while j < n and text[j] != 10:
        j += _ONE
    return j


@inlined
def _is_blank(letter: np.uint8) -> np.bool_ | bool:
    return letter == 32 or (letter <= 13 and letter >= 9 and letter != 10)


@inlined
def _body(text: NDArray[np.uint8], i: Index, state: NDArray[np.int64], out: Output) -> Index:
    """Sequence lines up to the `>` of the next record or the end of the block."""
    n, tokens, at = text.size, out.tokens, state[N_TOKENS]
    while i < n:
        if state[MODE] == LINE_START:
            if text[i] == _GREATER:
                state[N_TOKENS] = at
                end_record(state, out)
                return i + 1
            state[LENGTH_AT_LINE] = state[LENGTH]
            state[MODE] = BODY
        if not state[STAR_LINE]:
            begin = i
            i = _plain(text, i, tokens, at)
            at += i - begin
            state[LENGTH] += i - begin
            if i == n:
                break
        code = _TABLE[text[i]]
        if code == _LINE_END:
            _line_end(text, i, state)
            state[BLANK_LINES] += state[LENGTH] == state[LENGTH_AT_LINE]
            state[MODE] = LINE_START
        elif code == _BLANK:
            state[WHITE_SPACE] += 1
        elif code != _RETURN:
            at += _unusual(code, state, tokens, at)
            if state[PROBLEM]:
                break
        i += 1
    state[N_TOKENS] = at
    return i


@compiled
def _plain(text: NDArray[np.uint8], i: Index, tokens: NDArray[np.uint8], at: Index) -> Index:
    """Copy upper-case residues as tokens, up to the first byte that is none; some bytes behind them are undefined."""
    n, j, k = np.uint64(text.size), np.uint64(i), np.uint64(at)
    while LOOKED_UP and j + _LOOKED_UP <= n:
        flags = look_up(text, j, tokens, k)
        if flags:
            return np.int64(j + first_flag(flags))
        j += _LOOKED_UP
        k += _LOOKED_UP
    while j + _EIGHT <= n:
        letters = load_word(text, j)
        word = np.uint64(_PAIRS[letters & _LOW]) | np.uint64(_PAIRS[letters >> _16 & _LOW]) << _16
        word |= (np.uint64(_PAIRS[letters >> _32 & _LOW]) | np.uint64(_PAIRS[letters >> _48]) << _16) << _32
        store_word(tokens, k, word)
        if word & HIGH_BITS:
            return np.int64(j + n_before(word))
        j += _EIGHT
        k += _EIGHT
    while j < n and _TABLE[text[j]] < 32:
        tokens[k] = _TABLE[text[j]]
        j += _ONE
        k += _ONE
    return np.int64(j)


@inlined
def _unusual(code: Any, state: NDArray[np.int64], tokens: NDArray[np.uint8], at: Index) -> Index:
    """A letter that is neither an upper-case residue nor white space; the number of tokens written, 0 or 1."""
    if state[STAR_LINE]:
        state[PROBLEM] = INNER_STAR
        return 0
    if code == _OTHER:
        state[PROBLEM] = ILLEGAL
        return 0
    state[LENGTH] += 1
    if code == _STAR:
        state[STAR_LINE] = state[LINE]
        return 0
    is_j = code in (_J, _J_LOWER)
    state[J_TO_X] += is_j
    state[LOWER_CASE] += code != _J
    tokens[at] = _X if is_j else code - _LOWER
    return 1


@compiled
def end_record(state: NDArray[np.int64], out: Output) -> None:
    """Write the length and the key of the record that ends here; the next byte is that of the next header."""
    at, ids, id_end = state[N_RECORDS], out.ids, state[N_ID_BYTES]
    out.lengths[at] = state[N_TOKENS] - state[RECORD_BEGIN]
    out.keys[at] = xxh64(ids, state[ID_BEGIN], id_end)
    ids[id_end] = 10
    state[N_ID_BYTES] = state[ID_BEGIN] = id_end + 1
    state[N_RECORDS] = at + 1
    state[STARS] += state[STAR_LINE] > 0
    state[RECORD_BEGIN] = state[N_TOKENS]
    state[LENGTH] = state[STAR_LINE] = 0
    state[MODE] = NAME_START
