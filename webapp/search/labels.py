"""The names under which pages show search terms."""

from __future__ import annotations

from collections.abc import Sequence

from webapp.clouds import CLOUDS
from webapp.images import operating_systems
from webapp.search.keys import FIXED_VALUES, Key
from webapp.search.values import split_os

KEY_LABELS = {
    Key.CLOUD: "Cloud",
    Key.LOCATION: "Location",
    Key.OS: "OS",
    Key.SCOPE: "Scope",
    Key.ARCH: "Architecture",
    Key.STATUS: "Status",
    Key.TAG: "Tag",
    Key.BY: "Registered by",
    Key.ID: "ID contains",
}
"""Terms with these keys have labels such as “Cloud: AWS”. See `phrase` for the other labels."""
FIXED_VALUE_PHRASES = {
    Key.OWNER: {"here": "owned here", "above": "inherited", "below": "owned below"},
    Key.IN: {"below": "including scopes below"},
    Key.SHARED: {"yes": "shared", "no": "not shared"},
    Key.AGENT: {"yes": "with agent", "no": "without agent"},
    Key.VERIFIED: {"yes": "checked", "no": "not checked"},
}
OWNER_LABELS = {"here": "This scope", "above": "Scopes above", "below": "Scopes below"}
DATE_OPERATORS = {
    "<": "before",
    "<=": "on or before",
    ">": "after",
    ">=": "on or after",
    "": "on",
}


def phrase(key: Key, operator: str, value: str, value_label: str) -> str:
    """Return the name of a term, such as "owned here". The first letter may be in lower case."""
    if key is Key.WORD:
        return f"“{value}”"
    if key in FIXED_VALUE_PHRASES:
        return FIXED_VALUE_PHRASES[key][value]
    if key is Key.SIZE:
        return f"size {operator or '='} {value} GB"
    if key is Key.CREATED:
        return f"registered {DATE_OPERATORS[operator]} {value} (UTC)"
    return f"{KEY_LABELS[key]}: {value_label}"


def value_label(key: Key, value: str, stored: Sequence[str]) -> str:
    """Return the name of a value, such as "This scope" for `owner:here`.

    `stored` is `Term.stored`, for example the family and version of an operating system.
    """
    if key is Key.CLOUD:
        return CLOUDS[value].label if value in CLOUDS else value
    if key is Key.OS:
        return operating_systems.label(*(stored or split_os(value)))
    if key is Key.OWNER:
        return OWNER_LABELS[value]
    return value.replace("-", " ").capitalize() if key in FIXED_VALUES else value
