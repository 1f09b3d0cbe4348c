"""The format of log lines: text for people, or JSON for programs.

Each record is one line. In the text format, the lines of a traceback follow and are indented. So no
text from a request or a cloud can look like a record. This module must import nothing of the
application, because gunicorn's main process uses it too.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

MESSAGE_LENGTH = 8_000
"""The maximum length of a message in characters. A cloud may send megabytes in an error."""
TRACEBACK_LENGTH = 32_000
READ_LENGTH = 40_000
"""The maximum number of characters of a text that are searched for secrets. The rest is dropped."""
_CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Characters that begin a new line, control a terminal, reorder text, or cannot be encoded."""
_CONTROL_IN_LINES = re.compile(_CONTROL.pattern.replace("\x00-\x1f", "\x00-\x09\x0b-\x1f"))
_SHORT_ESCAPES = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def escape_controls(text: str) -> str:
    """Return `text` on one line, with control characters written like `\\x1b`."""
    return _CONTROL.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    code = ord(character)
    return _SHORT_ESCAPES.get(character) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


class LineFormatter(logging.Formatter):
    """Formats records as text or JSON. `mask` removes secrets from the texts of a record.

    A record may have two more attributes: `fields` with the values of the request, and
    `more_fields` with further values for the JSON format.
    """

    def __init__(self, kind: str = "text", mask: Callable[[str], str] = str) -> None:
        super().__init__()
        self._is_json, self._mask = kind == "json", mask

    def format(self, record: logging.LogRecord) -> str:
        fields: Mapping[str, Any] = {
            **getattr(record, "fields", {}),
            **getattr(record, "more_fields", {}),
        }
        message = escape_controls(self._shortened(_message_of(record), MESSAGE_LENGTH))
        trace = self._traceback_of(record)
        if self._is_json:
            return self._as_json(record, fields, message, trace)
        context = " ".join(
            self._text(fields.get(name)) for name in ("request_id", "person", "scope")
        )
        line = f"{_instant_of(record, ' ')} {record.levelname} {record.name} [{context}] {message}"
        return "\n  ".join([line, *trace.split("\n")]) if trace else line

    def _as_json(
        self, record: logging.LogRecord, fields: Mapping[str, Any], message: str, trace: str
    ) -> str:
        values = {
            "time": _instant_of(record, "T"),
            "level": record.levelname,
            "logger": record.name,
            "message": message,
            **{
                name: value if isinstance(value, int | float) else self._text(value)
                for name, value in fields.items()
                if value is not None
            },
            "process": record.process,
            "thread": record.threadName,
        }
        if trace:
            values["traceback"] = trace
        return json.dumps(values)

    def _traceback_of(self, record: logging.LogRecord) -> str:
        """Return the traceback.

        This method ignores `record.exc_text`, which may come from a handler that masks nothing.
        """
        texts = []
        if record.exc_info and record.exc_info[0] is not None:
            texts.append(self.formatException(record.exc_info))
        if record.stack_info:
            texts.append(self.formatStack(record.stack_info))
        text = self._shortened("\n".join(texts), TRACEBACK_LENGTH)
        return _CONTROL_IN_LINES.sub(_escape, text)

    def _text(self, value: Any) -> str:
        return "-" if value is None else escape_controls(self._shortened(str(value), 1000))

    def _shortened(self, text: str, length: int) -> str:
        """Return the text without secrets, and at most about `length` characters of it.

        The text is masked before it is cut, because a part of a secret would not be recognized.
        """
        masked = self._mask(text[:READ_LENGTH])
        if len(masked) <= length and len(text) <= READ_LENGTH:
            return masked
        return f"{masked[:length]}… ({len(text):,} characters)"


def _instant_of(record: logging.LogRecord, separator: str) -> str:
    """Return the time of a record in UTC, such as 2026-11-28T06:43:50.912Z."""
    instant = datetime.fromtimestamp(record.created, UTC)
    return instant.isoformat(separator, "milliseconds").replace("+00:00", "Z")


def _message_of(record: logging.LogRecord) -> str:
    """Return the message, even if its arguments do not match its placeholders.

    After an exception here, a handler would print the arguments to stderr without masking them.
    """
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001  the arguments may be objects of any SDK
        return f"{record.msg} (the arguments of this message are malformed)"
