"""Send people to an identity provider, and check the responses of the provider.

The client uses OpenID Connect with the authorization code flow, PKCE, state and nonce. The calls to
providers have the limits of `webapp.clouds.outgoing`. This module must not use any table.
"""

from __future__ import annotations

import hmac
import logging
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import models
from webapp.monitoring import masking
from webapp.single_sign_on.claims import ClaimTexts, lacks_any, with_missing
from webapp.single_sign_on.configuration import (
    AUTHENTICATIONS,
    Configuration,
    Provider,
    is_safe_url,
)
from webapp.single_sign_on.issuers import (
    CLOCK_SKEW_SECONDS,
    AnswerRefused,
    Issuer,
    ProviderUnavailable,
)

if TYPE_CHECKING:
    from authlib.integrations.requests_client import OAuth2Session

log = logging.getLogger(__name__)

LONGEST_SUBJECT = 255
LONGEST_CODE = 4096


@dataclass(frozen=True)
class Attempt:
    """One visit of a person to a provider. The OAuth parameter `state` identifies the visit.

    The nonce and the PKCE verifier are derived from the state and the secret key of the
    installation. So the browser needs to store only the state, and does not know the verifier.
    """

    state: str
    nonce: str
    verifier: str

    @classmethod
    def begin(cls, secret_key: str) -> Attempt:
        return cls.of_state(secret_key, secrets.token_urlsafe(32))

    @classmethod
    def of_state(cls, secret_key: str, state: str) -> Attempt:
        """Return the attempt that `begin` created with this state."""

        def derive(purpose: str) -> str:
            text = f"single sign-on, {purpose}: {state}".encode()
            digest = hmac.digest(secret_key.encode(), text, "sha256")
            return urlsafe_b64encode(digest).decode().rstrip("=")

        return cls(state, derive("nonce"), derive("verifier"))


@dataclass(frozen=True)
class Account:
    """The person who signed in at a provider, as the provider describes them."""

    issuer: str
    subject: str
    name: str
    label: str
    """The text that identifies the account on pages.

    This is the e-mail address, the user name, the name or the subject: the first of them that the
    provider sends.
    """
    authenticated_at: float | None
    """When the person proved to the provider who they are, in seconds since the epoch."""
    has_second_factor: bool
    """Whether the ID token says that the person used a second factor. See `SecondFactor`."""
    claims: Mapping[str, Any]
    has_all_claims: bool
    """Whether `claims` contains everything that the provider says about the person.

    If false, the userinfo endpoint of the provider may have more claims.
    """

    @cached_property
    def claim_texts(self) -> ClaimTexts:
        """The claims as texts, for the rules that compare them."""
        return ClaimTexts(self.claims)


@dataclass(frozen=True)
class _Metadata:
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    names_issuer: bool
    """Whether each response contains the issuer (RFC 9207)."""
    authentication: str
    userinfo_endpoint: object
    """The unchecked URL from which more claims can be read, or None if there is no such URL."""


class Client(Issuer):
    """The client of one identity provider. Several threads can use it at the same time."""

    optional_metadata: ClassVar = (
        "authorization_response_iss_parameter_supported",
        "token_endpoint_auth_methods_supported",
        "userinfo_endpoint",
    )

    def __init__(self, provider: Provider) -> None:
        super().__init__(provider.issuer, provider.ca_file)
        self.provider = provider
        masking.mask_while_alive(self, [provider.client_secret])

    def authorization_url(
        self, attempt: Attempt, redirect_uri: str, *, is_proof: bool = False
    ) -> str:
        """Return the URL of the provider where the person signs in.

        With `is_proof`, the provider must ask for the password or factor even if the person is
        already signed in there. Raises ProviderError.
        """
        metadata = self._within_limits(self._current_metadata)
        options = {"prompt": "login", "max_age": "0"} if is_proof else {}
        with self._session(metadata) as session:
            url, _ = session.create_authorization_url(
                metadata.authorization_endpoint,
                state=attempt.state,
                code_verifier=attempt.verifier,
                nonce=attempt.nonce,
                redirect_uri=redirect_uri,
                **options,
            )
        return str(url)

    def redeem(
        self,
        attempt: Attempt,
        code: str,
        redirect_uri: str,
        issuer: str | None,
        needed_claims: Callable[[Account], Collection[str]] | None = None,
    ) -> Account:
        """Get tokens for the code in the provider's response, and return the person's account.

        `issuer` is the parameter `iss` of the response, or None. `needed_claims` returns the names
        of the claims that are needed for an account. If the ID token lacks one of these claims,
        this method also reads the userinfo endpoint of the provider. If the endpoint does not work,
        the account has only the claims of the ID token. Raises ProviderError.
        """
        with masking.masked([code, attempt.verifier]):
            metadata, token, account = self._within_limits(
                self._redeem, attempt, code, redirect_uri, issuer
            )
        if metadata.userinfo_endpoint is None:
            return replace(account, has_all_claims=True)
        if needed_claims is None or not lacks_any(needed_claims(account), account.claims):
            return account
        try:
            # This call has its own time limit, so that a slow endpoint does not end the sign-in.
            return self._within_limits(self._with_userinfo, metadata, token, account)
        except ProviderUnavailable:
            return account

    def declined(self, error: str) -> AnswerRefused:
        """Return the exception for a response that reports an error.

        `error` is the OAuth error code, for example `access_denied`.
        """
        if error != "access_denied":
            return self._refused(f"the error {error}")
        return AnswerRefused(f"{self.provider.label} canceled or refused the sign-in.")

    def require_recent(self, account: Account, since: float) -> None:
        """Raise AnswerRefused unless the provider authenticated the person after `since`.

        `since` is in seconds since the epoch.
        """
        authenticated_at = account.authenticated_at
        if authenticated_at is None:
            raise self._refused("the ID token does not contain auth_time")
        if authenticated_at < since - CLOCK_SKEW_SECONDS:
            raise self._incomplete("ask you to sign in again")

    def require_second_factor(self, account: Account) -> None:
        """Raise AnswerRefused unless the person used a second factor at the provider."""
        if not account.has_second_factor:
            raise self._incomplete("ask for your second factor")

    def _incomplete(self, missing_step: str) -> AnswerRefused:
        """Return the exception for a sign-in in which the provider skipped a step."""
        label = self.provider.label
        return AnswerRefused(
            f"{label} didn’t {missing_step}. Sign out of {label} and try again, or sign out of the "
            "registry and sign in again."
        )

    def _redeem(
        self,
        attempt: Attempt,
        code: str,
        redirect_uri: str,
        issuer: str | None,
    ) -> tuple[_Metadata, Mapping[str, Any], Account]:
        metadata = self._current_metadata()
        if issuer != self.provider.issuer and (issuer is not None or metadata.names_issuer):
            raise self._refused("the response is from another issuer")
        if not code or len(code) > LONGEST_CODE:
            raise self._refused(
                f"the response has no code, or a code of more than {LONGEST_CODE} characters"
            )
        token = self._token(metadata, attempt, code, redirect_uri)
        return metadata, token, self._account(self._claims(metadata, token, attempt.nonce))

    def _with_userinfo(
        self, metadata: _Metadata, token: Mapping[str, Any], account: Account
    ) -> Account:
        """Return the account with the claims of the userinfo endpoint.

        Raises ProviderUnavailable, and AnswerRefused if the endpoint names another person.
        """
        url, access_token = metadata.userinfo_endpoint, token.get("access_token")
        if not isinstance(url, str) or not is_safe_url(url):
            raise self._unavailable("its metadata has no valid userinfo_endpoint")
        is_text = isinstance(access_token, str) and access_token.isascii()
        if not is_text or not access_token or not access_token.isprintable():
            raise self._unavailable("the response has no access token")
        with masking.masked([access_token]):
            userinfo = self._read(url, access_token)
        if userinfo.get("sub") != account.subject:
            raise self._refused("the userinfo is about another person")
        try:
            claims = with_missing(account.claims, userinfo)
        except RecursionError as error:
            raise self._unavailable(error) from error
        name = account.name or _line(claims.get("name"), 128)
        return replace(account, name=name, claims=claims, has_all_claims=True)

    def _token(
        self, metadata: _Metadata, attempt: Attempt, code: str, redirect_uri: str
    ) -> Mapping[str, Any]:
        from authlib.common.errors import AuthlibBaseError  # noqa: PLC0415  imports `requests`
        from requests import RequestException  # noqa: PLC0415
        from urllib3.exceptions import HTTPError  # noqa: PLC0415

        token_request_errors = (RequestException, HTTPError, ValueError, TypeError, RecursionError)
        try:
            with self._session(metadata) as session:
                session.hooks["response"] = [self._require_bounded]
                token: Mapping[str, Any] = session.fetch_token(
                    metadata.token_endpoint,
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=attempt.verifier,
                    redirect_uri=redirect_uri,
                )
        except AuthlibBaseError as error:
            raise self._refused(f"the code was refused: {str(error.error)[:100]!r}") from error
        except token_request_errors as error:
            raise self._unavailable(error) from error
        return token

    def _claims(
        self, metadata: _Metadata, token: Mapping[str, Any], nonce: str
    ) -> Mapping[str, Any]:
        """Return the claims of the ID token. Raises AnswerRefused and ProviderUnavailable."""
        from authlib.oidc.core import CodeIDToken  # noqa: PLC0415  imports cryptography

        text = token.get("id_token")
        if not isinstance(text, str) or not text.isascii():
            raise self._refused("the response has no ID token")
        with self._refusing_bad_tokens():
            decoded = self._decode(text, metadata.jwks_uri)
            claims = CodeIDToken(
                decoded.claims,
                decoded.header,
                options={
                    "iss": {"essential": True, "value": self.provider.issuer},
                    "aud": {"essential": True, "value": self.provider.client_id},
                },
                params={
                    "nonce": nonce,
                    "client_id": self.provider.client_id,
                    "access_token": token.get("access_token"),
                },
            )
            claims.validate(now=int(models.now().timestamp()), leeway=CLOCK_SKEW_SECONDS)
        return claims

    def _session(self, metadata: _Metadata) -> OAuth2Session:
        from authlib.integrations.requests_client import OAuth2Session  # noqa: PLC0415

        session = OAuth2Session(
            client_id=self.provider.client_id,
            client_secret=self.provider.client_secret or None,
            token_endpoint_auth_method=metadata.authentication,
            scope=" ".join(self.provider.scopes),
            code_challenge_method="S256",
        )
        return self._guarded(session)

    def _account(self, claims: Mapping[str, Any]) -> Account:
        subject, factor = claims["sub"], self.provider.second_factor
        is_text = isinstance(subject, str) and subject.isprintable() and subject.isascii()
        if not is_text or not 0 < len(subject) <= LONGEST_SUBJECT:
            raise self._refused("the subject is not a text of 1 to 255 ASCII characters")
        name = _line(claims.get("name"), 128)
        user = _line(claims.get("email"), 254) or _line(claims.get("preferred_username"), 254)
        methods = claims.get("amr")
        used_methods = {each for each in methods or () if isinstance(each, str)}
        return Account(
            issuer=self.provider.issuer,
            subject=subject,
            name=name,
            label=user or name or subject[:254],
            authenticated_at=_seconds(claims.get("auth_time")),
            has_second_factor=bool(used_methods & factor.amr)
            or claims.get("acr") in tuple(factor.acr),
            claims=claims,
            has_all_claims=False,
        )

    def _current_metadata(self) -> _Metadata:
        values = self._read_metadata(("authorization_endpoint", "token_endpoint", "jwks_uri"))
        return _Metadata(
            authorization_endpoint=values["authorization_endpoint"],
            token_endpoint=values["token_endpoint"],
            jwks_uri=values["jwks_uri"],
            names_issuer=values.get("authorization_response_iss_parameter_supported") is True,
            authentication=self._authentication(values),
            userinfo_endpoint=values.get("userinfo_endpoint"),
        )

    def _authentication(self, values: Mapping[str, Any]) -> str:
        """Return how to send the client secret: as configured, or else as the provider supports."""
        if not self.provider.client_secret:
            return "none"
        methods = values.get("token_endpoint_auth_methods_supported")
        supported = methods if isinstance(methods, list) else []
        usable = [each for each in AUTHENTICATIONS if each in supported]
        return self.provider.client_authentication or next(iter(usable), AUTHENTICATIONS[0])

    def _unavailable(self, reason: object) -> ProviderUnavailable:
        log.warning("identity provider %s does not work: %s", self.provider.key, reason)
        return ProviderUnavailable(
            f"{self.provider.label} doesn’t respond as expected. Try again in a few minutes. If "
            "this happens again, tell the operator of the registry: the log contains the reason."
        )

    def _refused(self, reason: str) -> AnswerRefused:
        log.warning("refused a response of identity provider %s: %s", self.provider.key, reason)
        return AnswerRefused(
            f"The response from {self.provider.label} couldn’t be verified, so you’re not signed "
            "in. Try again. If this happens again, tell the operator of the registry."
        )


class SingleSignOn:
    """The clients of all configured identity providers."""

    def __init__(self, configuration: Configuration) -> None:
        self.clients = {key: Client(each) for key, each in configuration.providers.items()}
        """The clients by the key of their provider, in the order of the operator's file."""
        self.contact = configuration.contact

    def label_of(self, issuer: str) -> str:
        """Return the label of the provider with this issuer, or `issuer` if no provider has it."""
        provider = self.provider_of(issuer)
        return provider.label if provider else issuer

    def provider_of(self, issuer: str) -> Provider | None:
        """Return the provider with this issuer, or None if it is no longer configured."""
        found = (each.provider for each in self.clients.values())
        return next((each for each in found if each.issuer == issuer), None)


def _line(value: object, limit: int) -> str:
    """Return a claim if it is one line of at most `limit` characters. Otherwise, return ''."""
    text = value.strip() if isinstance(value, str) else ""
    return text if text.isprintable() and len(text) <= limit else ""


def _seconds(value: object) -> float | None:
    """Return a claim as a number of seconds, or None if it is not a number."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value)
    except OverflowError:
        return None
