"""Access to every URL and method, for every role at every level, and for signed-out people.

The table below contains the expected status. A test also fails if a route of the app has no row.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from flask import Flask

from models import AuditEntry, Job, Membership, Person, Role, SavedView, Scope
from tests.access_tables import URLS, parse_table
from tests.cast import CAST, HOMES
from tests.conftest import ActorOf, ClientOf, MakeCredentials, MakeImage, ScopeAt
from tests.single_sign_on.helpers import make_role_rule
from tests.tokens.helpers import make_rule, make_token
from webapp.credentials.vault import Vault
from webapp.people import accounts, members

# levels: the levels that the row applies to: s(calr), a(ccount), e(nvironment).
# none: a signed-in person without a role at the scope. `up` instead of a status: 200 or 303 if the
# person is also an editor or admin of the scope above, else 404. `scalr`: 303 if the person is an
# admin of the Scalr scope, else 403.
TABLE = """
levels method path                                none viewer editor admin
sae    GET    /                                    404  303    303    303
sae    GET    /images                              404  200    200    200
sae    GET    /images/new                          404  403    200    200
sae    GET    /images/new/aws                      404  403    200    200
sae    POST   /images/copies                       404  403    400    400
sae    GET    /images/new/browse                   404  403    303    303
sae    GET    /images/new/ids                      404  403    200    200
sae    POST   /images/new/ids                      404  403    422    422
sae    GET    /images/new/aws/browse               404  403    200    200
sae    GET    /images/new/nothing/browse           404  403    404    404
sae    POST   /images/new/aws/browse               404  403    303    303
sae    POST   /images/new/nothing/browse           404  403    404    404
sae    GET    /images/new/nothing                  404  403    404    404
sae    GET    /images/new/aws/confirm              404  403    422    422
sae    GET    /images/{image}/similar              404  403    303    303
ae     GET    /images/{inherited}/similar          404  403    303    303
sae    GET    /images/{unrelated}/similar          404  403    404    404
sae    POST   /images                              404  403    400    400
sae    GET    /images/filters                      404  200    200    200
sae    GET    /images/count                        404  200    200    200
sae    GET    /images/suggestions                  404  200    200    200
sae    GET    /images/export.csv                   404  200    200    200
sae    GET    /images/export.json                  404  200    200    200
sae    GET    /images/import                       404  403    200    200
sae    POST   /images/import                       404  403    422    422
sae    GET    /images/import/sample.csv            404  403    200    200
sae    GET    /images/import/1                     404  403    404    404
sae    POST   /images/import/1                     404  403    404    404
sae    POST   /images/import/1/answers             404  403    404    404
sae    GET    /images/{image}                      404  200    200    200
sae    GET    /images/{image}/edit                 404  403    200    200
sae    POST   /images/{image}/edit                 404  403    422    422
sa     GET    /images/{image}/share                404  403    200    200
sa     POST   /images/{image}/share                404  403    303    303
e      GET    /images/{image}/share                404  403    404    404
e      POST   /images/{image}/share                404  403    404    404
s      GET    /images/{image}/promote              404  403    404    404
s      POST   /images/{image}/promote              404  403    404    404
ae     GET    /images/{image}/promote              404  403    up     up
ae     POST   /images/{promoted}/promote           404  403    up     up
sae    GET    /images/{image}/delete               404  403    200    200
sae    POST   /images/{deleted}/delete             404  403    303    303
sae    POST   /images/{image}/check                404  403    422    422
ae     GET    /images/{inherited}                  404  200    200    200
ae     GET    /images/{inherited}/edit             404  403    403    403
ae     POST   /images/{inherited}/edit             404  403    403    403
ae     POST   /images/{inherited}/delete           404  403    403    403
ae     POST   /images/{inherited}/promote          404  403    403    403
ae     POST   /images/{inherited}/share            404  403    403    403
ae     POST   /images/{inherited}/check            404  403    403    403
sae    GET    /images/{unrelated}                  404  404    404    404
sae    POST   /images/{unrelated}/delete           404  403    404    404
sae    GET    /credentials                         404  403    200    200
sae    GET    /credentials/new                     404  403    403    200
sae    GET    /credentials/new/aws                 404  403    403    200
sae    POST   /credentials/new/aws                 404  403    403    422
sae    GET    /credentials/{credentials}/edit      404  403    403    200
sae    POST   /credentials/{credentials}/edit      404  403    403    422
sae    POST   /credentials/{credentials}/check     404  403    403    303
sae    GET    /credentials/{credentials}/delete    404  403    403    200
sae    POST   /credentials/{credentials}/delete    404  403    403    303
sae    GET    /credentials/{foreign}/edit          404  403    403    404
sae    POST   /credentials/{foreign}/delete        404  403    403    404
sae    GET    /members                             404  403    403    200
sae    POST   /members                             404  403    403    422
sae    POST   /members/{member}                    404  403    403    303
sae    GET    /members/second-factor               404  403    403    200
sae    POST   /members/second-factor               404  403    403    422
sae    GET    /members/{member}/remove             404  403    403    200
sae    POST   /members/{member}/remove             404  403    403    303
sae    GET    /members/{member}/sign-out           404  403    403    200
sae    POST   /members/{member}/sign-out           404  403    403    303
sae    GET    /role-rules                          404  403    403    200
sae    GET    /role-rules/new                      404  403    403    200
sae    POST   /role-rules/new                      404  403    403    422
sae    GET    /role-rules/{role_rule}/edit         404  403    403    200
sae    POST   /role-rules/{role_rule}/edit         404  403    403    422
sae    GET    /role-rules/{role_rule}/delete       404  403    403    200
ae     GET    /role-rules/{foreign_role_rule}/edit    404  403    403    404
ae     POST   /role-rules/{foreign_role_rule}/edit    404  403    403    404
ae     GET    /role-rules/{foreign_role_rule}/delete  404  403    403    303
ae     POST   /role-rules/{foreign_role_rule}/delete  404  403    403    303
s      GET    /role-rules/{foreign_role_rule}/edit    404  403    403    200
sae    POST   /role-rules/{role_rule}/delete       404  403    403    303
sae    GET    /tokens                              404  403    403    200
sae    GET    /tokens/new                          404  403    403    200
sae    POST   /tokens/new                          404  403    403    422
sae    GET    /tokens/{token}/rotate               404  403    403    200
sae    POST   /tokens/{token}/rotate               404  403    403    422
sae    GET    /tokens/{token}/revoke               404  403    403    200
sae    POST   /tokens/{token}/revoke               404  403    403    303
sae    GET    /tokens/rules/new                    404  403    403    200
sae    POST   /tokens/rules/new                    404  403    403    422
sae    GET    /tokens/rules/{rule}/delete          404  403    403    200
sae    POST   /tokens/rules/{rule}/delete          404  403    403    303
sae    GET    /tokens/{foreign_token}/rotate       404  403    403    303
sae    POST   /tokens/{foreign_token}/rotate       404  403    403    303
sae    POST   /tokens/{foreign_token}/revoke       404  403    403    303
s      GET    /people                              404  403    403    200
s      GET    /people/{person}/disable             404  403    403    200
s      POST   /people/{person}/disable             404  403    403    303
s      POST   /people/{person}/enable              404  403    403    303
s      GET    /people/{person}/remove              404  403    403    200
s      POST   /people/{lost_person}/remove         404  403    403    303
ae     GET    /people                              404  403    403    404
ae     GET    /people/{person}/disable             404  403    403    404
ae     POST   /people/{person}/disable             404  403    403    404
ae     POST   /people/{person}/enable              404  403    403    404
ae     GET    /people/{person}/remove              404  403    403    404
ae     POST   /people/{lost_person}/remove         404  403    403    404
sae    GET    /members/{member}/remove-factors     404  403    403    scalr
sae    POST   /members/{member}/remove-factors     404  403    403    scalr
sae    POST   /invitations/{invitation}/withdraw   404  403    403    303
sa     GET    /{kind}                              404  403    403    200
sa     POST   /{kind}                              404  403    403    422
sa     GET    /{kind}/{child}/rename               404  403    403    200
sa     POST   /{kind}/{child}/rename               404  403    403    422
sa     GET    /{kind}/{child}/delete               404  403    403    200
sa     POST   /{kind}/{child}/delete               404  403    403    422
e      GET    /environments                        404  403    403    404
e      POST   /environments                        404  403    403    404
e      GET    /environments/x/rename               404  403    403    404
e      POST   /environments/x/rename               404  403    403    404
e      GET    /environments/x/delete               404  403    403    404
e      POST   /environments/x/delete               404  403    403    404
sae    GET    /audit                               404  403    403    200
sae    GET    /audit/suggestions                   404  403    403    200
sae    GET    /audit/export.csv                    404  403    403    200
sae    GET    /audit/export.json                   404  403    403    200
sae    GET    /audit/export.jsonl                  404  403    403    200
sae    GET    /audit/{entry}                       404  403    403    200
sae    GET    /images/{image}/history              404  200    200    200
sae    GET    /images/{image}/compare              404  200    200    200
ae     GET    /images/{inherited}/compare          404  200    200    200
sae    GET    /images/{unrelated}/compare          404  404    404    404
ae     GET    /images/{inherited}/history          404  200    200    200
sae    GET    /images/{unrelated}/history          404  404    404    404
sae    GET    /images/{image}/history/{entry}      404  200    200    200
ae     GET    /images/{inherited}/history/{entry}  404  404    404    404
sae    GET    /bookmarks                           404  200    200    200
sae    POST   /bookmarks                           404  303    303    303
sae    POST   /bookmarks/move                      404  303    303    303
sae    POST   /bookmarks/remove                    404  303    303    303
sae    GET    /views                               404  200    200    200
sae    POST   /views                               404  422    422    422
sae    GET    /views/{view}/rename                 404  403    403    403
sae    POST   /views/{view}/rename                 404  403    403    403
sae    POST   /views/{view}/share                  404  403    403    403
sae    GET    /views/{private}/delete              404  404    404    404
sae    POST   /views/{private}/delete              404  404    404    404
sae    GET    /views/{view}/delete                 404  403    403    200
sae    POST   /views/{view}/delete                 404  403    403    303
sae    POST   /preferences                         404  303    303    303
sae    GET    /overview                            404  200    200    200
sae    GET    /images/{image}/life-cycle           404  403    200    200
sae    POST   /images/{image}/life-cycle           404  403    422    422
ae     GET    /images/{inherited}/life-cycle       404  403    403    403
ae     POST   /images/{inherited}/life-cycle       404  403    403    403
sae    GET    /images/{unrelated}/life-cycle       404  403    404    404
sae    GET    /images/successors                   404  403    200    200
sae    POST   /images/bulk                         404  403    303    303
sae    POST   /images/bulk/start                 404  403    303    303
sae    GET    /images/deleted                      404  200    200    200
sae    POST   /images/deleted                      404  403    303    303
sae    POST   /images/undelete                     404  403    303    303
sae    GET    /jobs/{job}                          404  404    404    404
sae    GET    /jobs/{job}/progress                 404  404    404    404
sae    GET    /jobs/{job}/stop                     404  404    404    303
sae    POST   /jobs/{job}/stop                     404  404    404    303
"""
ROWS = parse_table(TABLE)
# Pages at no scope: the status for a signed-out person, and for everybody who is signed in.
PERSONAL = {
    ("GET", "/"): (303, 303),
    ("GET", "/sign-in"): (200, 303),
    ("POST", "/sign-in"): (422, 303),
    ("POST", "/sign-out"): (303, 303),
    ("GET", "/password"): (303, 200),
    ("POST", "/password"): (303, 422),
    ("GET", "/forgot-password"): (404, 404),
    ("POST", "/forgot-password"): (404, 404),
    ("GET", "/reset-password/never-made"): (404, 404),
    ("POST", "/reset-password/never-made"): (404, 404),
    ("GET", "/sessions"): (303, 200),
    ("GET", "/sessions/999999/end"): (303, 303),
    ("POST", "/sessions/999999/end"): (303, 303),
    ("GET", "/tokens"): (303, 200),
    ("GET", "/tokens/new"): (303, 303),
    ("POST", "/tokens/new"): (303, 303),
    ("GET", "/tokens/999999/rotate"): (303, 303),
    ("POST", "/tokens/999999/rotate"): (303, 303),
    ("GET", "/tokens/999999/revoke"): (303, 303),
    ("POST", "/tokens/999999/revoke"): (303, 303),
    ("GET", "/sign-in/code"): (401, 303),
    ("POST", "/sign-in/code"): (401, 303),
    ("GET", "/confirm"): (303, 200),
    ("POST", "/confirm"): (303, 422),
    ("GET", "/security"): (303, 200),
    ("GET", "/security/authenticator"): (303, 200),
    ("POST", "/security/authenticator"): (303, 422),
    ("GET", "/security/authenticator/remove"): (303, 200),
    ("POST", "/security/authenticator/remove"): (303, 303),
    ("GET", "/security/recovery-codes"): (303, 303),
    ("POST", "/security/recovery-codes"): (303, 303),
    ("POST", "/sign-in/passkey"): (422, 303),
    ("POST", "/sign-in/passkey/challenge"): (422, 422),
    ("POST", "/sign-in/code/challenge"): (401, 401),
    ("POST", "/confirm/challenge"): (303, 422),
    ("POST", "/security/passkeys/challenge"): (303, 422),
    ("GET", "/security/passkeys/new"): (303, 303),
    ("POST", "/security/passkeys/new"): (303, 303),
    ("GET", "/security/passkeys/999999/rename"): (303, 303),
    ("POST", "/security/passkeys/999999/rename"): (303, 303),
    ("GET", "/security/passkeys/999999/remove"): (303, 303),
    ("POST", "/security/passkeys/999999/remove"): (303, 303),
    ("GET", "/sign-in/with/nothing"): (404, 404),
    ("POST", "/sign-in/with/nothing"): (404, 404),
    ("GET", "/sign-in/with/nothing/answer"): (404, 404),
    ("GET", "/confirm/with/nothing"): (303, 404),
    ("POST", "/confirm/with/nothing"): (303, 404),
    ("GET", "/security/link/nothing"): (303, 404),
    ("POST", "/security/link/nothing"): (303, 404),
    ("POST", "/security/link"): (303, 303),
    ("GET", "/security/identities/999999/unlink"): (303, 303),
    ("POST", "/security/identities/999999/unlink"): (303, 303),
    ("GET", "/sessions/end-others"): (303, 200),
    ("POST", "/sessions/end-others"): (303, 303),
    ("POST", "/theme"): (303, 303),
    ("GET", "/scopes"): (303, 200),
    ("GET", "/activity"): (303, 200),
    ("GET", "/palette"): (303, 200),
    ("GET", "/help"): (303, 200),
    ("GET", "/help/searching"): (303, 200),
    ("GET", "/help/api/reference"): (303, 200),
    ("GET", "/invitation/never-made"): (404, 404),
    ("POST", "/invitation/never-made"): (404, 404),
}
CHILDREN = {
    "scalr": {"kind": "accounts", "child": "globex"},
    "account": {"kind": "environments", "child": "staging"},
    "environment": {},
}


@pytest.fixture
def create_records(
    make_image: MakeImage,
    make_credentials: MakeCredentials,
    actor_of: ActorOf,
    scope: ScopeAt,
    vault: Vault,
) -> Callable[[str], dict[str, object]]:
    """Return a function that creates one record of each kind.

    The function returns a value for each name in the paths of the table, such as `image`.
    """

    def create_records(level: str) -> dict[str, object]:
        path = HOMES[level]
        here = scope(path)
        viewer = Person.get(Person.email == f"{level}-viewer@example.com")
        members.invite(actor_of("scalr-admin"), here, "invited@example.com", Role.VIEWER)
        invitation = members.open_invitations(here).rows[0]
        owner = Person.create(
            email="owner@example.com", name="Owner", password_hash="", session_key=""
        )
        of_owner = {"scope": here, "person": owner, "path": "images"}
        own = {
            name: make_image(path, number).id
            for number, name in enumerate(("image", "promoted", "deleted"), start=1)
        }
        return {
            **own,
            **CHILDREN[level],
            "inherited": make_image("", 8).id,
            "unrelated": make_image("globex", 9).id,
            "credentials": make_credentials(path, "here").id,
            "foreign": make_credentials("globex", "there").id,
            "member": Membership.get(person=viewer, scope=here).id,
            "person": owner.id,
            "lost_person": Person.create(
                email="lost@example.com", name="Lost", password_hash="", session_key=""
            ).id,
            "invitation": invitation.id,
            "job": Job.create(
                scope=here, person=owner, action="image-share", arguments={}, total=0, state="done"
            ).id,
            "entry": AuditEntry.get(record=f"image:{own['image']}").id,
            "view": SavedView.create(name="shared", shared=True, **of_owner).id,
            "token": make_token(actor_of("scalr-admin"), here, vault, is_personal=False).token.id,
            "rule": make_rule(actor_of("scalr-admin"), here).id,
            "role_rule": make_role_rule(actor_of("scalr-admin"), here).id,
            "foreign_role_rule": make_role_rule(actor_of("scalr-admin"), scope("globex")).id,
            "foreign_token": make_token(
                actor_of("scalr-admin"), scope("globex"), vault, is_personal=False
            ).token.id,
            "private": SavedView.create(name="private", **of_owner).id,
        }

    return create_records


@pytest.mark.parametrize("level", HOMES)
@pytest.mark.parametrize("who", CAST)
def test_each_row_for_each_person_at_each_level(
    client_of: ClientOf,
    actor_of: ActorOf,
    scope: ScopeAt,
    create_records: Callable[[str], dict[str, object]],
    level: str,
    who: str,
) -> None:
    record_ids, here = create_records(level), scope(HOMES[level])
    actor, client = actor_of(who), client_of(who)
    role = actor.role_at(here)
    above = actor.role_at(here.parent) if here.parent else None
    unexpected = {}
    # The removed member may be the person who makes the requests, so removals come last.
    for row in sorted(ROWS, key=lambda row: row.path.endswith(("/remove", "{member}"))):
        if level[0] not in row.levels:
            continue
        expected = row.outcomes[role]
        if expected == "up":
            reaches = above in {Role.EDITOR, Role.ADMIN}
            expected = ("200" if row.method == "GET" else "303") if reaches else "404"
        if expected == "scalr":
            expected = "303" if actor.role_at(here.lineage[-1]) is Role.ADMIN else "403"
        path = row.path.format(**record_ids)
        status = client.open(URLS[level] + path, method=row.method).status_code
        if status != int(expected):
            unexpected[f"{row.method} {row.path}"] = f"{status} instead of {expected}"
    assert not unexpected


@pytest.mark.parametrize("level", HOMES)
def test_every_page_has_the_button_to_sign_out(
    client_of: ClientOf, create_records: Callable[[str], dict[str, object]], level: str
) -> None:
    record_ids, client = create_records(level), client_of(f"{level}-admin")
    paths = [
        URLS[level] + row.path for row in ROWS if row.method == "GET" and level[0] in row.levels
    ]
    paths += [path for method, path in PERSONAL if method == "GET"]
    pages = []
    for path in paths:
        answer = client.get(path.format(**record_ids))
        if "<body" in answer.text:
            pages.append(path)
            assert re.search(r'<form [^>]*action="/sign-out">', answer.text), path
    assert len(pages) > 40


@pytest.mark.parametrize("level", HOMES)
def test_signed_out_people_are_asked_to_sign_in(
    client_of: ClientOf,
    create_records: Callable[[str], dict[str, object]],
    level: str,
) -> None:
    record_ids, client = create_records(level), client_of("nobody")
    for row in ROWS:
        if level[0] in row.levels:
            path = URLS[level] + row.path.format(**record_ids)
            response = client.open(path, method=row.method)
            assert response.status_code == 303, path
            assert response.location.startswith("/sign-in"), path


@pytest.mark.parametrize(
    ("level", "required_at"),
    [
        ("scalr", ""),
        ("account", ""),
        ("account", "acme"),
        ("environment", ""),
        ("environment", "acme"),
        ("environment", "acme/production"),
    ],
)
def test_no_page_of_a_scope_opens_without_a_required_factor(
    client_of: ClientOf,
    create_records: Callable[[str], dict[str, object]],
    level: str,
    required_at: str,
) -> None:
    """The requirement holds for the scope and the scopes below it."""
    record_ids, client = create_records(level), client_of(f"{level}-admin")
    Scope.update(requires_factor=True).where(Scope.path == required_at).execute()
    for row in ROWS:
        if level[0] in row.levels:
            path = URLS[level] + row.path.format(**record_ids)
            for headers in ({}, {"HX-Request": "true"}):
                response = client.open(path, method=row.method, headers=headers)
                assert response.status_code == 403, path
                assert "You need a second factor to continue" in response.text, path


@pytest.mark.parametrize(("method", "path"), PERSONAL)
def test_pages_outside_a_scope(client_of: ClientOf, method: str, path: str) -> None:
    outcomes = [
        client_of(who).open(path, method=method).status_code for who in ("nobody", "outsider")
    ]
    if (method, path) == ("GET", "/"):
        outcomes[1] = client_of("account-viewer").open(path, method=method).status_code
    assert tuple(outcomes) == PERSONAL[method, path]


@pytest.mark.parametrize(
    "url",
    [
        "/account/none",
        "/account/none/images",
        "/environment/acme/none/images",
        "/environment/globex/production/images",
        "/account/acme/production/images",
    ],
)
def test_missing_scopes_are_not_found(client_of: ClientOf, url: str) -> None:
    assert client_of("scalr-admin").get(url, follow_redirects=True).status_code == 404


def test_the_table_covers_every_route(app: Flask) -> None:
    adapter = app.url_map.bind("")
    covered = set()
    for level, url in URLS.items():
        numbers = {
            "image": 1, "promoted": 1, "deleted": 1, "inherited": 1, "unrelated": 1,
            "credentials": 1, "foreign": 1, "member": 1, "invitation": 1,
            "person": 1, "lost_person": 1,
            "view": 1, "private": 1, "job": 1, "entry": 1,
            "token": 1, "foreign_token": 1, "rule": 1, "role_rule": 1, "foreign_role_rule": 1,
            "kind": "environments", "child": "x", **CHILDREN[level],
        }  # fmt: skip
        for row in ROWS:
            if level[0] in row.levels:
                path = url + row.path.format(**numbers)
                covered.add((row.method, adapter.match(path, method=row.method)[0]))
    covered |= {(method, adapter.match(path, method=method)[0]) for method, path in PERSONAL}
    routes = {
        (method, rule.endpoint)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert routes == covered


def test_the_session_of_a_deleted_person_ends(client_of: ClientOf) -> None:
    client = client_of("account-viewer")
    assert client.get("/account/acme/images").status_code == 200
    person = Person.get(Person.email == "account-viewer@example.com")
    assert accounts.actor_for(person).roles
    person.delete_instance()
    assert client.get("/account/acme/images").status_code == 303
