"""Receipts of look-ups: valid unchanged, for one person at one scope, for a limited time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from itsdangerous import TimestampSigner

from tests.conftest import ActorOf, MakeCredentials, ScopeAt, details, receipt
from webapp.images import image_details
from webapp.images.receipts import VALID_SECONDS, ReceiptExpired, ReceiptInvalid, Receipts


def test_round_trip(make_credentials: MakeCredentials, actor_of: ActorOf, scope: ScopeAt) -> None:
    receipts, original = (
        Receipts("k" * 32),
        receipt(make_credentials(), deprecated=datetime.now(UTC)),
    )
    who, where = actor_of("account-editor"), scope("acme")
    assert receipts.open(who, where, receipts.issue(who, where, original)) == original


def test_a_receipt_is_for_one_person_at_one_scope(
    make_credentials: MakeCredentials, actor_of: ActorOf, scope: ScopeAt
) -> None:
    receipts, original = Receipts("k" * 32), receipt(make_credentials())
    who, where = actor_of("account-editor"), scope("acme")
    text = receipts.issue(who, where, original)
    for other, elsewhere in (
        (actor_of("account-admin"), where),
        (who, scope("acme/production")),
    ):
        with pytest.raises(ReceiptInvalid):
            receipts.open(other, elsewhere, text)


@pytest.mark.parametrize("change", [lambda text: text[:-2] + "AA", lambda _: "", lambda _: "a.b.c"])
def test_forged(
    make_credentials: MakeCredentials,
    actor_of: ActorOf,
    scope: ScopeAt,
    change: Callable[[str], str],
) -> None:
    receipts = Receipts("k" * 32)
    who, where = actor_of("account-editor"), scope("acme")
    text = receipts.issue(who, where, receipt(make_credentials()))
    with pytest.raises(ReceiptInvalid):
        receipts.open(who, where, change(text))


def test_expired(
    make_credentials: MakeCredentials,
    actor_of: ActorOf,
    scope: ScopeAt,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    receipts = Receipts("k" * 32)
    who, where = actor_of("account-editor"), scope("acme")
    text = receipts.issue(who, where, receipt(make_credentials()))
    later = int(datetime.now(UTC).timestamp()) + VALID_SECONDS + 5
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda _self: later)
    with pytest.raises(ReceiptExpired):
        receipts.open(who, where, text)


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
