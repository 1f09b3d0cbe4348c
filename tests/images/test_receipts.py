"""A receipt is valid if it is unchanged, for one person at one scope, for a limited time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from models import now
from tests.conftest import ActorOf, MakeCredentials, ScopeAt, details, receipt
from webapp.credentials import signatures
from webapp.images import image_details, registration
from webapp.images.receipts import VALID_SECONDS, ReceiptExpired, ReceiptInvalid, Receipts


def test_an_unchanged_receipt_can_be_opened(
    make_credentials: MakeCredentials, actor_of: ActorOf, scope: ScopeAt
) -> None:
    receipts = Receipts("k" * 32)
    original = receipt(make_credentials(), deprecated_at=datetime.now(UTC))
    actor, acme = actor_of("account-editor"), scope("acme")
    assert receipts.open(actor, acme, receipts.issue(actor, acme, original)) == original


def test_a_receipt_is_for_one_person_at_one_scope(
    make_credentials: MakeCredentials, actor_of: ActorOf, scope: ScopeAt
) -> None:
    receipts, original = Receipts("k" * 32), receipt(make_credentials())
    actor, acme = actor_of("account-editor"), scope("acme")
    text = receipts.issue(actor, acme, original)
    for other_actor, other_scope in (
        (actor_of("account-admin"), acme),
        (actor, scope("acme/production")),
    ):
        with pytest.raises(ReceiptInvalid):
            receipts.open(other_actor, other_scope, text)


@pytest.mark.parametrize("change", [lambda text: text[:-2] + "AA", lambda _: "", lambda _: "a.b.c"])
def test_a_forged_receipt_is_invalid(
    make_credentials: MakeCredentials,
    actor_of: ActorOf,
    scope: ScopeAt,
    change: Callable[[str], str],
) -> None:
    receipts = Receipts("k" * 32)
    actor, acme = actor_of("account-editor"), scope("acme")
    text = receipts.issue(actor, acme, receipt(make_credentials()))
    with pytest.raises(ReceiptInvalid):
        receipts.open(actor, acme, change(text))


def test_an_expired_receipt_says_what_was_looked_up(
    make_credentials: MakeCredentials, actor_of: ActorOf, scope: ScopeAt
) -> None:
    receipts = Receipts("k" * 32)
    actor, acme = actor_of("account-editor"), scope("acme")
    read_at = now() - timedelta(seconds=VALID_SECONDS + 5)
    old = replace(receipt(make_credentials()), read_at=read_at)
    text = receipts.issue(actor, acme, old)
    with pytest.raises(ReceiptExpired) as caught:
        receipts.open(actor, acme, text)
    assert caught.value.receipt == old
    with pytest.raises(ReceiptInvalid):
        receipts.open(actor_of("account-admin"), acme, text)


@pytest.mark.parametrize("data", [{}, [], "text", {"for": [1, 2], "cloud": "aws"}])
def test_a_receipt_of_another_version_of_the_application_is_invalid(
    actor_of: ActorOf, scope: ScopeAt, data: object
) -> None:
    text = signatures.serializer("k" * 32, "look-up receipt").dumps(data)
    with pytest.raises(ReceiptInvalid):
        Receipts("k" * 32).open(actor_of("account-editor"), scope("acme"), text)


def test_changes_are_listed_by_label() -> None:
    before = details()
    after = details(description="New", facts=(), volumes=())
    changes = image_details.changes_between(before, after)
    assert changes == {
        "Description": ("Ubuntu 24.04", "New"),
        "Owner account": ("099720109477", None),
        "Volume /dev/sda1": ("gp3, 8 GB, snap-1", None),
    }
    assert image_details.changes_between(before, before) == {}


def test_the_changes_between_two_look_ups_include_those_of_the_locator(
    make_credentials: MakeCredentials,
) -> None:
    before = receipt(make_credentials())
    moved = replace(before, locator=replace(before.locator, location="us-west-2"))
    other = replace(before, locator=replace(before.locator, image_id="ami-00000002"))
    assert registration.changes_between(before, moved) == {"Location": ("us-east-1", "us-west-2")}
    assert registration.changes_between(before, other) == {
        "Cloud image ID": (before.locator.image_id, "ami-00000002")
    }
    assert registration.changes_between(before, before) == {}
