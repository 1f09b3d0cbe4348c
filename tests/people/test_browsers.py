"""Short texts for browsers and addresses, which may be hostile."""

from __future__ import annotations

import time

import pytest

from webapp.people.browsers import UNKNOWN, describe_browser, plain_address

X11 = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101"
WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15"
ANDROID = "Mozilla/5.0 (Linux; Android 14; SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko)"
CHROMEBOOK = "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36"


@pytest.mark.parametrize(
    ("user_agent", "text"),
    [
        (f"{X11} Firefox/128.0", "Firefox on Linux"),
        (f"{WINDOWS} Chrome/126.0.0.0 Safari/537.36", "Chrome on Windows"),
        (f"{WINDOWS} Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0", "Edge on Windows"),
        (f"{MAC} Version/17.5 Safari/605.1.15", "Safari on macOS"),
        (f"{IPHONE} CriOS/126.0.6478.35 Mobile/15E148 Safari/604.1", "Chrome on iPhone"),
        (
            f"{ANDROID} SamsungBrowser/25.0 Chrome/121.0 Safari/537.36",
            "Samsung Internet on Android",
        ),
        (f"{CHROMEBOOK} Chrome/126.0.0.0 Safari/537.36", "Chrome on ChromeOS"),
        ("curl/8.5.0", "curl"),
        ("python-requests/2.32.3", "Python Requests"),
        ("Something (Linux)", f"{UNKNOWN} on Linux"),
        ("", UNKNOWN),
        ("<script>alert(1)</script>\r\nX: y\0\ud800", UNKNOWN),
        ("Firefox/" * 100_000, "Firefox"),
        ("x" * 100_000 + " Firefox/1 Linux", UNKNOWN),
    ],
)
def test_a_browser_is_described_in_a_few_words(user_agent: str, text: str) -> None:
    assert describe_browser(user_agent) == text


@pytest.mark.parametrize("text", ["Version/1." * 60_000, "Version/1 " * 60_000, "(" * 600_000])
def test_a_hostile_browser_takes_no_time(text: str) -> None:
    began = time.thread_time()
    assert describe_browser(text) == UNKNOWN
    assert time.thread_time() - began < 0.1


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("fe80::1%<script>", "fe80::1"),
        ("", ""),
        ("unix:", ""),
        ("<script>", ""),
        ("1" * 10_000, ""),
    ],
)
def test_an_address_is_an_ip_address_or_empty(text: str, address: str) -> None:
    assert plain_address(text) == address
