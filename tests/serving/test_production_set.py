"""A smoke test of the production set: nginx, two application servers, a worker, and databases."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest
import requests

from tests import served
from tests.pgbouncer import NoPgBouncer
from tests.postgresql import NoPostgreSQL
from tests.production import NoProduction, Production, production

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
    assert [cookie.secure for cookie in iter(client.cookies)] == [True]
    answer = client.get(f"{site.url}/account/acme/images", timeout=WAIT)
    assert answer.headers["Strict-Transport-Security"]
    assert answer.headers["Content-Security-Policy"]
    assert answer.headers["Content-Encoding"] in {"gzip", "deflate", "br", "zstd"}


def test_plain_http_redirects_and_unknown_hosts_get_nothing(site: Production) -> None:
    address = f"http://127.0.0.1:{site.http_port}/sign-in?a=b"
    host = {"Host": "localhost"}
    answer = requests.get(address, headers=host, allow_redirects=False, timeout=WAIT)
    assert (answer.status_code, answer.headers["Location"]) == (301, f"{site.url}/sign-in?a=b")
    with pytest.raises(requests.ConnectionError):
        requests.get(address, headers={"Host": "evil.example.com"}, timeout=WAIT)


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
    for size, status in ((9_900_000, {200, 422}), (12_700_000, {413})):
        files = {"file": ("images.csv", b"x" * size, "text/csv")}
        answer = client.post(site.url + IMPORT, {"csrf_token": token[1]}, files=files, timeout=WAIT)
        assert answer.status_code in status
    assert "Traceback" not in answer.text


def test_a_long_address_gets_the_page_of_the_application(site: Production) -> None:
    answer = Client(site, "account").get(f"{site.url}/?q={'x' * 9000}", timeout=WAIT)
    assert answer.status_code == 414
    assert "The address is too long" in answer.text


def test_a_killed_server_loses_no_acknowledged_change(site: Production) -> None:
    client = Client(site, "scalr")
    acknowledged: list[str] = []
    failed: list[str] = []
    stop = threading.Event()
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', client.page(ACCOUNTS))
    assert token is not None

    def write(writer: int) -> None:
        number = 0
        while not stop.is_set():
            name, number = f"w{writer}n{number}", number + 1
            data = {"csrf_token": token[1], "name": name}
            answer = client.post(site.url + ACCOUNTS, data, allow_redirects=False, timeout=WAIT)
            (acknowledged if answer.status_code == 303 else failed).append(name)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for writer in writers:
        writer.start()
    time.sleep(2)
    os.killpg(site.servers[0].pid, signal.SIGKILL)
    before_death = len(acknowledged)
    time.sleep(3)
    stop.set()
    for writer in writers:
        writer.join()
    assert before_death > 0
    assert len(acknowledged) > before_death
    # nginx does not repeat a POST, so each writer may lose at most the one that was in progress.
    assert len(failed) <= len(writers)
    with psycopg.connect(site.database_url) as database:
        stored = {name for (name,) in database.execute("SELECT name FROM scope").fetchall()}
    assert set(acknowledged) - stored == set()
