"""Find reflected markup, secrets in answers and forbidden changes after hostile requests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser

from werkzeug.test import TestResponse

import models
from models import (
    CloudCredentials,
    Image,
    Invitation,
    Job,
    Membership,
    Person,
    Role,
    SavedView,
    Scope,
)
from schema.base import Table
from tests.cast import CAST
from tests.views.hostile_values import MARKER, PRODUCT

SECRETS = ("$argon2", "not-a-secret-at-all")
"""The beginning of each password hash, and the secret of the credentials."""
URL_HEADERS = ("Location", "HX-Push-Url", "HX-Redirect")
DANGEROUS_SCHEMES = ("javascript:", "vbscript:", "data:text/html")
TABLES = (
    Scope,
    Person,
    Membership,
    CloudCredentials,
    Image,
    Invitation,
    SavedView,
    Job,
)
"""Tables whose rows are compared, in an order in which deleted rows can be inserted again."""
RIGHTS: Mapping[type[Table], Role] = {
    Scope: Role.ADMIN,
    Membership: Role.ADMIN,
    CloudCredentials: Role.ADMIN,
    Invitation: Role.ADMIN,
    Image: Role.EDITOR,
    Job: Role.EDITOR,
    SavedView: Role.VIEWER,
}
"""The weakest role that may change rows of a table."""
Row = dict[str, object]
Rows = dict[type[Table], list[Row]]


class _Markup(HTMLParser):
    """Finds elements, attributes and URLs that only a value of a request can have added."""

    def __init__(self) -> None:
        super().__init__()
        self.problems: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag.startswith(MARKER):
            self.problems.append(f"element {tag}")
        for name, value in attrs:
            if name.startswith((MARKER, "on")):
                self.problems.append(f"attribute {name} of {tag}")
            is_url = name in {"href", "src", "action", "formaction"} or name.startswith("hx-")
            if is_url and (value or "").strip().lower().startswith(DANGEROUS_SCHEMES):
                self.problems.append(f"{name}={value!r} of {tag}")


def answer_problems(answer: TestResponse) -> list[str]:
    """Return what is wrong with an answer to a hostile request."""
    text = answer.get_data().decode(errors="replace")
    problems = [f"shows {secret}" for secret in (*SECRETS, PRODUCT) if secret in text]
    lower = text.lower()
    if answer.mimetype == "text/html" and (MARKER in lower or "javascript:" in lower):
        page = _Markup()
        page.feed(text)
        problems += page.problems
    # Werkzeug redirects to an absolute URL with the host of the request if the path has "//".
    own_host = f"http://{answer.request.environ.get('HTTP_HOST', '')}/"
    for name in URL_HEADERS:
        url = answer.headers.get(name, "/")
        is_path = url.startswith(("/", "?", "false")) and not url.startswith(("//", "/\\"))
        if not is_path and not url.startswith(own_host):
            problems.append(f"{name}: {url}")
    return problems


def stored_rows() -> Rows:
    with models.database.connection_context():
        return {table: [*table.select().dicts()] for table in TABLES}


def forbidden_changes(who: str, before: Rows, after: Rows) -> list[str]:
    """Return the changes of rows that this person of the cast, or 'nobody', may not make."""
    paths = {row["id"]: str(row["path"]) for rows in (after, before) for row in rows[Scope]}
    scopes: dict[object, list[str]] = defaultdict(list)
    for row in before[Membership]:
        scopes[row["person"]].append(paths[row["scope"]])
    return [
        f"{table.__name__}: {old} became {new}"
        for table in TABLES
        for old, new in _changes(before[table], after[table])
        if not (
            _may_change_person(who, old or {}, new or {}, scopes)
            if table is Person
            else _may_change(who, table, old or new or {}, paths)
        )
    ]


def _changes(before: list[Row], after: list[Row]) -> list[tuple[Row | None, Row | None]]:
    old, new = {row["id"]: row for row in before}, {row["id"]: row for row in after}
    pairs = [(old.get(key), new.get(key)) for key in {**old, **new}]
    return [(first, second) for first, second in pairs if first != second]


def _may_change_person(
    who: str, old: Row, new: Row, scopes: Mapping[object, Sequence[str]]
) -> bool:
    """Return whether the person changed themselves, or an admin signed out somebody below.

    `scopes` are the paths of the scopes at which each person had a role. An admin of Scalr may
    change everything except the password, which changes only if the person is removed.
    """
    home, role = CAST.get(who, (None, None))
    changed = {name for name in {**old, **new} if old.get(name) != new.get(name)}
    if old.get("email") == f"{who}@example.com":
        return True
    if home == "" and role is Role.ADMIN:
        return "password_hash" not in changed or "removed_at" in changed
    is_below = all(_is_in(path, home) for path in scopes.get(old.get("id"), ()))
    return role is Role.ADMIN and changed == {"session_key"} and is_below


def _may_change(who: str, table: type[Table], row: Row, paths: Mapping[object, str]) -> bool:
    home, role = CAST.get(who, (None, None))
    if role is None or [*Role].index(role) < [*Role].index(RIGHTS[table]):
        return False
    if table is Scope:
        return home == "" or str(row["path"]).startswith(f"{home}/")
    return _is_in(paths[row["scope"]], home)


def _is_in(path: str, home: str | None) -> bool:
    """Return whether the scope with this path is `home` or below it."""
    return home is not None and (home in {"", path} or path.startswith(f"{home}/"))
