"""Serve the style sheets, scripts and icons, without a session and without the database.

`StaticFiles` serves these files before Flask sees the request. `scripts/assets.py` makes compressed
copies of the files, so that no request has to compress a file.
"""

from __future__ import annotations

import hashlib
import logging
import mimetypes
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from werkzeug.datastructures import Accept
from werkzeug.http import parse_accept_header
from werkzeug.wrappers import Response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

FOLDER = Path(__file__).parent.parent / "static"
COMPRESSED = "compressed"
"""The subfolder with the compressed copies."""
SUFFIXES = {"br": "br", "gzip": "gz"}
"""The file suffix of the compressed copies for each encoding, the best encoding first."""
TYPES = frozenset({".css", ".js", ".svg"})
"""The suffixes of the files that are served."""
PATH = "/static/"
YEAR = "public, max-age=31536000, immutable"
"""The header Cache-Control of a file that may be cached for a year."""
REVALIDATE = "public, no-cache"
"""The header Cache-Control of a file that the browser must check with the server before use."""

log = logging.getLogger("webapp")


@dataclass(frozen=True)
class StaticFile:
    """A file with its compressed copies. `digest` is the digest of the uncompressed content."""

    digest: str
    content_type: str
    bodies: Mapping[str, bytes]
    """The content for each encoding, the best encoding first and `identity` last."""


@cache
def read_static_files(folder: Path = FOLDER) -> dict[str, StaticFile]:
    """Return the files in `folder` by their names, such as `vendor/htmx.min.js`.

    The process keeps the contents in memory. Otherwise, a process that still runs while a new
    version is being installed would send the new content for the URL of the old content.
    """
    files = {
        path.relative_to(folder).as_posix(): _read(folder, path) for path in static_paths(folder)
    }
    uncompressed = [name for name, file in files.items() if len(file.bodies) == 1]
    if uncompressed:
        names = ", ".join(uncompressed)
        log.warning("no compressed copy of %s: run scripts/assets.py", names)
    return files


def static_paths(folder: Path) -> list[Path]:
    """Return the files in `folder` that are served."""
    paths = (*folder.glob("*"), *folder.glob("vendor/*"))
    return sorted(path for path in paths if path.suffix in TYPES)


def copy_name(name: str, content: bytes, encoding: str) -> str:
    """Return the name of a compressed copy.

    The name contains the digest of the content, so a copy of older content is never used.
    """
    return f"{name}.{digest_of(content)}.{SUFFIXES[encoding]}"


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


def _read(folder: Path, path: Path) -> StaticFile:
    content = path.read_bytes()
    bodies = {}
    for encoding in SUFFIXES:
        copy = folder / COMPRESSED / copy_name(path.name, content, encoding)
        if copy.is_file():
            bodies[encoding] = copy.read_bytes()
    content_type = mimetypes.types_map[path.suffix]
    if content_type.startswith("text/"):
        content_type += "; charset=utf-8"
    return StaticFile(digest_of(content), content_type, {**bodies, "identity": content})


def versioned_path(name: str) -> str:
    """Return the URL path of a static file, without the prefix of the application's URLs.

    The query string contains the digest of the file's content.
    """
    return f"{PATH}{name}?v={read_static_files()[name].digest}"


class StaticFiles:
    """A WSGI middleware that responds to every request below /static/."""

    def __init__(self, app: WSGIApplication, files: Mapping[str, StaticFile]) -> None:
        self._app, self._files = app, files

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if not path.startswith(PATH):
            return self._app(environ, start_response)
        return self._respond(path.removeprefix(PATH), environ)(environ, start_response)

    def _respond(self, name: str, environ: WSGIEnvironment) -> Response:
        file = self._files.get(name)
        if file is None:
            return Response("Not found\n", 404, {"Cache-Control": "no-store"})
        if environ["REQUEST_METHOD"] not in {"GET", "HEAD"}:
            return Response("Method not allowed\n", 405, {"Allow": "GET, HEAD"})
        encoding = best_encoding(environ.get("HTTP_ACCEPT_ENCODING", ""), file.bodies)
        body = file.bodies[encoding]
        response = Response(body, content_type=file.content_type)
        if encoding != "identity":
            response.content_encoding = encoding
        response.vary.add("Accept-Encoding")
        # During an upgrade, the page may come from another server, whose version of the file has
        # another digest. If the URL contains that digest, the browser must not cache the version of
        # this server under this URL for a year.
        is_current = environ.get("QUERY_STRING", "") == f"v={file.digest}"
        response.headers["Cache-Control"] = YEAR if is_current else REVALIDATE
        response.set_etag(f"{file.digest}-{encoding}")
        return response.make_conditional(environ)


def best_encoding(header: str, encodings: Iterable[str]) -> str:
    """Return the encoding that the client prefers.

    If the client prefers several encodings equally, return the first of them in `encodings`. Use
    a compressed encoding only if the header names the encoding. `*` in the header is ignored.
    """
    accepted = {name.lower(): quality for name, quality in parse_accept_header(header, Accept)}
    candidates = [name for name in encodings if accepted.get(name, 0) > 0 and name != "identity"]
    best = max(candidates, key=lambda name: accepted[name], default="identity")
    return "identity" if accepted.get("identity", 0) > accepted.get(best, 0) else best
