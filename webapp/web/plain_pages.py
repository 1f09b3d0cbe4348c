"""Error pages for requests that Flask does not see, or for which Flask cannot build URLs.

The pages need no static files and no settings. gunicorn sends such a page when it refuses a
request.
"""

from __future__ import annotations

import base64
import hashlib

from markupsafe import Markup

STYLE = (
    "body { font-family: system-ui, sans-serif; line-height: 1.5; max-width: 40rem; "
    "margin: 4rem auto; padding: 0 1rem; overflow-wrap: anywhere }"
)
_DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
"""The Content-Security-Policy of these pages."""
_PAGE = Markup("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} · Image Registry</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
{paragraphs}
</main>
</body>
</html>
""")


def plain_page(title: str, *paragraphs: str) -> str:
    """Return the HTML of a page. Text that is not Markup is escaped."""
    body = Markup("\n").join(Markup("<p>{}</p>").format(text) for text in paragraphs)
    return _PAGE.format(title=title, style=Markup(STYLE), paragraphs=body)  # noqa: S704  a constant
