"""Translation of failed connections into CloudUnreachable, for every SDK.

The SDKs send their requests with `requests`, `urllib3` or `http.client`. Each library wraps the
exceptions of the library below it, so the original exception is often several levels deep. This
module imports no SDK: it recognizes most exceptions by the names of their classes.
"""

from __future__ import annotations

import socket
import ssl
import traceback
from collections.abc import Iterator
from http.client import HTTPException
from typing import NamedTuple

from webapp.clouds.errors import CloudUnreachable
from webapp.clouds.outgoing.encryption import NotEncrypted
from webapp.clouds.outgoing.endpoints import NotConnected

MAX_CAUSES = 20
"""The maximum number of nested exceptions to look at."""
_INTERRUPTED = {"ProtocolError", "ChunkedEncodingError", "IncompleteRead", "ContentDecodingError"}
"""The class names of the exceptions that libraries raise for an incomplete or damaged response."""
_CA_IN_CREDENTIALS = "whether the credentials include its certificate authority"


class ConnectionFailure(NamedTuple):
    """Why a connection failed. `problem` and `advice` are sentences for people."""

    problem: str
    advice: str
    is_unverified_certificate: bool = False
    """Whether the problem is that the server's certificate cannot be verified."""


def translate_connection_error(
    error: BaseException, label: str, url_field: str, ca_hint: str = _CA_IN_CREDENTIALS
) -> CloudUnreachable | None:
    """Return the CloudUnreachable for a failed connection, or None for any other error.

    `label` names the cloud, and `url_field` names the credential field that contains the URL of the
    cloud. If the certificate cannot be verified, `ca_hint` completes the advice "Check the endpoint
    URL, and …".
    """
    failure = find_connection_failure(error, label, url_field, ca_hint)
    return CloudUnreachable(f"{failure.problem} {failure.advice}") if failure else None


def find_connection_failure(
    error: BaseException, label: str, url_field: str, ca_hint: str = _CA_IN_CREDENTIALS
) -> ConnectionFailure | None:
    """Return why the connection failed, or None for any other error.

    `translate_connection_error` explains the arguments.
    """
    causes = list(_causes(error))
    class_names = {cls.__name__ for cause in causes for cls in type(cause).__mro__}

    def any_is(*classes: type[BaseException]) -> bool:
        return any(isinstance(cause, classes) for cause in causes)

    if any_is(ssl.SSLError) or "SSLError" in class_names:
        return _tls_failure(causes, label, url_field, ca_hint)
    if any_is(NotEncrypted):
        problem = f"The connection to {label} would not be encrypted, so it was refused."
        advice = (
            f"Use an https {url_field}. With OpenStack, the URLs in the service catalog must also "
            "begin with https."
        )
    elif "ProxyError" in class_names:
        problem = f"The proxy between this server and {label} can’t be reached."
        advice = "Contact the administrator of this server."
    elif any_is(socket.gaierror) or "NameResolutionError" in class_names:
        problem = f"The host name of {label} can’t be resolved."
        advice = (
            f"Check the {url_field} of the credentials and the network connection of this server."
        )
    elif any_is(NotConnected) or class_names & {"ConnectTimeout", "ConnectTimeoutError"}:
        problem = f"No connection to {label} could be established."
        advice = (
            f"Check the {url_field} of the credentials, and check the firewall. Ask the "
            "administrator of this server whether the server may connect to that URL."
        )
    elif any_is(TimeoutError) or class_names & {"ReadTimeout", "ReadTimeoutError", "Timeout"}:
        problem = f"{label} took too long to respond."
        advice = "Try again. If the problem persists, check the network connection of this server."
    elif any_is(ConnectionError, HTTPException) or class_names & _INTERRUPTED:
        problem = f"The connection to {label} was interrupted before the response was complete."
        advice = "Try again."
    elif any_is(OSError) or "RequestException" in class_names:
        problem = f"The connection to {label} failed."
        advice = (
            f"Try again. If the problem persists, check the {url_field} of the credentials and the "
            "network connection."
        )
    else:
        return None
    return ConnectionFailure(problem, advice)


def raising_modules(error: BaseException) -> list[str]:
    """Return the names of the modules in the traceback of `error`, with the raising module last."""
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return [str(frame.f_globals.get("__name__")) for frame in frames]


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield `error` and every exception that it wraps, up to MAX_CAUSES."""
    queue, seen = [error], set[int]()
    while queue and len(seen) < MAX_CAUSES:
        cause = queue.pop(0)
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        wrapped = (
            cause.__cause__,
            cause.__context__,
            getattr(cause, "reason", None),
            getattr(cause, "inner_exception", None),
            *cause.args,
        )
        queue.extend(item for item in wrapped if isinstance(item, BaseException))


def _tls_failure(
    causes: list[BaseException], label: str, url_field: str, ca_hint: str
) -> ConnectionFailure:
    text = " ".join(map(str, causes))
    if "certificate has expired" in text:
        return ConnectionFailure(
            f"The TLS certificate of {label} has expired.", "Ask its administrator to renew it."
        )
    if "Hostname mismatch" in text or "IP address mismatch" in text or "doesn't match" in text:
        return ConnectionFailure(
            f"The TLS certificate of {label} was issued for a different host name.",
            f"Check the {url_field} of the credentials.",
        )
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return ConnectionFailure(
            f"The TLS certificate of {label} can’t be verified.",
            f"Check the {url_field}, and {ca_hint}.",
            is_unverified_certificate=True,
        )
    return ConnectionFailure(
        f"No TLS connection to {label} could be established.",
        f"Check the {url_field}, including its port and whether it should begin with https.",
    )
