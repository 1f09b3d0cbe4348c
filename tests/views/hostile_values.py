"""Values that no page sends.

Numbers, URLs, days, texts, markup, templates, SQL, searches, cursors, files and headers.
"""

from __future__ import annotations

import base64
import json

SURROGATE = b"\xed\xa0\x80"
"""U+D800 as some programs encode it, which is not valid UTF-8."""


def _item(**values: object) -> str:
    """Return a JSON file with one image."""
    image = {"cloud": "aws", "cloud_image_id": "ami-0123456789abcdef0", "location": "us-east-1"}
    return json.dumps([{**image, "name": "ab", **values}])


def _line(column: str, value: str) -> str:
    """Return a CSV file with one image."""
    return (
        f"cloud,location,cloud_image_id,os_family,os_version,{column}\n"
        f"aws,us-east-1,ami-0123456789abcdef2,ubuntu,24.04,{value}"
    )


def _cursor(values: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


NUMBERS = (
    "0",
    "-1",
    "1",
    "007",
    "1.5",
    "1e3",
    "1e999",
    "nan",
    "-inf",
    "0x10",
    "+1",
    " 12 ",
    "1_000",
    "12",
    "²",
    "٣",
    "𝟙",
    "2147483647",
    "2147483648",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551616",
    "9" * 26,
    "9" * 5000,
    "-" + "9" * 40,
)
URL_TEXTS = (
    "//[x",
    "http://[x",
    "http://[::1",
    "http://[::1]:99999/",
    "https://example.com:99999",
    "https://example.com:port",
    "https://example.com:-1",
    "https://example.com:",
    "https://",
    "https://:443",
    "https://user:secret@example.com",
    "https://exa mple.com",
    "ftp://example.com",
    "https://[fe80::1%25eth0]/",
    "https://bücher.example/",
    "https://xn--a.example/",
    "http://ｅ.com",
    "https://" + "a" * 64 + ".example",
    "https://" + "a." * 200,
    "https://a..b",
    "https://.",
    "https://exam\u200bple.com",
    "https://example.com\r\nX-Header: 1",
    "javascript:alert(1)",
    "https://1.2.3.4.5",
    "https://0x7f.1",
    "https://[v1.x]/",
    "https://%00",
    "https://example.com/%zz",
    "https://example.com?\ud7ff",
    "https:\\\\example.com",
    "//evil.example",
    "/\\evil.example",
    "/images\r\nSet-Cookie: a=b",
    "https://example.com:443:443",
    "https://℀.example",
)
DAYS = (
    "0027-01-01",
    "0000-00-00",
    "9999-12-31",
    "10000-01-01",
    "2026-02-30",
    "2026-13-01",
    "-001-01-01",
    "2026-W01-1",
    "20260101",
    "26-12-31",
    "2026-1-1",
    "٢٠٢٦-01-01",
    "2026-01-01T00:00:00Z",
    "tomorrow",
)
TEXTS = (
    "",
    " ",
    "x",
    "\t",
    "\r\n",
    "\x00",
    "\x1b[31m",
    "\x7f",
    "\x85",
    "\xa0",
    "\u3000",
    "\u200b",
    "\u200d",
    "\u202egold",
    "\u2066",
    "\ufeff",
    "\ufffe",
    "\U0010ffff",
    "\ue000",
    "e\u0301",
    "é" * 70,
    "İ" * 255,
    "ß" * 255,
    "ﷺ" * 255,
    "\u0345" * 300,
    "👩\u200d💻",
    "a" * 256,
    "a" * 5000,
    "%",
    "_",
    "\\",
    "'",
    '"',
    "'; DROP TABLE image; --",
    "<script>alert(1)</script>",
    "{{ 7*7 }}",
    "{0}",
    "%s%n",
    "../..",
    "[",
    "{",
    "[" * 3000,
    '{"a":' * 500,
    "null",
    "true",
    '"\\ud800"',
    '["\\ud800"]',
    "on",
    "\u0130stanbul",
    "ami-0123456789abcdef0",
    "arn:aws:ec2:us-east-1::image/ami-0123456789abcdef0",
    "a:b:c:d",
    "#1",
    "#9999999999",
)
MARKER = "canary-"
"""The beginning of the names of elements and attributes that no page has."""
PRODUCT = "900720143"
"""The result of the calculation in TEMPLATES."""
MARKUP = (
    "<canary-tag onclick=canary()>",
    '"><canary-tag x="',
    "'><canary-tag x='",
    "</textarea></title></script></style><canary-tag>",
    '" canary-attribute=1 autofocus onfocus=canary() x="',
    "' canary-attribute=1 onfocus=canary() x='",
    "x canary-attribute=1",
    "--><canary-tag>",
    "&lt;canary-tag&gt;",
    "%3Ccanary-tag%3E",
    "+ADw-canary-tag+AD4-",
    "\x3ccanary-tag\x00>",
    "\uff1ccanary-tag\uff1e",
    "javascript:canary()",
    "\tJaVaScRiPt:canary()//",
    "data:text/html,<canary-tag>",
    "[x](javascript:canary())",
    "![x](https://canary.example/)",
    "<canary-tag@example.com>",
)
TEMPLATES = (
    "{{ 30011 * 30013 }}",
    "{% print(30011 * 30013) %}",
    "${30011*30013}",
    "#{30011*30013}",
    "<%= 30011*30013 %>",
    "{{ config }}",
    "{0.__class__.__init__.__globals__}",
    "%(password_hash)s",
)
SQL = (
    "' OR '1'='1",
    "1 OR 1=1",
    "1; DELETE FROM image",
    "x'); DELETE FROM image; --",
    "' UNION SELECT password_hash FROM person --",
    "0 UNION SELECT id, password_hash FROM person",
    "x' AND 1=CAST((SELECT password_hash FROM person LIMIT 1) AS int) --",
    "\\' OR 1=1 --",
    "%' ESCAPE '%",
    "name; --",
    "name DESC, (SELECT password_hash FROM person)",
    "$$x$$",
)
BIDIRECTIONAL = (
    "\u202edlog\u202c",
    "\u2066\u2067\u2069\u2069",
    "\u200f\u061c\u200e",
    "web\u202e\u2066 \u2069\u2066server",
    "\u202a" * 300,
    "\u05d0" * 255,
)
SEARCHES = (
    "os:" + " ".join(["word"] * 400),
    'os:"' + " ".join(["w"] * 240) + '"',
    "os:\ufdfa" * 30,
    "size:>" + "9" * 400,
    "size:²",
    "size:-1",
    "created:<0001-01-01",
    "created:9999-12-31",
    "created:>=2026-02-30",
    "-" * 400,
    '"' * 400,
    "\\" * 400,
    'id:"',
    "by:\u0345\u0345\u0345",
    "location:" + "x" * 400,
    "::::",
    "cloud:",
    "scope:nowhere",
    " ".join(f"w{number}x" for number in range(90)),
    "status:retird",
    "%%%",
    "___",
    "a OR b*",
    'NEAR("a" "b")',
    '{name}: "x"',
    "^abc",
    "İİİ",
    "ﷺﷺﷺ",
    "-cloud:aws -cloud:aws",
    "os:İ",
    'os:"Ubuntu \u0345"',
    "arch:İ",
)
CURSORS = (
    *map(
        _cursor,
        (
            [],
            [1],
            ["\ud800", 1],
            ["a", 2**63],
            ["a", 2**62],
            ["a", -1],
            ["a", 1.5],
            ["a", True],
            [None, 1],
            ["0001-01-01T00:00:00+23:59", 1],
            ["9999-12-31T23:59:59-23:59", 1],
            ["2026-01-01T00:00:00Z", 1],
            ["\ud800", "\udfff", 1],
            ["aws", "\ud800", 1],
            ["a\x00", 1],
            [2**70, 1],
            [2**31, 1],
            [1e308, 1],
            [True, 1],
            [[], 1],
            [{}, 1],
            "text",
            {"a": 1},
            None,
            ["x" * 3000, 1],
            ["a", "b", 3],
        ),
    ),
    "!",
    "====",
    "AAAA",
    "W10",
    "W10=",
    "é",
    "a" * 5001,
    base64.b64encode(b"[" * 4000).decode(),
)
DOCUMENTS = (
    '["/scalr", [["name", "\\ud800"]]]',
    '["/scalr\\ud800", [["name", "a"]]]',
    '["/scalr", [["\\udfff", "a"]]]',
    '["//[x", []]',
    '["/scalr", [["name"]]]',
    '["/scalr", [[1, 2]]]',
    "[" * 50_000,
    '{"a": NaN}',
    "1" * 5000,
    _item(name="\ud800x"),
    _item(os_family="ubuntu", os_version="24.04", deprecated_on="0026-12-31", size_gb=1e999),
    _item(os_family="\ud800", os_version="\udfff", description="\ud83d", architecture="\ud800"),
    '[{"cloud": "\\ud800", "\\ud800": 1}]',
    '{"builds": [{"artifact_id": "\\ud800", "builder_type": "amazon-ebs"}]}',
    '{"builds": [{"artifact_id": 1, "builder_type": ["x"], "custom_data": "\\ud800"}]}',
    '{"builds": 1}',
    _line("name", "9" * 300),
    _line("size_gb", "9" * 400),
    _line("successor", "#99999999999999999999"),
    "cloud;cloud_image_id\n\u202e;\u3000",
    '"' * 3000,
    "a,b\n" * 2000,
    "\ufeffcloud\r\raws",
)
VALUES: tuple[str, ...] = (
    *NUMBERS,
    *URL_TEXTS,
    *DAYS,
    *TEXTS,
    *MARKUP,
    *TEMPLATES,
    *SQL,
    *BIDIRECTIONAL,
    *SEARCHES,
    *CURSORS,
    *DOCUMENTS,
)
RAW_VALUES = (SURROGATE, b"\xff\xfe", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\x80" * 300, b"ok\xc3")
HEADERS: tuple[tuple[str, str], ...] = (
    ("HX-Request", "true"),
    *(
        ("HX-Current-URL", url)
        for url in ("http://[x", "//[x", "/\xff", "http://a:99999/b", "x" * 9000, "", "é")
    ),
    *(("Accept", text) for text in ("", "*/*;q=x", ";;;", "text/html;q=1e999", "a" * 9000, "\xff")),
    *(
        ("Content-Type", text)
        for text in (
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=\xff",
            "multipart/form-data; boundary=" + "b" * 500,
            "application/json",
            "text/plain; charset=nothing",
            "application/x-www-form-urlencoded; charset=utf-7",
            ";",
            "\xff",
            "multipart/form-data; boundary*0*=x",
        )
    ),
    *(
        ("Host", text)
        for text in (
            "",
            "[::1",
            "a b",
            "localhost:99999",
            "localhost:x",
            "\xff",
            "a" * 3000,
            "..",
            "é.example",
            "[]:1",
        )
    ),
    *(
        ("Cookie", text)
        for text in (
            "session=",
            "session=.x.y",
            "session=\xff",
            ";;;=;",
            "session=" + "A" * 9000,
            "=\x01",
        )
    ),
    *(("Origin", text) for text in ("null", "http://[x", "http://a:99999", "\xff")),
    *(("Sec-Fetch-Site", text) for text in ("cross-site", "\xff")),
    *(("If-None-Match", text) for text in ('"', "W/", "*", "\xff")),
    *(
        ("If-Modified-Since", text)
        for text in ("Thu, 99 Foo 0000 99:99:99 GMT", "0", "\xff", "9" * 400)
    ),
    *(("Range", text) for text in ("bytes=9-1", "bytes=-", "bytes=" + "9" * 400 + "-", "x")),
    *(("Content-Length", text) for text in ("-1", "x", "99999999999", "0", "3")),
    *(("Accept-Encoding", text) for text in ("br;q=x", "zstd;q=9", "gzip;q=\xff", "*;q=-1")),
    *(("X-Forwarded-Prefix", text) for text in ("//[x", "\xff")),
    *(("X-Forwarded-For", text) for text in ("\xff", ",,,", "x" * 5000)),
    ("Referer", "http://[x"),
    ("User-Agent", "\xff"),
    ("Transfer-Encoding", "chunked"),
)
