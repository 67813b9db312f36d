"""Downloads that are whole, verified, and recorded; interrupted ones go on where they were.

curl does the transfer. What may go wrong is handled here: a connection that drops, a server that cannot resume, a file
of another length or checksum than published, another release than asked for. Only a verified file gets its name.
"""

import hashlib
import logging
import subprocess
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from shutil import which
from typing import Any
from urllib.parse import urlparse

from ..errors import InputError
from ..files import read_as, read_object, write_json
from ..study.urls import without_secrets
from .metalink import LARGEST, MetalinkEntry, read_metalink
from .transfer import PATIENCE, SLOWEST, Response, Transfer, transfer

_NO_RANGES = 33  # curl: the server cannot resume
_SERVER_ERROR = "error: 5"  # HTTP 5xx: may pass
_FAILURES_IN_A_ROW = 5
_PERMANENT = {1, 3, 6, 22, 37, 51, 60, 67, 78}  # curl: protocol, URL, host, HTTP error, file, certificate, login

_STEP = SLOWEST * PATIENCE
"""Bytes that count as progress: a server that drips would otherwise be waited for without end."""

_LONGEST_TEXT = 300
"""Seconds that a metalink may take."""

LARGEST_FILE = 1 << 40
"""Bytes of the largest source; UniRef100 has 2^37."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DownloadRequest:
    """What to download, and what is known of it.

    Attributes
    ----------
    url : str
        Of the file; http, https or ftp.
    metalink : str or None
        URL of the metalink that publishes its size and checksum.
    release : str or None
        Release that the metalink has to name.
    md5 : str or None
        Checksum, lower-case hex; checked beside the metalink's.
    """

    url: str
    metalink: str | None = None
    release: str | None = None
    md5: str | None = None


def retrieve(request: DownloadRequest, target: Path, *, record: Path, pause: float = 5.0) -> dict[str, Any]:
    """Download a file, or the rest of it, verify it and give it its name.

    Parameters
    ----------
    request : DownloadRequest
    target : Path
        Where the file goes. Until it is complete and verified it is `{target}.part`, which a later call goes on with if
        the server still publishes the same.
    record : Path
        Gets what is known of the file, as JSON; written last.
    pause : float
        Seconds before a dropped connection is tried again; doubled at each failure in a row.

    Returns
    -------
    dict
        The record: `url`, `metalink`, `release`, `bytes`, `md5`, `sha256`, `verified_by` (what the file was compared
        with), `retrieved` (UTC) and `tool`.

    Raises
    ------
    InputError
        If the file cannot be had, or is not what is published. A file of wrong length or checksum is deleted.
    """
    shown = without_secrets(request.url)
    if not which("curl"):
        raise InputError(f"curl is needed to download {shown}. Install it, or give a path as `source`.")
    published = _published(request)
    part = target.with_name(f"{target.name}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    asked = {key: value and without_secrets(value) for key, value in asdict(request).items()}
    note = _Note(part, asked | {"published": asdict(published) if published else None})
    _download(request.url, part, note, size=published.size if published else None, pause=pause)
    found = _verify(part, request, published)
    part.replace(target)
    note.path.unlink(missing_ok=True)
    known = {"url": shown, "metalink": asked["metalink"], "release": published.release if published else None}
    done = {"retrieved": datetime.now(UTC).isoformat(timespec="seconds"), "tool": _curl_version()}
    write_json(record, known | found | done)
    return known | found | done


def _published(request: DownloadRequest) -> MetalinkEntry | None:
    if not request.metalink:
        if request.release:
            raise InputError(
                f"source_release is {request.release!r}, but there is no source_metalink to check it against. Give the "
                "URL of the release's RELEASE.metalink."
            )
        return None
    where = without_secrets(request.metalink)
    published = read_metalink(_text(request.metalink), name=Path(urlparse(request.url).path).name, where=where)
    if published.size > LARGEST_FILE:
        raise InputError(f"{where} publishes {published.size:,} bytes, more than any source has ({LARGEST_FILE:,}).")
    if request.release and published.release != request.release:
        raise InputError(
            f"{where} is of release {published.release}, but source_release is {request.release!r}. UniProt "
            "keeps earlier releases of UniRef as XML, under previous_releases/: docs/data.md says how to use one. Or "
            f"take this one: source_release: {published.release!r}."
        )
    if request.md5 and published.md5 != request.md5:
        raise InputError(f"source_md5 is {request.md5}, but {where} publishes {published.md5}. Correct or remove it.")
    return published


def _text(url: str) -> bytes:
    """A text of at most `LARGEST` bytes, whatever length the server says, or does not say."""
    failures = 0
    while True:
        parts: list[bytes] = []
        done = transfer(url, parts.append, most=LARGEST, longest=_LONGEST_TEXT)
        if done.too_large:
            raise InputError(f"{without_secrets(url)} has more than {LARGEST:,} bytes: it is no metalink.")
        if not done.status:
            return b"".join(parts)
        failures += 1
        if _is_permanent(done) or failures == _FAILURES_IN_A_ROW:
            raise InputError(f"cannot read {without_secrets(url)}: {done.reason}. Check the URL and the connection.")
        time.sleep(failures)


class _Note:
    """What is known of a file that is being downloaded, beside what there is of it.

    A file that is not of the same request, or of which it is not known what it is, is deleted.
    """

    def __init__(self, part: Path, expected: dict[str, Any]) -> None:
        self.path, self._expected, self.response = part.with_name(f"{part.name}.json"), expected, Response()
        if part.exists():
            known = self._read()
            if known is None:
                _log.warning("%s is of another file or release: deleted", part)
                part.unlink()
            else:
                self.response = known
        self.keep(self.response)

    def _read(self) -> Response | None:
        try:
            found = read_object(self.path)
            with read_as("a note", where=self.path):
                response = Response(**found.pop("response", {}))
        except InputError:
            return None
        return response if found == self._expected else None

    def keep(self, response: Response) -> None:
        """Write down what the server says of the file."""
        self.response = response
        write_json(self.path, self._expected | {"response": asdict(response)})


def _download(url: str, part: Path, note: _Note, *, size: int | None, pause: float) -> None:
    """Download until all is there; each attempt goes on where the last one was, if the server has the same file."""
    shown, failures, longest = without_secrets(url), 0, 0
    while size is None or not part.exists() or part.stat().st_size < size:
        before = part.stat().st_size if part.exists() else 0
        known = note.response
        with part.open("ab") as file:
            most = (LARGEST_FILE if size is None else size + 1) - before
            done = transfer(url, file.write, begin=before, most=most, if_range=_strong(known))
        got = part.stat().st_size
        if _is_another(done, known, before):
            _log.warning("%s has changed on the server: it is downloaded from its start", part)
            part.unlink()
            note.keep(Response())
            got = 0
        elif done.too_large and size is None:
            part.unlink()
            raise InputError(f"{shown} has more than {LARGEST_FILE:,} bytes, which no source has. It is deleted.")
        elif _is_complete(done, known, before=before, got=got):
            return
        elif not before and got:
            note.keep(done.response)
        failures, longest = (1 if got >= longest + _STEP else failures + 1), max(got, longest)
        _log.warning("attempt ended after %d bytes: %s", got, done.reason)
        gone = done.response.status == 416  # nothing follows: it may be another file
        if (_is_permanent(done) and not gone) or failures >= _FAILURES_IN_A_ROW:
            raise InputError(
                f"cannot download {shown}: {done.reason}, after {got} bytes. They are kept: the same command resumes "
                "there."
            )
        if before and (gone or done.status in (0, _NO_RANGES)) and part.exists():
            part.unlink()
            note.keep(Response())
        time.sleep(pause * 2 ** (failures - 1))  # a server that fails is given longer each time


def _is_permanent(done: Transfer) -> bool:
    """Whether trying again would end in the same way."""
    return done.status in _PERMANENT and _SERVER_ERROR not in done.reason


def _strong(known: Response) -> str | None:
    """What a server compares with what it has; a weak ETag does not do (RFC 9110, 13.1.5)."""
    return known.etag if known.etag and not known.etag.startswith("W/") else known.modified


def _is_another(done: Transfer, known: Response, before: int) -> bool:
    """Whether what came, if anything, is of another file than what was there, or of another place in it."""
    if not before or done.response.status not in (200, 206, 416):
        return False
    elsewhere = done.response.status == 206 and done.response.begin not in (None, before)
    return elsewhere or done.response.is_of_another_file(known)


def _is_complete(done: Transfer, known: Response, *, before: int, got: int) -> bool:
    """Whether all is there: curl says so, or the server has nothing beyond what is there (416)."""
    if before and done.response.status == 416:
        total = known.total if done.response.total is None else done.response.total
        return total == before
    return not done.status and not done.too_large and (got > before or not before)


def _verify(part: Path, request: DownloadRequest, published: MetalinkEntry | None) -> dict[str, Any]:
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with part.open("rb") as file:
        while block := file.read(1 << 20):
            md5.update(block)
            sha256.update(block)
    size, where = part.stat().st_size, without_secrets(request.metalink or "")
    expected = published.md5 if published else request.md5
    problem = None
    if published and size != published.size:
        problem = f"has {size} bytes, but {where} publishes {published.size}"
    elif expected and md5.hexdigest() != expected:
        problem = f"has the MD5 {md5.hexdigest()}, but {where if published else 'source_md5'} says {expected}"
    if problem:
        part.unlink()
        raise InputError(
            f"what {without_secrets(request.url)} gave {problem}. It is deleted. Try again later, or another mirror."
        )
    by = "metalink" if published else "source_md5" if expected else None
    return {"bytes": size, "md5": md5.hexdigest(), "sha256": sha256.hexdigest(), "verified_by": by}


def _curl_version() -> str:
    done = subprocess.run(["curl", "--version"], capture_output=True, text=True, check=True)
    return " ".join(done.stdout.split()[:2])
