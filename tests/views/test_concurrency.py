"""Sixteen requests to register the same image at once: one record, and nobody sees an error."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from flask import Flask

from models import AuditEntry, Image
from tests.conftest import ActorOf, ClientOf, MakeCredentials, ScopeAt, receipt
from webapp.web.services import Services

AT_ONCE = 16


def test_sixteen_at_once(
    app: Flask,
    client_of: ClientOf,
    actor_of: ActorOf,
    scope: ScopeAt,
    make_credentials: MakeCredentials,
) -> None:
    services: Services = app.extensions["services"]
    people = ["account-editor", "account-admin", "scalr-editor", "scalr-admin"]
    proof = receipt(make_credentials())
    forms = [
        {
            "receipt": services.receipts.issue(actor_of(who), scope("acme"), proof),
            "name": f"noble by {who}",
            "os_family": "ubuntu",
            "os_version": "ubuntu|24.04",
            "agent_installed": "y",
        }
        for who in people
    ]
    clients = [client_of(people[number % len(people)]) for number in range(AT_ONCE)]
    start = threading.Barrier(AT_ONCE)

    def press_register(number: int) -> tuple[int, str]:
        start.wait()
        client = clients[number]
        response = client.post("/account/acme/images", data=forms[number % len(people)])
        with client.session_transaction() as session:
            ((_, message),) = session["_flashes"]
        return response.status_code, "kept" if "is registered at" in message else message

    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = Counter(pool.map(press_register, range(AT_ONCE)))
    assert outcomes == {
        (303, "kept"): 1,
        (303, "This image is already registered."): AT_ONCE - 1,
    }
    assert Image.select().count() == 1
    assert AuditEntry.select().where(AuditEntry.action == "image.register").count() == 1
