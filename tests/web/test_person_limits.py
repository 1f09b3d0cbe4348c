"""A person who sends many requests at once delays other people only a little."""

from __future__ import annotations

import hashlib
import threading
from base64 import b64encode
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Queue
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask
from werkzeug.test import Client, TestResponse

from sandbox import faulty
from tests.conftest import ClientOf, MakeCredentials
from tests.views.test_browse import AWS, query
from webapp.web.logs import FIELDS_OF_REQUEST
from webapp.web.person_limits import MAX_RUNNING, PersonLimits
from webapp.web.services import Services

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

THREADS = 16
HALF = THREADS // 2
PEOPLE = {"ann": 1, "ann-2": 1, "bob": 2}
"""The person of each session token."""


class Site:
    """An app whose requests end one by one. `/cloud` waits for a cloud until `cloud` is set."""

    def __init__(self) -> None:
        self.limits = PersonLimits(THREADS, "session")
        self.client = Client(self.limits.wrap(self._app), use_cookies=False)
        self.pool = ThreadPoolExecutor(50)
        self.running: Queue[str] = Queue()
        self.may_end = threading.Semaphore(0)
        self.cloud = threading.Event()
        self.at_cloud: Queue[str] = Queue()

    def _app(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        token = environ.get("HTTP_COOKIE", "").partition("=")[2]
        if environ["PATH_INFO"] == "/cloud":
            with self.limits.released_turn(), self.limits.released_turn():
                self.at_cloud.put(token)
                self.cloud.wait(10)
        if environ["PATH_INFO"] != "/quick":
            self.running.put(token)
            assert self.may_end.acquire(timeout=10)
        environ[FIELDS_OF_REQUEST] = {"person": PEOPLE.get(token)}
        start_response("200 OK", [])
        return [b"done"]

    def get(self, token: str, path: str = "/") -> TestResponse:
        headers = {"Cookie": f"session={token}"} if token else {}
        return self.client.get(path, headers=headers)

    def start(self, token: str, path: str = "/") -> Future[TestResponse]:
        return self.pool.submit(self.get, token, path)

    def started(self, token: str, count: int, path: str = "/") -> list[Future[TestResponse]]:
        """Start requests, and wait until each of them runs, waits, or was refused."""
        futures = []
        for _ in range(count):
            before = self.occupied()
            futures.append(self.start(token, path))
            while self.occupied() == before and not futures[-1].done():
                threading.Event().wait(0.001)
        return futures

    def occupied(self) -> int:
        return self.limits._total

    def end(self, count: int) -> None:
        self.may_end.release(count)


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.cloud.set()
    site.end(1000)
    site.pool.shutdown()


def count_refused(futures: Iterable[Future[TestResponse]]) -> int:
    return sum(each.result(10).status_code == 429 for each in futures if each.done())


def test_requests_of_one_person_take_turns(site: Site) -> None:
    futures = site.started("ann", 5)
    for _ in range(MAX_RUNNING):
        assert site.running.get(timeout=10) == "ann"
    assert site.running.empty()
    site.end(1)
    assert site.running.get(timeout=10) == "ann"
    assert site.running.empty()
    site.end(4)
    assert [each.result(10).status_code for each in futures] == [200] * 5
    assert site.occupied() == 0
    assert not site.limits._requests


def test_a_person_gets_at_most_half_of_the_threads_that_others_leave(site: Site) -> None:
    assert count_refused(site.started("ann", HALF + 3)) == 3
    assert count_refused(site.started("bob", HALF)) == HALF - HALF // 2
    assert site.occupied() == HALF + HALF // 2


def test_some_requests_of_everybody_are_served_while_all_threads_are_busy(site: Site) -> None:
    for number in range(8):
        site.started(f"person-{number}", HALF)
    assert count_refused(site.started("another", MAX_RUNNING)) == 0


def test_another_person_does_not_wait(site: Site) -> None:
    site.started("ann", HALF)
    assert site.get("bob", "/quick").status_code == 200


def test_a_refused_request_is_told_when_to_try_again(site: Site) -> None:
    site.started("ann", HALF)
    answer = site.get("ann")
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == answer.headers["Refresh"] == "2"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Nothing was saved" in answer.text
    # A browser must not send a form again by itself.
    assert "Refresh" not in site.client.post("/", headers={"Cookie": "session=ann"}).headers


def test_the_sessions_of_a_person_count_together_after_their_first_request(site: Site) -> None:
    for token in PEOPLE:
        assert site.get(token, "/quick").status_code == 200
    site.started("ann", HALF)
    assert site.get("ann-2", "/quick").status_code == 429
    assert site.get("bob", "/quick").status_code == 200


def test_requests_with_an_api_token_are_limited_too(site: Site) -> None:
    headers = {"Authorization": "Bearer imr_token", "Cookie": "session=ann"}
    api = Client(site.limits.wrap(site._app, is_api=True), use_cookies=False)
    futures = [site.pool.submit(api.get, "/", headers=headers) for _ in range(HALF)]
    for _ in range(MAX_RUNNING):
        site.running.get(timeout=10)
    while site.occupied() < HALF:
        threading.Event().wait(0.001)
    assert api.get("/", headers=headers).status_code == 429
    for user in ("a", "b"):  # Another user name makes no other client.
        basic = b64encode(f"{user}:imr_token".encode()).decode()
        refused = api.get("/quick", headers={"Authorization": f"Basic {basic}"})
        assert refused.status_code == 429
    assert site.get("ann", "/quick").status_code == 200
    site.end(HALF)
    assert {each.result(10).status_code for each in futures} == {200}


def test_pages_are_limited_by_the_session_whatever_the_header_authorization_says(
    site: Site,
) -> None:
    site.started("ann", HALF)
    ann = {"Cookie": "session=ann", "Authorization": "Bearer another-each-time"}
    assert site.client.get("/quick", headers=ann).status_code == 429
    shared = {"Authorization": "Basic cHJveHk6cGFzc3dvcmQ="}
    for token in ("bob", "cat"):
        cookie = {"Cookie": f"session={token}", **shared}
        assert site.client.get("/quick", headers=cookie).status_code == 200


def test_requests_without_a_session_are_not_limited(site: Site) -> None:
    futures = [site.start("") for _ in range(THREADS)]
    for _ in futures:
        site.running.get(timeout=10)
    site.end(THREADS)
    assert {each.result(10).status_code for each in futures} == {200}


def test_a_request_that_waits_for_a_cloud_lets_others_run(site: Site) -> None:
    futures = site.started("ann", 3, "/cloud")
    for _ in futures:
        site.at_cloud.get(timeout=10)
    assert site.get("ann", "/quick").status_code == 200
    site.cloud.set()
    for _ in range(MAX_RUNNING):
        site.running.get(timeout=10)
    assert site.running.empty()  # The third request waits for its turn again.
    site.end(3)
    assert {each.result(10).status_code for each in futures} == {200}


def test_an_error_of_the_app_ends_the_turn() -> None:
    def fail(environ: object, start_response: object) -> Any:
        raise RuntimeError("fails")

    limits = PersonLimits(THREADS, "session")
    client = Client(limits.wrap(fail), use_cookies=False)
    for _ in range(THREADS):
        with pytest.raises(RuntimeError):
            client.get("/", headers={"Cookie": "session=ann"})
    assert not limits._requests


def test_look_ups_at_a_hanging_cloud_do_not_delay_the_lists_of_the_person(
    client_of: ClientOf, make_credentials: MakeCredentials
) -> None:
    arrived, may_answer = threading.Semaphore(0), threading.Event()

    def hang(*request: Any) -> Any:
        arrived.release()
        may_answer.wait(10)
        return faulty.answering(500)(*request)

    client = client_of("account-editor")
    with faulty.serve(hang) as url, ThreadPoolExecutor() as pool:
        arguments = query(make_credentials("", "Hanging", url))
        waiting = [
            pool.submit(client_of("account-editor").get, AWS, query_string=arguments)
            for _ in range(MAX_RUNNING)
        ]
        for _ in waiting:
            assert arrived.acquire(timeout=10)
        assert client.get("/account/acme/images").status_code == 200
        assert not any(each.done() for each in waiting)
        may_answer.set()
        assert {each.result(30).status_code for each in waiting} == {422}


def test_the_api_answers_a_refused_request_with_a_problem_document(app: Flask) -> None:
    api = Client(app.wsgi_app, use_cookies=False)
    headers = {"Authorization": "Bearer imr_any"}
    services: Services = app.extensions["services"]
    entered = [services.person_limits._enter(_digest("imr_any")) for _ in range(MAX_RUNNING)]
    requests = entered[0]
    assert requests is not None
    requests.total = services.person_limits._threads
    try:
        answer = api.get("/api/v1/scalr/images", headers=headers)
    finally:
        requests.total = MAX_RUNNING
        for _ in entered:
            services.person_limits._leave(_digest("imr_any"), requests)
    assert (answer.status_code, answer.content_type) == (429, "application/problem+json")
    assert answer.json is not None
    assert answer.json["request_id"] == answer.headers["X-Request-ID"]
    assert answer.headers["Retry-After"] == "2"


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
