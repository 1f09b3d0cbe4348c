"""The parts of URLs that the pages and the API share: the paths of scopes, and IDs."""

from __future__ import annotations

from typing import Any

from werkzeug.routing import IntegerConverter, Map

from models import LARGEST_ID, Level
from webapp.values.text import is_encodable

PREFIXES = {
    Level.SCALR: "/scalr",
    Level.ACCOUNT: "/account/<account>",
    Level.ENVIRONMENT: "/environment/<account>/<environment>",
}
"""The beginning of the URLs of each level. `pop_scope_path` reads the values in them."""


class IdConverter(IntegerConverter):
    """A converter for IDs in URLs. A number larger than LARGEST_ID matches no page (404)."""

    def __init__(self, url_map: Map, *args: Any, **kwargs: Any) -> None:
        super().__init__(url_map, *args, **{"max": LARGEST_ID, **kwargs})


def pop_scope_path(values: dict[str, Any]) -> str:
    """Remove the values of PREFIXES from `values`, and return the path of the scope.

    If the path cannot be encoded, PostgreSQL would refuse a query for it. In this case, return '',
    which is not the path of any account or environment.
    """
    parts = [values.pop(name) for name in ("account", "environment") if name in values]
    path = "/".join(parts)
    return path if is_encodable(path) else ""
