"""Two people, or one impatient person, send the same request at the same moment.

Each request is answered with a page that says what happened, and nothing is done twice.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

import models
from models import (
    AuditEntry,
    CloudCredentials,
    Image,
    Invitation,
    Membership,
    Person,
    Role,
    SavedView,
    Scope,
)
from tests.cast import PASSWORD
from tests.conftest import ActorOf, ClientOf, MakeCredentials, MakeImage, ScopeAt
from tests.views.pages import visible_text
from webapp.people import accounts, members

REQUESTS = 4


def at_once(*requests: Callable[[], TestResponse]) -> list[TestResponse]:
    """Send the requests at the same moment, and return their responses. None may be a failure."""
    start = threading.Barrier(len(requests))

    def send(request: Callable[[], TestResponse]) -> TestResponse:
        start.wait()
        return request()

    models.database.close()
    with ThreadPoolExecutor(len(requests)) as pool:
        responses = list(pool.map(send, requests))
    models.database.connect(reuse_if_open=True)
    assert all(response.status_code < 500 for response in responses), responses
    return responses


def same_post(clients: list[FlaskClient], url: str, **data: object) -> list[TestResponse]:
    return at_once(*[lambda client=client: client.post(url, data=data) for client in clients])


def test_an_invitation_accepted_twice_at_once_leads_to_the_scope(
    client_of: ClientOf, actor_of: ActorOf, acme: Scope
) -> None:
    token = members.invite(actor_of("account-admin"), acme, "outsider@example.com", Role.EDITOR)
    clients = [client_of("outsider") for _ in range(REQUESTS)]
    responses = same_post(clients, f"/invitation/{token}")
    ways_on = [
        response.location if response.status_code == 303 else visible_text(response)
        for response in responses
    ]
    for way_on in ways_on:
        assert way_on == "/account/acme/images" or "you’re a member already" in way_on
    assert "/account/acme/images" in ways_on
    outsider = Person.get(Person.email == "outsider@example.com")
    assert Membership.select().where(Membership.person == outsider).count() == 1
    assert AuditEntry.select().where(AuditEntry.action == "member.join").count() == 1


def test_a_new_account_is_created_once_and_the_second_request_leads_to_signing_in(
    app: Flask, actor_of: ActorOf, acme: Scope
) -> None:
    token = members.invite(actor_of("account-admin"), acme, "new@example.com", Role.EDITOR)
    clients = [app.test_client() for _ in range(REQUESTS)]
    responses = same_post(clients, f"/invitation/{token}", name="New", password=PASSWORD)
    for response in responses:
        if response.status_code == 303:
            assert response.location in {"/account/acme/images", "/sign-in"}
        else:
            assert "Sign in" in response.text
    assert Person.select().where(Person.email == "new@example.com").count() == 1
    assert Membership.select().join(Person).where(Person.email == "new@example.com").count() == 1


def test_a_request_that_finds_the_new_account_of_another_does_not_return_to_the_invitation(
    app: Flask, actor_of: ActorOf, acme: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = members.invite(actor_of("account-admin"), acme, "new@example.com", Role.EDITOR)
    original = accounts.exists

    def exists(email: str) -> bool:
        if not original(email):
            members.accept_with_new_account(token, "New", PASSWORD)
        return original(email)

    monkeypatch.setattr(accounts, "exists", exists)
    response = app.test_client().post(
        f"/invitation/{token}", data={"name": "New", "password": PASSWORD}
    )
    assert (response.status_code, response.location) == (303, "/sign-in")


def test_two_invitations_of_one_person_at_once_leave_one(client_of: ClientOf, acme: Scope) -> None:
    clients = [client_of("account-admin") for _ in range(REQUESTS)]
    url = "/account/acme/members"
    responses = same_post(clients, url, email="new@example.com", role="viewer")
    assert {response.status_code for response in responses} <= {200, 422}
    assert Invitation.select().where(Invitation.scope == acme).count() == 1


@pytest.mark.parametrize(
    ("url", "data", "table", "duplicate"),
    [
        ("environments", {"name": "new"}, Scope, "already has an environment with this name"),
        (
            "credentials/new/aws",
            {
                "name": "new",
                "access_key_id": "AKIAEXAMPLE",
                "secret_access_key": "x",
                "partition": "aws",
                "skip_check": "y",
            },
            CloudCredentials,
            "already has credentials named “new”",
        ),
        (
            "views",
            {"name": "new", "path": "images?q=x"},
            SavedView,
            "You already have a view named “new” here.",
        ),
    ],
)
def test_a_name_given_twice_at_once_is_used_once(
    client_of: ClientOf, url: str, data: dict[str, str], table: type[Scope], duplicate: str
) -> None:
    clients = [client_of("account-admin") for _ in range(REQUESTS)]
    responses = same_post(clients, f"/account/acme/{url}", **data)
    statuses = Counter(response.status_code for response in responses)
    assert statuses == {303: 1, 422: REQUESTS - 1}
    for response in responses:
        assert response.status_code == 303 or duplicate in visible_text(response)
    assert table.select().where(table.name == "new").count() == 1


@pytest.mark.parametrize("kind", ["images", "credentials", "members"])
def test_a_record_deleted_twice_at_once_is_deleted_once(
    client_of: ClientOf,
    make_image: MakeImage,
    make_credentials: MakeCredentials,
    acme: Scope,
    kind: str,
) -> None:
    clients = [client_of("account-admin") for _ in range(REQUESTS)]
    if kind == "images":
        path = f"images/{make_image('acme').id}/delete"
    elif kind == "credentials":
        path = f"credentials/{make_credentials('acme').id}/delete"
    else:
        editor = Person.get(Person.email == "account-editor@example.com")
        path = f"members/{Membership.get(person=editor, scope=acme).id}/remove"
    same_post(clients, f"/account/acme/{path}", revision="1")
    action = {"images": "image.delete", "credentials": "credentials.delete"}.get(
        kind, "member.remove"
    )
    assert AuditEntry.select().where(AuditEntry.action == action).count() == 1


def test_an_image_edited_twice_at_once_is_changed_once(
    client_of: ClientOf, make_image: MakeImage
) -> None:
    image = make_image("acme")
    clients = [client_of("account-admin"), client_of("account-editor")]
    form = {
        "os_family": "ubuntu",
        "os_version": "ubuntu|24.04",
        "size_gb": "8",
        "agent_installed": "y",
        "shared": "y",
        "revision": "1",
    }
    url = f"/account/acme/images/{image.id}/edit"
    responses = at_once(
        lambda: clients[0].post(url, data={**form, "name": "first"}),
        lambda: clients[1].post(url, data={**form, "name": "second"}),
    )
    assert sorted(response.status_code for response in responses) == [303, 409]
    saved = "first" if responses[0].status_code == 303 else "second"
    assert Image.get_by_id(image.id).name == saved


def test_the_last_two_admins_cannot_remove_each_other_at_once(
    client_of: ClientOf, scope: ScopeAt
) -> None:
    scalr = scope("")
    editor = Person.get(Person.email == "scalr-editor@example.com")
    Membership.update_all(role=Role.ADMIN).where(Membership.person == editor).execute()
    ids = {
        row.person.email.partition("@")[0]: (row.id, row.revision)
        for row in Membership.select().where(
            Membership.scope == scalr, Membership.role == Role.ADMIN
        )
    }
    clients = {who: client_of(who) for who in ids}

    def remove(who: str, other: str) -> TestResponse:
        membership_id, revision = ids[other]
        url = f"/scalr/members/{membership_id}/remove"
        return clients[who].post(url, data={"revision": revision})

    at_once(
        lambda: remove("scalr-admin", "scalr-editor"),
        lambda: remove("scalr-editor", "scalr-admin"),
    )
    admins = Membership.select().where(Membership.scope == scalr, Membership.role == Role.ADMIN)
    assert admins.count() == 1


@pytest.mark.parametrize("action", ["disable", "remove"])
def test_the_last_two_admins_cannot_lock_each_other_out_at_once(
    client_of: ClientOf, action: str
) -> None:
    first, second = (
        Person.get(Person.email == f"scalr-{role}@example.com") for role in ("admin", "editor")
    )
    Membership.update_all(role=Role.ADMIN).where(Membership.person == second).execute()
    clients = client_of("scalr-admin"), client_of("scalr-editor")
    responses = at_once(
        lambda: clients[0].post(f"/scalr/people/{second.id}/{action}"),
        lambda: clients[1].post(f"/scalr/people/{first.id}/{action}"),
    )
    assert [response.status_code for response in responses].count(303) >= 1
    people = Person.select().where(Person.id.in_([first.id, second.id]))
    assert [person.disabled_at is None for person in people].count(True) == 1


def test_a_scope_deleted_while_somebody_adds_to_it_is_explained(
    client_of: ClientOf, scope: ScopeAt
) -> None:
    scope("acme/staging")
    deleting, adding = client_of("account-admin"), client_of("account-editor")
    url = "/environment/acme/staging/views"
    data = {"name": "new", "path": "images?q=x"}
    at_once(
        lambda: deleting.post(
            "/account/acme/environments/staging/delete",
            data={"name": "staging", "revision": "1", "contents": "0,0,0,0"},
        ),
        *[lambda: adding.post(url, data=data)] * 2,
    )
    assert Scope.at("acme/staging") is None or SavedView.select().count() <= 1
