"""Read the metadata and the keys of OpenID providers, and verify the tokens that they sign.

The calls to providers have the limits of `webapp.clouds.outgoing`, which also checks the addresses
of the providers. This module must not know people or tables.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from webapp.clouds.outgoing.calls import LimitExceeded, call_within
from webapp.refusals import Refusal
from webapp.single_sign_on.configuration import is_safe_url

if TYPE_CHECKING:
    from joserfc.jwk import KeySet
    from joserfc.jwt import Token
    from requests import Response, Session

log = logging.getLogger(__name__)
S = TypeVar("S", bound="Session")

CALL_SECONDS = 8.0
"""The time limit of `_within_limits` for the function that it calls, with all HTTP requests."""
MAX_RESPONSE_BYTES = 256 * 1024
"""The maximum size of a response. Usual responses have less than 20 KB."""
CALLS_AT_ONCE = 4
"""How many threads of a process may wait for the providers at which people sign in.

The calls to the providers that sign ID tokens of pipelines have a separate limit of the same size.
"""
WAIT_SECONDS = 2.0
"""How long a person's request waits for its turn to call a provider."""
METADATA_SECONDS = 3600.0
"""How long the metadata and the keys of a provider are cached."""
NEW_KEYS_SECONDS = 60.0
"""If a token is signed with an unknown key, cached keys of at least this age are read again."""
CLOCK_SKEW_SECONDS = 60
"""How much the clock of a provider may differ from the clock of this server."""
ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
)
"""The accepted signature algorithms. All of them sign with a private key, not a shared secret."""
PUBLIC_MEMBERS = ("kty", "kid", "use", "alg", "crv", "x", "y", "n", "e")
"""The members of a public key (RFC 7517, section 4, and RFC 7518, section 6)."""
KEY_TYPES = ("RSA", "EC", "OKP")
MAX_KEYS = 100
LONGEST_MEMBER = 1_400
"""The maximum length of a member, in characters. The `n` of an RSA key of 8,192 bits has 1,366."""
METADATA_PATH = "/.well-known/openid-configuration"


class ProviderError(Refusal):
    """A provider did not do what it was needed for. The subclasses say why."""


class ProviderUnavailable(ProviderError):
    """The provider was not called, did not respond, or sent a response that cannot be used.

    The log contains the reason, except for ProviderBusy.
    """


class ProviderBusy(ProviderUnavailable):
    """The provider of a pipeline was not called, because too many other calls are in progress.

    Only `webapp.single_sign_on.token_exchange` raises this exception.
    """


class AnswerRefused(ProviderError):
    """The provider works, but its response to a sign-in, or its ID token, is refused."""


class Issuer:
    """An OpenID provider. Several threads can use an instance at the same time.

    A subclass defines the messages for people.
    """

    turns: ClassVar = threading.BoundedSemaphore(CALLS_AT_ONCE)
    optional_metadata: ClassVar[tuple[str, ...]] = ()
    """The names of the metadata that a provider may leave out."""

    def __init__(self, url: str, ca_file: str = "") -> None:
        self.url = url
        self._ca_file = ca_file
        self._lock = threading.Lock()
        self._metadata_values: tuple[float, Mapping[str, Any]] | None = None
        self._keys: tuple[float, KeySet] | None = None

    def _read_metadata(self, url_names: Sequence[str]) -> Mapping[str, Any]:
        """Return the metadata. `url_names` are the names of the values that must be safe URLs."""
        with self._lock:
            cached = self._metadata_values
        if cached and time.monotonic() - cached[0] < METADATA_SECONDS:
            return cached[1]
        try:
            values = self._read(self.url.rstrip("/") + METADATA_PATH)
        except ProviderBusy:
            if cached:
                return cached[1]  # Only this process is busy, so the provider was not called.
            raise
        if values.get("issuer") != self.url:
            raise self._unavailable("the issuer in its metadata differs from the setting")
        found_urls = [values.get(name) for name in url_names]
        if any(not isinstance(url, str) or not is_safe_url(url) for url in found_urls):
            raise self._unavailable("a required URL is missing or not valid in its metadata")
        values = {
            name: values[name] for name in (*url_names, *self.optional_metadata) if name in values
        }
        with self._lock:
            self._metadata_values = (time.monotonic(), values)
        return values

    def _decode(self, text: str, jwks_uri: str) -> Token:
        """Verify the signature of a token, and return the token.

        Raises ProviderUnavailable and errors of joserfc.
        """
        from joserfc import jwt  # noqa: PLC0415  imports cryptography
        from joserfc.errors import InvalidKeyIdError  # noqa: PLC0415

        try:
            return jwt.decode(text, self._key_set(jwks_uri), ALGORITHMS)
        except InvalidKeyIdError:  # The provider may have new keys.
            return jwt.decode(text, self._key_set(jwks_uri, renew=True), ALGORITHMS)

    @contextmanager
    def _refusing_bad_tokens(self) -> Iterator[None]:
        """Raise AnswerRefused if an exception in the `with` body shows that a token is invalid."""
        from joserfc.errors import JoseError  # noqa: PLC0415  imports cryptography

        bad_token = (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError)
        try:
            yield
        except bad_token as error:
            raise self._refused(f"the ID token is not valid: {str(error)[:200]}") from error

    def _key_set(self, jwks_uri: str, *, renew: bool = False) -> KeySet:
        from joserfc.errors import JoseError  # noqa: PLC0415
        from joserfc.jwk import KeySet  # noqa: PLC0415

        with self._lock:
            cached = self._keys
        lifetime = NEW_KEYS_SECONDS if renew else METADATA_SECONDS
        if cached and time.monotonic() - cached[0] < lifetime:
            return cached[1]
        try:
            values = self._read(jwks_uri)
        except ProviderBusy:
            if cached:
                return cached[1]  # Only this process is busy, so the provider was not called.
            raise
        try:
            keys = KeySet.import_key_set({"keys": _public_keys(values)})  # type: ignore[typeddict-item]
        except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise self._unavailable(f"its keys cannot be read: {error}") from error
        with self._lock:
            self._keys = (time.monotonic(), keys)
        return keys

    def _read(self, url: str, access_token: str = "") -> Mapping[str, Any]:
        """Return the JSON object at `url`. Raises ProviderUnavailable.

        If `access_token` is not empty, send it as a bearer token.
        """
        from requests import RequestException, Session  # noqa: PLC0415
        from urllib3.exceptions import HTTPError  # noqa: PLC0415

        try:
            with self._guarded(Session()) as session:
                session.hooks["response"] = [self._require_bounded]
                headers = {"Accept": "application/json"}
                if access_token:
                    headers["Authorization"] = f"Bearer {access_token}"
                response = session.get(url, headers=headers)
                response.raise_for_status()
                if response.status_code != 200:
                    raise self._unavailable(f"the response has the status {response.status_code}")
                values = response.json()
        except (RequestException, HTTPError, ValueError, RecursionError) as error:
            raise self._unavailable(error) from error
        if not isinstance(values, dict):
            raise self._unavailable("the response is not a JSON object")
        return values

    def _require_bounded(self, response: Response, **_options: Any) -> None:
        if len(response.content) > MAX_RESPONSE_BYTES:
            raise self._unavailable("the response is too large")

    def _guarded(self, session: S) -> S:
        """Make a session obey the limits and address rules of outgoing calls, and return it."""
        from webapp.clouds.outgoing.connections import NO_RETRY, configure_session  # noqa: PLC0415

        configure_session(session, NO_RETRY)
        session.verify = self._ca_file or True
        return session

    def _within_limits(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """Return the result of `call`. Raises ProviderError if the call takes too long or fails."""
        with self._turn():
            try:
                return call_within(CALL_SECONDS, call, *arguments)
            except LimitExceeded as error:
                raise self._unavailable(type(error).__name__) from error

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Allow one call to a provider in the `with` body.

        At most CALLS_AT_ONCE such calls run at the same time. Raises ProviderUnavailable if none of
        them ends within WAIT_SECONDS.
        """
        if not self.turns.acquire(timeout=WAIT_SECONDS):
            raise self._unavailable("too many other calls are in progress")
        try:
            yield
        finally:
            self.turns.release()

    def _unavailable(self, reason: object) -> ProviderUnavailable:
        """Log why the provider does not work. Return the exception with the message for people."""
        raise NotImplementedError

    def _refused(self, reason: str) -> AnswerRefused:
        """Log why a response or a token is refused.

        Return the exception with the message for people.
        """
        raise NotImplementedError


def _public_keys(values: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the public members of the RSA, EC and OKP keys in a key set (RFC 7517, section 5).

    The private members are left out, because joserfc would import them too, and could then
    calculate for hours with the numbers of a hostile provider. Raises ValueError, TypeError,
    KeyError and AttributeError.
    """
    keys = [key for key in values["keys"] if key.get("kty") in KEY_TYPES]
    if len(keys) > MAX_KEYS:
        raise ValueError("there are too many keys")
    public_keys = [{name: key[name] for name in PUBLIC_MEMBERS if name in key} for key in keys]
    for member in (member for key in public_keys for member in key.values()):
        if not isinstance(member, str) or len(member) > LONGEST_MEMBER:
            raise ValueError("a key has an invalid member")
    return public_keys
