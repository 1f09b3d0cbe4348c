"""The base class of all refusals: exceptions whose message is shown to the person."""

from __future__ import annotations


class Refusal(Exception):
    """A rule forbids what the person requested.

    `message` is safe to show. It says what is wrong and, where possible, what to do next. `field`
    is the name of the input that the message is about, or '' for the form as a whole.

    Each use case raises a subclass of its own. Views show the message on the form; the handler in
    `web/error_pages.py` shows it if a view does not catch the refusal.
    """

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.field = field
