"""Access to every operation of the API, for the tokens of every role at every level.

The table contains the expected status. A test also fails if an operation has no row. It is the twin
of `tests/views/test_access_matrix.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

import models
from models import AuditEntry, Image, Job, Membership, Person, Role, SavedView
from tests.access_tables import URLS, Row, parse_table
from tests.api.client import ApiClient, ClientFor
from tests.cast import CAST, HOMES
from tests.conftest import ActorOf, MakeCredentials, MakeImage, ScopeAt
from tests.single_sign_on.helpers import make_role_rule
from tests.tokens.helpers import make_rule
from webapp.api.operations import OPERATIONS, Operation
from webapp.clouds import CLOUDS
from webapp.credentials.vault import Vault
from webapp.images import deletion
from webapp.people import members
from webapp.tokens import tokens

# levels: the levels that the row applies to: s(calr), a(ccount), e(nvironment).
# none: a token without a role at the scope. `up` instead of a status: 200 if the person is also an
# editor or admin of the scope above, else 404.
TABLE = """
levels method path                             none viewer editor admin
sae    GET    /images                          404  200    200    200
sae    POST   /images                          404  403    422    422
sae    POST   /images/look-up                  404  403    422    422
sae    GET    /images/{image}                  404  200    200    200
ae     GET    /images/{inherited}              404  200    200    200
sae    GET    /images/{unrelated}              404  404    404    404
sae    GET    /images/{gone}                   404  410    410    410
sae    PATCH  /images/{image}                  404  403    428    428
ae     PATCH  /images/{inherited}              404  403    428    428
sa     POST   /images/{image}/share            404  403    422    422
ae     POST   /images/{inherited}/tags         404  403    403    403
sae    POST   /images/{image}/tags             404  403    200    200
sae    POST   /images/{unrelated}/tags         404  403    404    404
s      POST   /images/{image}/promote          404  403    404    404
ae     POST   /images/{promoted}/promote       404  403    up     up
sae    PUT    /images/{image}/life-cycle       404  403    422    422
ae     POST   /images/{inherited}/check        404  403    403    403
sae    POST   /images/{image}/check            404  403    422    422
sae    DELETE /images/{image}                  404  403    428    428
sae    GET    /images/deleted                  404  200    200    200
sae    POST   /images/{gone}/restore           404  403    200    200
sae    POST   /images/{unrelated}/restore      404  403    404    404
sae    GET    /images/{image}/history          404  200    200    200
ae     GET    /images/{inherited}/history      404  200    200    200
sae    GET    /images/{unrelated}/history      404  404    404    404
sae    POST   /images/bulk                     404  403    422    422
sae    GET    /images/export.csv               404  200    200    200
sae    GET    /images/export.json              404  200    200    200
sae    POST   /images/imports                  404  403    422    422
sae    GET    /images/imports/{import}         404  403    404    404
sae    GET    /images/imports/{import}/lines   404  403    404    404
sae    POST   /images/imports/{import}/apply   404  403    404    404
sae    POST   /images/imports/{import}/answers 404  403    404    404
sae    GET    /jobs/{job}                      404  404    404    404
sae    GET    /jobs/{job}/rows                 404  404    404    404
sae    POST   /jobs/{job}/stop                 404  404    404    200
sae    GET    /overview                        404  200    200    200
sae    GET    /clouds/{cloud}/locations        404  403    400    400
sae    GET    /clouds/{cloud}/images           404  403    400    400
s      GET    /accounts                        404  403    403    200
s      POST   /accounts                        404  403    403    422
s      PATCH  /accounts/{child}                404  403    403    422
s      POST   /accounts/{child}/delete         404  403    403    422
a      GET    /environments                    404  403    403    200
a      POST   /environments                    404  403    403    422
a      PATCH  /environments/{child}            404  403    403    422
a      POST   /environments/{child}/delete     404  403    403    422
sae    GET    /members                         404  403    403    200
sae    GET    /second-factor                   404  403    403    200
sae    PUT    /second-factor                   404  403    403    422
sae    PUT    /members/{member}                404  403    403    422
sae    PUT    /members/{foreign_member}        404  403    403    422
sae    POST   /members/{member}/sign-out       404  403    403    204
sae    POST   /members/{foreign_member}/sign-out 404 403   403    404
sae    DELETE /members/{foreign_member}        404  403    403    404
sae    DELETE /members/{member}                404  403    403    204
s      GET    /people                          404  403    403    200
s      GET    /people/{person}                 404  403    403    200
s      POST   /people/{person}/enable          404  403    403    422
s      POST   /people/{person}/disable         404  403    403    200
s      DELETE /people/{person}                 404  403    403    204
sae    GET    /invitations                     404  403    403    200
sae    POST   /invitations                     404  403    403    422
sae    DELETE /invitations/{invitation}        404  403    403    204
sae    GET    /role-rules                      404  403    403    200
sae    POST   /role-rules                      404  403    403    422
sae    GET    /role-rules/{role_rule}          404  403    403    200
s      GET    /role-rules/{foreign_role_rule}  404  403    403    200
ae     GET    /role-rules/{foreign_role_rule}  404  403    403    404
ae     PATCH  /role-rules/{foreign_role_rule}  404  403    403    404
ae     DELETE /role-rules/{foreign_role_rule}  404  403    403    404
sae    PATCH  /role-rules/{role_rule}          404  403    403    200
sae    DELETE /role-rules/{role_rule}          404  403    403    204
sae    GET    /credentials                     404  403    200    200
sae    POST   /credentials                     404  403    403    422
sae    GET    /credentials/{credentials}       404  403    200    200
sae    GET    /credentials/{foreign}           404  403    404    404
sae    PATCH  /credentials/{credentials}       404  403    403    428
sae    POST   /credentials/{foreign}/check     404  403    403    404
sae    POST   /credentials/{credentials}/check 404  403    403    504
sae    DELETE /credentials/{credentials}       404  403    403    428
sae    GET    /tokens                          404  403    403    200
sae    POST   /tokens                          404  403    403    422
sae    GET    /tokens/{token}                  404  403    403    200
sae    GET    /tokens/{foreign_token}          404  403    403    404
sae    POST   /tokens/{token}/rotate           404  403    403    422
sae    DELETE /tokens/{foreign_token}          404  403    403    404
sae    DELETE /tokens/{token}                  404  403    403    204
sae    GET    /token-rules                     404  403    403    200
sae    POST   /token-rules                     404  403    403    422
sae    GET    /token-rules/{rule}              404  403    403    200
sae    GET    /token-rules/{foreign_rule}      404  403    403    404
sae    DELETE /token-rules/{foreign_rule}      404  403    403    404
sae    DELETE /token-rules/{rule}              404  403    403    204
sae    GET    /views                           404  200    200    200
sae    POST   /views                           404  422    422    422
sae    PATCH  /views/{view}                    404  403    403    403
sae    PATCH  /views/{private}                 404  404    404    404
sae    DELETE /views/{private}                 404  404    404    404
sae    DELETE /views/{view}                    404  403    403    204
sae    GET    /audit                           404  403    403    200
sae    GET    /audit/export.csv                404  403    403    200
sae    GET    /audit/export.json               404  403    403    200
sae    GET    /audit/export.jsonl              404  403    403    200
sae    GET    /audit/{entry}                   404  403    403    200
"""
ROWS = parse_table(TABLE)
PUBLIC = {("GET", "/openapi.json"), ("POST", "/token")}
WITHOUT_SCOPE = {
    ("GET", "/scopes"),
    ("GET", "/clouds"),
    ("GET", "/tokens"),
    ("GET", "/tokens/<int:token_id>"),
    ("DELETE", "/tokens/<int:token_id>"),
    ("GET", "/tokens/current"),
    ("POST", "/tokens/current/rotate"),
    ("DELETE", "/tokens/current"),
}
"""The operations that every token may use. Their answers contain only what the token may see."""


@pytest.fixture
def create_records(
    make_image: MakeImage,
    make_credentials: MakeCredentials,
    actor_of: ActorOf,
    scope: ScopeAt,
    vault: Vault,
) -> Callable[[str], dict[str, object]]:
    """Return a function that creates a record of each kind, by the names in the table."""

    def make_token(path: str) -> int:
        new = tokens.create(
            actor_of("scalr-admin"),
            scope(path),
            vault,
            name="of the table",
            role=Role.VIEWER,
            expires_at=models.now() + timedelta(hours=1),
            is_personal=False,
        )
        return int(new.token.id)

    def create_records(level: str) -> dict[str, object]:
        path = HOMES[level]
        own = {
            name: make_image(path, number)
            for number, name in enumerate(("image", "promoted", "gone"), start=1)
        }
        deletion.delete(actor_of("scalr-admin"), own["gone"])
        Image.update(credentials=None).where(Image.id == own["image"].id).execute()
        admin, here = actor_of("scalr-admin"), scope(path)
        members.invite(admin, here, "invited@example.com", Role.VIEWER)
        owner = Person.create(
            email="owner@example.com", name="Owner", password_hash="", session_key=""
        )
        of_owner = {"scope": here, "person": owner, "path": "images"}
        viewer = Person.get(Person.email == f"{level}-viewer@example.com")
        stranger = Person.get(Person.email == "stranger@example.com")
        return {
            "child": {"": "globex", "acme": "staging"}.get(path),
            "cloud": next(iter(CLOUDS)),
            "job": Job.create(
                scope=here, person=owner, action="image-share", arguments={}, total=0, state="done"
            ).id,
            "import": Job.create(
                scope=here, person=owner, action="import", arguments={}, total=0, state="planned"
            ).id,
            "credentials": make_credentials(path, "here").id,
            "foreign": make_credentials("globex", "there").id,
            "person": owner.id,
            "member": Membership.get(person=viewer, scope=here).id,
            "foreign_member": Membership.get(person=stranger).id,
            "invitation": members.open_invitations(here).rows[0].id,
            "token": make_token(path),
            "foreign_token": make_token("globex"),
            "rule": make_rule(admin, here).id,
            "foreign_rule": make_rule(admin, scope("globex")).id,
            "role_rule": make_role_rule(admin, here).id,
            "foreign_role_rule": make_role_rule(admin, scope("globex")).id,
            "view": SavedView.create(name="shared", shared=True, **of_owner).id,
            "private": SavedView.create(name="private", **of_owner).id,
            "entry": AuditEntry.get(record=f"image:{own['image'].id}").id,
            **{name: image.id for name, image in own.items()},
            "inherited": make_image("", 8).id,
            "unrelated": make_image("globex", 9).id,
        }

    return create_records


@pytest.mark.parametrize("level", HOMES)
@pytest.mark.parametrize(
    "token",
    [
        (name, kind)
        for name, (home, _) in CAST.items()
        if home is not None
        for kind in ("personal", "of scope")
    ],
)
def test_each_row_for_each_token_at_each_level(
    api_of: ClientFor,
    actor_of: ActorOf,
    scope: ScopeAt,
    create_records: Callable[[str], dict[str, object]],
    level: str,
    token: tuple[str, str],
) -> None:
    who, kind = token
    record_ids, here = create_records(level), scope(HOMES[level])
    actor, api = actor_of(who), api_of(who, is_personal=kind == "personal")
    role = actor.role_at(here)
    above = actor.role_at(here.parent) if here.parent else None
    unexpected = {}
    for row in ROWS:
        if level[0] not in row.levels:
            continue
        expected = row.outcomes[role]
        if expected == "up":
            expected = "200" if above in {Role.EDITOR, Role.ADMIN} else "404"
        answer = api.open(row.method, URLS[level] + row.path.format(**record_ids), **_body(row))
        if answer.status_code != int(expected):
            unexpected[f"{row.method} {row.path}"] = f"{answer.status_code} instead of {expected}"
        if answer.status_code >= 400:
            assert answer.mimetype == "application/problem+json"
    assert not unexpected


def _body(row: Row) -> dict[str, Any]:
    """Return an empty object as the body, if the operation has a body."""
    return {} if row.method == "GET" else {"json": {}}


def test_a_request_without_a_token_learns_nothing(
    app: Flask, create_records: Callable[[str], dict[str, object]]
) -> None:
    record_ids, api = create_records("account"), ApiClient(app.test_client(), "")
    before = AuditEntry.select().count()
    for row in ROWS:
        if "a" in row.levels:
            path = URLS["account"] + row.path.format(**record_ids)
            answer = api.open(row.method, path, **_body(row))
            assert answer.status_code == 401, path
            assert "WWW-Authenticate" in answer.headers
    assert AuditEntry.select().count() == before


def _has_row(operation: Operation, level: str) -> bool:
    pattern = _shape(operation.path)
    return any(
        level[0] in row.levels and row.method == operation.method and _shape(row.path) == pattern
        for row in ROWS
    )


def _shape(path: str) -> str:
    """Return a path in which `*` replaces each value."""
    return "/".join("*" if part[:1] in {"<", "{"} else part for part in path.split("/"))


def test_every_operation_has_a_row_for_each_level() -> None:
    missing = [
        f"{each.method} {level} {each.path}"
        for each in OPERATIONS
        for level in each.levels
        if not _has_row(each, level.value)
    ]
    assert not missing
    without_scope = {(each.method, each.path) for each in OPERATIONS if not each.levels}
    assert without_scope == PUBLIC | WITHOUT_SCOPE


@pytest.mark.parametrize(("method", "path"), sorted(WITHOUT_SCOPE))
def test_operations_without_a_scope_need_a_token_too(
    app: Flask, api_of: ClientFor, method: str, path: str
) -> None:
    api = api_of("stranger")
    current: Any = api.get("/tokens/current").json
    path = path.replace("<int:token_id>", str(current["id"]))
    assert ApiClient(app.test_client(), "").open(method, path).status_code == 401
    status = api.open(method, path, json={}).status_code
    assert status == {"GET": 200, "POST": 422, "DELETE": 204}[method]
