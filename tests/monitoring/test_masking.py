"""Secrets do not reach the log, in whatever spelling a library repeats them."""

from __future__ import annotations

import base64
import gc
import html
import json
import logging
import subprocess
import sys
import textwrap
import unicodedata
from collections.abc import Iterator
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape, quoteattr

import markupsafe
import pytest

from tests.served import ROOT
from webapp.clouds.credentials import CredentialValues
from webapp.monitoring import masking
from webapp.monitoring.log_lines import LineFormatter
from webapp.tokens import token_text

KEY = "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n".format(
    "\n".join(
        f"MIIEvQIBADANBgkqhkiG9w0BAQEF+/SCBKcwggSjAgEAAoIBAQC7VJTUt9Us{n:02}" for n in range(9)
    )
)
SECRETS = {
    "plain": "Canary-8f2c71",
    "special": "Can\"a<r>y&/+'é€😀 \\x%q=;",
    "backslash": "Canary\\anary!anary'anary",
    "path": "C:\\keys\\Canary/1\\x<&>",
    "lines": "first row of canary\nsecond row of canary",
    "key": KEY,
    "document": json.dumps({"client_email": "a@b.example", "private_key": KEY}),
    "password": "pa ss",
    "long words": "Canary 'and' \"anary\" / " * 6 + "second",
    "long path": "C:\\keys\\Canary" + '\\it\'s\\Canary "1"' * 8 + "\\second",
    "longer than all": "Canary-" + "8f2c71.~" * 2_000 + "second",
    "composed": "Canaryé-ü-Å",
    "decomposed": unicodedata.normalize("NFD", "Canaryé-ü-Å"),
}
FRAGMENTS = ("anary", "MIIEv", "pa ss", "pa%20ss", "second")


def spellings(secret: str) -> Iterator[tuple[str, str]]:
    """Yield the secret as libraries spell it, with the name of the spelling."""
    raw = secret.encode()
    yield "raw", secret
    yield "json", json.dumps(secret)
    yield "json with unicode", json.dumps(secret, ensure_ascii=False)
    yield "json with slashes", json.dumps(secret).replace("/", "\\/")
    yield "json twice", json.dumps(json.dumps({"secret": secret}))
    yield "repr", repr(secret)
    yield "repr of bytes", repr(raw)
    yield "url", quote(secret, safe="")
    yield "url path", quote(secret)
    yield "url form", quote_plus(secret)
    yield "url twice", quote(quote(secret))
    yield (
        "url lower case",
        "".join(
            part if number % 2 == 0 else part.lower()
            for number, part in enumerate(split_escapes(quote(secret, safe="")))
        ),
    )
    yield "xml", escape(secret)
    yield "xml attribute", quoteattr(secret, {"\n": "&#10;"})
    yield "html", html.escape(secret)
    yield "html with numbers", str(markupsafe.escape(secret))
    if secret.count("\\") < 2:
        yield "url of JavaScript", quote(secret, safe="!'()*~")
    yield "xml numbers", "".join(each if each.isalnum() else f"&#{ord(each)};" for each in secret)
    yield (
        "xml hexadecimal",
        "".join(each if each.isalnum() else f"&#x{ord(each):X};" for each in secret),
    )
    yield "xml numbers only", "".join(f"&#{ord(each)};" for each in secret)
    yield "xml hexadecimal only", "".join(f"&#x{ord(each):04x};" for each in secret)
    yield "url escapes only", "".join(f"%{byte:02X}" for byte in raw)
    units = secret.encode("utf-16-be")
    unicode = "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
    yield "json escapes only", unicode
    yield "json in a url", quote(json.dumps(secret), safe="")
    yield from encoded_spellings(raw)
    yield "base64 of json", base64.b64encode(json.dumps({"s": secret}).encode()).decode()
    yield "base64 three times", base64.b64encode(base64.b64encode(base64.b64encode(raw))).decode()
    for form in ("NFC", "NFD"):
        normalized = unicodedata.normalize(form, secret)
        yield form, normalized
        yield f"json {form}", json.dumps(normalized)
        yield f"base64 {form}", base64.b64encode(normalized.encode()).decode()


def encoded_spellings(raw: bytes) -> Iterator[tuple[str, str]]:
    """Yield the secret in base64 and in hexadecimal digits, next to other bytes."""
    for before in ("", "u", "us", "user:"):
        for after in ("", "@", "@h"):
            value = before.encode() + raw + after.encode()
            encoded = base64.b64encode(value).decode()
            yield f"base64 {before}{after}", encoded
            yield f"base64 without padding {before}{after}", encoded.rstrip("=")
            yield f"base64 for urls {before}", base64.urlsafe_b64encode(value).decode()
            yield f"base64 in a url {before}", quote(encoded, safe="")
            yield f"base64 in json {before}", json.dumps(encoded).replace("/", "\\/")
            yield f"base64 with lines {before}", base64.encodebytes(b"x" * 40 + value).decode()
            for line_break in ("\n", "\\r\\n", "\\u000a", "&#10;", "&#xA;", "%0D%0A"):
                for width in (6, 16):
                    short_lines = line_break.join(textwrap.wrap(encoded, width))
                    yield f"base64 with short lines {width} {before}{line_break}", short_lines
            yield f"base64 twice {before}{after}", base64.b64encode(encoded.encode()).decode()
            twice = base64.encodebytes(base64.encodebytes(value)).decode()
            yield f"base64 twice with lines {before}{after}", twice
            utf16 = before.encode("utf-16-le") + raw.decode().encode("utf-16-le")
            yield f"base64 of utf-16 {before}", base64.b64encode(utf16).decode()
            yield f"hexadecimal {before}{after}", value.hex()
            yield f"hexadecimal upper case {before}{after}", value.hex().upper()
            yield f"hexadecimal of utf-16 {before}", utf16.hex()


def split_escapes(text: str) -> Iterator[str]:
    """Yield the texts between percent-encoded bytes, and these bytes, in turn."""
    while "%" in text:
        before, _, rest = text.partition("%")
        yield before
        yield f"%{rest[:2]}"
        text = rest[2:]
    yield text


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
def test_a_secret_is_masked_in_every_spelling(secret: str) -> None:
    for name, text in spellings(secret):
        with masking.masked([secret]):
            left = masking.mask(f"before {text} after")
        assert masking.MASK in left, name
        # At most quotes, padding and a few neighbors are left.
        assert len(left) < len("before … after") + 30, (name, left)
        for fragment in FRAGMENTS:
            assert fragment not in left, (name, left)


def test_other_text_is_left_alone() -> None:
    text = (
        "POST /scalr/images 303 in 12 ms: aW1hZ2VzIG9mIGFjbWU= of ami-0123456789abcdef0, passport"
    )
    escaped = r"the file \u0041%41&#65;.csv, 100%25 of C:\x41"
    with masking.masked(["Canary-8f2c71", "pass", "a", ""]):
        assert masking.mask(text) == text
        assert masking.mask(escaped) == escaped
        assert masking.mask("the password pass is wrong") == "the password … is wrong"


def test_tokens_are_recognized_by_their_form() -> None:
    token = f"eyJ{'a' * 20}.{'b' * 20}.{'c' * 20}"
    text = f"{token} Authorization: Bearer ya29.abc-def_1 Basic dXNlcjpwYXNz X-Amz-Signature=0a1b2c"
    assert masking.mask(text) == "… Authorization: Bearer … Basic … X-Amz-Signature=…"


@pytest.mark.parametrize("underscore", ["_", "%5F", "%255f"])
def test_api_tokens_are_recognized_by_their_form(underscore: str) -> None:
    text = token_text.new_text(token_text.new_key()).replace("_", underscore)
    assert masking.mask(f"GET /x?q={text}&a=1 {text}, ‘{text}’") == "GET /x?q=…&a=1 …, ‘…’"
    assert masking.mask(f"imr_ {text[:18]}") == f"imr_ {text[:18]}"


def test_credentials_are_masked_as_long_as_somebody_uses_them() -> None:
    values = CredentialValues({"password": "Canary-8f2c71"})
    masking.mask_while_alive(values, ["Canary-8f2c71"])
    assert masking.mask("Canary-8f2c71") == masking.MASK
    del values
    gc.collect()
    assert masking.mask("Canary-8f2c71") == "Canary-8f2c71"


def fail_with_secret(secret: str) -> None:
    body = ValueError(f"the body was {json.dumps({'password': secret})}")
    raise RuntimeError(f"the URL was https://u:{quote(secret, safe='')}@h/") from body


@pytest.mark.parametrize("kind", ["text", "json"])
@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
def test_a_secret_is_masked_in_messages_arguments_and_tracebacks(secret: str, kind: str) -> None:
    formatter = LineFormatter(kind, masking.mask)
    with masking.masked([secret]):
        try:
            fail_with_secret(secret)
        except RuntimeError:
            record = logging.LogRecord(
                "x", logging.ERROR, "f", 1, "sent %s and %r", (secret, [secret]), sys.exc_info()
            )
        logging.Formatter().format(record)  # Another handler caches the text of the traceback.
        line = formatter.format(record)
    assert masking.MASK in line.replace("\\u2026", masking.MASK)
    for fragment in FRAGMENTS:
        assert fragment not in line


HOSTILE = {
    "wrapped base64": "A" * 48 + "\n  " * 2_000 + "!",
    "backslashes": "\\" * 40_000,
    "backslashes in a URL": "%5c" * 13_000,
    "escapes": "\\u0061" * 6_000,
    "escapes in XML": "&" + "amp;" * 5_000 + "#" + "0" * 20_000,
    "percent signs": "%" + "25" * 20_000,
    "beginnings of tokens": "eyJ" * 13_000,
    "beginnings of API tokens": "imr_0123456789ab_" * 2_300,
    "percent signs in an API token": "imr%" + "25" * 20_000,
    "the beginning of a secret": "a" * 40_000,
    "base64 in base64": "UVVG" * 10_000,
    "short lines": "AAAAAA\n" * 5_000,
    "short lines with long breaks": ("AAAAAA" + "\n " * 50) * 350,
    "hexadecimal digits": "2d78" * 10_000,
}
"""Texts of a hostile cloud, which also chooses the secrets of its credentials."""
HOSTILE_SECRETS = {
    "letters": "a" * 1_000_000,
    "dots": "." * 1_000_000,
    "accents": "é" * 500_000,
    "emoji": "😀" * 250_000,
    "backslashes": "\\" * 1_000_000,
    "escapes": "%5c%255c" * 100_000,
    "marks": "a" + "\u0300" * 250_000 + "\u0316" * 250_000,
    "lines": ("." * 16 + "\n") * 60_000,
    "lines of accents": ("é" * 16 + "\n") * 30_000,
    "document": json.dumps([{"secret": "." * 16}] * 40_000),
    "document of lines": json.dumps({"secret": ("é" * 16 + "\n") * 30_000}),
    "nested document": '{"secret":' * 100_000,
}
"""Texts that somebody sends as a password or as a token."""
SEARCH = """
import sys
from webapp.monitoring import masking
masking.configure((), tuple)
lines = "\\n".join(f"\\\\!a-long-line{number:03}" for number in range(100))
with masking.masked(["a" * 8_000 + "b", "-x", "\\\\" * 8 + "y", "%5c" * 8 + "z", "\\\\!a", lines]):
    masking.mask(sys.stdin.read())
"""


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_text_does_not_stop_the_process(text: str) -> None:
    """A search holds Python's lock, so it runs in a process that can be ended."""
    command = [sys.executable, "-c", SEARCH]
    subprocess.run(command, input=text, text=True, check=True, timeout=60, cwd=ROOT)


def test_the_secrets_of_a_request_are_prepared_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Later secrets are masked too, but only as they are."""
    first, *others = [f"Canary{number}{'!.' * 495} {'x' * 99}" for number in range(20)]
    later = "Canary-8f2c71"
    monkeypatch.setattr(masking, "_read_request_secrets", lambda: [KEY, first, *others, later])
    for secret in (first, *others, later):
        assert masking.mask(f"it was {secret}") == f"it was {masking.MASK}"
    assert masking.mask(f"it was {quote(first)}") == f"it was {masking.MASK}"
    assert masking.mask(f"it was {quote(others[5])}").startswith("it was Canary6%21")
    assert masking.mask(f"it was {quote(later)}") == f"it was {masking.MASK}"
    for line in KEY.splitlines()[1:-1]:
        assert masking.mask(f"line {line}, {quote(line, '')}") == "line …, …"


KEY_LINE = "MIIEvQIBADANBgkqhkiG9w0BAQEF+/SCBKcwggSjAgEAAoIBAQC7VJTUt9Us+/{:02}"


@pytest.mark.parametrize("lines", [26, 50])
@pytest.mark.parametrize("is_in_use", [False, True])
def test_each_line_of_a_key_file_is_masked(
    monkeypatch: pytest.MonkeyPatch, lines: int, *, is_in_use: bool
) -> None:
    """The files of service accounts contain keys of 2,048 or 4,096 bits."""
    key_lines = [KEY_LINE.format(number) for number in range(lines)]
    key = "\n".join(["-----BEGIN PRIVATE KEY-----", *key_lines, "-----END PRIVATE KEY-----", ""])
    fields = {f"auth_{number}_url": "https://www.example.com/x" * 20 for number in range(15)}
    secret = json.dumps({**fields, "private_key": key}, indent=2)
    assert len(secret) > 9_000
    if not is_in_use:
        monkeypatch.setattr(masking, "_read_request_secrets", lambda: ["session", secret])
    with masking.masked([secret] if is_in_use else []):
        for line in key_lines:
            for spelling in (line, line.replace("/", "\\/"), quote(line, ""), json.dumps(line)):
                left = masking.mask(f"x {spelling} y")
                assert masking.MASK in left, spelling
                assert "MII" not in left
                assert "Us" not in left


@pytest.mark.parametrize("secret", HOSTILE_SECRETS.values(), ids=HOSTILE_SECRETS)
def test_a_hostile_secret_does_not_stop_the_process(secret: str) -> None:
    """The patterns are compiled by Python, so their size shows how long that takes."""
    with masking.masked([secret]):
        assert secret[: masking.HEAD] not in masking.mask(f"it was {secret[:1_000]}")
    pattern = masking.pattern_of(secret[: masking.LONGEST_SECRET]).pattern
    assert len(pattern) < 150_000
    assert len(masking.needles_of(secret[: masking.LONGEST_SECRET])) < 5_000
