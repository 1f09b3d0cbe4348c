"""Behaviors of Compute Engine for `sandbox.faulty`, for single tests."""

from __future__ import annotations

import json
from typing import Any

from sandbox import faulty, gce_answers
from sandbox.faulty import Behavior

JSON = "application/json"


def image(**fields: Any) -> Behavior:
    """Return a behavior that answers every request with an image that has these JSON fields."""
    return faulty.answering(200, json.dumps({"kind": "compute#image", **fields}), JSON)


def answering_with(answer: gce_answers.Answer, **headers: str) -> Behavior:
    """Return a behavior that gives `answer` to each request."""
    body, status = answer
    sent = faulty.Answer(status, json.dumps(body).encode(), JSON, headers)
    return lambda _: sent


def authorization(request: faulty.Request) -> str:
    """Return the value of the header Authorization, or ''."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    return headers.get("authorization", "")
