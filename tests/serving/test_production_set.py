"""A smoke test of the production set: nginx, two application servers, a worker, and databases."""

from __future__ import annotations

import os
import re
import signal
import socket
import ssl
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

import psycopg
import pytest
import redis
import requests

from sandbox.aws import NOBLE
from tests import served
from tests.api.client import ROOT
from tests.canaries import SESSION
from tests.pgbouncer import NoPgBouncer
from tests.postgresql import NoPostgreSQL
from tests.production import NoProduction, Production, production
from tests.served import Server, worker_pids
from webapp.api.problems import KINDS, MEDIA_TYPE, TYPE_PREFIX
from webapp.people.attempts import Attempts, _key
from webapp.tokens.rate_limits import RateLimits
from webapp.web.security import POLICY

IMPORT = "/account/acme/images/import"
ACCOUNTS = "/scalr/accounts"
WAIT = 60


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    folder = tmp_path_factory.mktemp("production")
    try:
        with served.sandbox(folder) as sandbox, production(folder, sandbox) as started:
            yield started
    except (NoProduction, NoPostgreSQL, NoPgBouncer) as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))


class Client(requests.Session):
    """A browser of one person, who has signed in."""

    def __init__(self, site: Production, name: str) -> None:
        super().__init__()
        # requests would otherwise prefer the authorities that environment variables name.
        self.trust_env = False
        self.url, self.verify = site.url, str(site.authority_pem)
        self.headers["Referer"] = f"{site.url}/sign-in"
        answer = self.send_form("/sign-in", email=f"{name}@example.com", password="demonstration")
        assert answer.url.endswith("/images"), answer.url
        for server in site.servers:
            server.canaries.add(SESSION, self.cookies.values())

    def page(self, path: str) -> str:
        answer = self.get(self.url + path, timeout=WAIT)
        assert answer.status_code == 200, answer.status_code
        return answer.text

    def send_form(self, path: str, *, page: str = "", **fields: object) -> requests.Response:
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', self.page(page or path))
        assert token is not None
        data = {"csrf_token": token[1], **fields}
        return self.post(self.url + path, data=data, timeout=WAIT)


def test_a_person_signs_in_over_tls_and_gets_secure_cookies(site: Production) -> None:
    client = Client(site, "account")
    cookies = {cookie.name: cookie.secure for cookie in iter(client.cookies)}
    assert cookies == {f"__Host-{name}": True for name in ("session", "state", "device")}
    answer = client.get(f"{site.url}/account/acme/images", timeout=WAIT)
    # requests would join the values of a header that is sent twice.
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"
    assert answer.headers["Content-Security-Policy"] == POLICY
    assert answer.headers["Content-Encoding"] in {"gzip", "deflate", "br", "zstd"}


def test_a_copied_cookie_is_refused_by_every_server_after_signing_out(site: Production) -> None:
    client, other = Client(site, "account"), Client(site, "account")

    def statuses(of: Client) -> list[int]:
        """Ask each server itself, without nginx."""
        cookies = {"Cookie": f"__Host-session={tokens[of]}"}
        urls = [f"{server.url}/account/acme/images" for server in site.servers]
        answers = [
            requests.get(url, headers=cookies, allow_redirects=False, timeout=WAIT) for url in urls
        ]
        return [answer.status_code for answer in answers]

    tokens = {each: each.cookies["__Host-session"] for each in (client, other)}
    assert statuses(client) == [200, 200]
    client.send_form("/sign-out", page="/account/acme/images")
    assert statuses(client) == [303, 303]
    assert statuses(other) == [200, 200]


def test_plain_http_redirects_and_unknown_hosts_get_nothing(site: Production) -> None:
    address = f"http://127.0.0.1:{site.http_port}/sign-in?a=b"
    host = {"Host": "localhost"}
    answer = requests.get(address, headers=host, allow_redirects=False, timeout=WAIT)
    assert (answer.status_code, answer.headers["Location"]) == (301, f"{site.url}/sign-in?a=b")
    for path in ("/api/v1/scopes", "/metrics"):  # Programs send their token there.
        url = f"http://127.0.0.1:{site.http_port}{path}"
        refused = requests.get(url, headers=host, allow_redirects=False, timeout=WAIT)
        assert refused.status_code == 403, path
        if path.startswith("/api/"):
            assert refused.headers["Content-Type"] == MEDIA_TYPE
            assert "rotate the token" in refused.json()["detail"]
    with pytest.raises(requests.ConnectionError):
        requests.get(address, headers={"Host": "evil.example.com"}, timeout=WAIT)


def test_the_database_user_owns_only_the_database_of_the_registry(site: Production) -> None:
    with psycopg.connect(site.database_url) as database:
        row = database.execute(
            "SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls,"
            " (SELECT array_agg(datname::text) FROM pg_database WHERE datdba = pg_roles.oid),"
            " (SELECT count(*) FROM pg_auth_members WHERE member = pg_roles.oid)"
            " FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
    assert row == (False, False, False, False, False, ["registry"], 0)
    for name in ("postgres", "template1"):
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(site.database_url, dbname=name)


def test_redis_lets_the_application_do_only_what_it_needs(site: Production) -> None:
    # Each object connects by itself. Without Redis, it would count separately.
    numbers = [RateLimits(site.redis_url, 10).count("key").count for _ in range(3)]
    assert max(numbers) > 1
    email, address = "somebody@example.com", "10.0.0.1"
    attempts = [Attempts(site.redis_url).begin(email, address) for _ in range(3)]
    own, shared = (_key(key) for key in (attempts[0].own_key, attempts[0].shared_keys[0]))
    with redis.Redis.from_url(site.redis_url) as client:
        assert round(float(client.hget(own, "count"))) == 3
        Attempts(site.redis_url).succeeded(attempts[0])
        assert client.hget(own, "count") is None
        assert round(float(client.hget(shared, "count"))) == 2
        for command in ("KEYS *", "CONFIG GET *", "FLUSHALL", "GET other"):
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*command.split())
    parts = urlsplit(site.redis_url)
    with redis.Redis(port=parts.port or 0) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()


def test_nginx_offers_only_strong_ciphers(site: Production) -> None:
    address = urlsplit(site.url)

    def cipher(version: ssl.TLSVersion, ciphers: str = "") -> str:
        return connect(version, ciphers)[0]

    def connect(version: ssl.TLSVersion | None = None, ciphers: str = "") -> tuple[str, str]:
        """Return the cipher and the version of the connection."""
        context = ssl.create_default_context(cafile=str(site.authority_pem))
        if version:
            context.minimum_version = context.maximum_version = version
        if ciphers:
            context.set_ciphers(f"{ciphers}:@SECLEVEL=0")
        with (
            socket.create_connection((address.hostname, address.port), WAIT) as connection,
            context.wrap_socket(connection, server_hostname=address.hostname) as encrypted,
        ):
            name, *_ = encrypted.cipher() or ("",)
            return name, encrypted.version() or ""

    assert connect()[1] == "TLSv1.3", "The newest version is preferred."
    assert cipher(ssl.TLSVersion.TLSv1_3).startswith("TLS_")
    assert cipher(ssl.TLSVersion.TLSv1_2).startswith("ECDHE-")
    for weak in ("AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA", "ECDHE-ECDSA-AES128-SHA"):
        with pytest.raises(ssl.SSLError):
            cipher(ssl.TLSVersion.TLSv1_2, weak)
    for old in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        # The alert comes from nginx: with these ciphers, this client would accept the version.
        with warnings.catch_warnings(action="ignore"), pytest.raises(ssl.SSLError, match="ALERT"):
            cipher(old, "ALL")


def test_static_files_keep_their_encoding_and_caching_behind_nginx(site: Production) -> None:
    client = Client(site, "account")
    path = re.search(r'href="(/static/[^"]*tabler[^"]*)"', client.page("/account/acme/images"))
    assert path is not None
    answer = client.get(site.url + path[1], headers={"Accept-Encoding": "gzip"}, timeout=WAIT)
    assert "immutable" in answer.headers["Cache-Control"]
    assert answer.headers["Content-Encoding"] == "gzip"
    assert "Set-Cookie" not in answer.headers
    headers = {"Accept-Encoding": "gzip", "If-None-Match": answer.headers["ETag"]}
    assert client.get(site.url + path[1], headers=headers, timeout=WAIT).status_code == 304


def test_an_import_of_the_largest_size_passes_nginx(site: Production) -> None:
    client = Client(site, "account")
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', client.page(IMPORT))
    assert token is not None
    for size, status in ((9_900_000, {200, 422}), (12_700_000, {413}), (23_100_000, {413})):
        files = {"file": ("images.csv", b"x" * size, "text/csv")}
        answer = client.post(site.url + IMPORT, {"csrf_token": token[1]}, files=files, timeout=WAIT)
        assert answer.status_code in status
        assert (413 in status) == ("The request is too large</h1>" in answer.text)


@pytest.mark.parametrize(
    ("length", "status", "title"),
    [
        (9_000, 414, "The URL is too long"),
        (200_000, 414, "The URL is too long"),
        (9_000, 431, "The headers of the request are too large"),
        (200_000, 431, "The headers of the request are too large"),
    ],
)
def test_the_application_and_nginx_explain_why_they_refuse_a_request(
    site: Production, length: int, status: int, title: str
) -> None:
    query, cookies = ("x" * length, "") if status == 414 else ("", f"a={'x' * length}")
    answer = requests.get(
        f"{site.url}/?q={query}",
        headers={"Cookie": cookies},
        timeout=WAIT,
        verify=str(site.authority_pem),
    )
    assert answer.status_code == status
    assert f"<h1>{title}</h1>" in answer.text
    assert "ry again" in answer.text
    # The application also includes the subdomains, but nginx does not know whether they use HTTPS.
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=31536000")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("length", "kind"),
    [
        (9_000, "url-too-long"),
        (200_000, "url-too-long"),
        (9_000, "headers-too-large"),
        (200_000, "headers-too-large"),
        (23_100_000, "too-large"),
    ],
)
def test_the_application_and_nginx_refuse_requests_to_the_api_with_problems(
    site: Production, length: int, kind: str
) -> None:
    answer = requests.post(
        f"{site.url}{ROOT}/scopes",
        params={"q": "x" * length} if kind == "url-too-long" else {},
        headers={"X-Text": "x" * length} if kind == "headers-too-large" else {},
        data="x" * length if kind == "too-large" else "",
        timeout=WAIT,
        verify=str(site.authority_pem),
    )
    problem = answer.json()
    assert (answer.status_code, problem["title"]) == KINDS[kind]
    assert (problem["type"], problem["status"]) == (TYPE_PREFIX + kind, answer.status_code)
    assert problem["detail"]
    assert problem["request_id"]
    assert answer.headers["Content-Type"] == MEDIA_TYPE
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=31536000")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


class Writers:
    """Clients that create accounts all the time, until `stop`."""

    def __init__(self, site: Production, number: int = 6) -> None:
        self.acknowledged: list[str] = []
        self.failed: list[str] = []
        self._client, self._stop = Client(site, "scalr"), threading.Event()
        page = self._client.page(ACCOUNTS)
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
        assert token is not None
        self._token = token[1]
        self._threads = [threading.Thread(target=self._write) for _ in range(number)]
        for thread in self._threads:
            thread.start()

    def _write(self) -> None:
        while not self._stop.is_set():
            data = {"csrf_token": self._token, "name": f"w{uuid4().hex}"}
            url = self._client.url + ACCOUNTS
            answer = self._client.post(url, data, allow_redirects=False, timeout=WAIT)
            (self.acknowledged if answer.status_code == 303 else self.failed).append(data["name"])

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def stored_names(site: Production) -> set[str]:
    with psycopg.connect(site.database_url) as database:
        return {name for (name,) in database.execute("SELECT name FROM scope").fetchall()}


def test_a_killed_server_loses_no_acknowledged_change(site: Production) -> None:
    writers = Writers(site)
    time.sleep(2)
    os.killpg(site.servers[0].pid, signal.SIGKILL)
    before_death = len(writers.acknowledged)
    time.sleep(3)
    writers.stop()
    site.servers[0].wait(WAIT)
    site.servers[0].start()
    site.servers[0].wait_until_it_answers()
    assert before_death > 0
    assert len(writers.acknowledged) > before_death
    # nginx does not repeat a POST, so each writer may lose at most the one that was in progress.
    assert len(writers.failed) <= 6
    assert set(writers.acknowledged) - stored_names(site) == set()


def look_up_path(client: Client) -> str:
    """Return the path of the page that looks up an image of the sandbox."""
    new = "/account/acme/images/new/aws"
    form = client.page(new)
    credentials = re.search(r'name="credentials".*?value="(\d+)"', form, re.DOTALL)
    assert credentials is not None
    region = "us-east-1"
    query = {"credentials": credentials[1], "location": region, "image_id": NOBLE.id_in(region)}
    return f"{new}/confirm?{urlencode(query)}"


class Readers:
    """Clients that read a page and look up images all the time, until `stop`."""

    def __init__(self, site: Production) -> None:
        self.answers: Counter[int] = Counter()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._read, args=(client, path))
            for client in (Client(site, "account"), Client(site, "account"))
            for path in ("/account/acme/images", look_up_path(client))
        ]
        for thread in self._threads:
            thread.start()

    def _read(self, client: Client, path: str) -> None:
        while not self._stop.is_set():
            answer = client.get(client.url + path, timeout=WAIT)
            self.answers[answer.status_code] += 1

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def reload(server: Server) -> None:
    """Replace the processes of the server, and wait until the old ones have ended."""
    old = worker_pids(server)
    os.kill(server.pid, signal.SIGHUP)
    deadline = time.monotonic() + WAIT
    while worker_pids(server) & old and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not worker_pids(server) & old


def restart(server: Server) -> None:
    """Stop the server as systemd and containers do, and start it again."""
    os.kill(server.pid, signal.SIGTERM)
    server.wait(WAIT)
    server.start()
    server.wait_until_it_answers()


@pytest.mark.parametrize("replace", [reload, restart])
def test_servers_that_are_replaced_in_turn_lose_no_request(
    site: Production, replace: Callable[[Server], None]
) -> None:
    writers, readers = Writers(site, 3), Readers(site)
    for server in site.servers:
        time.sleep(1)
        replace(server)
    time.sleep(1)
    writers.stop()
    readers.stop()
    assert writers.acknowledged
    assert writers.failed == []
    assert set(readers.answers) == {200}
    assert set(writers.acknowledged) - stored_names(site) == set()
