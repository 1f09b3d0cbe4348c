"""Clients that retry many requests with keys, also at the same moment, create each record once."""

from __future__ import annotations

import json
import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import models
from models import AuditEntry, Level, RepeatableRequest, Scope
from tests.api.client import ROOT
from tests.cli.registry import registry

log = logging.getLogger(__name__)
REQUESTS = int(os.environ.get("RETRIED_REQUESTS", "200"))
"""The number of requests, each of which is sent three times."""
CLIENTS = 16
SECONDS = 60
"""How long one request may take, with its retries."""


def _post(url: str, token: str, number: int) -> Any:
    """Create an environment. Return the answer, and whether it is a stored answer."""
    headers = {
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/json",
        "Idempotency-Key": f"environment-{number}",
    }
    request = Request(url, json.dumps({"name": f"Build {number}"}).encode(), headers)
    end = time.monotonic() + SECONDS
    while True:
        try:
            with urlopen(request, timeout=SECONDS) as answer:
                assert answer.status == 201
                return json.load(answer), "Idempotency-Replayed" in answer.headers
        except HTTPError as error:
            # The other attempt is in progress, or the person has too many requests at once.
            if error.code not in {409, 429, 503} or time.monotonic() > end:
                raise
            time.sleep(0.05)


def test_retried_requests_create_each_record_once(tmp_path: Path) -> None:
    with registry(tmp_path, workers=2, API_REQUESTS_PER_MINUTE="1000000") as found:
        url, token = f"{found.url}{ROOT}/account/acme/environments", found.token("account-admin")
        with models.database.connection_context():
            before = Scope.select().where(Scope.level == Level.ENVIRONMENT).count()
        started = time.monotonic()
        with ThreadPoolExecutor(CLIENTS) as pool:
            # Each request and its first retry are in progress at the same time.
            numbers = [number for number in range(REQUESTS) for _ in range(2)]
            answers = list(pool.map(lambda number: _post(url, token, number), numbers))
            again = list(pool.map(lambda number: _post(url, token, number), range(REQUESTS)))
        log.info("%s requests, 3 times each: %.1f s", REQUESTS, time.monotonic() - started)
        with models.database.connection_context():
            after = Scope.select().where(Scope.level == Level.ENVIRONMENT).count()
            created = AuditEntry.select().where(AuditEntry.action == "environment.create").count()
            stored = RepeatableRequest.select().count()
    assert after - before == created == stored == REQUESTS
    documents = [document for document, _ in answers]
    assert documents[::2] == documents[1::2] == [document for document, _ in again]
    assert len({document["url"] for document in documents}) == REQUESTS
    assert sum(not is_replayed for _, is_replayed in answers) == REQUESTS
    assert all(is_replayed for _, is_replayed in again)
