"""What an adapter keeps from one call to the next."""

from __future__ import annotations

import time

from webapp.clouds.base import CredentialValues
from webapp.clouds.cache import FOREVER, Kept, digest


def test_nothing_is_given_out_once_it_has_expired() -> None:
    kept = Kept()
    kept.keep(("a", "b"), "thing", time.time() + 60)
    assert kept.get(("a", "b")) == "thing"
    kept.keep(("a", "b"), "thing", time.time() - 1)
    assert kept.get(("a", "b")) is None


def test_only_so_many_are_kept_the_latest_used() -> None:
    kept = Kept(most=2)
    for name in "abc":
        kept.keep((name,), name, FOREVER)
        kept.get(("a",))
    assert [kept.get((name,)) for name in "abc"] == ["a", None, "c"]


def test_all_of_one_owner_are_dropped() -> None:
    kept = Kept()
    for name in (("a", "1"), ("a", "2"), ("b", "1")):
        kept.keep(name, name, FOREVER)
    kept.drop("a")
    assert kept.get(("a", "1")) is None
    assert kept.get(("a", "2")) is None
    assert kept.get(("b", "1")) == ("b", "1")


def test_a_name_holds_no_secret_and_differs_with_every_value() -> None:
    one = digest(CredentialValues({"user": "a", "password": "secret"}))
    other = digest(CredentialValues({"user": "a", "password": "another"}))
    assert one != other
    assert "secret" not in one
