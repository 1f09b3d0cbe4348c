"""Static files: compressed copies, caching, and independence from sessions and the database."""

from __future__ import annotations

import gzip
from pathlib import Path

import brotli
import pytest
from flask import Flask
from werkzeug.test import Client

from scripts.compress import compress
from tests.conftest import NewDatabase
from tests.web.test_url_prefix import open_site
from webapp.web.components import asset
from webapp.web.static_files import StaticFiles, best_encoding, read_static_files

STYLE = b".a { color: red; }\n" * 200
YEAR = "public, max-age=31536000, immutable"


def no_app(environ: object, start_response: object) -> list[bytes]:
    raise AssertionError("The request has reached the app.")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "vendor").mkdir()
    (tmp_path / "vendor" / "a.css").write_bytes(STYLE)
    (tmp_path / "icons.txt").write_text("plus")
    compress(tmp_path)
    return tmp_path


@pytest.fixture
def static(folder: Path) -> Client:
    return Client(StaticFiles(no_app, read_static_files(folder)))


def url(folder: Path) -> str:
    return f"/static/vendor/a.css?v={read_static_files(folder)['vendor/a.css'].digest}"


def test_a_client_gets_the_encoding_that_it_offers(static: Client) -> None:
    for offer, encoding, decode in (
        ("gzip, deflate, br, zstd", "br", brotli.decompress),
        ("gzip", "gzip", gzip.decompress),
        ("gzip, br;q=0", "gzip", gzip.decompress),
        ("", None, bytes),
        ("br;q=0, gzip;q=0", None, bytes),
        ("*", None, bytes),
    ):
        answer = static.get("/static/vendor/a.css", headers={"Accept-Encoding": offer})
        assert answer.headers.get("Content-Encoding") == encoding, offer
        assert decode(answer.data) == STYLE
        assert answer.headers["Content-Length"] == str(len(answer.data))
        assert answer.headers["Vary"] == "Accept-Encoding"
        assert answer.content_type == "text/css; charset=utf-8"


@pytest.mark.parametrize(
    ("header", "encoding"),
    [
        ("br;q=0.5, gzip;q=0.8", "gzip"),
        ("BR", "br"),
        ("identity, gzip;q=0.5", "identity"),
        ("gzip;q=nonsense, br", "br"),
        ("xbr, gzipped", "identity"),
    ],
)
def test_the_client_ranks_the_encodings(header: str, encoding: str) -> None:
    assert best_encoding(header, ("br", "gzip", "identity")) == encoding


def test_only_the_url_of_the_current_content_is_cached_for_long(
    static: Client, folder: Path
) -> None:
    assert static.get(url(folder)).headers["Cache-Control"] == YEAR
    for other in ("", "?v=0123456789ab", "?v=", "?x=1"):
        answer = static.get(f"/static/vendor/a.css{other}")
        assert answer.data == STYLE
        assert answer.headers["Cache-Control"] == "public, no-cache"


def test_a_running_process_keeps_the_content_of_its_urls(static: Client, folder: Path) -> None:
    before = url(folder)
    (folder / "vendor" / "a.css").write_text("new")
    compress(folder)
    assert static.get(before).data == STYLE


def test_a_copy_of_old_content_is_never_served(folder: Path) -> None:
    (folder / "vendor" / "a.css").write_text("new")
    read_static_files.cache_clear()
    static = Client(StaticFiles(no_app, read_static_files(folder)))
    answer = static.get("/static/vendor/a.css", headers={"Accept-Encoding": "br, gzip"})
    assert answer.data == b"new"


def test_unchanged_files_are_not_sent_again(static: Client) -> None:
    tags = set()
    for offer in ("br", "gzip", ""):
        headers = {"Accept-Encoding": offer}
        tag = static.get("/static/vendor/a.css", headers=headers).headers["ETag"]
        tags.add(tag)
        for seen in (tag, f"W/{tag}", f'"other", {tag}'):
            again = static.get("/static/vendor/a.css", headers=headers | {"If-None-Match": seen})
            assert (again.status_code, again.data) == (304, b"")
            assert again.headers["ETag"] == tag
            assert again.headers["Vary"] == "Accept-Encoding"
    assert len(tags) == 3


@pytest.mark.parametrize(
    "path",
    [
        "icons.txt",
        "vendor/",
        "",
        "vendor/.made-from",
        "../__init__.py",
        "vendor/../vendor/a.css",
        "%2e%2e/security.py",
        "compressed/",
        "vendor/a.css/",
        "é",
    ],
)
def test_nothing_else_is_served(static: Client, path: str) -> None:
    assert static.get(f"/static/{path}").status_code == 404


def test_head_sends_no_content(static: Client) -> None:
    answer = static.head("/static/vendor/a.css")
    assert answer.data == b""
    assert answer.headers["Content-Length"] == str(len(STYLE))


def test_static_files_need_neither_the_database_nor_a_session(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = app.test_client()
    monkeypatch.setattr(app, "before_request_funcs", {None: [pytest.fail]})
    client.set_cookie("session", "whatever")
    with client.get("/static/app.css") as answer:
        assert answer.status_code == 200
    assert "Set-Cookie" not in answer.headers
    assert "Cookie" not in answer.headers["Vary"]


def test_static_files_are_below_the_prefix(new_database: NewDatabase) -> None:
    with open_site(new_database, {"URL_PREFIX": "/registry"}) as client:
        with client.application.test_request_context(base_url="http://localhost/registry"):
            path = asset("app.css")
        assert path.startswith("/registry/static/app.css?v=")
        assert client.get(path).headers["Cache-Control"] == YEAR


def test_compressing_again_changes_nothing(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (folder / "compressed").iterdir()}
    compress(folder)
    assert {path: path.stat().st_mtime_ns for path in (folder / "compressed").iterdir()} == before
    (folder / "vendor" / "a.css").write_text("new")
    compress(folder)
    assert not set(before) & set((folder / "compressed").glob("*.css.*"))
