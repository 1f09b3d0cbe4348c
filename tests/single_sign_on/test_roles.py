"""The operator's rules decide the roles of people who sign in at a provider."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

import models
from models import AuditEntry, Identity, Membership, Person, Role, Scope
from tests.conftest import ActorOf
from tests.single_sign_on.conftest import configured
from webapp.people import accounts, resets, sessions
from webapp.people.attempts import Attempts
from webapp.single_sign_on import identities, roles
from webapp.single_sign_on.claims import ClaimTexts
from webapp.single_sign_on.client import Account
from webapp.single_sign_on.configuration import RoleRule
from webapp.single_sign_on.identities import LinkRefused, SignInRefused

ISSUER = "https://login.example.com"
RULES = (
    RoleRule("groups", "viewers", "acme", Role.VIEWER),
    RoleRule("groups", "editors", "acme", Role.EDITOR),
    RoleRule("realm.roles", "ops", "acme/production", Role.ADMIN),
    RoleRule("groups", "root", "", Role.ADMIN),
    RoleRule("groups", "gone", "no/such", Role.ADMIN),
)
PROVIDER = configured(ISSUER, roles=RULES)


def sign_in(subject: str = "s1", **claims: Any) -> Person:
    values = {"sub": subject, "email": f"{subject}@example.org", **claims}
    account = Account(ISSUER, subject, "Nora", f"{subject}@example.org", None, False, values, True)
    return identities.sign_in(account, PROVIDER, "the team", "127.0.0.1", Attempts(""))


def roles_of(person: Person) -> dict[str, Role]:
    rows = Membership.select(Membership, Scope).join(Scope).where(Membership.person == person)
    return {row.scope.path: row.role for row in rows}


@pytest.mark.parametrize(
    ("rule", "claims", "expected"),
    [
        (("groups", "a"), {"groups": ["a", "b"]}, True),
        (("groups", "a"), {"groups": "a"}, True),
        (("groups", "a"), {"groups": "ab"}, False),
        (("groups", "a"), {"groups": ["A"]}, False),
        (("groups", "a"), {"groups": {"a": 1}}, False),
        (("groups", "a"), {"groups": None}, False),
        (("groups", "a"), {"groups": [["a"], 7, {}]}, False),
        (("groups", "a"), {}, False),
        (("x.y.z", "a"), {"x": {"y": {"z": ["a"]}}}, True),
        (("x.y.z", "a"), {"x": "y"}, False),
        (("https://e.org/g", "a"), {"https://e.org/g": ["a"]}, True),
        (("staff", "true"), {"staff": True}, True),
        (("staff", "true"), {"staff": False}, False),
        (("sub", "*"), {"sub": "anybody"}, True),
        (("groups", "*"), {"groups": []}, False),
        (("groups", "*"), {"groups": ""}, False),
    ],
)
def test_a_rule_compares_values_exactly(
    rule: tuple[str, str], claims: dict[str, Any], expected: bool
) -> None:
    provider = configured(ISSUER, roles=(RoleRule(*rule, "acme", Role.VIEWER),))
    assert roles.granted_roles(provider.roles, ClaimTexts(claims)) == (
        {"acme": Role.VIEWER} if expected else {}
    )


class Groups(list[str]):
    """Groups that count how often they are read."""

    reads = 0

    def __iter__(self) -> Iterator[str]:
        self.reads += 1
        return super().__iter__()


def test_a_sign_in_reads_each_claim_once(db: Flask) -> None:
    groups, operators = Groups(["viewers", "editors"]), Groups(["ops"])
    person = sign_in(groups=groups, realm={"roles": operators})
    assert roles_of(person) == {"acme": Role.EDITOR, "acme/production": Role.ADMIN}
    assert (groups.reads, operators.reads) == (1, 1)


def test_a_new_person_gets_the_roles_of_the_rules(db: Flask) -> None:
    person = sign_in(groups=["viewers", "editors"], realm={"roles": ["ops"]})
    assert roles_of(person) == {"acme": Role.EDITOR, "acme/production": Role.ADMIN}
    assert (person.email, person.name) == ("s1@example.org", "Nora")
    assert Identity.get(person=person).subject == "s1"
    entries = AuditEntry.select().order_by(AuditEntry.id)
    found = [(each.person_name, each.action, each.changes.get("role")) for each in entries][-3:]
    assert found == [
        ("Example SSO", "person.create", None),
        ("Example SSO", "member.edit", [None, "editor"]),
        ("Example SSO", "member.edit", [None, "admin"]),
    ]
    assert sign_in(groups=["viewers", "editors"], realm={"roles": ["ops"]}) == person
    assert AuditEntry.select().count() == len(entries), "nothing changed"


def test_each_sign_in_applies_the_rules(db: Flask, scope: Any) -> None:
    person = sign_in(groups=["editors"])
    Membership.create(person=person, scope=scope("globex"), role=Role.EDITOR)
    sign_in(groups=["viewers"])
    assert roles_of(person) == {"acme": Role.VIEWER, "globex": Role.EDITOR}
    sign_in(groups=[])
    assert roles_of(person) == {"globex": Role.EDITOR}, "other scopes stay as they are"
    last = AuditEntry.select().order_by(AuditEntry.id.desc()).get()
    assert (last.action, last.changes["role"]) == ("member.remove", ["viewer", None])
    sign_in(groups=["root"])
    assert roles_of(person)[""] is Role.ADMIN


def test_without_a_matching_rule_nobody_is_created(db: Flask) -> None:
    before = Person.select().count()
    for groups in (None, ["others"]):
        with pytest.raises(SignInRefused, match="ask the team for access"):
            sign_in(groups=groups)
    assert Person.select().count() == before


@pytest.mark.parametrize(
    "claims",
    [
        {"email": None},
        {"email": "removed:7"},
        {"email": ["a@example.org"]},
        {"email_verified": False},
    ],
)
def test_a_new_person_needs_an_address(db: Flask, claims: dict[str, Any]) -> None:
    before = Person.select().count()
    with pytest.raises(SignInRefused, match="no verified e-mail address"):
        sign_in(groups=["viewers"], **claims)
    assert Person.select().count() == before


def test_an_address_that_has_an_account_is_not_taken_over(actor_of: ActorOf) -> None:
    taken = actor_of("account-viewer").person
    with pytest.raises(SignInRefused, match="isn’t linked"):
        sign_in(groups=["root"], email=taken.email.upper())
    assert Identity.select().count() == 0
    assert roles_of(taken) == {"acme": Role.VIEWER}


def test_the_last_admin_of_scalr_stays(db: Flask, actor_of: ActorOf) -> None:
    admin = actor_of("scalr-admin").person
    Identity.create(person=admin, issuer=ISSUER, subject="root", label="root")
    sign_in("root", groups=[])
    assert roles_of(admin) == {"": Role.ADMIN}
    sign_in("another", groups=["root"])
    sign_in("root", groups=[])
    assert roles_of(admin) == {}


def test_a_disabled_person_gets_no_roles(db: Flask) -> None:
    person = sign_in(groups=["viewers"])
    Person.update(disabled_at=models.now()).where(Person.id == person.id).execute()
    with pytest.raises(SignInRefused, match="disabled"):
        sign_in(groups=["root"])
    assert roles_of(person) == {"acme": Role.VIEWER}


def test_a_person_without_a_password_has_no_other_way_in(db: Flask, actor_of: ActorOf) -> None:
    person = sign_in(groups=["viewers"])
    assert not accounts.verify_password(Person.get_by_id(person.id), "")
    with pytest.raises(sessions.SignInRefused):
        sessions.sign_in(person.email, "", "127.0.0.1", Attempts(""))
    mail = models.OutgoingMail(recipient=person.email)
    assert not resets.prepare_mail(mail, "token")
    actor, session = accounts.actor_for(person), models.SignInSession(id=0)
    number = Identity.get(person=person).id
    with pytest.raises(LinkRefused, match="only way to sign in"):
        identities.unlink(actor, number, session, [PROVIDER], uses_password=False)
    Identity.create(person=person, issuer=ISSUER, subject="second", label="second")
    identities.unlink(actor, number, session, [PROVIDER], uses_password=False)
