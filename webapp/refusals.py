"""The base class of every "no" that a person sees."""

from __future__ import annotations


class Refusal(Exception):
    """A rule forbids what the person asked for.

    `message` is one sentence that is safe to show and says what to do next. `field` names the
    input that the message is about, or is '' for the form as a whole.
    """

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.field = field
