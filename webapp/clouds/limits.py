"""The limits for the texts and lists that an adapter returns.

A private cloud may send megabytes. So the values in `credentials`, `locators` and `details` shorten
their texts and lists when they are created.
"""

from __future__ import annotations

from webapp.clouds.messages import bounded

NAME_LENGTH = 255
TEXT_LENGTH = 1000
DESCRIPTION_LENGTH = 4000
"""The maximum lengths of texts, in characters. No cloud allows descriptions of more than 4,000
characters."""
MAX_FACTS = 200
MAX_ITEMS = 100
"""The maximum number of volumes, of warnings, and of `os_texts` of one image."""
MAX_LISTED = 10_000
"""The maximum number of locations, images or compute resources in one list."""


def bound_texts(value: object, length: int, /, *names: str) -> None:
    """Shorten the attributes `names` of a new frozen value to `length` characters each."""
    replace_fields(value, **{name: bounded(getattr(value, name), length) for name in names})


def replace_fields(value: object, /, **fields: object) -> None:
    """Set attributes of a new frozen value."""
    for name, field in fields.items():
        object.__setattr__(value, name, field)
