"""The rule for e-mail addresses that people type. Only the syntax is checked."""

from __future__ import annotations

from email_validator import EmailNotValidError, validate_email

from webapp.values.text import InvalidText

MAX_LENGTH = 254
"""The maximum length of an address, in characters."""


def parse_email(text: str) -> str:
    """Return an e-mail address without surrounding blanks. Raises InvalidText."""
    text = text.strip()
    if len(text) > MAX_LENGTH:
        raise InvalidText(f"Enter at most {MAX_LENGTH} characters.", "email")
    try:
        validate_email(text, check_deliverability=False)
    except (EmailNotValidError, UnicodeError) as error:
        raise InvalidText("Enter a valid e-mail address.", "email") from error
    return text
