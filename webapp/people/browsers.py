"""Describe a browser and its network address in short texts.

The header User-Agent and the address may be any text, because the client can send any text. The
results are short, and contain nothing from the header or the address except an IP address.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address

LONGEST_USER_AGENT = 512
"""The maximum number of characters of the header User-Agent that are read."""
UNKNOWN = "Unknown browser"

# The first pattern that matches is used. Most browsers also claim to be other browsers: Edge, for
# example, claims to be Chrome and Safari.
_BROWSERS = {
    r"\b(Edg|EdgA|EdgiOS|Edge)/": "Edge",
    r"\b(OPR|OPT|OPiOS|Opera)/": "Opera",
    r"\bSamsungBrowser/": "Samsung Internet",
    r"\bVivaldi/": "Vivaldi",
    r"\b(Firefox|FxiOS)/": "Firefox",
    r"\b(Chrome|CriOS|Chromium|HeadlessChrome)/": "Chrome",
    r"\bVersion/[0-9.]+ .*\bSafari/": "Safari",
    r"^curl/": "curl",
    r"^python-requests/": "Python Requests",
}
_SYSTEMS = {
    r"\biPhone\b": "iPhone",
    r"\biPad\b": "iPad",
    r"\bAndroid\b": "Android",
    r"\bWindows\b": "Windows",
    r"\bCrOS\b": "ChromeOS",
    r"\b(Macintosh|Mac OS X)\b": "macOS",
    r"\bLinux\b": "Linux",
}


def describe_browser(user_agent: str) -> str:
    """Return a short text for the header User-Agent, such as “Firefox on Linux”."""
    text = user_agent[:LONGEST_USER_AGENT]
    browser, system = _first_match(_BROWSERS, text), _first_match(_SYSTEMS, text)
    return f"{browser or UNKNOWN} on {system}" if system else browser or UNKNOWN


def plain_address(text: str) -> str:
    """Return an IP address in its usual form, without a zone. Return '' for any other text."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


def _first_match(patterns: dict[str, str], text: str) -> str:
    return next((name for pattern, name in patterns.items() if re.search(pattern, text)), "")
