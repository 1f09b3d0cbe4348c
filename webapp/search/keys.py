"""The keys of search terms, and the fixed values of some keys. `values.py` parses other values."""

from __future__ import annotations

import enum

from models import Level, LifeCycle
from webapp.clouds.details import ImageState


class Key(enum.StrEnum):
    """The key of a term in a search. Most keys stand for a property of an image."""

    WORD = "word"
    """A term without a key: matches any part of the name, cloud image ID or description."""
    CLOUD = "cloud"
    LOCATION = "location"
    OS = "os"
    SCOPE = "scope"
    OWNER = "owner"
    IN = "in"
    SHARED = "shared"
    AGENT = "agent"
    ARCH = "arch"
    STATUS = "status"
    TAG = "tag"
    VERIFIED = "verified"
    SIZE = "size"
    CREATED = "created"
    BY = "by"
    ID = "id"


KEYS = [key for key in Key if key is not Key.WORD]
"""The keys that a person can type before a colon. The interface calls `key:value` a token."""
YES_NO = {"yes": "yes", "y": "yes", "true": "yes", "no": "no", "n": "no", "false": "no"}
OWNERS = {
    "here": "here",
    "me": "here",
    "own": "here",
    "above": "above",
    "inherited": "above",
    "below": "below",
}
STATUSES = dict.fromkeys([*map(str, LifeCycle), *(state.token for state in ImageState)])
FIXED_VALUES = {
    Key.SCOPE: {str(level): str(level) for level in Level},
    Key.OWNER: OWNERS,
    Key.IN: {"below": "below"},
    Key.SHARED: YES_NO,
    Key.AGENT: YES_NO,
    Key.VERIFIED: YES_NO,
    Key.STATUS: {status: status for status in STATUSES}
    | dict.fromkeys(("unknown", "not checked", "unverified"), ImageState.UNKNOWN.token),
}
"""The accepted values of the keys that accept only certain values.

For each key, the accepted spellings are mapped to canonical values. For example, "inherited" is a
spelling of "above".
"""
STORED_KEYS = (Key.CLOUD, Key.LOCATION, Key.OS, Key.ARCH)
"""The keys that accept every value that a visible image has.

If the text after the key is such a value, it has no other meaning. For example, if an image has the
OS family "Oracle Solaris", the text "Oracle Solaris" means this family, and not a version of Oracle
Linux. All spellings of a location count as one value.
"""
ARCHITECTURES = {"amd64": "x86_64", "x64": "x86_64", "aarch64": "arm64"}
"""Other names of architectures, mapped to their canonical names."""
