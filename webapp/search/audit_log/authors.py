"""Find the authors of the entries in a log by their names and e-mail addresses."""

from __future__ import annotations

from models import Person, Scope
from webapp.access import Actor
from webapp.audit import REGISTRY
from webapp.search import sql
from webapp.search.audit_log.logs import entries_of
from webapp.search.audit_log.query import Author
from webapp.search.language import begins_with
from webapp.search.sql import Sql

MAX_AUTHORS = 200
"""The maximum number of people that one value of `by:` can match."""


def find_authors(actor: Actor, scope: Scope, value: str) -> tuple[Author, ...]:
    """Return the people in the log of `scope` who match a value of `by:`.

    The value is “me”, an e-mail address, a name, or the beginning of a name. Only people who are
    authors of entries in the log are returned, so that a search does not reveal other names. At
    most MAX_AUTHORS + 1 people are returned, so that the caller can refuse a value that matches too
    many people.
    """
    if value.lower() == "me":
        return _find_person(scope, actor.person)
    if "@" in value:
        person = Person.get_or_none(email=value.lower())
        if person is not None and (found := _find_person(scope, person)):
            return found
    names = _names_in_log(scope, _name_matches(value, prefix=True), value, MAX_AUTHORS + 1)
    equal = [name for name in names if name.lower() == value.lower()]
    return tuple(Author(name) for name in equal or names)


def names_containing(scope: Scope, part: str, limit: int) -> list[str]:
    """Return the names that contain `part`, from the entries in the log of `scope`."""
    return _names_in_log(scope, _name_matches(part, prefix=False), part, limit)


def _find_person(scope: Scope, person: Person) -> tuple[Author, ...]:
    """Return the author for a person, or () if the log has no entry with the person's name."""
    if not _names_in_log(scope, sql.equals("name", person.name), person.name, 1):
        return ()
    is_unique = Person.select().where(Person.name == person.name).count() == 1
    return (Author(person.name, 0 if is_unique else person.id),)


def _names_in_log(scope: Scope, condition: Sql, text: str, limit: int) -> list[str]:
    """Return the names in the log of `scope`, sorted. Consider only names that meet a condition.

    `condition` selects rows in the table of people. Two other names are returned too if the log
    contains them: `text` itself, because it may be the name of a deleted person, and REGISTRY, if
    `text` is the beginning of this name or of “registry”. For each name, the database reads at most
    one entry of an index.
    """
    is_by_candidate = sql.all_of(
        [entries_of(scope), sql.columns_equal("person_name", "candidate.name")]
    )
    in_log = sql.has_match(sql.rows_of("audit_entry", is_by_candidate), "action")
    registry_names = [REGISTRY] if begins_with(text, [REGISTRY, "registry"]) else []
    candidates = [sql.select(["name"], sql.rows_of("person", condition))]
    candidates += [sql.value(name, "name") for name in dict.fromkeys((*registry_names, text))]
    source = sql.rows_of(sql.subquery(sql.union(candidates), "candidate"), in_log)
    rows = sql.fetch(sql.select(["name"], source, group_by=["name"], order_by="name", limit=limit))
    return [name for (name,) in rows]


def _name_matches(text: str, *, prefix: bool) -> Sql:
    match = sql.begins if prefix else sql.contains
    return match("LOWER(name)", text.lower())
