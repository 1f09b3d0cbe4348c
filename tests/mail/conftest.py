"""Fixtures: a mail server, and an application that sends its mails there."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from flask import Flask

from models import OutgoingMail
from tests.mail.server import HOST, MailServer, mail_server
from webapp import PREPARATIONS
from webapp.mail import outbox
from webapp.mail.messages import Writer
from webapp.mail.sender import Sender
from webapp.settings import SmtpServer

SITE = "https://registry.example.com/path"
SECRET_KEY = "the secret key of a test"
SendAll = Callable[[], None]


@pytest.fixture
def server() -> Iterator[MailServer]:
    with mail_server() as running:
        yield running


def address_of(server: MailServer) -> SmtpServer:
    return SmtpServer("smtp", HOST, server.port, "", "", "Image Registry", "registry@example.com")


@pytest.fixture
def sender(server: MailServer) -> Sender:
    return new_sender(address_of(server))


def new_sender(address: SmtpServer) -> Sender:
    return Sender(address, Writer(address, SITE, SECRET_KEY), PREPARATIONS)


@pytest.fixture(autouse=True)
def mail_enabled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "_enabled", True)


@pytest.fixture
def send_all(db: Flask, sender: Sender) -> SendAll:
    """Return a function that sends all mails of the outbox that are due."""

    def send_all() -> None:
        while sender.send_chunk():
            pass

    return send_all


def outgoing() -> list[OutgoingMail]:
    return list(OutgoingMail.select().order_by(OutgoingMail.id))


def let_retry() -> None:
    """Let the pauses of the outbox end."""
    OutgoingMail.update(next_attempt_at=0.0).execute()
