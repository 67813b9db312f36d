"""Files read once, in blocks: compression told by the first bytes, a checksum on the way, threads that work ahead."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import sha256
from types import TracebackType
from typing import IO, TypeVar, cast
from zlib import crc32

from isal import igzip_lib

_IsalError = cast(type[Exception], igzip_lib.IsalError)  # isal's stubs declare an instance
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_SKIPPABLE = b"\x50\x2a\x4d\x18"
"""Magic number of a skippable frame of zstd, which may end in 0x50 to 0x5f (RFC 8878, 3.1.2): pzstd begins with one."""

_OTHER_ARCHIVES = {b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"PK\x03\x04": "zip"}

_CRC, _EXTRA, _NAME, _COMMENT = 2, 4, 8, 16
"""Flags of the optional fields of a header of gzip."""

_LARGEST_HEADER = 1 << 22

Item = TypeVar("Item")


class DamagedStream(Exception):
    """A compressed stream that cannot be read to its end. The message continues "the file ..."."""


class UnsupportedCompression(Exception):
    """A file compressed in a way that is not read here. The message is the name of the way."""


class HashedFile:
    """A file that is read once from its beginning, and what was read of it. A context: it has a thread for the hash.

    Attributes
    ----------
    n_bytes : int
        Bytes read so far.
    """

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._digest = sha256()
        self._pool = ThreadPoolExecutor(1)
        self._hashing: Future[None] | None = None
        self.n_bytes = 0

    def __enter__(self) -> "HashedFile":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._pool.shutdown()

    def read(self, size: int) -> bytes:
        """Read up to `size` bytes; nothing only at the end of the file."""
        data = self._raw.read(size)
        self.n_bytes += len(data)
        if self._hashing:
            self._hashing.result()  # at most one block waits to be hashed
        self._hashing = self._pool.submit(self._digest.update, data)
        return data

    def hexdigest(self) -> str:
        """SHA-256 (hex) of the bytes read so far."""
        if self._hashing:
            self._hashing.result()
        return self._digest.hexdigest()


def ahead(items: Iterator[Item], *, depth: int = 4) -> Iterator[Item]:
    """The same items, up to `depth` of them made ahead of their use, in a thread."""
    end = object()
    with ThreadPoolExecutor(1) as worker:
        waiting = deque(worker.submit(next, items, end) for _ in range(depth))
        try:
            while (item := waiting.popleft().result()) is not end:
                waiting.append(worker.submit(next, items, end))
                yield cast(Item, item)
        finally:
            for future in waiting:
                future.cancel()


def decompressed(source: HashedFile, *, block_size: int) -> Iterator[bytes]:
    """Yield the text of a plain, gzip or zstd file in blocks of at most about `block_size` bytes, none of them empty.

    Raises
    ------
    DamagedStream
        If the stream ends too early or fails its checksum. All text before is yielded first.
    UnsupportedCompression
        If it is neither plain nor gzip nor zstd.
    """
    first = source.read(max(block_size, 8))
    for magic, kind in _OTHER_ARCHIVES.items():
        if first.startswith(magic):
            raise UnsupportedCompression(kind)
    if first.startswith(_GZIP):
        yield from _gunzipped(first, source, block_size)
    elif first.startswith(_ZSTD) or first[1:4] == _SKIPPABLE[1:] and first[0] & 0xF0 == _SKIPPABLE[0]:
        yield from _unzstd(first, source, block_size)
    else:
        while first:
            yield first
            first = source.read(block_size)


def _gunzipped(first: bytes, source: HashedFile, block_size: int) -> Iterator[bytes]:
    """Inflate all members of a gzip file (bgzip and `cat a.gz b.gz` write several). Checks each member's CRC."""
    packed = first
    while packed:
        while (begin := header_size(packed)) is None:
            if not (more := source.read(block_size)):
                raise DamagedStream("ends in the middle of the compressed stream")
            packed += more
        packed = packed[begin:]
        member = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP_NO_HDR_VER)
        while not member.eof:
            if member.needs_input and not packed and not (packed := source.read(block_size)):
                raise DamagedStream("ends in the middle of the compressed stream")
            try:
                block = member.decompress(packed if member.needs_input else b"", block_size)
            except _IsalError as error:
                raise DamagedStream(f"is damaged in the compressed stream ({error})") from error
            packed = b""
            if block:
                yield block
        # Some tools pad the file with zeros after the last member (RFC 1952 allows the reader to skip them).
        packed = member.unused_data.lstrip(b"\0")
        while not packed and (more := source.read(block_size)):
            packed = more.lstrip(b"\0")


def header_size(packed: bytes) -> int | None:
    """Bytes of the header of a gzip member (RFC 1952, 2.3); None where it is not all there yet.

    isal 1.9.1 reads headers itself, but loses its place where there are several optional fields.

    Raises
    ------
    DamagedStream
        If it is no header of gzip.
    """
    if len(packed) < 10:
        return None
    if not packed.startswith(_GZIP) or packed[2] != 8 or packed[3] & 0xE0:
        raise DamagedStream("is damaged in the compressed stream (no header of gzip where a member begins)")
    flags, at = packed[3], 10
    if flags & _EXTRA:
        at += 2 + int.from_bytes(packed[10:12], "little")
    for _ in range(bool(flags & _NAME) + bool(flags & _COMMENT)):
        end = packed.find(b"\0", at) if at < len(packed) else -1
        if end < 0:
            if len(packed) > _LARGEST_HEADER:
                raise DamagedStream("is damaged in the compressed stream (a name that does not end)")
            return None
        at = end + 1
    if flags & _CRC:
        if len(packed) < at + 2:
            return None
        if crc32(packed[:at]) & 0xFFFF != int.from_bytes(packed[at : at + 2], "little"):
            raise DamagedStream("is damaged in the compressed stream (checksum of a header)")
        at += 2
    return at if at <= len(packed) else None


def _unzstd(first: bytes, source: HashedFile, block_size: int) -> Iterator[bytes]:
    import pyarrow as pa  # only zstd files pay for this import

    class Rest:
        closed, mode = False, "rb"
        head = first

        def read(self, size: int) -> bytes:
            data, self.head = self.head[:size], self.head[size:]
            return data or source.read(size)

        def close(self) -> None: ...

    stream = pa.CompressedInputStream(pa.PythonFile(Rest(), mode="r"), "zstd")
    try:
        while block := stream.read(block_size):
            yield block
    except OSError as error:
        what = "ends in the middle of the compressed stream" if "runcated" in str(error) else f"is damaged ({error})"
        raise DamagedStream(what) from error
