"""Answers of Keystone and Glance, for faults that the sandbox cannot produce."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.faulty import Answer, Behavior, Request

JSON = "application/json"
REGION = "RegionOne"
NEVER = "2100-01-01T00:00:00.000000Z"
DOMAIN = {"id": "default", "name": "Default"}


def keystone_error(status: int, message: str = "No.", headers: Mapping[str, str] = {}) -> Behavior:
    """Return a behavior that answers every request with this error, in Keystone's format."""
    body = json.dumps({"error": {"code": status, "message": message, "title": "No"}})
    return lambda _: Answer(status, body.encode(), JSON, headers)


def glance_error(status: int, headers: Mapping[str, str] = {}) -> Behavior:
    """Return a behavior that answers every request with this error, in Glance's format."""
    body = f"<html><head><title>{status} No</title></head><body><h1>{status} No</h1></body></html>"
    return lambda _: Answer(status, body.encode(), "text/html; charset=UTF-8", headers)


def cloud(glance: Behavior, endpoints: Sequence[Mapping[str, Any]] = (), **token: Any) -> Behavior:
    """Return a behavior that accepts each login like Keystone, and otherwise behaves like `glance`.

    The image service is in `REGION` unless `endpoints` names other regions. If the URL of an
    endpoint is only a path, the endpoint is on the same server. `token` has fields to replace in
    Keystone's answer to a login.
    """
    catalog = endpoints or [endpoint("/image")]

    def behave(request: Request) -> Answer | None:
        if not request.path.endswith("/auth/tokens"):
            return glance(request)
        server_url = f"http://{request.headers['Host']}"
        absolute = [
            {
                **each,
                "url": server_url + each["url"] if each["url"].startswith("/") else each["url"],
            }
            for each in catalog
        ]
        return token_answer(absolute, **token)

    return behave


def endpoint(url: str, region: str | None = REGION, interface: str = "public") -> dict[str, Any]:
    return {"id": "1", "interface": interface, "region_id": region, "region": region, "url": url}


def token_answer(endpoints: Sequence[Mapping[str, Any]], **changes: Any) -> Answer:
    token = {
        "methods": ["password"],
        "user": {"domain": DOMAIN, "id": "u", "name": "acme-images"},
        "audit_ids": ["a"],
        "expires_at": NEVER,
        "issued_at": "2026-11-24T00:00:00.000000Z",
        "project": {"domain": DOMAIN, "id": "p", "name": "acme"},
        "roles": [{"id": "r", "name": "member"}],
        "catalog": [{"endpoints": endpoints, "id": "s", "type": "image", "name": "glance"}],
    }
    body = json.dumps({"token": {**token, **changes}})
    return Answer(201, body.encode(), JSON, {"X-Subject-Token": "a-token"})


def image(**fields: Any) -> Behavior:
    """Return a behavior that answers every request with an image that has the requested ID.

    `fields` are added to the image, or replace its fields.
    """

    def behave(request: Request) -> Answer:
        image_id = request.path.rpartition("/")[2]
        body = json.dumps({"id": image_id, "name": "n", "status": "active", **fields})
        return Answer(200, body.encode(), JSON)

    return behave
