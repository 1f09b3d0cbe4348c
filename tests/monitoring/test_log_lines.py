"""Each record is one line, whatever its values contain."""

from __future__ import annotations

import json
import logging
import time
from typing import Any

import pytest

from webapp.monitoring.log_lines import LineFormatter

HOSTILE = [
    "a\n2026-01-01 00:00:00.000Z ERROR webapp [- - -] forged",
    "a\r\nb",
    "\x1b[2J\x1b]0;title\x07",
    "a\u2028b\u2029c\x85d",
    "\u202etxt.exe",
    "\ud800 half",
    "\x00",
    "\x9b31m",
]


def record_of(message: str, *arguments: object, **fields: Any) -> logging.LogRecord:
    record = logging.LogRecord("webapp.x", logging.INFO, "f.py", 1, message, arguments, None)
    record.fields = fields
    return record


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("text", "2026-11-28 06:23:50.912Z INFO webapp.x "),
        ("json", '{"time": "2026-11-28T06:23:50.912Z", '),
    ],
)
def test_the_time_is_in_utc_in_any_time_zone(
    kind: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = record_of("started")
    record.created = 1_795_847_030.912
    with monkeypatch.context() as server:
        server.setenv("TZ", "Asia/Kathmandu")
        time.tzset()
        line = LineFormatter(kind).format(record)
    time.tzset()
    assert line.startswith(expected)


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("kind", ["text", "json"])
def test_control_characters_are_escaped(kind: str, text: str) -> None:
    line = LineFormatter(kind).format(record_of("said %s", text, path=text, scope=text))
    assert len(line.splitlines()) == 1
    assert line.isprintable()
    line.encode()
    if kind == "json":
        values = json.loads(line)
        assert values["message"].isprintable()
        assert values["path"].isprintable()


@pytest.mark.parametrize("kind", ["text", "json"])
def test_the_lines_of_a_traceback_cannot_look_like_records(kind: str) -> None:
    record = record_of("failed")
    error = ValueError("\n".join(HOSTILE))
    record.exc_info = (ValueError, error, None)
    record.stack_info = "Stack\n" + "\n".join(HOSTILE)
    first, *others = LineFormatter(kind).format(record).split("\n")
    assert "failed" in first
    if kind == "json":
        assert not others
        assert "ValueError: a\n2026" in json.loads(first)["traceback"]
    assert all(each.startswith("  ") and each.isprintable() for each in others)


def test_json_has_the_values_of_the_request() -> None:
    record = record_of("GET /", request_id="abc", person=7, scope=None, status=200, duration_ms=1.5)
    values = json.loads(LineFormatter("json").format(record))
    assert values["time"].endswith("Z")
    assert (values["level"], values["logger"], values["message"]) == ("INFO", "webapp.x", "GET /")
    assert (values["request_id"], values["person"], values["status"]) == ("abc", 7, 200)
    assert values["duration_ms"] == 1.5
    assert "scope" not in values


def test_text_shows_a_minus_for_a_missing_value() -> None:
    assert LineFormatter().format(record_of("hi", person=7)).endswith("INFO webapp.x [- 7 -] hi")


def test_a_malformed_call_is_still_one_line() -> None:
    record = record_of("%d images", "not a number\n")
    assert "malformed" in LineFormatter().format(record)


def test_long_texts_are_cut_after_they_were_masked() -> None:
    secret = "s" * 100

    def mask(text: str) -> str:
        return text.replace(secret, "…")

    line = LineFormatter("text", mask).format(record_of("%s", f"{'x' * 7_950}{secret}{'y' * 9**7}"))
    assert len(line) < 9_000
    assert "s" * 10 not in line
    assert "characters)" in line
