"""The clients of `bench.load`: people who search, open, look up, change and register images.

A client sends the next request as soon as the previous response is complete. Like the nginx of
`deploy/`, it opens a connection for each request. It uses the application only over HTTP.
"""

from __future__ import annotations

import gzip
import html
import random
import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlencode, urlsplit

from bench.fleet_images import CJK_WORD, MISSING_WORD, RARE_WORD, REGIONS, ROLES, SYSTEMS
from bench.measure import next_url, sign_in
from models import LifeCycle, today
from webapp.clouds import CLOUDS
from webapp.search.ordering import SORTS

LIST, IMAGE, LOOK_UP, WRITE = KINDS = ("list", "image page", "look-up", "write")
WEIGHTS = (80, 5, 5, 5)
"""How often a client chooses each kind of request. After a write, the client also opens the image
page to which the response redirects, as a browser does. So 10 of 100 requests open image pages."""
FOLLOW_PROBABILITY = 0.4
"""The probability that a client follows Next, if the list has a next page."""
TIMEOUT_SECONDS = 60
REGION = REGIONS[0]
_TOKEN = re.compile(r'X-CSRFToken": "([^"]+)"')
_RECEIPT = re.compile(r'<input[^>]*\bname="receipt"[^>]*\bvalue="([^"]+)"')
_ERRORS = re.compile(r'class="[^"]*(?:alert|invalid|error)[^"]*"[^>]*>(.*?)</', re.DOTALL)


@dataclass
class OwnImage:
    """An image that one client changes. `fields` are those of its edit form, except the name."""

    id: int
    revision: int
    fields: dict[str, str]


@dataclass(frozen=True)
class Assignment:
    """The person, scope and images of one client. `scope` is the prefix of the URLs of the scope.

    The images in `own` belong to this client alone.
    """

    email: str
    scope: str
    credentials: int
    visible: Sequence[int]
    own: Sequence[OwnImage]


@dataclass(frozen=True)
class Sample:
    """One request. `problem` is '' if the response was right."""

    kind: str
    began: float
    ended: float
    problem: str


@dataclass(frozen=True)
class Saved:
    """A change that was acknowledged. `text` is the name or the reason that was saved."""

    action: str
    image: int
    text: str


@dataclass
class Response:
    status: int
    page: str = ""
    location: str = ""
    problem: str = ""


@dataclass
class _LookedUp:
    """The URL and the receipt for registering the image that the client looked up last."""

    url: str
    receipt: str


@dataclass
class Client:
    """A signed-in person. A call of `work` continues where the previous call ended."""

    number: int
    url: str
    assignment: Assignment
    saved: list[Saved] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.number)  # noqa: S311  not a secret
        self._address = urlsplit(self.url).netloc
        self._next = ""
        self._looked_up: _LookedUp | None = None
        self._own = list(self.assignment.own)
        self._writes = 0
        session = sign_in(self.url, self.assignment.email)
        token = _TOKEN.search(
            session.get(f"{self.url}{self.assignment.scope}/images", timeout=30).text
        )
        assert token is not None
        self._token = token[1]
        self._cookies = {each.name: each.value or "" for each in session.cookies}
        session.close()

    def work(self, end: float) -> None:
        """Send requests until `end`, in seconds of the monotonic clock."""
        requests = (self._list, self._image, self.look_up, self._write)
        while time.monotonic() < end:
            (send,) = self._chance.choices(requests, WEIGHTS)
            send()

    def look_up(self) -> None:
        """Press NEXT in New Image, with an image ID that nobody has looked up before."""
        image_id = f"ami-{self._chance.getrandbits(68):017x}"
        chosen = {
            "credentials": self.assignment.credentials,
            "location": REGION,
            "image_id": image_id,
        }
        path = f"{self.assignment.scope}/images/new/aws/confirm?{urlencode(chosen)}"
        response = self._request(LOOK_UP, "GET", path)
        if not response.problem and (receipt := _RECEIPT.search(response.page)):
            url = f"{self.assignment.scope}/images?{urlencode({'cloud': 'aws', **chosen})}"
            self._looked_up = _LookedUp(url, html.unescape(receipt[1]))

    def _list(self) -> None:
        follows = self._next and self._chance.random() < FOLLOW_PROBABILITY
        path = self._next if follows else f"{self.assignment.scope}/images{self._query()}"
        self._next = next_url(self._request(LIST, "GET", path).page)

    def _query(self) -> str:
        """Return a search, filter or sort order, or '' for the first page."""
        chance = self._chance
        family, version, _ = chance.choice(SYSTEMS)
        cloud, status = chance.choice(list(CLOUDS)), chance.choice(list(LifeCycle))
        word = ROLES.draw(chance)
        texts = (
            word,
            f"{word} {family} {chance.choice(REGIONS)}",
            chance.choice((RARE_WORD, MISSING_WORD, CJK_WORD, f"{chance.getrandbits(16):04x}")),
            f"cloud:{cloud} os:{family}",
            f"cloud:{cloud} status:{status} agent:{chance.choice(('yes', 'no'))}",
            f"{word} cloud:{cloud} -os:{family}",
            f"{family}-{version}",
            f"size:>{chance.randrange(20, 200)}",
            "by:me",
        )
        query: dict[str, str] = {}
        if chance.random() < 0.6:
            query["q"] = chance.choice(texts)
        if chance.random() < 0.4:
            query["sort"] = chance.choice(("", "-")) + chance.choice(list(SORTS))
        if query.get("sort") == "-created":  # The default. The application would redirect.
            del query["sort"]
        return "?" + urlencode(query) if query else ""

    def _image(self) -> None:
        image = self._chance.choice(self.assignment.visible)
        self._request(IMAGE, "GET", f"{self.assignment.scope}/images/{image}")

    def _write(self) -> None:
        """Register the image that was looked up last, or else edit an image or its status."""
        self._writes += 1
        text = f"load-{self.number}-{self._writes}"
        if self._looked_up and self._chance.random() < 0.5:
            self._register(self._looked_up, text)
            self._looked_up = None
        elif self._own:
            image = self._own.pop(0)
            if self._chance.random() < 0.5:
                self._change(image, "edit", {"name": text, **image.fields}, text)
            else:
                status = LifeCycle.DEPRECATED if self._writes % 2 else LifeCycle.RETIRED
                fields = {"status": status.value, "on": str(today()), "reason": text}
                self._change(image, "life-cycle", fields, text)

    def _register(self, looked_up: _LookedUp, name: str) -> None:
        fields = {
            "receipt": looked_up.receipt,
            "name": name,
            "os_family": "ubuntu",
            "os_version": "ubuntu|24.04",
            "size_gb": "8",
            "agent_installed": "y",
        }
        self._send_form("register", looked_up.url, fields, name)

    def _change(self, image: OwnImage, action: str, fields: dict[str, str], text: str) -> None:
        path = f"{self.assignment.scope}/images/{image.id}/{action}"
        if self._send_form(action, path, {**fields, "revision": str(image.revision)}, text):
            image.revision += 1
            self._own.append(image)
        # After a failure, the revision is unknown, so the client no longer changes the image.

    def _send_form(self, action: str, path: str, fields: dict[str, str], text: str) -> bool:
        """Send a form, and follow the redirect. Return whether the form was saved."""
        response = self._request(WRITE, "POST", path, {**fields, "csrf_token": self._token})
        if response.problem:
            return False
        image = int(response.location.rpartition("/")[2])
        self.saved.append(Saved(action, image, text))
        self._request(IMAGE, "GET", response.location, expected_text=text)
        return True

    def _request(
        self,
        kind: str,
        method: str,
        path: str,
        form: dict[str, str] | None = None,
        expected_text: str = "</html>",
    ) -> Response:
        began = time.monotonic()
        try:
            response = self._send(method, path, form)
        except (OSError, HTTPException) as error:
            response = Response(0, problem=type(error).__name__)
        ended = time.monotonic()
        if not response.problem and response.status != (200 if form is None else 303):
            message = _ERRORS.search(response.page)
            response.problem = f"{response.status} {_plain(message[1]) if message else ''}".strip()
        elif not response.problem and form is None and expected_text not in response.page:
            response.problem = "200 without the saved change or the end of the page"
        self.samples.append(Sample(kind, began, ended, response.problem))
        return response

    def _send(self, method: str, path: str, form: dict[str, str] | None) -> Response:
        connection = HTTPConnection(self._address, timeout=TIMEOUT_SECONDS)
        cookies = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        headers = {"Cookie": cookies, "Accept-Encoding": "gzip", "Connection": "close"}
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            body = None if form is None else urlencode(form)
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        if response.getheader("Content-Encoding") == "gzip":
            content = gzip.decompress(content)
        for cookie in response.headers.get_all("Set-Cookie", []):
            name, _, value = cookie.partition(";")[0].partition("=")
            self._cookies[name] = value
        location = urlsplit(response.getheader("Location") or "")
        return Response(response.status, content.decode(), location.path)


def _plain(text: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", "", text)).split())[:120]


def run_clients(clients: Sequence[Client], seconds: float) -> None:
    """Let the clients work at the same time for `seconds`."""
    end = time.monotonic() + seconds
    threads = [threading.Thread(target=each.work, args=(end,)) for each in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
