"""The scope tree: find the scopes that a person can see; create, rename and delete scopes."""

from __future__ import annotations

import pytest

from models import AuditEntry, Scope
from tests.conftest import ActorOf, MakeImage, ScopeAt
from tests.jobs.scope_deletion import delete_scope
from webapp.access import Forbidden
from webapp.people import scopes
from webapp.people.scopes import ScopeError


@pytest.mark.parametrize(
    ("who", "visible"),
    [
        ("scalr-viewer", ["", "acme", "acme/production", "acme/staging", "globex", "globex/lab"]),
        ("account-viewer", ["acme", "acme/production", "acme/staging"]),
        ("environment-admin", ["acme/production"]),
        ("outsider", []),
    ],
)
def test_people_see_their_scopes_and_lower_scopes(
    actor_of: ActorOf, who: str, visible: list[str]
) -> None:
    assert [scope.path for scope in scopes.visible_to(actor_of(who)).rows] == visible


def test_visible_scopes_can_be_filtered(actor_of: ActorOf) -> None:
    found = scopes.visible_to(actor_of("account-viewer"), "PROD").rows
    assert [scope.path for scope in found] == ["acme/production"]
    assert scopes.visible_to(actor_of("account-viewer"), "lab").rows == []


def test_the_home_scope_is_the_highest(actor_of: ActorOf) -> None:
    home = scopes.home_scope(actor_of("environment-viewer"))
    assert home is not None
    assert home.path == "acme/production"
    assert scopes.home_scope(actor_of("outsider")) is None


def test_creating_an_environment(actor_of: ActorOf, scope: ScopeAt) -> None:
    created = scopes.create(actor_of("account-admin"), scope("acme"), "  Día  de Prüfung ")
    assert (created.path, created.name, created.level) == (
        "acme/dia-de-prufung",
        "Día de Prüfung",
        "environment",
    )
    assert AuditEntry.get(AuditEntry.action == "environment.create").scope == created


@pytest.mark.parametrize(
    ("name", "words"),
    [("", "1 to 64"), ("x" * 65, "1 to 64"), ("…", "a to z"), ("Staging", "already")],
)
def test_invalid_names_are_refused(
    actor_of: ActorOf, scope: ScopeAt, name: str, words: str
) -> None:
    with pytest.raises(ScopeError, match=words):
        scopes.create(actor_of("account-admin"), scope("acme"), name)


def test_an_environment_has_no_lower_scopes(actor_of: ActorOf, scope: ScopeAt) -> None:
    with pytest.raises(ScopeError):
        scopes.create(actor_of("environment-admin"), scope("acme/production"), "below")


def test_renaming_does_not_change_the_path(actor_of: ActorOf, scope: ScopeAt) -> None:
    scopes.rename(actor_of("account-admin"), scope("acme/staging"), "Pre-production")
    assert scope("acme/staging").name == "Pre-production"
    with pytest.raises(ScopeError, match="already"):
        scopes.rename(actor_of("account-admin"), scope("acme/staging"), "production")
    assert scope("acme/staging").name == "Pre-production"


def test_an_admin_of_a_scope_does_not_rename_it(actor_of: ActorOf, scope: ScopeAt) -> None:
    with pytest.raises(Forbidden):
        scopes.rename(actor_of("account-admin"), scope("acme"), "mine")


def test_deleting_requires_the_name(
    actor_of: ActorOf, scope: ScopeAt, make_image: MakeImage
) -> None:
    make_image("acme/production")
    acme, admin = scope("acme"), actor_of("scalr-admin")
    with pytest.raises(ScopeError, match="to confirm"):
        delete_scope(admin, acme, "Acme")
    delete_scope(admin, acme, " acme ")
    assert Scope.at("acme/production") is None
    entry = AuditEntry.get(AuditEntry.action == "account.delete")
    assert entry.scope == scope("")
    assert entry.changes == {
        "environments": [2, 0],
        "images": [1, 0],
        "members": [6, 0],
        "path": ["acme", None],
    }


def test_no_name_of_another_scope_prevents_a_deletion(actor_of: ActorOf, scope: ScopeAt) -> None:
    admin, acme = actor_of("scalr-admin"), scope("acme")
    scopes.create(admin, scope(""), f"~{acme.id}")
    delete_scope(admin, acme, acme.name)
    assert Scope.get_or_none(Scope.id == acme.id) is None


def test_scalr_cannot_be_deleted(actor_of: ActorOf, scope: ScopeAt) -> None:
    with pytest.raises(ScopeError):
        delete_scope(actor_of("scalr-admin"), scope(""), "Scalr")


def test_a_text_that_is_longer_than_any_path_matches_no_scope(actor_of: ActorOf) -> None:
    assert scopes.visible_to(actor_of("scalr-admin"), "[" * 100_000).rows == []
