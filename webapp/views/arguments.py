"""Read numbers and texts from the URL of the current request."""

from __future__ import annotations

from flask import request

from models import LARGEST_ID
from webapp.values.text import replace_control_characters

MAX_DIGITS = 7
"""The maximum number of digits that `number_argument` accepts. IDs can have more digits."""


def number_argument(name: str, default: int) -> int:
    """Return the number in the parameter `name` of the URL.

    Return `default` if the parameter does not consist of one to MAX_DIGITS digits.
    """
    text = request.args.get(name, "")
    is_number = text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS
    return int(text) if is_number else default


def id_argument(name: str) -> int:
    """Return the ID in the parameter `name` of the URL, or 0 if it is missing or invalid.

    A number with more digits than LARGEST_ID is invalid. Any other number that is larger than
    LARGEST_ID becomes LARGEST_ID.
    """
    text = request.args.get(name, "")
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(LARGEST_ID))
    return min(int(text), LARGEST_ID) if is_number else 0


def search_text() -> str:
    """Return the text in the search box of a list."""
    return replace_control_characters(request.args.get("q", "")).strip()


def page_number() -> int:
    """Return the number of the requested page, counted from 1."""
    return max(number_argument("page", 1), 1)
