"""Lists that are divided into pages."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from flask import request
from msgspec import Meta

from models import LARGEST_ID
from webapp.api.problems import ApiProblem, FieldError
from webapp.api.urls import api_url

LIMIT = 50
"""The default value of the parameter `limit`."""
LARGEST_LIMIT = 250
"""The largest value of the parameter `limit`."""
Limit = Annotated[
    int, Meta(ge=1, le=LARGEST_LIMIT, description="The maximum number of records on a page.")
]


Cursor = Annotated[str, Meta(description="The position in the list. See `next`.")]
EntryCursor = Annotated[
    int, Meta(ge=0, le=LARGEST_ID, description="The position in the list. See `next`.")
]


def foreign_cursor() -> ApiProblem:
    """Return the problem for a cursor that belongs to another list."""
    detail = "This cursor doesn’t belong to this list. Begin with the first page."
    return ApiProblem("invalid-request", detail, [FieldError("cursor", detail)])


def page_links(cursor: str) -> tuple[str | None, dict[str, str]]:
    """Return the URL of the next page or None, and the header Link (RFC 8288).

    `cursor` is the position of the next page in the list of the current request, or ''.
    """
    if not cursor:
        return None, {}
    parameters = {**request.args, "cursor": cursor}
    url = f"{api_url(request.path)}?{urlencode(parameters)}"
    return url, {"Link": f'<{url}>; rel="next"'}
