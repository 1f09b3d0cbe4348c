"""The limits for the texts and lists that an adapter returns.

A private cloud may send megabytes. So Identity, Location, ListedImage, Fact, Volume and
ImageDetails shorten their lists and most of their texts when they are created.
"""

from __future__ import annotations

from webapp.clouds.messages import bounded

NAME_LENGTH = 255
"""The maximum length of a name or of another short text, in characters."""
TEXT_LENGTH = 1000
"""The maximum length of a longer text, in characters."""
DESCRIPTION_LENGTH = 4000
"""The maximum length of the description of an image, in characters."""
LOCATION_LENGTH = 128
"""The maximum length of a location that the registry can store, in characters."""
COMPUTE_RESOURCE_LENGTH = 255
"""The maximum length of a compute resource that the registry can store, in characters."""
MAX_FACTS = 200
"""The maximum number of facts about one image."""
MAX_ITEMS = 100
"""The maximum number of volumes of one image.

The same limit applies to its warnings, its `os_texts` and its copies.
"""
MAX_LISTED = 10_000
"""The maximum number of locations, images or compute resources in one list."""


def bound_texts(value: object, length: int, /, *names: str) -> None:
    """Shorten the attributes `names` of a new frozen object to at most `length` characters."""
    replace_fields(value, **{name: bounded(getattr(value, name), length) for name in names})


def replace_fields(value: object, /, **fields: object) -> None:
    """Set attributes of a new frozen object, which does not allow normal assignments."""
    for name, field in fields.items():
        object.__setattr__(value, name, field)
