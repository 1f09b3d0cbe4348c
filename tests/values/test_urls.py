"""The rule for URLs of servers."""

from __future__ import annotations

import pytest

from webapp.values.urls import InvalidUrl, parse_server_url


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("https://vcenter.example.com", "https://vcenter.example.com"),
        ("HTTP://Example.com:8080/path/", "http://example.com:8080/path/"),
        ("https://bücher.example/v3", "https://xn--bcher-kva.example/v3"),
        ("https://[2001:DB8::1]:5000/v3", "https://[2001:db8::1]:5000/v3"),
        ("http://10.0.0.1:5000", "http://10.0.0.1:5000"),
        ("http://localhost:9", "http://localhost:9"),
        ("https://my_host.local./", "https://my_host.local./"),
        (f"https://{'a.' * 126}d", f"https://{'a.' * 126}d"),
        ("https://example.com:65535", "https://example.com:65535"),
    ],
)
def test_a_url_is_stored_with_its_host_in_ascii(typed: str, stored: str) -> None:
    assert parse_server_url(typed, "URL") == stored
    assert parse_server_url(stored, "URL") == stored


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("https://example.com:99999", "from 1 to 65535"),
        ("https://example.com:0", "from 1 to 65535"),
        ("https://example.com:-1", "from 1 to 65535"),
        ("https://example.com:port", "from 1 to 65535"),
        ("https://example.com:", "from 1 to 65535"),
        ("https://example.com:443:443", "from 1 to 65535"),
        ("ftp://example.com", "http:// or https://"),
        ("example.com", "http:// or https://"),
        ("//[x", "isn’t a valid URL"),
        ("https://", "valid host name"),
        ("https:///path", "valid host name"),
        ("http:example.com", "http:// or https://"),
        ("https://support\N{ACCOUNT OF}.example", "isn’t a valid URL"),
        ("https://:443", "valid host name"),
        ("https://user:secret@example.com", "user name"),
        ("https://exa mple.com", "spaces"),
        ("https://example.com\r\nX-Header: 1", "spaces"),
        ("https:\\\\example.com", "spaces"),
        ("https://exam\u200bple.com", "spaces"),
        ("https://a..b", "valid host name"),
        ("https://-a.example", "valid host name"),
        (f"https://{'a' * 64}.example", "valid host name"),
        (f"https://{'a.' * 126}de", "valid host name"),
        # The encoding would remove the variation selectors.
        (f"https://a{chr(0xFE00) * 253}.example", "valid host name"),
        (f"https://{''.join(map(chr, range(0x4E00, 0x4E00 + 1_900)))}", "valid host name"),
        ("https://1.2.3.999", "valid host name"),
        ("https://[::1%25eth0]/", "valid host name"),
        ("https://[::g]/", "valid"),
        ("https://example.com?a=1", "can’t contain “?”"),
        ("https://example.com/#", "can’t contain “?”"),
        (f"https://{'a.' * 1000}example", "2,000 characters"),
    ],
)
def test_any_other_text_is_refused_with_the_reason(typed: str, words: str) -> None:
    with pytest.raises(InvalidUrl) as caught:
        parse_server_url(typed, "Endpoint URL")
    assert words in caught.value.message
