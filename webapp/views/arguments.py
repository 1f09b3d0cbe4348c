"""Reading numbers from the query string of the current request."""

from __future__ import annotations

from flask import request

MAX_DIGITS = 7


def number_argument(name: str, default: int) -> int:
    """Return the whole number in the query string, or `default` if it is missing or invalid."""
    text = request.args.get(name, "")
    is_number = text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS
    return int(text) if is_number else default


def page_number() -> int:
    """Return the number of the requested page, counted from 1."""
    return max(number_argument("page", 1), 1)
