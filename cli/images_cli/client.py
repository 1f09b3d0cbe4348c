"""Send requests to the API of the registry, and repeat them while the registry is busy.

The client uses only the standard library. urllib reads the proxies from the environment.
"""

from __future__ import annotations

import json
import random
import ssl
import time
import uuid
from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException, HTTPResponse
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import parse_qs, quote, urlencode, urlsplit
from urllib.request import (
    BaseHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    build_opener,
)

import click

from images_cli import __version__
from images_cli.failures import ExitCode, Failure
from images_cli.texts import printable

ROOT = "/api/v1"
ATTEMPTS = 5
LONGEST_WAIT = 60
"""The longest time in seconds to wait before the next attempt.

If the registry asks for a longer time, the command fails.
"""
LARGEST_PAGE = 250
PART_BYTES = 64 * 1024
"""The size of the parts in which a file is received."""
LOOPBACK = {"localhost", "127.0.0.1", "::1"}
STATUS_CODES = {
    401: ExitCode.NOT_AUTHENTICATED,
    403: ExitCode.FORBIDDEN,
    404: ExitCode.NOT_FOUND,
    409: ExitCode.CONFLICT,
    410: ExitCode.NOT_FOUND,
    412: ExitCode.CONFLICT,
    429: ExitCode.UNAVAILABLE,
    502: ExitCode.UNAVAILABLE,
    503: ExitCode.UNAVAILABLE,
    504: ExitCode.UNAVAILABLE,
}
"""The exit codes for statuses.

For any other status from 400 to 499, the exit code is REFUSED. For all others, it is UNEXPECTED.
"""
CLOUD_KINDS = {"cloud-refused", "cloud-busy", "cloud-unreachable", "credentials-unreadable"}
"""The kinds of problems for which the exit code is CLOUD, whatever their status is."""
BUSY_STATUSES = {429, 502, 503, 504}
"""The statuses that mean that the registry, a cloud or a proxy is busy or can't be reached."""


@dataclass(frozen=True)
class Response:
    """The response to a request.

    `document` is the parsed JSON, or None if the body is not JSON. For a download, it is the open
    HTTPResponse, from which the file is read.
    """

    status: int
    headers: Message
    document: Any

    @property
    def is_success(self) -> bool:
        """Whether the registry processed the request. An HTML page from a proxy doesn't count."""
        return self.status == 204 or (200 <= self.status < 300 and self.document is not None)

    @property
    def kind(self) -> str:
        """The kind of the problem, such as `not-found`, or '' if there is no problem document."""
        if not isinstance(self.document, dict):
            return ""
        return str(self.document.get("type", "")).removeprefix("urn:problem-type:")

    @property
    def seconds_to_wait(self) -> int | None:
        text = self.headers.get("Retry-After", "")
        return int(text) if text.isdecimal() else None


class NoResponse(Exception):
    """The client received no response.

    `was_sent` is true if the registry may have processed the request. `is_final` is true if another
    attempt would fail for the same reason.
    """

    def __init__(self, message: str, *, was_sent: bool, is_final: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.was_sent = was_sent
        self.is_final = is_final


class NoRedirects(HTTPRedirectHandler):
    """Ignores redirects. If urllib followed a redirect, it would send the token to the new URL."""

    def redirect_request(self, *_: Any) -> None:
        return None


class Client:
    """Sends requests about one scope of a registry.

    `url` is the address of the registry. `scope` is the path of the scope in URLs, such as
    `/account/acme`. Raises click.UsageError if `url` or `ca_file` can't be used.
    """

    def __init__(self, url: str, scope: str, token: str, ca_file: str, timeout: float) -> None:
        self._root = parse_registry_url(url) + ROOT
        self._base = self._root + scope
        self._token = token
        self._timeout = timeout
        self._opener = _opener(self._base, ca_file)

    def without_scope(self) -> Client:
        """Return a client for the paths that belong to no scope, such as `/scopes`."""
        client = copy(self)
        client._base = self._root  # noqa: SLF001  the same class
        return client

    def get(self, path: str, **query: Any) -> Response:
        return self.send("GET", path + _query(query))

    def post(
        self, path: str, body: Any, headers: Mapping[str, str] | None = None, **query: Any
    ) -> Response:
        return self.send("POST", path + _query(query), body, headers)

    def pages(self, path: str, max_items: int | None, **query: Any) -> Iterator[list[Any]]:
        """Yield the items of each page of a list, until `max_items` items were read.

        If `max_items` is 0, read all items. If `max_items` is None, read all items of a list that
        does not accept the parameter `limit`.
        """
        item_count = 0
        limit = None if max_items is None else LARGEST_PAGE
        while True:
            if max_items:
                limit = min(max_items - item_count, LARGEST_PAGE)
            page = self.get(path, limit=limit, **query).document
            yield page["items"]
            item_count += len(page["items"])
            if not page["next"] or (max_items and item_count >= max_items):
                return
            # Use only the cursor of the URL in `next`, so that the token is never sent to another
            # server.
            query["cursor"] = parse_qs(urlsplit(page["next"]).query)["cursor"][0]

    def download(self, path: str, **query: Any) -> Iterator[bytes]:
        """Yield the parts of a file. Raises Failure, for example if the file is incomplete."""
        body: HTTPResponse = self.send("GET", path + _query(query), is_download=True).document
        try:
            with body:
                while part := body.read(PART_BYTES):
                    yield part
        except (OSError, HTTPException) as error:
            message = f"The file is incomplete: {error}."
            raise Failure(message, ExitCode.UNAVAILABLE) from error

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        *,
        is_download: bool = False,
    ) -> Response:
        """Return the response to a request. Raises Failure if the response is an error.

        If the registry is busy or can't be reached, the request is repeated, up to ATTEMPTS
        attempts in total. Some requests would be refused the second time. Such a request is not
        repeated if the registry may have processed it. With `is_download`, the document of the
        response is the open HTTPResponse.
        """
        request = self._request(method, path, body, headers or {})
        for attempt in range(1, ATTEMPTS + 1):
            try:
                response = self._open(request, is_download=is_download)
            except NoResponse as error:
                failure = _failure_without_response(error, method)
                may_repeat = not error.is_final and (not error.was_sent or _is_repeatable(request))
                seconds = None
            else:
                if response.is_success:
                    return response
                failure = failure_of(response)
                may_repeat = _is_busy(response) and (
                    response.status == 429 or _is_repeatable(request)
                )
                seconds = response.seconds_to_wait
            if seconds is None:
                seconds = 2 ** (attempt - 1)
            if not may_repeat or attempt == ATTEMPTS or seconds > LONGEST_WAIT:
                raise failure
            click.echo(f"{failure.message} Trying again in {seconds} seconds…", err=True)
            # Several pipelines may have failed at the same time. The random time prevents them from
            # trying again at the same time.
            time.sleep(seconds + random.uniform(0, 0.5))  # noqa: S311  not a secret
        raise AssertionError("unreachable")

    def _request(self, method: str, path: str, body: Any, headers: Mapping[str, str]) -> Request:
        data = None if body is None else _json(body)
        request = Request(self._base + path, data, method=method)  # noqa: S310  see parse_registry_url
        request.add_header("Accept", "application/json, application/problem+json")
        request.add_header("User-Agent", f"images/{__version__}")
        request.add_header("Authorization", f"Bearer {self._token}")
        if data is not None:
            request.add_header("Content-Type", "application/json")
        if method == "POST":
            request.add_header("Idempotency-Key", str(uuid.uuid4()))
        for name, value in headers.items():
            request.add_header(name, value)
        return request

    def _open(self, request: Request, *, is_download: bool) -> Response:
        """Return the response, even if it is an error. Raises NoResponse."""
        try:
            try:
                response = self._opener.open(request, timeout=self._timeout)
                if is_download and "Content-Disposition" in response.headers:
                    return Response(response.status, response.headers, response)
                with response:
                    return _parse_response(response.status, response.headers, response.read())
            except HTTPError as error:
                with error:
                    return _parse_response(error.code, error.headers, error.read())
        except URLError as error:
            # urllib raises this error only if it has not sent the whole request.
            raise NoResponse(
                _connection_message(self._base, error.reason),
                was_sent=False,
                is_final=isinstance(error.reason, ssl.SSLCertVerificationError),
            ) from error
        except (OSError, HTTPException) as error:
            host = urlsplit(self._base).netloc
            raise NoResponse(f"{host} didn’t respond: {error}.", was_sent=True) from error


def parse_registry_url(url: str) -> str:
    """Return the address of a registry without a slash at the end. Raises click.UsageError.

    HTTP is allowed only for this machine. Elsewhere, everybody on the network could read the token.
    """
    message = f"“{url}” isn’t the URL of a registry, such as https://registry.example.com."
    try:
        parts = urlsplit(url)
        has_address = parts.hostname and parts.port != 0  # `port` raises ValueError for a text.
    except ValueError as error:
        raise click.UsageError(message) from error
    has_extra_parts = parts.query or parts.fragment or parts.username
    if parts.scheme not in {"http", "https"} or not has_address or has_extra_parts:
        raise click.UsageError(message)
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        message = "Use https: with http, everybody on the network could read the token."
        raise click.UsageError(message)
    return url.rstrip("/").removesuffix(ROOT)


def scope_url_path(scope: str) -> str:
    """Return the path of a scope in URLs. Raises click.UsageError.

    `scope` is `scalr`, `ACCOUNT` or `ACCOUNT/ENVIRONMENT`, or already a path in URLs, such as
    `/account/acme`.
    """
    parts = scope.strip("/").split("/")
    levels = {"account": 2, "environment": 3}
    if levels.get(parts[0]) == len(parts):
        parts = parts[1:]
    elif parts == ["scalr"]:
        return "/scalr"
    if not all(parts) or len(parts) > 2:
        message = f"“{scope}” isn’t a scope. Use scalr, ACCOUNT or ACCOUNT/ENVIRONMENT."
        raise click.UsageError(message)
    level = "account" if len(parts) == 1 else "environment"
    return "/".join(["", level, *(quote(part, safe="") for part in parts)])


def failure_of(response: Response) -> Failure:
    """Return the failure for a response that is an error."""
    if response.kind in CLOUD_KINDS:
        code = ExitCode.CLOUD
    elif response.status in STATUS_CODES:
        code = STATUS_CODES[response.status]
    else:
        is_refused = 400 <= response.status < 500
        code = ExitCode.REFUSED if is_refused else ExitCode.UNEXPECTED
    return Failure(_message_of(response), code)


def _message_of(response: Response) -> str:
    problem = response.document
    if not response.kind:
        if 300 <= response.status < 400:
            location = printable(response.headers.get("Location", ""))
            return f"The registry redirects to {location}. Use the address that it redirects to."
        return f"The response with status {response.status} isn’t from an image registry."
    lines = [printable(problem.get("detail") or problem.get("title", response.kind))]
    errors = problem.get("errors", [])
    if len(errors) > 1:
        lines = [printable(f"{each['field']}: {each['detail']}") for each in errors]
    if existing := problem.get("existing"):
        lines.append(printable(f"Registered as {existing['id']} (“{existing['name']}”)."))
    if response.status >= 500 and problem.get("request_id"):
        lines.append(f"The request ID is {printable(problem['request_id'])}.")
    return "\n".join(lines)


def _failure_without_response(error: NoResponse, method: str) -> Failure:
    message = error.message
    if error.was_sent and method in {"PATCH", "PUT", "DELETE"}:
        message += " The change may have been saved. Read the record before you try again."
    return Failure(message, ExitCode.UNAVAILABLE)


def _is_busy(response: Response) -> bool:
    if response.kind == "cloud-unreachable":
        return False  # The registry has already waited for the cloud.
    return response.status in BUSY_STATUSES or response.kind == "idempotency-key-in-use"


def _is_repeatable(request: Request) -> bool:
    """Return whether the client can repeat a request that the registry may have processed.

    A POST has an Idempotency-Key, so the registry carries out the request only once. Requests about
    imports are an exception: if a server is killed before it stores the response, the repeated
    request does the work again. A second DELETE, or a second PATCH or PUT with If-Match, would be
    refused, although the first was successful. A PATCH without If-Match is not repeated either.
    """
    method = request.get_method()
    return method in {"GET", "POST"} or (method == "PUT" and not request.has_header("If-match"))


def _parse_response(status: int, headers: Message, body: bytes) -> Response:
    try:
        document = json.loads(body) if body else None
    except ValueError:
        document = None
    return Response(status, headers, document)


def _connection_message(url: str, reason: Any) -> str:
    host = urlsplit(url).netloc
    if isinstance(reason, ssl.SSLCertVerificationError):
        return (
            f"The certificate of {host} isn’t trusted: {reason.verify_message}. If a private "
            "certificate authority has issued it, use --ca-file."
        )
    return f"{host} can’t be reached: {reason}."


def _json(body: Any) -> bytes:
    """Return a body as JSON in UTF-8, which is shorter than JSON with escaped characters.

    This matters because some bodies contain whole files.
    """
    try:
        return json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # An argument of the command line isn't valid text.
        return json.dumps(body).encode()


def _query(parameters: Mapping[str, Any]) -> str:
    """Return the query of a URL, without parameters that are None or ''."""
    values = {name: value for name, value in parameters.items() if value not in {None, ""}}
    return f"?{urlencode(values)}" if values else ""


def _opener(url: str, ca_file: str) -> OpenerDirector:
    context = ssl.create_default_context()
    if ca_file:
        try:
            context.load_verify_locations(ca_file)
        except OSError as error:
            message = f"“{ca_file}” can’t be read as certificates in PEM format."
            raise click.UsageError(message) from error
    handlers: list[BaseHandler] = [NoRedirects(), HTTPSHandler(context=context)]
    if urlsplit(url).hostname in LOOPBACK:
        handlers.append(ProxyHandler({}))  # A proxy can't reach this machine by this name.
    return build_opener(*handlers)
