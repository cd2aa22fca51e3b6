"""Downloads against a server on this machine that resumes, breaks off, lies or is missing."""

from __future__ import annotations

import io
import re
import threading
import zipfile
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import numpy as np
import pytest

from anl_seg.datasets import download
from anl_seg.errors import InputError


def archive(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as bundle:
        for name, content in members.items():
            bundle.writestr(name, content)
    return buffer.getvalue()


PICTURES = {"a.jpg": np.random.default_rng(0).bytes(100_000), "b.jpg": b"b" * 1000}
BODY = archive({f"Pictures/{name}": content for name, content in PICTURES.items()})


@dataclass
class Site:
    """Content and behaviour of the server."""

    body: bytes = BODY
    stated: int | None = len(BODY)  # what it says the size is
    ranges: bool = True  # whether it can resume
    breaks: list[int] = field(default_factory=list)  # bytes sent by the next answers, then cut
    url: str = ""
    started_at: list[int] = field(default_factory=list)  # first byte of each answer


@pytest.fixture
def site(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self._start(200, site.stated)

        def do_GET(self):
            asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            start = int(asked[1]) if asked and site.ranges else 0
            site.started_at.append(start)
            self._start(206 if asked and site.ranges else 200, site.stated - start)
            end = start + site.breaks.pop(0) if site.breaks else len(site.body)
            self.wfile.write(site.body[start:end])

        def _start(self, status, length):
            found = self.path == "/Pictures.zip"
            self.send_response(status if found else 404)
            if length is not None:
                self.send_header("Content-Length", str(length))
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_port}/Pictures.zip"
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_fetches_and_unpacks(site, tmp_path):
    folder = download.fetch_folder(site.url, tmp_path / "new")
    assert folder == tmp_path / "new/Pictures"
    assert contents(folder) == PICTURES
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"Pictures", "Pictures.zip"}


def test_existing_files_are_not_fetched_again(site, tmp_path):
    (tmp_path / "Pictures.zip").write_bytes(BODY)
    download.fetch_folder(site.url, tmp_path)
    (tmp_path / "Pictures.zip").unlink()
    assert contents(download.fetch_folder(site.url, tmp_path)) == PICTURES
    assert site.started_at == []


def test_resumes_an_earlier_run(site, tmp_path):
    (tmp_path / ".partial-Pictures.zip").write_bytes(BODY[:60_000])
    assert contents(download.fetch_folder(site.url, tmp_path)) == PICTURES
    assert site.started_at == [60_000]


def test_continues_after_broken_connections(site, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "BLOCK_BYTES", 1000)
    site.breaks = [40_000, 30_000]
    assert contents(download.fetch_folder(site.url, tmp_path)) == PICTURES
    assert site.started_at == [0, 40_000, 70_000]


def test_starts_again_if_the_server_cannot_resume(site, tmp_path):
    site.ranges = False
    (tmp_path / ".partial-Pictures.zip").write_bytes(b"x" * 60_000)
    assert contents(download.fetch_folder(site.url, tmp_path)) == PICTURES


def test_too_long_a_partial_file_is_dropped(site, tmp_path):
    (tmp_path / ".partial-Pictures.zip").write_bytes(BODY + b"x")
    assert contents(download.fetch_folder(site.url, tmp_path)) == PICTURES
    assert site.started_at == [0]


def test_server_that_stops_delivering(site, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "BLOCK_BYTES", 1000)
    site.breaks = [40_000, 0, 0]
    with pytest.raises(InputError, match=r"Pictures\.zip cannot be fetched \(the connection broke"):
        download.fetch_folder(site.url, tmp_path)
    assert contents(tmp_path) == {".partial-Pictures.zip": BODY[:40_000]}


@pytest.mark.parametrize("stated", [len(BODY) + 500, len(BODY) - 500])
def test_server_that_lies_about_the_size(site, tmp_path, stated):
    site.stated = stated
    with pytest.raises(InputError, match=r"cannot be fetched|is not a complete zip archive"):
        download.fetch_folder(site.url, tmp_path)
    assert not (tmp_path / "Pictures").exists()


def test_server_that_does_not_state_the_size(site, tmp_path):
    site.stated = None
    with pytest.raises(InputError, match="does not state the file's size"):
        download.fetch_folder(site.url, tmp_path)


def test_missing_file_and_unreachable_server(site, tmp_path):
    with pytest.raises(InputError, match=r"answers 404 .* put the file into .* by hand"):
        download.fetch_folder(site.url.replace("Pictures", "Other"), tmp_path)
    with pytest.raises(InputError, match=r"127\.0\.0\.1:9/Pictures\.zip .*no connection"):
        download.fetch_folder("http://127.0.0.1:9/Pictures.zip", tmp_path)


def test_full_disk(site, tmp_path, monkeypatch):
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(InputError, match="free some space"):
        download.fetch_folder(site.url, tmp_path)


def test_progress_counts_blocks(site, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "BLOCK_BYTES", 1000)
    steps = []

    def track(items, description):
        for item in items:
            steps.append(description)
            yield item

    download.fetch_folder(site.url, tmp_path, track=track)
    assert steps.count("fetching Pictures.zip") == -(-len(BODY) // 1000)
    assert steps.count("unpacking Pictures.zip") == len(PICTURES)


def test_unpacks_side_by_side_without_leaving_the_folder(tmp_path):
    members = {"top/": b"", "top/a.jpg": b"a", "../../b.jpg": b"b", "__MACOSX/top/._a.jpg": b"x"}
    (tmp_path / "in.zip").write_bytes(archive(members))
    download.unpack(tmp_path / "in.zip", tmp_path / "out")
    assert contents(tmp_path / "out") == {"a.jpg": b"a", "b.jpg": b"b"}


@pytest.mark.parametrize("damage", ["truncated", "one byte", "text"])
def test_damaged_archive(tmp_path, damage):
    flipped = bytearray(BODY)
    flipped[50_000] ^= 1
    content = {"truncated": BODY[:-100], "one byte": bytes(flipped), "text": b"hello"}[damage]
    (tmp_path / "Pictures.zip").write_bytes(content)
    with pytest.raises(
        InputError, match=r"Pictures\.zip is not a complete zip archive .* delete it"
    ):
        download.unpack(tmp_path / "Pictures.zip", tmp_path / "Pictures")
    assert [path.name for path in tmp_path.iterdir()] == ["Pictures.zip"]
