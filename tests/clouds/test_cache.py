"""The cache that adapters use from one call to the next."""

from __future__ import annotations

import time

from webapp.clouds.cache import NEVER_EXPIRES, Cache, credentials_digest
from webapp.clouds.credentials import CredentialValues
from webapp.clouds.outgoing.calls import owned_by


def test_an_expired_value_is_not_returned() -> None:
    cache = Cache()
    cache.set(("a", "b"), "value", time.time() + 60)
    assert cache.get(("a", "b")) == "value"
    cache.set(("a", "b"), "value", time.time() - 1)
    assert cache.get(("a", "b")) is None


def test_the_least_recently_used_value_is_evicted() -> None:
    cache = Cache(max_entries=2)
    for name in "abc":
        cache.set((name,), name, NEVER_EXPIRES)
        cache.get(("a",))
    assert [cache.get((name,)) for name in "abc"] == ["a", None, "c"]


def test_all_values_of_the_same_credentials_are_deleted() -> None:
    cache = Cache()
    for key in (("a", "1"), ("a", "2"), ("b", "1")):
        cache.set(key, key, NEVER_EXPIRES)
    cache.forget("a")
    assert cache.get(("a", "1")) is None
    assert cache.get(("a", "2")) is None
    assert cache.get(("b", "1")) == ("b", "1")


def test_a_digest_contains_no_secret_and_depends_on_every_value() -> None:
    one = credentials_digest(CredentialValues({"user": "a", "password": "secret"}))
    other = credentials_digest(CredentialValues({"user": "a", "password": "another"}))
    assert one != other
    assert "secret" not in one


def test_many_credentials_of_one_account_do_not_evict_the_values_of_others() -> None:
    cache = Cache(max_entries=8, max_per_account=2)
    with owned_by("healthy"):
        cache.set(("victim",), "value", NEVER_EXPIRES)
    with owned_by("hostile"):
        for number in range(1000):
            cache.set((str(number),), number, NEVER_EXPIRES)
    assert cache.get(("victim",)) == "value"
    assert [cache.get((str(number),)) for number in (997, 998, 999)] == [None, 998, 999]
