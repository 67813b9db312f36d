"""Inputs as nobody meant them: small changes of honest ones, from a seed."""

import random
from collections.abc import Iterator, Sequence

N = 2000
"""Inputs for each reader."""

WORDS = (
    b"\0", b"\xff", b"\xe9", b"\xef\xbb\xbf", b"\xff\xfe", b"\r", b"\n", b"\t", b",", b":", b"{", b"}", b"[", b"]",
    b'"', b"'", b"nan", b"NaN", b"Infinity", b"-1", b"0", b"1e400", b"1_0", b"3,5", b"9" * 30, b"9" * 5000, b"null",
    b"true", b"\\ud800", b"&a ", b"*a", b"<<: ", b"!!python/name:os.system ", b"010", b"1:30", b"2020-01-01", b"..",
    b"/", b"{x}", b"<", b">", b"&b;", b"<!DOCTYPE a>", b"\xd9\xa3", b"=", b"@", b"[" * 3000, b"#", b"--", b"~", b" ",
)  # fmt: skip


def changed(honest: bytes, rng: random.Random, *, most: int = 2) -> bytes:
    """`honest` with a few changes."""
    data = bytearray(honest)
    for _ in range(rng.randint(1, most)):
        at, end = sorted(rng.randrange(len(data) + 1) for _ in range(2))
        end = min(end, at + rng.choice((1, 2, 8, 64, 1000)))
        match rng.randrange(5):
            case 0:
                data[at:end] = rng.choice(WORDS)
            case 1:
                data[at:at] = rng.choice(WORDS)
            case 2:
                data[at:at] = data[at:end]
            case 3 if at < len(data):
                data[at] ^= 1 << rng.randrange(8)
            case _:
                del data[at:end]
    return bytes(data)


def inputs(honest: Sequence[bytes], *, seed: int, n: int = N) -> Iterator[bytes]:
    """The honest ones, and changes of them."""
    rng = random.Random(seed)
    yield from honest
    for _ in range(n):
        yield changed(rng.choice(honest), rng)
