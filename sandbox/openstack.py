"""A loopback OpenStack: the parts of Keystone and of a Glance for each of two regions that reading
an image takes, with the images of `openstack_images`, for whoever logs in as they should."""

from __future__ import annotations

import hmac
import logging
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Flask, Response, request
from werkzeug.serving import make_server

from sandbox import openstack_images
from sandbox.openstack_images import ADMIN_PROJECT, OWN_PROJECT, REGIONS, Known, project_id

PROJECT = OWN_PROJECT
USER, AUDITOR = "acme-images", "acme-auditor"
"""One who may read images, and one who may log in and do nothing at all."""
PASSWORD = "Sandbox-Horizon-7"  # noqa: S105  public on purpose, and on loopback only
APPLICATION_ID = "a9911ca7105a4d4b8b0c000000000001"
APPLICATION_SECRET = f"app-{PASSWORD}"
DOMAIN = {"id": "default", "name": "Default"}
TOKEN_TIME = timedelta(hours=1)
MOST = 25
"""How many images a list has at most."""

Answer = tuple[Any, int] | tuple[Any, int, dict[str, str]]


@contextmanager
def start(port: int = 0) -> Iterator[str]:
    """Serve on loopback from a thread of this process; yields the address."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # or it tells of every request
    server = make_server("127.0.0.1", port, _Sandbox().app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def credentials(address: str) -> dict[str, str]:
    """Those of somebody in the project `PROJECT`."""
    return {
        "auth_url": f"{address}/v3",
        "auth_type": "password",
        "username": USER,
        "password": PASSWORD,
        "project_name": PROJECT,
        "user_domain_name": DOMAIN["name"],
        "project_domain_name": DOMAIN["name"],
        "application_credential_id": "",
        "application_credential_secret": "",
        "ca": "",
    }


class _Refused(Exception):
    """Keystone's answer to a login that it does not like."""

    def __init__(self, status: int, title: str, message: str) -> None:
        super().__init__(message)
        self.answer = {"error": {"code": status, "message": message, "title": title}}, status


class _Sandbox:
    """One cloud; `tokens` has the user of each that it has given out."""

    def __init__(self) -> None:
        self.tokens: dict[str, str] = {}
        self.app = app = Flask(__name__)
        images = "/image/<region>/v2/images"
        app.add_url_rule("/v3/auth/tokens", view_func=self._log_in, methods=["POST"])
        app.add_url_rule(images, view_func=self._list)
        app.add_url_rule(f"{images}/<image_id>", view_func=self._show)
        app.register_error_handler(_Refused, lambda error: error.answer)

    def _log_in(self) -> Answer:
        methods, user = _who(request.get_json(silent=True))
        token = secrets.token_urlsafe(96)
        self.tokens[token] = user
        issued = datetime.now(UTC)
        said = {
            "methods": methods,
            "user": {
                "domain": DOMAIN,
                "id": project_id(user),
                "name": user,
                "password_expires_at": None,
            },
            "audit_ids": [secrets.token_urlsafe(16)],
            "expires_at": _instant(issued + TOKEN_TIME),
            "issued_at": _instant(issued),
            "project": {"domain": DOMAIN, "id": project_id(PROJECT), "name": PROJECT},
            "is_domain": False,
            "roles": [_role("auditor")] if user == AUDITOR else [_role("member"), _role("reader")],
            "catalog": _catalogue(request.host_url.rstrip("/")),
        }
        return {"token": said}, 201, {"X-Subject-Token": token}

    def _list(self, region: str) -> Answer | Response:
        if refusal := self._refusal(region):
            return refusal
        if self._user() == AUDITOR:
            words = "You are not authorized to complete get_images action."
            return _page(403, "Forbidden", words)
        every = [each for each in openstack_images.CATALOGUE if each.region == region]
        shown = [each.answer() for each in every if _may_see(each) and not each.hidden]
        most = min(int(request.args.get("limit", MOST)), MOST)
        first = "/v2/images"
        return {"images": shown[:most], "first": first, "schema": "/v2/schemas/images"}, 200

    def _show(self, region: str, image_id: str) -> Answer | Response:
        if refusal := self._refusal(region):
            return refusal
        known = openstack_images.by_id(region, image_id)
        if self._user() == AUDITOR:
            return _page(404, "Not Found", "The resource could not be found.")
        if known is None or not _may_see(known):
            return _page(404, "Not Found", f"No image found with ID {image_id}")
        return known.answer(), 200

    def _refusal(self, region: str) -> Response | None:
        if region not in REGIONS:
            return _page(404, "Not Found", "The resource could not be found.")
        if self._user() is None:
            return _page(
                401,
                "Unauthorized",
                "This server could not verify that you are authorized to access the document you "
                "requested.",
            )
        return None

    def _user(self) -> str | None:
        return self.tokens.get(request.headers.get("X-Auth-Token", ""))


def _who(body: Any) -> tuple[list[str], str]:
    """How somebody logs in, and whom they are found to be. Raises _Refused."""
    try:
        identity = body["auth"]["identity"]
        method = identity["methods"][0]
        if method == "application_credential":
            said = identity[method]
            return [method], _application(str(said["id"]), str(said["secret"]))
        user = identity["password"]["user"]
        project = body["auth"]["scope"]["project"]
        domains = {user["domain"]["name"], project["domain"]["name"]}
        known = domains == {DOMAIN["name"]} and project["name"] == PROJECT
        return ["password"], _person(str(user["name"]), str(user["password"]), known=known)
    except (KeyError, IndexError, TypeError) as error:
        missing = str(error).strip("'")
        raise _Refused(
            400,
            "Bad Request",
            f"Expecting to find {missing} in user. The server could not comply with the request "
            "since it is either malformed or otherwise incorrect. The client is assumed to be in "
            "error.",
        ) from error


def _person(name: str, password: str, *, known: bool) -> str:
    if known and name in {USER, AUDITOR} and _same(password, PASSWORD):
        return name
    raise _unauthorized()


def _application(application_id: str, secret: str) -> str:
    if application_id != APPLICATION_ID:
        message = f"Could not find Application Credential: {application_id}."
        raise _Refused(404, "Not Found", message)
    if _same(secret, APPLICATION_SECRET):
        return USER
    raise _unauthorized()


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _unauthorized() -> _Refused:
    return _Refused(401, "Unauthorized", "The request you have made requires authentication.")


def _may_see(known: Known) -> bool:
    return known.project in {PROJECT, ADMIN_PROJECT}


def _catalogue(address: str) -> list[dict[str, Any]]:
    identity = [_endpoint(f"{address}/v3", REGIONS[0], each) for each in ("public", "internal")]
    images = [
        _endpoint(f"{address}/image/{region}", region, interface)
        for region in REGIONS
        for interface in ("public", "internal")
    ]
    return [
        {"endpoints": each, "id": project_id(kind), "type": kind, "name": name}
        for kind, name, each in (("identity", "keystone", identity), ("image", "glance", images))
    ]


def _endpoint(url: str, region: str, interface: str) -> dict[str, str]:
    return {
        "id": project_id(f"{url} {interface}"),
        "interface": interface,
        "region_id": region,
        "url": url,
        "region": region,
    }


def _role(name: str) -> dict[str, str]:
    return {"id": project_id(f"role {name}"), "name": name}


def _instant(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _page(status: int, title: str, words: str) -> Response:
    """Glance says what goes wrong in HTML."""
    heading = f"{status} {title}"
    return Response(
        f"<html>\n <head>\n  <title>{heading}</title>\n </head>\n <body>\n  <h1>{heading}</h1>\n"
        f"  {words}<br /><br />\n\n\n </body>\n</html>",
        status,
        content_type="text/html; charset=UTF-8",
    )
