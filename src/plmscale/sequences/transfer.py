"""One transfer by curl: of so many bytes at most, no slower than anybody waits for, no secret where others may look."""

import os
import re
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit

from ..study.urls import without_secrets

SLOWEST, PATIENCE = 1000, 60
"""A transfer ends where it has brought fewer bytes a second than this, on average over so many seconds."""

_BLOCK = 1 << 20
_RANGE = re.compile(r"bytes (?:(\d{1,18})-\d{1,18}|\*)/(\d{1,18})")


@dataclass(frozen=True)
class Response:
    """What a server said of a file in its last answer; None where it did not, as by ftp.

    Attributes
    ----------
    status : int or None
        Of HTTP.
    etag, modified : str or None
        `ETag` and `Last-Modified`.
    begin, total : int or None
        First byte that was sent, and bytes of the whole file.
    """

    status: int | None = None
    etag: str | None = None
    modified: str | None = None
    begin: int | None = None
    total: int | None = None

    def is_of_another_file(self, before: "Response") -> bool:
        """Whether a later answer is about other content than one before, as far as they say."""
        pairs = ((self.etag, before.etag), (self.modified, before.modified), (self.total, before.total))
        return any(one is not None and other is not None and one != other for one, other in pairs)


@dataclass(frozen=True)
class Transfer:
    """How a transfer ended.

    Attributes
    ----------
    status : int
        curl's exit status.
    reason : str
        Its last word, without secrets.
    response : Response
    too_large : bool
        Whether it was ended since more came than was allowed.
    """

    status: int
    reason: str
    response: Response
    too_large: bool = False


def transfer(
    url: str,
    write: Callable[[bytes], object],
    *,
    begin: int = 0,
    most: int,
    if_range: str | None = None,
    longest: int = 0,
) -> Transfer:
    """Have curl fetch a file, or the rest of it.

    Parameters
    ----------
    url : str
        curl reads it from its standard input: others can see the arguments of a process.
    write : callable
        Takes each block.
    begin : int
        First byte that is asked for.
    most : int
        Bytes after which it is ended, whatever length the server said.
    if_range : str, optional
        A strong `ETag` or `Last-Modified`: a server that has other content now sends all of it (RFC 9110, 13.1.5).
    longest : int
        Seconds after which it is ended; 0: none.
    """
    with tempfile.TemporaryDirectory() as folder:
        headers, words = Path(folder, "headers"), Path(folder, "words")
        settings = [_setting("url", url), _setting("dump-header", str(headers))]
        if longest:
            settings.append(f"max-time = {longest}")
        if begin:
            settings.append(f"continue-at = {begin}")
        if begin and if_range:
            settings.append(_setting("header", f"If-Range: {if_range}"))
        with words.open("wb") as said:
            command = [*_COMMAND, "--speed-limit", str(SLOWEST), "--speed-time", str(PATIENCE), "--config", "-"]
            with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said) as curl:
                assert curl.stdin and curl.stdout  # they are pipes
                curl.stdin.write("\n".join(settings).encode())
                curl.stdin.close()
                too_large = not _copy(curl.stdout, write, most=most)
                if too_large:
                    curl.kill()
        response = _response(headers.read_text(encoding="latin-1") if headers.is_file() else "")
        return Transfer(curl.returncode, _last_line(words.read_bytes(), url), response, too_large)


_COMMAND = (
    *("curl", "--fail", "--location", "--silent", "--show-error", "--globoff", "--netrc-optional"),
    *("--connect-timeout", "30", "--proto", "=http,https,ftp", "--proto-redir", "=http,https,ftp"),
)


def _setting(name: str, value: str) -> str:
    """A line of a configuration of curl."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'{name} = "{escaped}"'


def _copy(source: IO[bytes], write: Callable[[bytes], object], *, most: int) -> bool:
    """Copy all there is; false if that is more than `most` bytes."""
    while block := os.read(source.fileno(), _BLOCK):
        if len(block) > most:
            write(block[:most])
            return False
        most -= len(block)
        write(block)
    return True


def _response(text: str) -> Response:
    """The last answer in a dump of headers; those before are redirections."""
    answers = re.split(r"(?m)^(?=HTTP/)", text.replace("\r\n", "\n"))
    lines = answers[-1].splitlines()
    if not lines or not (status := re.match(r"HTTP/\S+ (\d{3})", lines[0])):
        return Response()
    fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    code, begin, total = int(status[1]), None, None
    if found := _RANGE.match(fields.get("content-range", "")):
        begin, total = int(found[1]) if found[1] else None, int(found[2])
    elif code == 200 and re.fullmatch(r"\d{1,18}", fields.get("content-length", "")):
        begin, total = 0, int(fields["content-length"])
    return Response(code, fields.get("etag"), fields.get("last-modified"), begin, total)


def _last_line(output: bytes, url: str) -> str:
    lines = output.decode("utf-8", "backslashreplace").strip().splitlines()
    said = without_secrets(lines[-1].removeprefix("curl: ")) if lines else "curl gave no reason"
    secret = _password(url)
    return said.replace(secret, "…").replace(unquote(secret), "…") if secret else said


def _password(url: str) -> str:
    try:
        return urlsplit(url).password or ""
    except ValueError:
        return ""
