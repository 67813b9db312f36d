"""The alphabet of 29 tokens: 25 letters of protein sequences, START, END, PAD and MASK."""

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

RESIDUES = "LAGVSERTIDPKQNFYMHWCXBUZO"
"""The letters of a sequence in the order of fair-esm's alphabet (facebookresearch/esm `esm/constants.py`)."""
TOKENS: tuple[str, ...] = ("<cls>", "<pad>", "<eos>", *RESIDUES, "<mask>")
START, PAD, END, FIRST_RESIDUE, MASK = 0, 1, 2, 3, 28
N_STANDARD = 20
STANDARD: NDArray[np.uint8] = np.arange(FIRST_RESIDUE, FIRST_RESIDUE + N_STANDARD, dtype=np.uint8)
"""Ids of the 20 standard amino acids: what a masked residue may be replaced with."""
STANDARD.flags.writeable = False

_X = TOKENS.index("X")
J, STAR, LOWER, ILLEGAL = 30, 31, 32, 255
"""Codes that only a parser meets: J, `*`, what lower case adds to an id, and anything else."""


def _code_table() -> bytes:
    """Letter → code: a token id, that id + LOWER for lower case, or one of the parser's own codes."""
    table = bytearray([ILLEGAL] * 256)
    for code, letter in [*enumerate(RESIDUES, FIRST_RESIDUE), (J, "J")]:
        table[ord(letter)] = code
        table[ord(letter.lower())] = code + LOWER
    table[ord("*")] = STAR
    return bytes(table)


def _fold_table() -> bytes:
    """Code → token id: upper case, and X for J (leucine or isoleucine), which the 29 tokens lack."""
    table = bytearray(range(256))
    for code in range(FIRST_RESIDUE, MASK):
        table[code + LOWER] = code
    table[J] = table[J + LOWER] = _X
    return bytes(table)


CODES = _code_table()
"""Translation of a byte to its code: a token id, or one of the parser's own codes."""
FOLD = _fold_table()
"""Translation of a code to a token id: lower case to upper, and J to X. STAR and ILLEGAL stay as they are."""
LETTERS = bytes(ord(token) if len(token) == 1 else 0 for token in TOKENS).ljust(256, b"\0")


def encode(sequence: bytes | str) -> NDArray[np.uint8]:
    """Token ids of the residues of one sequence, without START and END.

    Parameters
    ----------
    sequence : bytes or str
        Letters of `RESIDUES` or J (read as X), upper or lower case. No white space, no `*`.

    Returns
    -------
    ndarray of uint8, shape (n_residues,)

    Raises
    ------
    InputError
        If a letter is not legal; the message gives the letter and its position.

    Examples
    --------
    >>> encode("MKVj").tolist()
    [19, 14, 6, 23]
    """
    letters = sequence.encode("utf-8") if isinstance(sequence, str) else sequence
    ids = np.frombuffer(letters.translate(CODES).translate(FOLD), dtype=np.uint8)
    if ids.size and ids.max() >= MASK:
        at = int(np.argmax(ids >= MASK))
        raise InputError(
            f"residue {at + 1}: {show_letter(letters[at])} is not an amino acid. Legal letters: {RESIDUES}J."
        )
    return ids


def decode(ids: NDArray[np.uint8]) -> str:
    """Letters of residue ids; the inverse of `encode` for upper case.

    Examples
    --------
    >>> decode(encode("MKV"))
    'MKV'
    """
    letters = np.asarray(ids, dtype=np.uint8).tobytes().translate(LETTERS)
    if b"\0" in letters:
        at = letters.index(b"\0")
        raise InputError(
            f"position {at}: token {int(ids[at])} is not a residue. Residues are {FIRST_RESIDUE}..{MASK - 1}."
        )
    return letters.decode("ascii")


def show_letter(letter: int) -> str:
    """A byte of a sequence for a message: `'%'`, or `byte 0xe9` where it would not print."""
    return repr(chr(letter)) if 32 < letter < 127 else f"byte 0x{letter:02x}"
