"""Read the claims that a provider makes about a person or a pipeline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


class ClaimTexts:
    """The claims about a person or a pipeline, as texts.

    Many rules can compare the same claim, which can have many values. So the texts of a claim are
    read only once.
    """

    def __init__(self, claims: Mapping[str, Any]) -> None:
        self._claims = claims
        self._texts: dict[str, set[str]] = {}

    def __getitem__(self, name: str) -> set[str]:
        """Return the values of a claim, as `claim_texts` does. Callers must not change the set."""
        if name not in self._texts:
            self._texts[name] = claim_texts(name, self._claims)
        return self._texts[name]


def claim_texts(name: str, claims: Mapping[str, Any]) -> set[str]:
    """Return the values of a claim as texts. A claim that is not a list has one value.

    `name` has the form of `RoleRule.claim`. Numbers, objects and empty texts are left out.
    """
    found = _claim(name, claims)
    values = found if isinstance(found, list) else [found]
    return {
        str(each).lower() if isinstance(each, bool) else str(each)
        for each in values
        if _is_plain(each)
    }


def lacks_any(names: Iterable[str], claims: Mapping[str, Any]) -> bool:
    """Return whether `claims` lacks at least one of the claims with these names.

    A claim that is an empty list is not missing.
    """
    return any(_claim(name, claims) is None for name in names)


def with_missing(claims: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    """Return `claims`, completed with the claims from `others` that are missing in `claims`.

    Nested claims are completed in the same way. A claim that is null counts as missing.
    """
    merged = {name: value for name, value in claims.items() if value is not None}
    for name, other in others.items():
        value = merged.get(name)
        if isinstance(value, Mapping) and isinstance(other, Mapping):
            merged[name] = with_missing(value, other)
        elif _claim(name, claims) is None:
            merged[name] = other
    return merged


def _is_plain(value: object) -> bool:
    return isinstance(value, bool) or (isinstance(value, str) and bool(value))


def _claim(name: str, claims: Mapping[str, Any]) -> object:
    """Return the claim `name`, or None if it is missing.

    If no claim has this name, the dots in `name` separate the names of nested claims.
    """
    if claims.get(name) is not None:
        return claims[name]
    value: object = claims
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
