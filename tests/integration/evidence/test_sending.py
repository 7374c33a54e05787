# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evidence outlives the machine it was collected on, or it is said that it does not."""

from __future__ import annotations

import hashlib
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import place
from ansible_collections.scout.recovery.plugins.module_utils.recovery.evidence import sending
from tests.integration.modules import Result, call

TOKEN = "t0ken-for-the-bucket"
#: Copies what it is given to where it is told, as a client of a bucket does.
COPY = f"{sys.executable} -c 'import shutil, sys; shutil.copytree(sys.argv[1], sys.argv[2])'"


class Bucket(ThreadingHTTPServer):
    """Takes what is put."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.put: list[tuple[str, bytes, str | None]] = []
        self.status = 201

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/scout/"


class _Handler(BaseHTTPRequestHandler):
    server: Bucket  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.put.append((self.path, data, self.headers["Authorization"]))
        self.send_response(self.server.status)
        self.send_header("Location", "http://127.0.0.1:1/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Silent."""


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    """A bucket on this machine."""
    server = Bucket()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def kept(dsn: str, folder: Path, url: str | None = None, **options: Any) -> Result:
    """A snapshot."""
    return call("scout_evidence", dsn, folder=str(folder), sample_rows=1, budget_seconds=30, url=url, **options)


def test_each_file_is_put_below_its_folder_the_manifest_last(
    scout_db: str, tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(sending.TOKEN, TOKEN)
    monkeypatch.setenv(sending.URL, bucket.url)
    made = kept(scout_db, tmp_path)
    assert (made["sent"], made["warnings"]) == (True, [])
    folder = Path(made["folder"])
    paths = [path for path, _, _ in bucket.put]
    assert sorted(paths) == sorted(f"/scout/{folder.name}/{each.name}" for each in folder.iterdir())
    assert paths[-1].endswith("/manifest.json")
    assert hashlib.sha256(bucket.put[-1][1]).hexdigest() == made["manifest_sha256"]
    assert {token for _, _, token in bucket.put} == {f"Bearer {TOKEN}"}
    # Neither a check nor a redirect sends anything anywhere, and what was kept stays.
    bucket.put.clear()
    assert kept(scout_db, tmp_path, check=True)["sent"] is False
    assert bucket.put == []
    bucket.status = 307
    moved = kept(scout_db, tmp_path)
    assert (moved["sent"], Path(moved["folder"]).is_dir(), len(bucket.put)) == (False, True, 1)
    assert "was not sent: " in moved["warnings"][0]
    assert "HTTP 307: redirects are not followed" in moved["warnings"][0]
    # Another server is not told the token.
    refused = kept(scout_db, tmp_path, "https://bucket.example.com/scout")
    assert TOKEN not in str(refused)
    assert "is not told the token" in refused["msg"]


def test_a_command_sends_it(scout_db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(sending.URL, raising=False)
    there = tmp_path / "bucket"
    made = kept(scout_db, tmp_path / "evidence", f"{COPY} {{folder}} {there}/{{name}}")
    assert (made["sent"], made["warnings"]) == (True, [])
    folder = Path(made["folder"])
    assert {each.name for each in (there / folder.name).iterdir()} == {each.name for each in folder.iterdir()}
    for wrong, said in (
        (f"{sys.executable} -c 'import sys; sys.exit(\"no such bucket\")'", "ended with 1: no such bucket"),
        ("/nowhere/aws s3 cp", "/nowhere/aws: No such file"),
    ):
        failed = kept(scout_db, tmp_path / "evidence", wrong)
        assert (failed["sent"], failed["changed"]) == (False, False)
        assert said in failed["warnings"][0]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://bucket.example.com/x", "is not https"),
        ("https://key:secret@bucket.example.com/x", "more than a host and a path"),
        ("https://bucket.example.com/x?signature=secret", "more than a host and a path"),
        ("https://bucket.example.com/a b", "is not a URL"),
        ("aws 's3", "is not a command"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_before_anything(
    scout_db: str, tmp_path: Path, url: str, said: str
) -> None:
    refused = kept(scout_db, tmp_path / "evidence", url)
    assert said in refused["msg"]
    assert "secret" not in str(refused)
    assert not (tmp_path / "evidence").exists()


def test_what_is_gone_with_the_container_is_said(
    scout_db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (sending.URL, "KUBERNETES_SERVICE_HOST", place.ARTIFACTS, place.OF_AWX):
        monkeypatch.delenv(name, raising=False)
    root = Path("/").stat().st_dev
    mark = tmp_path / ".dockerenv"
    mark.touch()
    monkeypatch.setattr(place, "CONTAINER", (mark,))
    on_a_volume = tmp_path.stat().st_dev != root
    warned = [text for text in kept(scout_db, tmp_path)["warnings"] if "kept only in this container" in text]
    assert bool(warned) is not on_a_volume
    artifacts = tmp_path / "private" / "artifacts" / "1"
    artifacts.mkdir(parents=True)
    monkeypatch.setenv(place.ARTIFACTS, str(artifacts))
    assert place.kept_only_here(artifacts / "evidence") is None, "it goes back"
    monkeypatch.setenv(place.OF_AWX, "7")
    only = place.kept_only_here(artifacts / "evidence")
    assert only is not None, "AWX keeps none of it"
    assert "kept only in this container" in only
    assert kept(scout_db, artifacts, f"{COPY} {{folder}} {tmp_path}/{{name}}")["warnings"] == []
    monkeypatch.setattr(place, "CONTAINER", ())
    assert place.kept_only_here(artifacts) is None
