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
from ..files import read_object, write_json
from .metalink import LARGEST, MetalinkEntry, read_metalink

_NO_RANGES = 33  # curl: the server cannot resume
_SERVER_ERROR = "error: 5"  # HTTP 5xx: may pass
_FAILURES_IN_A_ROW = 5
_PERMANENT = {1, 3, 6, 22, 37, 51, 60, 67, 78}  # curl: protocol, URL, host, HTTP error, file, certificate, login

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
    if not which("curl"):
        raise InputError(f"curl is needed to download {request.url}. Install it, or give a path as `source`.")
    published = _published(request)
    part = target.with_name(f"{target.name}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    _drop_stale(part, asdict(request) | {"published": asdict(published) if published else None})
    _transfer(request.url, part, size=published.size if published else None, pause=pause)
    found = _verify(part, request, published)
    part.replace(target)
    _expectation(part).unlink(missing_ok=True)
    known = {"url": request.url, "metalink": request.metalink, "release": published.release if published else None}
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
    text = _text(request.metalink)
    published = read_metalink(text, name=Path(urlparse(request.url).path).name, where=request.metalink)
    if request.release and published.release != request.release:
        raise InputError(
            f"{request.metalink} is of release {published.release}, but source_release is {request.release!r}. UniProt "
            "keeps earlier releases of UniRef as XML, under previous_releases/: docs/data.md says how to use one. Or "
            f"take this one: source_release: {published.release!r}."
        )
    if request.md5 and published.md5 != request.md5:
        raise InputError(
            f"source_md5 is {request.md5}, but {request.metalink} publishes {published.md5}. Correct or remove it."
        )
    return published


def _text(url: str) -> bytes:
    command = [*_curl(url), "--retry", "3", "--max-filesize", str(LARGEST)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        raise InputError(f"cannot read {url}: {_last_line(done.stderr)}. Check the URL and the connection.")
    return done.stdout


def _curl(url: str) -> list[str]:
    stalled = ["--connect-timeout", "30", "--speed-limit", "1", "--speed-time", "60"]
    allowed = ["--proto", "=http,https,ftp", "--proto-redir", "=http,https,ftp"]
    return ["curl", "--fail", "--location", "--silent", "--show-error", *stalled, *allowed, "--url", url]


def _expectation(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _drop_stale(part: Path, expected: dict[str, Any]) -> None:
    """Keep what was downloaded only if it is of the same file; then say what is being downloaded."""
    note = _expectation(part)
    if part.exists() and (not note.exists() or read_object(note) != expected):
        _log.warning("%s is of another file or release: deleted", part)
        part.unlink()
    write_json(note, expected)


def _transfer(url: str, part: Path, *, size: int | None, pause: float) -> None:
    """Download until curl says that all is there; each attempt goes on where the last one was."""
    failures = longest = 0
    while size is None or not part.exists() or part.stat().st_size < size:
        before = part.stat().st_size if part.exists() else 0
        command = [*_curl(url), "--continue-at", "-", "--output", str(part)]
        done = subprocess.run(command, capture_output=True, check=False)
        got = part.stat().st_size if part.exists() else 0
        if not done.returncode and part.exists() and (got > before or not before):
            return
        failures, longest = (1 if got > longest else failures + 1), max(got, longest)
        reason = _last_line(done.stderr)
        _log.warning("attempt ended after %d bytes: %s", got, reason)
        if (done.returncode in _PERMANENT and _SERVER_ERROR not in reason) or failures >= _FAILURES_IN_A_ROW:
            raise InputError(
                f"cannot download {url}: {reason}, after {got} bytes. They are kept: the same command resumes there."
            )
        if before and done.returncode in (0, _NO_RANGES):  # 0: nothing follows, so it may be another file
            part.unlink()
        time.sleep(pause * 2 ** (failures - 1))  # a server that fails is given longer each time


def _verify(part: Path, request: DownloadRequest, published: MetalinkEntry | None) -> dict[str, Any]:
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with part.open("rb") as file:
        while block := file.read(1 << 20):
            md5.update(block)
            sha256.update(block)
    size = part.stat().st_size
    expected = published.md5 if published else request.md5
    problem = None
    if published and size != published.size:
        problem = f"has {size} bytes, but {request.metalink} publishes {published.size}"
    elif expected and md5.hexdigest() != expected:
        problem = (
            f"has the MD5 {md5.hexdigest()}, but {request.metalink if published else 'source_md5'} says {expected}"
        )
    if problem:
        part.unlink()
        raise InputError(f"what {request.url} gave {problem}. It is deleted. Try again later, or another mirror.")
    by = "metalink" if published else "source_md5" if expected else None
    return {"bytes": size, "md5": md5.hexdigest(), "sha256": sha256.hexdigest(), "verified_by": by}


def _last_line(output: bytes) -> str:
    lines = output.decode("utf-8", "backslashreplace").strip().splitlines()
    return lines[-1].removeprefix("curl: ") if lines else "curl gave no reason"


def _curl_version() -> str:
    done = subprocess.run(["curl", "--version"], capture_output=True, text=True, check=True)
    return " ".join(done.stdout.split()[:2])
