"""Downloads from a server on this machine that does everything wrong that a server can."""

import gzip
import hashlib
import random
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from plmscale.errors import InputError
from plmscale.files import read_json
from plmscale.sequences import retrieve as module
from plmscale.sequences.metalink import read_metalink
from plmscale.sequences.retrieve import DownloadRequest, retrieve

CONTENT = gzip.compress(random.Random(0).randbytes(300_000), mtime=0)
SIZE = len(CONTENT)
MD5 = hashlib.md5(CONTENT).hexdigest()


def metalink(*, size=SIZE, md5=MD5, release="2024_02", name="uniref50.fasta.gz"):
    """What UniProt publishes, cut to what matters: version 3, one entry a file."""
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<metalink version="3.0" xmlns="http://www.metalinker.org/" type="static">
 <publisher><name>UniProt</name></publisher><version>{release}</version>
 <files>
  <file name="uniref50.xml.gz"><size>12</size><verification><hash type="md5">{"0" * 32}</hash></verification></file>
  <file name="{name}"><size>{size}</size><verification><hash type="md5">{md5}</hash></verification>
   <resources><url type="ftp">ftp://nowhere.example/{name}</url></resources></file>
 </files>
</metalink>"""


class Server:
    """An HTTP server of one file, with faults to switch on; `ranges` are those that it was asked for."""

    def __init__(self):
        self.content, self.metalink = CONTENT, metalink()
        self.drop_after: list[int] = []  # bytes after which each of the next answers ends
        self.claimed = 0  # bytes more than there are that Content-Length claims
        self.resumes, self.status = True, 200
        self.ranges: list[str | None] = []

    def answer(self, handler):
        if handler.path.endswith(".metalink"):
            return self._send(handler, 200, self.metalink.encode())
        self.ranges.append(handler.headers.get("Range"))
        if self.status != 200:
            return handler.send_error(self.status)
        begin = int(self.ranges[-1].removeprefix("bytes=").rstrip("-")) if self.ranges[-1] and self.resumes else 0
        if begin >= len(self.content):
            return handler.send_error(416)
        return self._send(handler, 206 if begin else 200, self.content[begin:], begin=begin)

    def _send(self, handler, status, body, *, begin=0):
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body) + self.claimed))
        if status == 206:
            handler.send_header("Content-Range", f"bytes {begin}-{len(self.content) - 1}/{len(self.content)}")
        handler.end_headers()
        file = handler.path.endswith(".gz")
        handler.wfile.write(body[: self.drop_after.pop(0)] if file and self.drop_after else body)
        handler.close_connection = True


@pytest.fixture
def server():
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            state.answer(self)

        def log_message(self, format, *args): ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        state.url = f"http://127.0.0.1:{http.server_port}/uniref50.fasta.gz"
        state.request = DownloadRequest(state.url, metalink=state.url.replace("uniref50.fasta.gz", "RELEASE.metalink"))
        yield state
        http.shutdown()


@pytest.fixture
def get(tmp_path):
    """Download into tmp_path; the target, the record and the record's content."""

    def get(request):
        target = tmp_path / "uniref50.fasta.gz"
        found = retrieve(request, target, record=tmp_path / "record.json", pause=0.01)
        assert read_json(tmp_path / "record.json") == found
        assert target.read_bytes() == CONTENT
        assert {path.name for path in tmp_path.iterdir()} == {target.name, "record.json"}
        return found

    return get


def nothing_looks_whole(tmp_path):
    return not (tmp_path / "uniref50.fasta.gz").exists() and not (tmp_path / "record.json").exists()


def test_a_file_as_published(server, get):
    found = get(server.request)
    assert (found["release"], found["bytes"], found["md5"]) == ("2024_02", len(CONTENT), MD5)
    assert found["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert found["verified_by"] == "metalink"
    assert found["tool"].startswith("curl ")
    assert found["retrieved"].endswith("+00:00")


def test_a_file_without_a_metalink(server, get):
    assert get(DownloadRequest(server.url))["verified_by"] is None
    assert get(DownloadRequest(server.url, md5=MD5))["verified_by"] == "source_md5"


def test_dropped_connections_are_resumed(server, get):
    server.drop_after = [1000, 200_000, 17, 0]
    get(server.request)
    assert server.ranges == [None, "bytes=1000-", "bytes=201000-", "bytes=201017-", "bytes=201017-"]


def test_a_server_that_cannot_resume_begins_again(server, get):
    server.drop_after, server.resumes = [1000], False
    get(server.request)
    assert server.ranges[:2] == [None, "bytes=1000-"]


def test_a_connection_that_never_gets_further_is_an_error_and_goes_on_later(server, get, tmp_path):
    server.drop_after = [5000] + [0] * (module._FAILURES_IN_A_ROW - 1)
    with pytest.raises(InputError, match=r"cannot download http.*after 5000 bytes. They are kept"):
        get(server.request)
    assert nothing_looks_whole(tmp_path)
    assert (tmp_path / "uniref50.fasta.gz.part").stat().st_size == 5000
    server.ranges.clear()
    get(server.request)
    assert server.ranges[-1] == "bytes=5000-"


def test_what_is_left_of_another_release_is_not_gone_on_with(server, get):
    server.content, server.drop_after = b"old" * 100_000, [5000] + [0] * (module._FAILURES_IN_A_ROW - 1)
    server.metalink = metalink(size=300_000, md5="1" * 32, release="2024_01")
    with pytest.raises(InputError, match="They are kept"):
        get(server.request)
    server.content, server.metalink = CONTENT, metalink()
    server.ranges.clear()
    get(server.request)
    assert server.ranges == [None]


@pytest.mark.parametrize(("size", "more"), [(len(CONTENT) + 1, b""), (len(CONTENT), b"x"), (10, b"")])
def test_a_wrong_length_is_never_accepted(server, get, tmp_path, size, more):
    server.content, server.metalink = CONTENT + more, metalink(size=size)
    with pytest.raises(InputError, match="publishes|cannot download"):
        get(server.request)
    assert nothing_looks_whole(tmp_path)


def test_a_length_that_the_server_claims_and_does_not_send_is_never_accepted(server, get, tmp_path):
    server.claimed = 100
    with pytest.raises(InputError, match="cannot download"):
        get(DownloadRequest(server.url))
    assert nothing_looks_whole(tmp_path)


def test_a_wrong_checksum_is_never_accepted(server, get, tmp_path):
    server.content = CONTENT[:-1] + b"?"
    for request, by in ((server.request, "RELEASE.metalink"), (DownloadRequest(server.url, md5=MD5), "source_md5")):
        with pytest.raises(InputError, match=f"has the MD5 .*{by} says {MD5}. It is deleted"):
            get(request)
        assert nothing_looks_whole(tmp_path)
        assert not (tmp_path / "uniref50.fasta.gz.part").exists()
    server.content = CONTENT
    get(server.request)


def test_a_download_that_was_killed_before_it_got_its_name(server, get, tmp_path):
    with pytest.raises(InputError):
        server.drop_after = [5000] + [0] * (module._FAILURES_IN_A_ROW - 1)
        get(DownloadRequest(server.url))
    (tmp_path / "uniref50.fasta.gz.part").write_bytes(CONTENT)  # complete, but nobody said so
    get(DownloadRequest(server.url))


@pytest.mark.parametrize("status", [404, 503])
def test_http_errors_name_the_url(server, get, status):
    server.status = status
    with pytest.raises(InputError, match=f"cannot download {server.url}: .*{status}"):
        get(server.request)
    assert len(server.ranges) == (1 if status == 404 else module._FAILURES_IN_A_ROW)


def test_releases_and_checksums_have_to_agree(server, get):
    url, at = server.request.url, server.request.metalink
    get(DownloadRequest(url, metalink=at, release="2024_02", md5=MD5))
    with pytest.raises(InputError, match="is of release 2024_02, but source_release is '2023_01'.*XML"):
        get(DownloadRequest(url, metalink=at, release="2023_01"))
    with pytest.raises(InputError, match=f"source_md5 is {'0' * 32}, but .* publishes {MD5}"):
        get(DownloadRequest(url, metalink=at, md5="0" * 32))
    with pytest.raises(InputError, match="no source_metalink to check it against"):
        get(DownloadRequest(url, release="2024_02"))
    with pytest.raises(InputError, match="cannot read http://127.0.0.1:9/none"):
        get(DownloadRequest(url, metalink="http://127.0.0.1:9/none"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<html>", "is not a metalink"),
        ("<metalink/>", "does not list uniref50.fasta.gz, but: nothing"),
        (metalink(name="other.gz"), "does not list uniref50.fasta.gz, but: other.gz, uniref50.xml.gz"),
        (metalink(size="many"), "the size 'many'"),
        (metalink(md5="12"), "the MD5 '12'"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><metalink/>', "declares a document type"),
    ],
    ids=["html", "nothing listed", "another file", "size", "md5", "document type"],
)
def test_metalinks_that_say_nothing(text, message):
    with pytest.raises(InputError, match=message):
        read_metalink(text.encode(), name="uniref50.fasta.gz", where="http://here/RELEASE.metalink")


def test_metalink_version_4_is_read_too():
    text = (
        '<metalink xmlns="urn:ietf:params:xml:ns:metalink"><file name="a.gz"><size>3</size>'
        f'<hash type="sha-256">00</hash><hash type="md5">{MD5}</hash></file></metalink>'
    )
    assert read_metalink(text.encode(), name="a.gz", where="here").md5 == MD5
