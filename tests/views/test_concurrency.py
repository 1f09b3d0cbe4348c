"""Simultaneous requests to register one image: one succeeds, and the others get a message."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from flask import Flask

from models import AuditEntry, Image
from tests.conftest import ActorOf, ClientOf, MakeCredentials, ScopeAt, receipt
from webapp.web.services import Services

REQUESTS = 16


def test_simultaneous_registrations_create_one_image(
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
    clients = [client_of(people[number % len(people)]) for number in range(REQUESTS)]
    start = threading.Barrier(REQUESTS)

    def press_register(number: int) -> tuple[int, str]:
        start.wait()
        client = clients[number]
        response = client.post("/account/acme/images", data=forms[number % len(people)])
        with client.session_transaction() as session:
            ((_, message),) = session["_flashes"]
        return response.status_code, "registered" if "is registered at" in message else message

    with ThreadPoolExecutor(REQUESTS) as pool:
        outcomes = Counter(pool.map(press_register, range(REQUESTS)))
    assert outcomes == {
        (303, "registered"): 1,
        (303, "This image is already registered."): REQUESTS - 1,
    }
    assert Image.select().count() == 1
    assert AuditEntry.select().where(AuditEntry.action == "image.register").count() == 1
