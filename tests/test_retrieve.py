"""Downloads from a server on this machine that does everything wrong that a server can."""

import contextlib
import gzip
import hashlib
import logging
import random
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from plmscale.errors import InputError
from plmscale.files import read_json
from plmscale.sequences import retrieve as module
from plmscale.sequences import transfer as transfers
from plmscale.sequences.metalink import read_metalink
from plmscale.sequences.retrieve import DownloadRequest, retrieve

DATA = Path(__file__).parent / "data"
CONTENT = gzip.compress(random.Random(0).randbytes(300_000), mtime=0)
SIZE = len(CONTENT)
MD5 = hashlib.md5(CONTENT).hexdigest()


FILE = f'<file name="uniref50.fasta.gz"><size>{SIZE}</size><hash type="md5">{MD5}</hash></file>'


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
        self.etag = self.modified = None
        self.seconds_a_byte = 0.0
        self.chunked = b""  # sent again and again without a length
        self.whole_range = False  # whether 416 says how long the file is
        self.ranges: list[str | None] = []

    def answer(self, handler):
        if self.chunked:
            return self._endless(handler)
        if handler.path.endswith(".metalink"):
            return self._send(handler, 200, self.metalink.encode())
        self.ranges.append(handler.headers.get("Range"))
        if self.status != 200:
            return handler.send_error(self.status)
        begin = int(self.ranges[-1].removeprefix("bytes=").rstrip("-")) if self.ranges[-1] and self.resumes else 0
        if begin >= len(self.content):
            handler.send_response(416)
            if self.whole_range:
                handler.send_header("Content-Range", f"bytes */{len(self.content)}")
            handler.send_header("Content-Length", "0")
            return handler.end_headers()
        return self._send(handler, 206 if begin else 200, self.content[begin:], begin=begin)

    def _send(self, handler, status, body, *, begin=0):
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body) + self.claimed))
        if status == 206:
            handler.send_header("Content-Range", f"bytes {begin}-{len(self.content) - 1}/{len(self.content)}")
        for name, value in (("ETag", self.etag), ("Last-Modified", self.modified)):
            if value:
                handler.send_header(name, value)
        handler.end_headers()
        for at in range(len(body) if self.seconds_a_byte else 0):
            handler.wfile.write(body[at : at + 1])
            time.sleep(self.seconds_a_byte)
        file = handler.path.endswith(".gz")
        handler.wfile.write(body[: self.drop_after.pop(0)] if file and self.drop_after else body)
        handler.close_connection = True

    def _endless(self, handler):
        handler.send_response(200)
        handler.end_headers()
        with contextlib.suppress(OSError):
            while True:
                handler.wfile.write(self.chunked)


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
        (metalink(size="1" * 5000), "the size '1111"),
        (metalink(size="\u0663"), "the size"),
        (metalink().replace("UTF-8", "x-unknown"), "is not a metalink"),
        (metalink().replace("UTF-8", "utf-7"), "is not a metalink"),
        (metalink().replace("</files>", f"{FILE.replace(MD5, '0' * 32)}</files>"), "2 times, not always as the same"),
        ("<a>" * 200_000, "is not a metalink"),
        (metalink() + " " * (1 << 20), "has more than 1,048,576 bytes"),
    ],
    ids=["html", "nothing listed", "another file", "size", "md5", "document type", "digits", "other digits"]
    + ["encoding", "utf-7", "two of one name", "deep", "large"],
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


def test_entities_are_refused_in_whatever_encoding():
    bomb = '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE a [<!ENTITY b "cccc"><!ENTITY d "&b;&b;">]><a>&d;</a>'
    with pytest.raises(InputError, match="declares a document type"):
        read_metalink(bomb.encode("utf-16"), name="a", where="here")


def test_the_metalink_with_an_unknown_encoding_of_a_fuzzer():
    text = (DATA / "hostile/metalink_unknown_encoding.xml").read_bytes()
    with pytest.raises(InputError, match="here is not a metalink"):
        read_metalink(text, name="uniref50.fasta.gz", where="here")


@pytest.mark.parametrize("kind", ["etag", "modified"])
def test_content_that_changed_since_the_connection_dropped_is_fetched_anew(server, get, kind):
    """The server ignores If-Range, as some do: it sends the rest of another file."""
    setattr(server, kind, {"etag": '"1"', "modified": "Mon, 02 Jan 2006 15:04:05 GMT"}[kind])
    server.content, server.drop_after = b"old!" * (SIZE // 4) + b"x" * (SIZE % 4), [5000]
    changed = {"etag": '"2"', "modified": "Tue, 03 Jan 2006 15:04:05 GMT"}[kind]

    class Switching(list):
        def append(self, value):
            super().append(value)
            if len(self) == 2:
                setattr(server, kind, changed)
                server.content = CONTENT

    server.ranges = Switching()
    assert get(DownloadRequest(server.url))["bytes"] == SIZE
    assert list(server.ranges) == [None, "bytes=5000-", None]


def test_content_that_changed_between_two_commands_is_fetched_anew(server, get):
    server.etag, server.content = '"1"', b"o" * SIZE
    server.drop_after = [5000] + [0] * (module._FAILURES_IN_A_ROW - 1)
    with pytest.raises(InputError, match="They are kept"):
        get(DownloadRequest(server.url))
    server.etag, server.content = '"2"', CONTENT
    get(DownloadRequest(server.url))


@pytest.mark.parametrize("whole_range", [True, False])
def test_nothing_beyond_a_complete_part_is_completeness(server, get, tmp_path, whole_range):
    server.whole_range, server.etag = whole_range, '"1"'
    server.drop_after = [5000] + [0] * (module._FAILURES_IN_A_ROW - 1)
    with pytest.raises(InputError, match="They are kept"):
        get(DownloadRequest(server.url))
    (tmp_path / "uniref50.fasta.gz.part").write_bytes(CONTENT)
    server.ranges.clear()
    get(DownloadRequest(server.url))
    assert server.ranges == [f"bytes={SIZE}-"]


def test_bodies_and_metalinks_without_a_length_have_a_limit(server, get, tmp_path, monkeypatch):
    server.chunked = b"<metalink>" * 1000
    with pytest.raises(InputError, match="has more than 1,048,576 bytes: it is no metalink"):
        get(server.request)
    monkeypatch.setattr(module, "LARGEST_FILE", 1 << 22)
    with pytest.raises(InputError, match="has more than 4,194,304 bytes, which no source has"):
        get(DownloadRequest(server.url))
    assert nothing_looks_whole(tmp_path)
    assert not (tmp_path / "uniref50.fasta.gz.part").exists()


def test_a_body_without_a_length_ends_at_what_is_published(server, get, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_text", lambda url: server.metalink.encode())
    server.chunked = b"x" * 1000
    with pytest.raises(InputError, match=f"has [0-9]+ bytes, but .* publishes {SIZE}. It is deleted"):
        get(server.request)
    assert nothing_looks_whole(tmp_path)


def test_a_server_that_drips_is_given_up(server, get, tmp_path, monkeypatch):
    monkeypatch.setattr(transfers, "PATIENCE", 1)
    monkeypatch.setattr(module, "_FAILURES_IN_A_ROW", 2)
    server.seconds_a_byte = 0.05
    with pytest.raises(InputError, match="cannot download .*[Tt]oo slow"):
        get(DownloadRequest(server.url))
    assert nothing_looks_whole(tmp_path)


@pytest.mark.parametrize("fails", [False, True])
def test_a_password_appears_nowhere(server, get, tmp_path, caplog, fails):
    host = server.url.removeprefix("http://")
    secret = f"http://somebody:h%21dden@{host}?token=s3cret"
    request = DownloadRequest(secret, metalink=server.request.metalink.replace("http://", "http://somebody:h%21dden@"))
    server.status, said = 404 if fails else 200, ""
    with caplog.at_level(logging.DEBUG):
        if fails:
            with pytest.raises(InputError) as raised:
                get(request)
            said = str(raised.value)
        else:
            found = get(request)
            assert found["url"] == f"{server.url}?token=…"
    said += caplog.text + "".join(p.read_text(errors="replace") for p in tmp_path.iterdir() if p.suffix == ".json")
    assert "uniref50" in said
    for word in ("h%21dden", "h!dden", "somebody", "s3cret"):
        assert word not in said
