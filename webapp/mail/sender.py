"""Send the mails of the outbox, in a thread that does nothing else.

A process claims a mail in the outbox before it tries to send the mail. If the process ends during
the attempt, another process sends the mail after `outbox.ATTEMPT_SECONDS`. If the connection to the
mail server breaks, nobody knows whether the server has accepted the mail, so the mail is sent
again. In rare cases, a mail therefore arrives twice, with the same Message-ID.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from models import OutgoingMail, released_connection, transaction
from webapp.database.outages import Breaker, Outage
from webapp.mail import outbox
from webapp.mail.messages import Writer
from webapp.mail.outbox import Kind
from webapp.mail.smtp import MessageDelayed, MessageRefused, ServerFailed, deliver
from webapp.monitoring import metrics
from webapp.settings import SmtpServer

SERVER_PAUSE_SECONDS = 20.0
"""How long a process waits after a failure of the mail server before it calls the server again."""
FIRST_PAUSE_SECONDS = 60.0
"""The pause in seconds after the first attempt, if the server does not accept the mail yet.

The pause doubles with each further attempt, up to LONGEST_PAUSE_SECONDS.
"""
LONGEST_PAUSE_SECONDS = 900.0

log = logging.getLogger(__name__)

Preparation = Callable[[OutgoingMail, str], bool]
"""A function that gets a mail and the token for its link.

It stores the digest of the token, and returns whether the mail should still be sent. It may be
called several times for the same mail.
"""


class Sender:
    """Sends mails. There is one instance per process."""

    def __init__(
        self, server: SmtpServer, writer: Writer, preparations: Mapping[Kind, Preparation]
    ) -> None:
        self._server, self._writer, self._preparations = server, writer, preparations
        outage = Outage(
            "mails cannot be sent, because the mail server fails",
            "the mail server accepts mails again",
        )
        self._breaker = Breaker(outage, SERVER_PAUSE_SECONDS, outbox.ATTEMPT_SECONDS)

    def send_chunk(self) -> bool:
        """Send one mail that is due. Return whether to continue with the next mail now."""
        if not self._breaker.may_call():
            return False
        mail = outbox.claim()
        if mail is None:
            self._breaker.cancel_trial()
            return False
        preparation = self._preparations.get(Kind(mail.kind))
        if preparation is not None:
            with transaction():
                is_needed = preparation(mail, self._writer.token_of(mail))
                if not is_needed:
                    outbox.delete(mail)
                    self._breaker.cancel_trial()
                    return True
        return self._send(mail)

    def _send(self, mail: OutgoingMail) -> bool:
        try:
            message = self._writer.write(mail)
        except MessageRefused as error:
            _refuse(mail, error)
            self._breaker.cancel_trial()
            return True
        try:
            with released_connection():
                deliver(self._server, message)
        except ServerFailed as error:
            metrics.MAILS.labels("delayed").inc()
            self._breaker.record_failure(_without_address(error, mail))
            outbox.postpone(mail, SERVER_PAUSE_SECONDS, _without_address(error, mail))
            return False
        except MessageDelayed as error:
            metrics.MAILS.labels("delayed").inc()
            outbox.postpone(mail, _pause_after(mail.attempts), _without_address(error, mail))
        except MessageRefused as error:
            _refuse(mail, error)
        else:
            metrics.MAILS.labels("sent").inc()
            outbox.delete(mail)
        self._breaker.record_success()
        return True


def _refuse(mail: OutgoingMail, error: MessageRefused) -> None:
    metrics.MAILS.labels("refused").inc()
    text = _without_address(error, mail)
    log.warning("mail %d (%s) can't be sent: %s", mail.id, mail.kind, text)
    outbox.refuse(mail, text)


def _pause_after(attempts: int) -> float:
    """Return the pause in seconds after this many attempts to send a mail."""
    return min(FIRST_PAUSE_SECONDS * 2.0 ** min(attempts - 1, 10), LONGEST_PAUSE_SECONDS)


def _without_address(error: Exception, mail: OutgoingMail) -> str:
    """Return the text of an error without the e-mail address, which the log must not contain."""
    return str(error).replace(mail.recipient, "…")
