"""Manage the tokens of a scope, the personal tokens of a person, and the token of the request."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from flask import g
from msgspec import Meta, Struct

from models import ApiToken, Role
from webapp.access import Right
from webapp.api.image_documents import ScopeReference
from webapp.api.operations import Answer, operation
from webapp.api.problems import ApiProblem
from webapp.api.urls import api_url, scope_path
from webapp.tokens import tokens
from webapp.tokens.tokens import NewToken
from webapp.web.services import services

TAG = "Tokens"


class Token(Struct):
    """A token, without its text."""

    id: int
    key: Annotated[str, Meta(description="The public part of the text, after `imr_`.")]
    name: str
    role: str
    scope: ScopeReference
    is_personal: Annotated[bool, Meta(description="Whether the token belongs to a person.")]
    networks: Annotated[
        list[str], Meta(description="The networks that may use the token. Empty: all networks.")
    ]
    created_by: str | None
    created_at: datetime
    rotated_at: datetime | None
    expires_at: datetime
    used_at: Annotated[datetime | None, Meta(description="The last use, to the hour.")]


class TokenWithText(Token):
    """A token with its text, which cannot be shown again."""

    text: Annotated[str, Meta(description="The token to send in requests.")]


class TokenList(Struct):
    """Tokens, sorted by name."""

    items: list[Token]


class TokenRequest(Struct, forbid_unknown_fields=True):
    """The token to create."""

    name: str
    role: Literal["viewer", "editor", "admin"]
    expires_at: Annotated[
        datetime,
        Meta(tz=True, description="At the latest, the end (in UTC) of the day 366 days from now."),
    ]
    networks: Annotated[
        list[str], Meta(description="IP addresses and networks, such as `203.0.113.0/24`.")
    ] = []


class Rotation(Struct, forbid_unknown_fields=True):
    """When the new text of the token expires."""

    expires_at: Annotated[
        datetime,
        Meta(tz=True, description="At the latest, the end (in UTC) of the day 366 days from now."),
    ]


@operation("GET /tokens/current", tag=TAG, levels=())
def get_current_token() -> Answer[Token]:
    """Get the token of this request."""
    return _answer(_current_token())


@operation("POST /tokens/current/rotate", tag=TAG, levels=())
def rotate_current_token(body: Rotation) -> Answer[TokenWithText]:
    """Replace the text of the token of this request.

    The old text stops working immediately, with one exception: for five minutes, a client can use
    the old text to repeat an earlier request that had an `Idempotency-Key`. Such a request gets the
    stored response.
    """
    return _rotate(_current_token(), body)


@operation("DELETE /tokens/current", tag=TAG, levels=(), statuses=(204,))
def revoke_current_token() -> Answer[None]:
    """Revoke the token of this request. The token stops working immediately."""
    return _revoke(_current_token())


# No operation creates a personal token, or rotates a personal token other than the token of the
# request. Otherwise, a thief with a stolen token could get a second token, which would still work
# after the stolen token was revoked. On the pages, people must confirm their identity before they
# create or rotate a token.
@operation("GET /tokens", tag=TAG, levels=())
def list_own_tokens() -> Answer[TokenList]:
    """List your personal tokens at or below the scope of this request's token.

    The list is empty if the token of the request belongs to a scope, not to a person.
    """
    return Answer(TokenList([_document(each) for each in tokens.tokens_of(g.actor)]))


@operation("GET /tokens/<int:token_id>", tag=TAG, levels=())
def get_own_token(token_id: int) -> Answer[Token]:
    """Get one of your personal tokens."""
    return _answer(_own_token(token_id))


@operation("DELETE /tokens/<int:token_id>", tag=TAG, levels=(), statuses=(204,))
def revoke_own_token(token_id: int) -> Answer[None]:
    """Revoke one of your personal tokens.

    You can't revoke a token that has a stronger role than the token of the request.
    """
    return _revoke(_own_token(token_id))


@operation("GET /tokens", tag=TAG, right=Right.MANAGE_TOKENS)
def list_tokens() -> Answer[TokenList]:
    """List the tokens of a scope.

    The list leaves out personal tokens, and tokens that pipelines got in exchange for ID tokens.
    """
    return Answer(TokenList([_document(each) for each in tokens.tokens_at(g.actor, g.scope)]))


@operation("POST /tokens", tag=TAG, right=Right.MANAGE_TOKENS, statuses=(201,))
def create_token(body: TokenRequest) -> Answer[TokenWithText]:
    """Create a token of a scope. Only this response contains its text.

    The new token can't have a stronger role, expire later or work in more networks than the token
    of the request.
    """
    new_token = tokens.create(
        g.actor,
        g.scope,
        services().vault,
        name=body.name,
        role=Role(body.role),
        expires_at=body.expires_at,
        networks=body.networks,
        is_personal=False,
    )
    url = api_url(f"{scope_path(g.scope.level, g.scope.path)}/tokens/{new_token.token.id}")
    return Answer(_with_text(new_token), 201, {"Location": url})


@operation("GET /tokens/<int:token_id>", tag=TAG, right=Right.MANAGE_TOKENS)
def get_token(token_id: int) -> Answer[Token]:
    """Get a token of a scope."""
    return _answer(_token_at(token_id))


@operation("POST /tokens/<int:token_id>/rotate", tag=TAG, right=Right.MANAGE_TOKENS)
def rotate_token(token_id: int, body: Rotation) -> Answer[TokenWithText]:
    """Replace the text of a token.

    The old text stops working immediately, with one exception: for five minutes, a client can use
    the old text to repeat an earlier request that had an `Idempotency-Key`. Such a request gets the
    stored response.
    """
    return _rotate(_token_at(token_id), body)


@operation(
    "DELETE /tokens/<int:token_id>",
    tag=TAG,
    right=Right.MANAGE_TOKENS,
    statuses=(204,),
)
def revoke_token(token_id: int) -> Answer[None]:
    """Revoke a token. The token stops working immediately."""
    return _revoke(_token_at(token_id))


def _current_token() -> ApiToken:
    found = tokens.find_current(g.actor)
    if found is None:
        raise ApiProblem("not-found")
    return found


def _own_token(token_id: int) -> ApiToken:
    found = tokens.find_own(g.actor, token_id)
    if found is None:
        raise ApiProblem("not-found")
    return found


def _token_at(token_id: int) -> ApiToken:
    found = tokens.find_at(g.actor, g.scope, token_id)
    if found is None:
        raise ApiProblem("not-found")
    return found


def _rotate(token: ApiToken, body: Rotation) -> Answer[TokenWithText]:
    new_token = tokens.rotate(g.actor, token, services().vault, expires_at=body.expires_at)
    return Answer(_with_text(new_token))


def _revoke(token: ApiToken) -> Answer[None]:
    tokens.revoke(g.actor, token)
    return Answer(None, 204)


def _answer(token: ApiToken) -> Answer[Token]:
    return Answer(_document(token))


def _values(token: ApiToken) -> dict[str, object]:
    return {
        "id": token.id,
        "key": token.key,
        "name": token.name,
        "role": token.role.value,
        "scope": ScopeReference(token.scope.level.value, token.scope.path),
        "is_personal": token.is_personal,
        "networks": token.networks,
        "created_by": token.created_by.name if token.created_by else None,
        "created_at": token.created_at,
        "rotated_at": token.rotated_at,
        "expires_at": token.expires_at,
        "used_at": token.used_at,
    }


def _document(token: ApiToken) -> Token:
    return Token(**_values(token))  # type: ignore[arg-type]


def _with_text(new_token: NewToken) -> TokenWithText:
    return TokenWithText(text=new_token.text, **_values(new_token.token))  # type: ignore[arg-type]
