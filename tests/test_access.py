"""Rights: a role applies at its scope and below, never above or beside it."""

from __future__ import annotations

import pytest

from models import Role
from tests.conftest import ActorOf, ScopeAt
from webapp.access import RIGHTS, Actor, Forbidden, Right


def test_rights_grow_with_the_role() -> None:
    assert RIGHTS[Role.VIEWER] < RIGHTS[Role.EDITOR] < RIGHTS[Role.ADMIN] == set(Right)


@pytest.mark.parametrize(
    ("who", "path", "role"),
    [
        ("scalr-viewer", "acme/production", Role.VIEWER),
        ("account-editor", "acme", Role.EDITOR),
        ("account-editor", "acme/staging", Role.EDITOR),
        ("account-editor", "", None),
        ("account-editor", "globex", None),
        ("environment-admin", "acme/production", Role.ADMIN),
        ("environment-admin", "acme/staging", None),
        ("environment-admin", "acme", None),
        ("outsider", "", None),
    ],
)
def test_a_role_applies_at_its_scope_and_below(
    actor_of: ActorOf, scope: ScopeAt, who: str, path: str, role: Role | None
) -> None:
    assert actor_of(who).role_at(scope(path)) is role


def test_the_strongest_role_counts(actor_of: ActorOf, scope: ScopeAt) -> None:
    acme, production = scope("acme"), scope("acme/production")
    actor = Actor(actor_of("outsider").person, {acme.id: Role.ADMIN, production.id: Role.VIEWER})
    assert actor.role_at(production) is Role.ADMIN


def test_require_names_the_right_and_the_scope(actor_of: ActorOf, scope: ScopeAt) -> None:
    with pytest.raises(Forbidden, match="images:edit at Account acme"):
        actor_of("account-viewer").require(Right.EDIT_IMAGES, scope("acme"))
