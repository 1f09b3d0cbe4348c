"""Each mail of the outbox is sent once, even if the mail server or a process fails."""

from __future__ import annotations

import logging

import pytest
from flask import Flask

from models import OutgoingMail
from tests.mail.conftest import SendAll, address_of, let_retry, new_sender, outgoing
from tests.mail.server import MailServer
from webapp.mail import messages, outbox, sender
from webapp.mail.outbox import Kind
from webapp.mail.sender import Sender

pytestmark = pytest.mark.usefixtures("db")


def post(recipient: str = "nora@example.com") -> None:
    outbox.post(Kind.PASSWORD_CHANGED, recipient, time="2026-01-02 at 03:04 UTC")


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "SERVER_PAUSE_SECONDS", 0.0)


def test_a_mail_is_sent_once_and_deleted(server: MailServer, send_all: SendAll) -> None:
    post()
    send_all()
    send_all()
    (message,) = server.received
    assert message["To"] == "nora@example.com"
    assert message["From"] == "Image Registry <registry@example.com>"
    assert "2026-01-02 at 03:04 UTC" in message.get_content()
    assert not outgoing()


def test_nothing_is_stored_without_a_mail_server(monkeypatch: pytest.MonkeyPatch) -> None:
    outbox.configure(enabled=False)
    post()
    assert not outgoing()


def test_two_processes_do_not_send_the_same_mail() -> None:
    post()
    assert outbox.claim() is not None
    assert outbox.claim() is None


def test_a_mail_of_a_process_that_was_killed_is_sent_later(
    server: MailServer, send_all: SendAll
) -> None:
    post()
    assert outbox.claim() is not None  # The process is killed now.
    send_all()
    assert not server.received
    OutgoingMail.update(
        next_attempt_at=OutgoingMail.next_attempt_at - outbox.ATTEMPT_SECONDS
    ).execute()
    send_all()
    assert len(server.received) == 1


def test_a_message_is_the_same_in_each_attempt(server: MailServer, sender: Sender) -> None:
    post()
    (mail,) = outgoing()
    first, second = (sender._writer.write(mail) for _ in range(2))
    assert first.as_bytes() == second.as_bytes()
    assert first["Message-ID"].endswith("@example.com>")


def test_a_mail_to_an_address_that_no_message_can_have_is_refused(
    server: MailServer, send_all: SendAll
) -> None:
    post("jörg@example.com")
    post()
    send_all()
    assert [message["To"] for message in server.received] == ["nora@example.com"]
    (mail,) = outgoing()
    assert mail.refused
    assert mail.error == "The registry can’t send mail to this e-mail address."


@pytest.mark.parametrize(
    "address",
    [
        "nora@example.com\r\nBcc: eve@evil.example",
        "nora@example.com\nRCPT TO:<eve@evil.example>",
        "nora@example.com\rSubject: forged",
        "nora@example.com>\r\nRCPT TO:<eve@evil.example",
        "nora@example.com, eve@evil.example",
    ],
)
def test_an_address_adds_no_header_command_or_recipient(
    server: MailServer, send_all: SendAll, address: str
) -> None:
    post(address)
    send_all()
    assert not server.received
    (mail,) = outgoing()
    assert mail.refused


def test_a_value_adds_no_header_and_ends_no_message(server: MailServer, send_all: SendAll) -> None:
    hostile = "now\r\nBcc: eve@evil.example\r\n.\r\nMAIL FROM:<eve@evil.example>\r\n"
    outbox.post(Kind.PASSWORD_CHANGED, "nora@example.com", time=hostile)
    send_all()
    (message,) = server.received
    assert message.get_all("To") == ["nora@example.com"]
    assert "Bcc" not in message
    assert "\r\n.\r\nMAIL FROM:<eve@evil.example>\r\n" in message.get_content()


def test_the_subject_of_a_mail_contains_no_value() -> None:
    """The first line of a template is the subject. See `webapp.mail.messages`."""
    templates = sorted(messages.TEMPLATES.glob("*.txt"))
    assert templates
    for template in templates:
        subject = template.read_text().partition("\n")[0]
        assert subject.strip(), template.name
        assert "{" not in subject, template.name


def test_a_refused_mail_does_not_stop_the_others(
    server: MailServer, send_all: SendAll, caplog: pytest.LogCaptureFixture
) -> None:
    server.refused_recipient = "nobody@example.com"
    post("nobody@example.com")
    post()
    send_all()
    let_retry()
    send_all()
    assert [message["To"] for message in server.received] == ["nora@example.com"]
    (refused,) = outbox.problems()
    assert refused.refused
    assert refused.error == "550 5.1.1 <…> unknown"
    assert "nobody@example.com" not in caplog.text
    assert caplog.text.count("can't be sent") == 1


def test_a_delayed_mail_waits_while_others_are_sent(server: MailServer, send_all: SendAll) -> None:
    server.reply_to_data = "451 4.7.1 Greylisted"
    post()
    send_all()
    server.reply_to_data = "250 OK"
    post("other@example.com")
    send_all()
    assert [message["To"] for message in server.received] == ["other@example.com"]
    assert outbox.problems()[0].error == "451 4.7.1 Greylisted"
    let_retry()
    send_all()
    assert len(server.received) == 2
    assert not outgoing()


def test_an_outage_is_logged_once_and_then_everything_is_sent(
    server: MailServer, send_all: SendAll, caplog: pytest.LogCaptureFixture
) -> None:
    server.hangs_up = True
    post()
    post("other@example.com")
    for _ in range(3):
        send_all()
        let_retry()
    assert len(outgoing()) == 2
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    server.hangs_up = False
    send_all()
    assert len(server.received) == 2
    assert "the mail server accepts mails again" in caplog.text


def test_a_mail_that_the_server_never_sees_does_not_end_an_outage(
    server: MailServer, sender: Sender, caplog: pytest.LogCaptureFixture
) -> None:
    server.hangs_up = True
    post("nora@example.com")
    post("nora@example@com")
    assert not sender.send_chunk()
    assert sender.send_chunk(), "the next mail can be tried"
    assert [mail.refused for mail in outgoing()] == [False, True]
    assert "the mail server accepts mails again" not in caplog.text
    let_retry()
    server.hangs_up = False
    assert sender.send_chunk()
    assert "the mail server accepts mails again" in caplog.text


def test_a_server_that_fails_is_not_called_for_a_while(
    server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "SERVER_PAUSE_SECONDS", 60.0)
    server.hangs_up = True
    post()
    post("other@example.com")
    patient = new_sender(address_of(server))
    assert not patient.send_chunk()
    assert not patient.send_chunk()
    assert [mail.attempts for mail in outgoing()] == [1, 0]


def test_a_server_is_tried_with_the_first_mail_that_is_due_after_an_outage(
    server: MailServer, sender: Sender
) -> None:
    server.hangs_up = True
    post()
    assert not sender.send_chunk()
    server.hangs_up = False
    OutgoingMail.update(next_attempt_at=OutgoingMail.next_attempt_at + 600).execute()
    assert not sender.send_chunk(), "no mail is due"
    let_retry()
    assert sender.send_chunk()
    assert len(server.received) == 1


def test_expired_mails_are_neither_sent_nor_kept(
    server: MailServer, send_all: SendAll, db: Flask
) -> None:
    post()
    OutgoingMail.update(expires_at=OutgoingMail.created_at).execute()
    send_all()
    outbox.purge_chunk()
    assert not server.received
    assert not outgoing()
