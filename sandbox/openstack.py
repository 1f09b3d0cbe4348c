"""A loopback OpenStack: the parts of Keystone and Glance that are needed to read an image.

There are two regions. Each region has its own Glance, which serves the region's images from
`openstack_images`.
"""

from __future__ import annotations

import hmac
import secrets
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Flask, Response, request

from sandbox import openstack_images
from sandbox.openstack_images import ADMIN_PROJECT, OWN_PROJECT, REGIONS, SandboxImage, id_for
from sandbox.wsgi import serve_app

PROJECT = OWN_PROJECT
USER = "acme-images"
"""A user who may log in and read images."""
AUDITOR = "acme-auditor"
"""A user who may log in, but may not read images."""
PASSWORD = "Sandbox-Horizon-7"  # noqa: S105  The password is public, and works on loopback only.
APPLICATION_ID = "a9911ca7105a4d4b8b0c000000000001"
APPLICATION_SECRET = f"app-{PASSWORD}"
DOMAIN = {"id": "default", "name": "Default"}
TOKEN_TIME = timedelta(hours=1)
MAX_LIST_LENGTH = 25
"""The maximum number of images in one response. A real Glance has a higher limit."""

Answer = tuple[Any, int] | tuple[Any, int, dict[str, str]]


def start(port: int = 0) -> AbstractContextManager[str]:
    """Serve on loopback from a thread of this process. The context manager yields the URL."""
    return serve_app(_Sandbox().app, port)


def credentials(url: str) -> dict[str, str]:
    """Return the credentials of USER in the project PROJECT, for the sandbox at this URL."""
    return {
        "auth_url": f"{url}/v3",
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
    """Keystone rejects a login. `answer` is Keystone's response."""

    def __init__(self, status: int, title: str, message: str) -> None:
        super().__init__(message)
        self.answer = {"error": {"code": status, "message": message, "title": title}}, status


class _Sandbox:
    """Keystone and Glance in one app. `tokens` maps each issued token to its user."""

    def __init__(self) -> None:
        self.tokens: dict[str, str] = {}
        self.app = app = Flask(__name__)
        images = "/image/<region>/v2/images"
        app.add_url_rule("/v3/auth/tokens", view_func=self._log_in, methods=["POST"])
        app.add_url_rule(images, view_func=self._list)
        app.add_url_rule(f"{images}/<image_id>", view_func=self._show)
        app.register_error_handler(_Refused, lambda error: error.answer)

    def _log_in(self) -> Answer:
        methods, user = _authenticate(request.get_json(silent=True))
        token = secrets.token_urlsafe(96)
        self.tokens[token] = user
        issued = datetime.now(UTC)
        token_fields = {
            "methods": methods,
            "user": {
                "domain": DOMAIN,
                "id": id_for(user),
                "name": user,
                "password_expires_at": None,
            },
            "audit_ids": [secrets.token_urlsafe(16)],
            "expires_at": _format_time(issued + TOKEN_TIME),
            "issued_at": _format_time(issued),
            "project": {"domain": DOMAIN, "id": id_for(PROJECT), "name": PROJECT},
            "is_domain": False,
            "roles": [_role("auditor")] if user == AUDITOR else [_role("member"), _role("reader")],
            "catalog": _catalog(request.host_url.rstrip("/")),
        }
        return {"token": token_fields}, 201, {"X-Subject-Token": token}

    def _list(self, region: str) -> Answer | Response:
        if error := self._error_for(region):
            return error
        if self._user() == AUDITOR:
            message = "You are not authorized to complete get_images action."
            return _html_error(403, "Forbidden", message)
        shown = [
            image.glance_fields()
            for image in openstack_images.CATALOG
            if image.region == region and _is_visible(image) and not image.hidden
        ]
        for name in ("owner", "visibility", "name"):
            if wanted := request.args.get(name):
                shown = [image for image in shown if image[name] == wanted]
        shown.sort(key=lambda image: str(image["created_at"]), reverse=True)
        identifiers = [image["id"] for image in shown]
        marker = request.args.get("marker")
        if marker and marker not in identifiers:
            return _html_error(400, "Bad Request", f"Image {marker} could not be found.")
        first = identifiers.index(marker) + 1 if marker else 0
        limit = min(int(request.args.get("limit", MAX_LIST_LENGTH)), MAX_LIST_LENGTH)
        page = shown[first : first + limit]
        body = {"images": page, "first": "/v2/images", "schema": "/v2/schemas/images"}
        if first + limit < len(shown):
            body["next"] = f"/v2/images?marker={page[-1]['id']}"
        return body, 200

    def _show(self, region: str, image_id: str) -> Answer | Response:
        if error := self._error_for(region):
            return error
        image = openstack_images.find_image(region, image_id)
        if self._user() == AUDITOR:
            return _html_error(404, "Not Found", "The resource could not be found.")
        if image is None or not _is_visible(image):
            return _html_error(404, "Not Found", f"No image found with ID {image_id}")
        return image.glance_fields(), 200

    def _error_for(self, region: str) -> Response | None:
        """Return the error for an unknown region or an invalid token, or None."""
        if region not in REGIONS:
            return _html_error(404, "Not Found", "The resource could not be found.")
        if self._user() is None:
            return _html_error(
                401,
                "Unauthorized",
                "This server could not verify that you are authorized to access the document you "
                "requested.",
            )
        return None

    def _user(self) -> str | None:
        return self.tokens.get(request.headers.get("X-Auth-Token", ""))


def _authenticate(body: Any) -> tuple[list[str], str]:
    """Return the authentication methods and the name of the user. Raises _Refused."""
    try:
        identity = body["auth"]["identity"]
        method = identity["methods"][0]
        if method == "application_credential":
            sent = identity[method]
            return [method], _check_application_credential(str(sent["id"]), str(sent["secret"]))
        user = identity["password"]["user"]
        project = body["auth"]["scope"]["project"]
        domains = {user["domain"]["name"], project["domain"]["name"]}
        if domains != {DOMAIN["name"]} or project["name"] != PROJECT:
            raise _unauthorized()
        return ["password"], _check_password(str(user["name"]), str(user["password"]))
    except (KeyError, IndexError, TypeError) as error:
        missing = str(error).strip("'")
        raise _Refused(
            400,
            "Bad Request",
            f"Expecting to find {missing} in user. The server could not comply with the request "
            "since it is either malformed or otherwise incorrect. The client is assumed to be in "
            "error.",
        ) from error


def _check_password(name: str, password: str) -> str:
    if name in {USER, AUDITOR} and _are_equal(password, PASSWORD):
        return name
    raise _unauthorized()


def _check_application_credential(application_id: str, secret: str) -> str:
    if application_id != APPLICATION_ID:
        message = f"Could not find Application Credential: {application_id}."
        raise _Refused(404, "Not Found", message)
    if _are_equal(secret, APPLICATION_SECRET):
        return USER
    raise _unauthorized()


def _are_equal(one: str, other: str) -> bool:
    """Return whether two texts are equal, in a time that does not depend on their content."""
    return hmac.compare_digest(one.encode(), other.encode())


def _unauthorized() -> _Refused:
    return _Refused(401, "Unauthorized", "The request you have made requires authentication.")


def _is_visible(image: SandboxImage) -> bool:
    return image.project in {PROJECT, ADMIN_PROJECT}


def _catalog(url: str) -> list[dict[str, Any]]:
    identity = [
        _endpoint(f"{url}/v3", REGIONS[0], interface) for interface in ("public", "internal")
    ]
    images = [
        _endpoint(f"{url}/image/{region}", region, interface)
        for region in REGIONS
        for interface in ("public", "internal")
    ]
    return [
        {"endpoints": endpoints, "id": id_for(kind), "type": kind, "name": name}
        for kind, name, endpoints in (
            ("identity", "keystone", identity),
            ("image", "glance", images),
        )
    ]


def _endpoint(url: str, region: str, interface: str) -> dict[str, str]:
    return {
        "id": id_for(f"{url} {interface}"),
        "interface": interface,
        "region_id": region,
        "url": url,
        "region": region,
    }


def _role(name: str) -> dict[str, str]:
    return {"id": id_for(f"role {name}"), "name": name}


def _format_time(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _html_error(status: int, title: str, message: str) -> Response:
    """Return an error in Glance's format, which is HTML."""
    heading = f"{status} {title}"
    return Response(
        f"<html>\n <head>\n  <title>{heading}</title>\n </head>\n <body>\n  <h1>{heading}</h1>\n"
        f"  {message}<br /><br />\n\n\n </body>\n</html>",
        status,
        content_type="text/html; charset=UTF-8",
    )
