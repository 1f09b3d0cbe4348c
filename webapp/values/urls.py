"""The rule for server URLs that people type, such as the URL of a vCenter."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from webapp.refusals import Refusal

LONGEST_URL = 2000
LONGEST_HOST = 253
"""The maximum length of a host name in DNS, in characters."""
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE)


class InvalidUrl(Refusal):
    """A text is not the URL of a server."""


def parse_server_url(text: str, noun: str) -> str:
    """Return the http or https URL of a server, with the ASCII form of its host name.

    `noun` names the URL in messages, for example "Endpoint URL". Raises InvalidUrl.
    """
    if len(text) > LONGEST_URL:
        raise InvalidUrl(f"{noun} can have at most {LONGEST_URL:,} characters.")
    if not text.isprintable() or any(each in text for each in ' \\"<>^`{|}'):
        raise InvalidUrl(f"{noun} can’t contain spaces or characters such as “\\”.")
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise InvalidUrl(f"{noun} isn’t a valid URL.") from error
    if not text.lower().startswith(("http://", "https://")):
        raise InvalidUrl(f"{noun} must begin with http:// or https://.")
    if "@" in parts.netloc:
        raise InvalidUrl(f"{noun} can’t contain a user name or a password.")
    if parts.query or parts.fragment or text.endswith(("?", "#")):
        raise InvalidUrl(
            f"{noun} can’t contain “?” or “#”. Remove this character and the text after it."
        )
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0 or parts.netloc.endswith(":"):
        raise InvalidUrl(f"The port of {noun} must be a number from 1 to 65535.")
    host = _ascii_host(parts.hostname or "")
    if not host:
        raise InvalidUrl(f"{noun} doesn’t contain a valid host name.")
    netloc = f"{host}:{port}" if port else host
    return parts._replace(netloc=netloc).geturl()


def _ascii_host(host: str) -> str:
    """Return a host name as DNS uses it, or an IPv6 address in brackets, or '' if it is invalid."""
    if ":" in host:
        try:
            return f"[{ipaddress.IPv6Address(host)}]" if "%" not in host else ""
        except ValueError:
            return ""
    if len(host) > LONGEST_HOST:
        return ""  # The time to encode a label grows with the square of its length.
    try:
        name = host.encode("idna").decode("ascii")
    except UnicodeError:
        return ""
    labels = name.removesuffix(".").split(".")
    is_name = len(name) <= LONGEST_HOST and all(_LABEL.fullmatch(label) for label in labels)
    if not is_name or (labels[-1].isdecimal() and not _is_ipv4(name)):
        return ""
    return name


def _is_ipv4(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True
