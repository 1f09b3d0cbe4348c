"""Write the messages from the text templates in `webapp/templates/mail/`.

The first line of a template is the subject, and contains no placeholders. The messages are plain
text, so the values that replace the placeholders are not escaped.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from datetime import UTC
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from models import OutgoingMail
from webapp.mail.smtp import MessageRefused
from webapp.settings import SmtpServer

TEMPLATES = Path(__file__).parent.parent / "templates" / "mail"
_templates = Environment(  # noqa: S701  plain text
    loader=FileSystemLoader(TEMPLATES),
    undefined=StrictUndefined,
    trim_blocks=True,
    keep_trailing_newline=True,
)


class Writer:
    """Writes messages. `site` is the URL of the application, without a slash at the end."""

    def __init__(self, server: SmtpServer, site: str, secret_key: str) -> None:
        self._sender = Address(server.sender_name, addr_spec=server.sender)
        self._site = site
        self._secret_key = secret_key

    def token_of(self, mail: OutgoingMail) -> str:
        """Return the token for the link in a mail.

        The token is the same for each attempt to send the mail, and is never stored.
        """
        data = f"link of mail {mail.key}".encode()
        digest = hmac.digest(self._secret_key.encode(), data, "sha256")
        return urlsafe_b64encode(digest).decode().rstrip("=")

    def write(self, mail: OutgoingMail) -> EmailMessage:
        """Return the message for a mail. Each attempt to send the mail sends the same message.

        Raises MessageRefused if the address of the recipient can't be written into a message.
        """
        values = {"site": self._site, "token": self.token_of(mail), "recipient": mail.recipient}
        text = _templates.get_template(f"{mail.kind}.txt").render({**mail.details, **values})
        subject, _, body = text.partition("\n")
        message = EmailMessage(SMTP)
        message["From"] = self._sender
        try:
            message["To"] = Address(addr_spec=mail.recipient)
        except (MessageError, ValueError) as error:
            raise MessageRefused("The registry can’t send mail to this e-mail address.") from error
        message["Subject"] = subject
        message["Date"] = format_datetime(mail.created_at.astimezone(UTC))
        message["Message-ID"] = f"<{mail.key}@{self._sender.domain}>"
        message["Auto-Submitted"] = "auto-generated"  # Out-of-office replies are not wanted.
        message.set_content(body.lstrip("\n"))
        return message
