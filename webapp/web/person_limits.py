"""Share the threads and the processor fairly between people.

`PersonLimits` is a WSGI middleware. In each process, it lets only a few requests of a person run at
the same time. Further requests of the person wait for their turn. If the requests of the person
occupy too many threads, the middleware refuses further requests with the status 429, before Flask
sees them. So a person who sends hundreds of requests at the same time delays the requests of others
only a little. The requests with API tokens are limited in the same way.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from werkzeug.datastructures import Authorization
from werkzeug.http import parse_cookie
from werkzeug.wrappers import Response

from webapp.monitoring import metrics
from webapp.web import plain_pages
from webapp.web.logs import FIELDS_OF_REQUEST, new_request_id

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

MAX_RUNNING = 2
"""The maximum number of requests of one person that run at the same time in each process."""
RETRY_SECONDS = 2
"""How many seconds a client should wait before it sends a refused request again."""
MAX_CREDENTIALS = 10_000
"""The maximum number of sessions and tokens for which each process remembers the person."""
_PAGE = plain_pages.plain_page(
    "Too many requests at the same time",
    "You have opened many pages at once. Nothing was saved. Wait a moment, then try again.",
).encode()


def refusal_page(_request_id: str) -> Response:
    """Return the page for a refused request."""
    policy = {"Content-Security-Policy": plain_pages.POLICY}
    return Response(_PAGE, 429, policy, mimetype="text/html")


@dataclass(eq=False)
class _Requests:
    """The requests of one person, or of one session or API token whose person is not known yet."""

    running: int = 0
    waiting: deque[threading.Event] = field(default_factory=deque)
    """The requests that wait for their turn, the oldest first."""
    total: int = 0
    """The number of requests that occupy a thread, including requests that wait."""


class PersonLimits:
    """Limits the requests of each person. There is one instance per process.

    `threads` is the number of threads that serve requests. `session_cookie` is the name of the
    session cookie.
    """

    def __init__(self, threads: int, session_cookie: str) -> None:
        self._threads, self._session_cookie = threads, session_cookie
        self._lock = threading.Lock()
        self._requests: dict[bytes | int, _Requests] = {}
        self._total = 0
        self._people: OrderedDict[bytes, int] = OrderedDict()
        self._thread = threading.local()

    def wrap(
        self,
        app: WSGIApplication,
        refuse: Callable[[str], Response] = refusal_page,
        *,
        is_api: bool = False,
    ) -> WSGIApplication:
        """Return a middleware. `app` gets the requests that are not refused.

        `refuse` gets the ID of a refused request, and returns the response. `is_api` says whether
        requests have API tokens instead of sessions.
        """
        credential_of = self._api_token_of if is_api else self._session_of

        def limited(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            credential = credential_of(environ)
            if credential is None:
                return app(environ, start_response)
            key = self._people.get(credential, credential)
            requests = self._enter(key)
            if requests is None:
                metrics.REQUESTS_OVER_LIMIT.inc()
                return _refusal(environ, refuse)(environ, start_response)
            self._thread.requests = requests
            try:
                return app(environ, start_response)
            finally:
                self._thread.requests = None
                self._leave(key, requests)
                self._remember(credential, environ)

        return limited

    @contextmanager
    def released_turn(self) -> Iterator[None]:
        """Let another request of the same person run during the body of the `with` statement.

        Use this while the thread waits for something other than the database. Afterwards, the
        request waits for a new turn. In a thread without a turn, this does nothing.
        """
        requests: _Requests | None = getattr(self._thread, "requests", None)
        if requests is None:
            yield
            return
        self._thread.requests = None
        with self._lock:
            self._end_turn(requests)
        try:
            yield
        finally:
            self._wait_for_turn(requests)
            self._thread.requests = requests

    def _session_of(self, environ: WSGIEnvironment) -> bytes | None:
        """Return a digest of the session token, which nobody has verified yet, or None.

        Ignore the header Authorization, as the pages do. If the header counted, a person could
        avoid the limit with a different header in each request. Also, everybody would share one
        limit if a proxy adds its own password to each request.
        """
        if self._session_cookie not in environ.get("HTTP_COOKIE", ""):
            return None
        return _digest_of(parse_cookie(environ).get(self._session_cookie))

    @staticmethod
    def _api_token_of(environ: WSGIEnvironment) -> bytes | None:
        """Return a digest of the API token, which nobody has verified yet, or None.

        The rest of the header does not count. Otherwise, a client that uses the scheme Basic could
        avoid the limit with a different user name in each request.
        """
        header = environ.get("HTTP_AUTHORIZATION")
        return _digest_of(api_token_in(Authorization.from_header(header)))

    def _enter(self, key: bytes | int) -> _Requests | None:
        """Wait for the turn of a request, and return the requests of its person.

        Return None if the person already occupies MAX_RUNNING threads or more, and at least half
        (rounded down) of the threads that others do not use.
        """
        with self._lock:
            requests = self._requests.setdefault(key, _Requests())
            others = self._total - requests.total
            if requests.total >= max(MAX_RUNNING, (self._threads - others) // 2):
                return None
            requests.total += 1
            self._total += 1
        self._wait_for_turn(requests)
        return requests

    def _wait_for_turn(self, requests: _Requests) -> None:
        with self._lock:
            if requests.running < MAX_RUNNING:
                requests.running += 1
                return
            turn = threading.Event()
            requests.waiting.append(turn)
        turn.wait()  # `_end_turn` has already counted this request as running.

    def _leave(self, key: bytes | int, requests: _Requests) -> None:
        with self._lock:
            self._end_turn(requests)
            requests.total -= 1
            self._total -= 1
            if not requests.total:
                del self._requests[key]

    @staticmethod
    def _end_turn(requests: _Requests) -> None:
        """Let the next request run. The caller has the lock."""
        if requests.waiting:
            requests.waiting.popleft().set()
        else:
            requests.running -= 1

    def _remember(self, credential: bytes, environ: WSGIEnvironment) -> None:
        """Remember the person, so that all sessions and API tokens of the person count together.

        The tokens of a scope count together too, because they act for the scope's service person.
        """
        person = environ.get(FIELDS_OF_REQUEST, {}).get("person")
        if person is None or credential in self._people:
            return
        with self._lock:
            self._people[credential] = person
            if len(self._people) > MAX_CREDENTIALS:
                self._people.popitem(last=False)


def api_token_in(authorization: Authorization | None) -> str:
    """Return the API token in a header Authorization, or ''.

    For the scheme Basic, the password is the token, and the name of the user is ignored.
    """
    if authorization is not None and authorization.type == "bearer":
        return authorization.token or ""
    if authorization is not None and authorization.type == "basic":
        return authorization.password or ""
    return ""


def _digest_of(text: str | None) -> bytes | None:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() if text else None


def _refusal(environ: WSGIEnvironment, refuse: Callable[[str], Response]) -> Response:
    """Return the response to a refused request, which Flask does not see."""
    request_id = new_request_id()
    environ[FIELDS_OF_REQUEST] = {"request_id": request_id}
    response = refuse(request_id)
    response.headers["Cache-Control"] = "no-store"
    response.headers["Retry-After"] = str(RETRY_SECONDS)
    response.headers["X-Request-ID"] = request_id
    if environ["REQUEST_METHOD"] == "GET":
        # This header makes the browser load the page again. This helps, for example, if a browser
        # restores many tabs at the same time.
        response.headers["Refresh"] = str(RETRY_SECONDS)
    return response
