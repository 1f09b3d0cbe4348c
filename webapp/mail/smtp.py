"""Hand a message to the mail server, with verified TLS unless the scheme of the settings is `smtp`.

At any moment, the mail server may stop answering, or refuse or end the connection. `deliver` then
raises one of the exceptions below. `deliver` can take longer than DEADLINE_SECONDS only while it
looks up the name of the server, connects to each of its addresses, and begins to encrypt with
STARTTLS.
"""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from threading import Timer
from typing import Any

from webapp.database.outages import first_line
from webapp.settings import SmtpServer

STEP_SECONDS = 10.0
"""The time that the server may take to accept a connection, or to send a part of a reply."""
DEADLINE_SECONDS = 30.0
"""The time after the start of `deliver` at which an open connection is ended."""


class NotDelivered(Exception):
    """The mail server did not confirm that it accepted the message.

    The text of the exception is one line.
    """


class ServerFailed(NotDelivered):
    """The server does not answer, or refuses the connection, the password or the sender.

    All messages have to wait.
    """


class MessageDelayed(NotDelivered):
    """The server does not accept this message at the moment."""


class MessageRefused(NotDelivered):
    """This message can't be sent, neither now nor later.

    The server refused the message for good, for example because of its recipient, or the server
    does not support the recipient's address. `messages.Writer` also raises this exception if the
    address can't be written into a message, so that the server never sees the message.
    """


def deliver(server: SmtpServer, message: EmailMessage) -> None:
    """Hand a message with one recipient to the server. Raises NotDelivered.

    If the connection ends before the server has answered, the message may have been accepted.
    """
    with _session(server) as client:
        try:
            client.send_message(message)
        except smtplib.SMTPRecipientsRefused as error:
            raise _reply_error(*next(iter(error.recipients.values()))) from error
        except smtplib.SMTPDataError as error:
            raise _reply_error(error.smtp_code, error.smtp_error) from error
        except (smtplib.SMTPNotSupportedError, UnicodeError) as error:
            raise MessageRefused("The server does not support this e-mail address.") from error


@contextmanager
def _session(server: SmtpServer) -> Iterator[smtplib.SMTP]:
    """Yield a connection, signed in if the settings have a user name. Raises ServerFailed."""
    client = _Client(server)
    # The timeout of the socket begins again with each byte that the server sends. So only the timer
    # limits the whole session.
    timer = Timer(DEADLINE_SECONDS, client.abort)
    timer.daemon = True
    timer.start()
    try:
        code, greeting = client.connect(server.host, server.port)
        if code != 220:
            raise smtplib.SMTPConnectError(code, greeting)
        if server.scheme == "smtp+starttls":
            client.starttls(context=client.context)
            # During this handshake, `abort` has no connection that it can end.
            client.require_time()
        if server.user:
            client.login(server.user, server.password)
        yield client
    except (smtplib.SMTPException, OSError, UnicodeError) as error:
        raise ServerFailed(_text_of(error)) from error
    finally:
        client.leave()
        timer.cancel()


class _Client(smtplib.SMTP):
    """A client whose constructor does not connect, so that a timer can abort even `connect`."""

    def __init__(self, server: SmtpServer) -> None:
        # Without `local_hostname`, the client would look up the name of this machine in the DNS.
        super().__init__(timeout=STEP_SECONDS, local_hostname=server.sender.partition("@")[2])
        self.context = ssl.create_default_context()
        self._implicit_tls = server.scheme == "smtps"
        self._is_aborted = False
        self._host = server.host  # `starttls` compares the certificate with this name.

    def _get_socket(self, host: str, port: int, timeout: Any) -> socket.socket:
        connection = socket.create_connection((host, port), timeout)
        try:
            if self._implicit_tls:
                connection = self.context.wrap_socket(
                    connection, server_hostname=host, do_handshake_on_connect=False
                )
            self.sock = connection  # From here on, `abort` can end the connection.
            self.require_time()
            if isinstance(connection, ssl.SSLSocket):
                connection.do_handshake()
        except BaseException:
            connection.close()
            raise
        return connection

    def require_time(self) -> None:
        """Raise TimeoutError if `abort` was called, even if it found no connection to end."""
        if self._is_aborted:
            raise TimeoutError("the delivery took too long")

    def abort(self) -> None:
        """End the connection, even while another thread waits for the server.

        If there is no connection yet, the next connection ends as soon as it is established.
        """
        self._is_aborted = True
        if self.sock is not None:
            with suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)

    def leave(self) -> None:
        """Close the connection. Ignore errors: they no longer change the result of `deliver`."""
        with suppress(smtplib.SMTPException, OSError):
            if self.sock is not None and not self._is_aborted:
                self.sock.settimeout(1.0)
                self.quit()
        self.close()


def _reply_error(code: int, text: bytes | str) -> NotDelivered:
    """Return the exception for a reply of the server about one message."""
    message = f"{code} {_decoded(text)}"
    return MessageRefused(message) if code >= 500 else MessageDelayed(message)


def _text_of(error: Exception) -> str:
    """Return the reply of the server or, if there is none, the text of the exception."""
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{error.smtp_code} {_decoded(error.smtp_error)}"
    return first_line(error)


def _decoded(text: bytes | str) -> str:
    decoded = text.decode(errors="replace") if isinstance(text, bytes) else text
    return " ".join(decoded.split())
