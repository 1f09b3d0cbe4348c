"""The base class of all refusals: exceptions with a message for the person."""

from __future__ import annotations


class Refusal(Exception):
    """A rule forbids what the person requested.

    `message` is safe to show. It says what is wrong and, where possible, what to do next. `field`
    is the name of the input that the message is about. If the message is about the whole form,
    `field` is ''.

    Most use cases raise their own subclasses. Views show the message on the form. If a view does
    not catch a refusal, the handler in `web/error_pages.py` shows the message.
    """

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.field = field
