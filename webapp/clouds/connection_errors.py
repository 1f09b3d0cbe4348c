"""Why there was no answer, in words: for every SDK that sends its requests with `requests` and
`urllib3`, or straight over a socket. They wrap one another's errors; the cause is deep within.

Judges by the names of classes, so that it imports none of them.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from http.client import HTTPException

from webapp.clouds.base import CloudUnreachable

MAX_CAUSES = 20


def translate_connection_error(
    error: BaseException, label: str, address: str
) -> CloudUnreachable | None:
    """For a failed connection to the cloud `label`, whose address stands in the field `address`;
    None for any other error. Raises nothing."""
    chain = list(_causes(error))
    names = {each.__name__ for one in chain for each in type(one).__mro__}
    kinds = tuple(type(one) for one in chain)

    def any_is(*classes: type[BaseException]) -> bool:
        return any(issubclass(kind, classes) for kind in kinds)

    if any_is(ssl.SSLError) or "SSLError" in names:
        return _of_tls(chain, label, address)
    if "ProxyError" in names:
        words = (
            f"The proxy between here and {label} cannot be reached. Ask whoever looks after this "
            "server."
        )
    elif any_is(socket.gaierror) or "NameResolutionError" in names:
        words = (
            f"The name of the server of {label} cannot be resolved. Check the {address} of the "
            "credentials and the network from here."
        )
    elif any_is(ConnectionRefusedError):
        words = (
            f"The connection to {label} was refused. Check the {address} of the credentials and "
            "the firewall."
        )
    elif names & {"ConnectTimeout", "ConnectTimeoutError"}:
        words = (
            f"No connection to {label} came about in time. Try again; if it stays so, check the "
            f"{address} of the credentials, the firewall and the network from here."
        )
    elif any_is(TimeoutError) or names & {"ReadTimeout", "ReadTimeoutError", "Timeout"}:
        words = (
            f"{label} takes too long to answer. Try again; if it stays so, check the network "
            "between here and there."
        )
    elif any_is(ConnectionError, HTTPException) or names & _BROKEN_OFF:
        words = f"The connection to {label} broke off before the answer was complete. Try again."
    elif any_is(OSError) or "RequestException" in names:
        words = (
            f"The connection to {label} failed. Try again; if it stays so, check the {address} of "
            "the credentials and the network."
        )
    else:
        return None
    return CloudUnreachable(words)


_BROKEN_OFF = {"ProtocolError", "ChunkedEncodingError", "IncompleteRead", "ContentDecodingError"}


def _causes(error: BaseException) -> Iterator[BaseException]:
    """`error` and everything that it wraps, in whichever way."""
    waiting, seen = [error], set[int]()
    while waiting and len(seen) < MAX_CAUSES:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inner = (
            one.__cause__,
            one.__context__,
            getattr(one, "reason", None),
            getattr(one, "inner_exception", None),
            *one.args,
        )
        waiting.extend(each for each in inner if isinstance(each, BaseException))


def _of_tls(chain: list[BaseException], label: str, address: str) -> CloudUnreachable:
    text = " ".join(map(str, chain))
    if "certificate has expired" in text:
        return CloudUnreachable(
            f"The TLS certificate of {label} has expired. Ask whoever runs it for a new "
            "certificate."
        )
    if "Hostname mismatch" in text or "IP address mismatch" in text or "doesn't match" in text:
        return CloudUnreachable(
            f"The TLS certificate of {label} is for another name. Check the {address} of "
            "the credentials."
        )
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return CloudUnreachable(
            f"The TLS certificate of {label} cannot be verified. Check the {address}, and "
            "whether the credentials name the authority that issued the certificate."
        )
    return CloudUnreachable(
        f"The server of {label} does not speak TLS as it should. Check whether the {address} "
        "begins with https rightly."
    )
