"""Compute the results that the catalogue must return, by checking every image in Python.

This module uses the parsed search, but no other code of `webapp.search`.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from models import Image, LifeCycle, Scope
from schema.search_text import SEPARATOR
from schema.text import place_key
from webapp.access import Actor
from webapp.clouds import CLOUDS
from webapp.clouds.details import ImageState
from webapp.images import operating_systems
from webapp.search.keys import Key
from webapp.search.query import Query, Term

ALIASES = {"x86_64": ["amd64", "x64"], "arm64": ["aarch64"]}
CONJUNCTIVE_KEYS = {Key.WORD, Key.ID, Key.SIZE, Key.CREATED, Key.TAG}


def visible_images(scope: Scope, query: Query) -> list[Image]:
    """Return all images that a scope owns or inherits.

    If the query includes the scopes below, also return all images of these scopes.
    """
    above = {each.id for each in scope.lineage[1:]}
    return [
        image
        for image in Image.select()
        if image.scope_id == scope.id
        or (image.scope_id in above and image.shared)
        or (query.includes_below and scope.id in _ids_above(image.scope))
    ]


def _ids_above(scope: Scope) -> set[int]:
    return {each.id for each in scope.lineage[1:]}


def _owner(scope: Scope, image: Image) -> str:
    if image.scope_id == scope.id:
        return "here"
    return "above" if image.scope_id in _ids_above(scope) else "below"


def matching_images(actor: Actor, scope: Scope, query: Query) -> list[Image]:
    """Return all images that a search at a scope must find."""
    return [image for image in visible_images(scope, query) if _matches(image, query, actor, scope)]


def _matches(image: Image, query: Query, actor: Actor, scope: Scope) -> bool:
    for key in Key:
        included = [term for term in query.terms_for(key) if not term.excluded]
        results = [_term_matches(image, term, actor, scope) for term in included]
        if included and not (all(results) if key in CONJUNCTIVE_KEYS else any(results)):
            return False
    excluded = [term for term in query.terms if term.excluded]
    return not any(_term_matches(image, term, actor, scope) for term in excluded)


def _term_matches(image: Image, term: Term, actor: Actor, scope: Scope) -> bool:
    if term.completions:
        return _begins(image, term)
    value = term.value
    yes = value == "yes"
    rules: dict[Key, Any] = {
        Key.WORD: lambda: any(
            searched.strip(SEPARATOR) in text.lower()
            for text in (image.name, image.cloud_image_id, image.description)
            for searched in term.texts
        ),
        Key.CLOUD: lambda: image.cloud == value,
        Key.LOCATION: lambda: place_key(image.location) == place_key(value),
        Key.OS: lambda: value in {image.os_family, f"{image.os_family} {image.os_version}"},
        Key.SCOPE: lambda: image.scope.level == value,
        Key.OWNER: lambda: _owner(scope, image) == value,
        Key.IN: lambda: True,
        Key.SHARED: lambda: image.shared == yes,
        Key.AGENT: lambda: image.agent_installed == yes,
        Key.VERIFIED: lambda: image.verified == yes,
        Key.ARCH: lambda: image.architecture == value,
        Key.STATUS: lambda: (
            (value in set(LifeCycle) and image.status == value)
            or any(state.token == value and image.state == state for state in ImageState)
        ),
        Key.SIZE: lambda: (
            image.size_gb is not None and _compare(image.size_gb, term.operator, int(value))
        ),
        Key.CREATED: lambda: _compare(
            image.registered_at.date(), term.operator, date.fromisoformat(value)
        ),
        Key.BY: lambda: (
            image.registered_by_id == actor.person.id
            if value == "me"
            else image.registered_by_name == value
        ),
        Key.TAG: lambda: any(
            value in {tag.lower(), tag.lower().partition("=")[0]} for tag in image.tags
        ),
        Key.ID: lambda: any(text in image.cloud_image_id.lower() for text in term.texts),
    }
    return bool(rules[term.key]())


def _begins(image: Image, term: Term) -> bool:
    """Return whether a name of the image's value begins with an unfinished value."""
    family, version = image.os_family, image.os_version
    names = {
        Key.CLOUD: [image.cloud, CLOUDS[image.cloud].label],
        Key.LOCATION: [image.location, place_key(image.location)],
        Key.OS: [f"{family} {version}", operating_systems.label(family, version)],
        Key.ARCH: [image.architecture, *ALIASES.get(image.architecture, ())],
        Key.STATUS: [image.status, ImageState(image.state).token],
    }
    return any(name.lower().startswith(term.value.lower()) for name in names[term.key])


def _compare(value: Any, operator: str, limit: Any) -> bool:
    return bool(
        {
            "": value == limit,
            "<": value < limit,
            "<=": value <= limit,
            ">": value > limit,
            ">=": value >= limit,
        }[operator]
    )
