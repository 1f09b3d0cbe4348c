"""A client of the API that sends a token with each request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

ROOT = "/api/v1"


@dataclass(frozen=True)
class ApiClient:
    """Sends requests to paths below `/api/v1`."""

    client: FlaskClient
    token: str

    def open(self, method: str, path: str, **options: Any) -> TestResponse:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        headers |= options.pop("headers", {})
        return self.client.open(f"{ROOT}{path}", method=method, headers=headers, **options)

    def get(self, path: str, **options: Any) -> TestResponse:
        return self.open("GET", path, **options)

    def post(self, path: str, json: Any = None, **options: Any) -> TestResponse:
        return self.open("POST", path, json={} if json is None else json, **options)

    def put(self, path: str, json: Any = None, **options: Any) -> TestResponse:
        return self.open("PUT", path, json={} if json is None else json, **options)

    def patch(self, path: str, json: Any = None, **options: Any) -> TestResponse:
        return self.open("PATCH", path, json={} if json is None else json, **options)

    def delete(self, path: str, **options: Any) -> TestResponse:
        return self.open("DELETE", path, **options)


class ClientFor(Protocol):
    """The type of the fixture `api_of`."""

    def __call__(self, name: str, *, is_personal: bool = True) -> ApiClient: ...
