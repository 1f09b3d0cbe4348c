"""Errors that the command prints, and its exit codes."""

from __future__ import annotations

from enum import IntEnum

import click


class ExitCode(IntEnum):
    """The exit codes. click itself exits with USAGE."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    NOT_AUTHENTICATED = 3
    FORBIDDEN = 4
    NOT_FOUND = 5
    REFUSED = 6
    CONFLICT = 7
    CLOUD = 8
    UNAVAILABLE = 9


class Failure(click.ClickException):
    """An error with its exit code. click prints the message to standard error."""

    def __init__(self, message: str, code: ExitCode) -> None:
        super().__init__(message)
        # click documents that an exception may override the exit code of its class.
        self.exit_code = int(code)  # type: ignore[misc]
