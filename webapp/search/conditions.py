"""Translate the terms of a search into SQL conditions.

A slice is the shared or the unshared images of one scope, or of a scope and the scopes below it.
Terms about scopes, such as `owner:here` or `in:below`, select slices.

A facet is a property that all images of a `FacetGroup` have in common, such as the cloud. Terms
about facets become conditions that work on the tables `facet_group` and `image`. The remaining
terms, such as words, become conditions on `image`.

`webapp.search.planner` decides in which order images are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from models import Image, Level, LifeCycle, Scope
from schema.tags import LINE_END, token_text
from webapp.access import Actor
from webapp.clouds import CLOUDS
from webapp.clouds.details import ImageState
from webapp.images import operating_systems
from webapp.search import sql
from webapp.search.keys import Key
from webapp.search.query import Query, Term
from webapp.search.sql import Sql
from webapp.search.values import MAX_OS_FAMILY_LENGTH

SCOPE_KEYS = (Key.IN, Key.SCOPE, Key.OWNER, Key.SHARED)
FACET_KEYS = (Key.CLOUD, Key.LOCATION, Key.OS, Key.ARCH, Key.AGENT, Key.STATUS, Key.VERIFIED)
TEXT_KEYS = (Key.WORD, Key.ID)
RANGE_KEYS = (Key.SIZE, Key.CREATED, Key.BY)
"""The Images page can be sorted by the columns of these keys, so each column has an index."""
IMAGE_KEYS = (*TEXT_KEYS, *RANGE_KEYS, Key.TAG)
"""The keys of terms that are neither about scopes nor about facets."""
CONJUNCTIVE_KEYS = (Key.WORD, Key.ID, Key.SIZE, Key.CREATED, Key.TAG)
"""If a search has several terms with one of these keys, an image must match all these terms.

For any other key, an image must match at least one of the terms.
"""
COLUMNS = {
    Key.CLOUD: "cloud",
    Key.LOCATION: "location",
    Key.ARCH: "architecture",
    Key.AGENT: "agent_installed",
    Key.VERIFIED: "verified",
}

ColumnExpression = Callable[[str], str]
"""A function that returns the SQL expression for a column.

`str` returns the name of the column unchanged. `sql.without_index` returns an expression for which
SQLite does not use the index of the column.
"""


@dataclass(frozen=True)
class ScopeSlice:
    """The shared or the unshared images of one scope.

    `distance` is 0 for the current scope, 1 for the scope above it, and so on up to the Scalr
    scope.
    """

    scope: Scope
    shared: bool
    distance: int

    @property
    def condition(self) -> Sql:
        """The condition that an image or a facet group belongs to this slice."""
        return self.condition_for(indexed=True)

    def condition_for(self, *, indexed: bool) -> Sql:
        """Return `condition`. See `sql.in_slice` for `indexed`."""
        return sql.in_slice(self.scope.id, shared=self.shared, indexed=indexed)


@dataclass(frozen=True)
class SubtreeSlice:
    """The shared or the unshared images of a scope and of the scopes below it.

    The scope is the Scalr scope or an account. `owners` is the condition that an image or a facet
    group belongs to a scope that the search selects and that is not being deleted. `owners` can be
    ALWAYS only if the search selects all scopes of the slice and no scope is being deleted.
    """

    scope: Scope
    shared: bool
    owners: Sql = sql.ALWAYS
    distance: int = 0

    @property
    def condition(self) -> Sql:
        """The condition that an image or a facet group belongs to this slice."""
        return self.condition_for(indexed=True)

    def condition_for(self, *, indexed: bool) -> Sql:
        """Return `condition`. See `sql.in_subtree` for `indexed`."""
        account_id = None if self.scope.level is Level.SCALR else self.scope.id
        subtree = sql.in_subtree(account_id, shared=self.shared, indexed=indexed)
        return sql.all_of([subtree, self.owners])


Slice = ScopeSlice | SubtreeSlice


def scope_slices(
    scope: Scope,
    query: Query,
    *,
    owned_only: bool = False,
    below_only: bool = False,
    for_several_reads: bool = False,
) -> list[Slice]:
    """Return the slices that `scope` sees and that match the query's terms about scopes.

    The slices of `scope` come first, then the slice of the next scope above it, and so on up to the
    Scalr scope. If the query includes the scopes below, the slices of `scope` also contain the
    images of these scopes. With `owned_only`, only the slices of the images that `scope` itself
    owns are returned. With `below_only`, only slices of images that the scopes below own are
    returned.

    Without `for_several_reads`, the slices are valid only for a short time, because they may still
    contain the images of a scope whose deletion begins later.
    """
    slices: list[Slice] = []
    below = _levels_below(scope) if query.includes_below and not owned_only else []
    visible = _owner_is_visible(scope, always_check=for_several_reads) if below else sql.ALWAYS
    for shared in (False, True):
        is_here = not below_only and _slice_matches(query, scope.level, "here", shared=shared)
        levels = [level for level in below if _slice_matches(query, level, "below", shared=shared)]
        if levels:
            is_complete = is_here and levels == below
            owners = sql.ALWAYS if is_complete else _owned_by(scope, levels, is_here=is_here)
            slices.append(SubtreeSlice(scope, shared, sql.all_of([owners, visible])))
        elif is_here:
            slices.append(ScopeSlice(scope, shared, 0))
    if not (owned_only or below_only):
        slices += [
            ScopeSlice(above, shared=True, distance=distance)
            for distance, above in enumerate(scope.lineage[1:], start=1)
            if _slice_matches(query, above.level, "above", shared=True)
        ]
    return slices


def _levels_below(scope: Scope) -> list[Level]:
    levels = list(Level)
    return levels[levels.index(scope.level) + 1 :]


def _owner_is_visible(scope: Scope, *, always_check: bool = False) -> Sql:
    """Return the condition that an image or a facet group does not belong to a deleted scope.

    The image is at `scope` or below it. To save time, the condition is ALWAYS if no scope is being
    deleted and `always_check` is false.
    """
    if not (always_check or scope.any_scope_was_being_deleted):
        return sql.ALWAYS
    hidden = sql.rows_of("scope", Sql("deleted_at IS NOT NULL"))
    return sql.not_selected("scope_id", sql.select(["id"], hidden))


def _owned_by(scope: Scope, levels: Sequence[Level], *, is_here: bool) -> Sql:
    """Return the condition that the owner is a scope below `scope`, on one of the `levels`.

    If `is_here` is true, the owner can also be `scope` itself. An image of an account has the ID of
    the account in `scope_id` and in `account_id`.
    """
    conditions = {
        Level.ACCOUNT: Sql(f"scope_id = account_id AND scope_id <> {scope.id:d}"),
        Level.ENVIRONMENT: Sql("scope_id <> account_id"),
    }
    own_condition = [Sql(f"scope_id = {scope.id:d}")] if is_here else []
    return sql.any_of([*own_condition, *(conditions[level] for level in levels)])


def owned_below(scope: Scope) -> Sql:
    """Return the condition that an image or a facet group belongs to a scope below `scope`.

    `scope` is the Scalr scope or an account.
    """
    is_scalr = scope.level is Level.SCALR
    text = "account_id <> {0:d}" if is_scalr else "account_id = {0:d} AND scope_id <> {0:d}"
    return sql.all_of([Sql(text.format(scope.id)), _owner_is_visible(scope)])


def in_any_slice(slices: Sequence[Slice], *, indexed: bool = True) -> Sql:
    """Return the condition that an image belongs to one of the slices.

    See `sql.in_slice` for `indexed`.
    """
    return sql.any_of(each.condition_for(indexed=indexed) for each in slices)


def selects_groups(query: Query, slices: Sequence[Slice]) -> bool:
    """Return whether the query has terms about facets, or `selects_owners` is true for a slice.

    If so, it may be faster to find the matches by their facet groups than by the index of a slice.
    """
    has_facet_terms = any(query.terms_for(key) for key in FACET_KEYS)
    return has_facet_terms or any(selects_owners(each) for each in slices)


def selects_owners(slice_: Slice) -> bool:
    """Return whether the images of a slice must also meet a condition about their owners."""
    return isinstance(slice_, SubtreeSlice) and bool(slice_.owners)


def group_condition(query: Query) -> Sql:
    """Return the condition that a facet group matches the terms about facets.

    The indexes of facet groups contain the cloud before the OS family. If the query requires an OS
    but no cloud, the condition therefore also lists all clouds. Otherwise, the database would read
    all facet groups.
    """
    condition = _combine(query, FACET_KEYS, lambda term: _facet_condition(term, str))
    required = {term.key for term in query.terms if not term.excluded}
    if Key.OS in required and Key.CLOUD not in required:
        return sql.all_of([sql.one_of("cloud", list(CLOUDS)), condition])
    return condition


def image_condition(query: Query, actor: Actor) -> Sql:
    """Return the condition that an image matches all terms except the terms about scopes.

    Use this condition for images that are read by scope slice: `scope_slices` has already applied
    the terms about scopes.
    """
    return sql.all_of([facet_condition(query), ungrouped_condition(query, actor)])


def facet_condition(query: Query) -> Sql:
    """Return the condition that an image or a facet group matches the terms about facets.

    SQLite uses no index for this condition. See `sql.without_index`.
    """
    return _combine(query, FACET_KEYS, lambda term: _facet_condition(term, sql.without_index))


def tag_condition(query: Query) -> Sql:
    """Return the condition that an image matches the terms about tags."""
    return _combine(query, [Key.TAG], _has_token)


def ungrouped_condition(query: Query, actor: Actor) -> Sql:
    """Return the condition that an image matches all terms that are not about scopes or facets.

    Use this condition for images that are read by facet group: `group_condition` has already
    applied the terms about facets.
    """
    return _combine(query, IMAGE_KEYS, lambda term: _ungrouped_term_condition(term, actor))


def range_conditions(query: Query, actor: Actor, keys: Sequence[Key] = RANGE_KEYS) -> list[Sql]:
    """Return a condition for each of the `keys` for which the query has a term without a minus.

    `keys` are some of `RANGE_KEYS`. Every image that the query finds meets all of these conditions.
    For each condition, there is an index that finds the images that meet the condition.
    """
    conditions = []
    for key in keys:
        required = Query(tuple(term for term in query.terms_for(key) if not term.excluded), (), "")
        conditions.append(_combine(required, [key], lambda term: _range_condition(term, actor)))
    return [condition for condition in conditions if condition]


def is_one_range(query: Query) -> bool:
    """Return whether `range_conditions` returns one condition that finds exactly the matches.

    The query may also have terms about scopes. For "by:me", return False, because this term also
    compares the ID of the person.
    """
    terms = [term for term in query.terms if term.key not in SCOPE_KEYS]
    keys = {term.key for term in terms}
    return len(keys) == 1 and all(
        term.key in RANGE_KEYS and not term.excluded and term.value != "me" for term in terms
    )


def required_texts(query: Query) -> list[tuple[str, ...]]:
    """Return a tuple of texts for each term that has a key of `TEXT_KEYS` and no minus.

    The `search_text` of every matching image contains at least one text of each tuple. The index of
    trigrams finds images by these texts.
    """
    terms = [term for key in TEXT_KEYS for term in query.terms_for(key)]
    return [term.texts for term in terms if not term.excluded]


def required_tokens(query: Query) -> list[tuple[str, ...]]:
    """Return a tuple of tokens for each term about tags that has no minus.

    `schema.tags` defines tokens. Every matching image has at least one token of each tuple. If a
    tuple contains a key such as `team`, it leaves out tags such as `team=web`, because each image
    with such a tag also has the token `team`.
    """
    terms = [term for term in query.terms_for(Key.TAG) if not term.excluded]
    alternatives = [[token for (token,) in term.completions] or [term.value] for term in terms]
    return [
        tuple(each for each in tokens if "=" not in each or each.partition("=")[0] not in tokens)
        for tokens in alternatives
    ]


def is_one_tag(query: Query) -> bool:
    """Return whether the query requires one token and has no other terms, except about scopes."""
    terms = [term for term in query.terms if term.key not in SCOPE_KEYS]
    return len(terms) == 1 and list(map(len, required_tokens(query))) == [1]


def _slice_matches(query: Query, level: Level, owner: str, *, shared: bool) -> bool:
    """Return whether the images of a slice match the terms with the keys SCOPE, OWNER and SHARED.

    `level` is the level of the scope that owns the images, `owner` is a value of Key.OWNER, and
    `shared` says whether the images are shared.
    """
    values = {Key.SCOPE: level, Key.OWNER: owner, Key.SHARED: "yes" if shared else "no"}
    for key, value in values.items():
        terms = query.terms_for(key)
        matching = [term for term in terms if term.value == value]
        is_required = any(not term.excluded for term in terms)
        if any(term.excluded for term in matching) or (is_required and not matching):
            return False
    return True


def _combine(query: Query, keys: Iterable[Key], condition: Callable[[Term], Sql]) -> Sql:
    """Return the condition that an image matches the terms with these keys.

    `condition` returns the condition for one term.
    """
    conditions: list[Sql] = []
    for key in keys:
        terms = query.terms_for(key)
        required = [condition(term) for term in terms if not term.excluded]
        conditions += required if key in CONJUNCTIVE_KEYS else [sql.any_of(required)]
        conditions += [sql.not_(condition(term)) for term in terms if term.excluded]
    return sql.all_of(conditions)


def _facet_condition(term: Term, column: ColumnExpression) -> Sql:
    value = term.value
    if term.key is Key.OS:
        if stored := term.completions or ((term.stored,) if term.stored else ()):
            return _stored_os_condition(stored, column)
        return _os_condition(value, column)
    if term.key is Key.STATUS:
        statuses = [status for (status,) in term.completions] or [value]
        return sql.any_of(_status_condition(status, column) for status in statuses)
    name = column(COLUMNS[term.key])
    if term.completions:
        return sql.one_of(name, [each for (each,) in term.completions])
    if term.key is Key.LOCATION:
        return sql.one_of(name, term.stored or (value,))
    return sql.equals(name, value == "yes" if term.key in {Key.AGENT, Key.VERIFIED} else value)


def _stored_os_condition(stored: Iterable[tuple[str, ...]], column: ColumnExpression) -> Sql:
    """Return the condition that an image has one of the `stored` operating systems.

    Each is a family, or a family and a version.
    """
    family_column, version_column = column("os_family"), column("os_version")
    families = [each[0] for each in stored if len(each) == 1]
    conditions = [sql.one_of(family_column, families)] if families else []
    conditions += [
        sql.all_of([sql.equals(family_column, each[0]), sql.equals(version_column, each[1])])
        for each in stored
        if len(each) > 1
    ]
    return sql.any_of(conditions)


def _os_condition(value: str, column: ColumnExpression) -> Sql:
    """Return the condition for a family, or for a family and a version.

    If the family is not in the operating system data, the version can begin after any space. For
    example, "My Linux 9" can be version "9" of "My Linux", or version "Linux 9" of "My".
    """
    parts = [value.partition(" ")]
    if parts[0][0] not in operating_systems.FAMILIES:
        spaces = [index for index, character in enumerate(value) if character == " "]
        parts = [(value[:index], " ", value[index + 1 :]) for index in spaces]
    pairs = [
        (family, version)
        for family, space, version in parts
        if space and len(family) <= MAX_OS_FAMILY_LENGTH
    ]
    family_column, version_column = column("os_family"), column("os_version")
    pair_conditions = [
        sql.all_of([sql.equals(family_column, family), sql.equals(version_column, version)])
        for family, version in pairs
    ]
    return sql.any_of([sql.equals(family_column, value), *pair_conditions])


def _status_condition(value: str, column: ColumnExpression) -> Sql:
    """Return the condition for a status of the life cycle or a state in the cloud.

    "deprecated" is both a status and a state. An image matches if it has either of them.
    """
    conditions = []
    if value in set(LifeCycle):
        conditions.append(sql.equals(column("status"), value))
    states = [state for state in ImageState if state.token == value]
    conditions += [sql.equals(column("state"), state) for state in states]
    return sql.any_of(conditions)


def _ungrouped_term_condition(term: Term, actor: Actor) -> Sql:
    if term.key is Key.WORD:
        return sql.any_of(sql.contains("search_text", text) for text in term.texts)
    if term.key is Key.ID:
        return sql.any_of(sql.contains("LOWER(image_key)", text) for text in term.texts)
    if term.key is Key.TAG:
        return _has_token(term)
    if term.key is Key.BY:
        return _registrar_condition(term, actor)
    return _range_condition(term, actor)


def _has_token(term: Term) -> Sql:
    text = f"{LINE_END}{term.value}" if term.completions else token_text(term.value)
    return sql.contains("tag_index", text)


def _range_condition(term: Term, actor: Actor) -> Sql:
    if term.key is Key.SIZE:
        return _size_condition(term)
    if term.key is Key.CREATED:
        return _created_condition(term)
    return sql.equals("registered_by_name", _registrar_name(term, actor))


def _size_condition(term: Term) -> Sql:
    """Return the condition for a size in GB. An unknown size, stored as 0, never matches."""
    size = int(term.value)
    if not term.operator:
        return sql.equals("size_key", size)
    condition = sql.compare("size_key", term.operator, size)
    if term.operator in {">", ">="}:
        return condition
    return sql.all_of([sql.compare("size_key", ">", 0), condition])


def _created_condition(term: Term) -> Sql:
    """Return the condition for the day of registration, in UTC."""
    day = date.fromisoformat(term.value)
    day_start = datetime.combine(day, time(), UTC)
    next_day = day_start + timedelta(days=1) if day < date.max else datetime.max.replace(tzinfo=UTC)
    conditions = {
        "<": [("<", day_start)],
        "<=": [("<", next_day)],
        ">": [(">=", next_day)],
        ">=": [(">=", day_start)],
        "": [(">=", day_start), ("<", next_day)],
    }
    return sql.all_of(
        sql.compare("registered_at", operator, _stored_instant(instant))
        for operator, instant in conditions[term.operator]
    )


def _stored_instant(instant: datetime) -> Any:
    return Image.registered_at.db_value(instant)


def _registrar_condition(term: Term, actor: Actor) -> Sql:
    """Return the condition for the person who registered an image.

    The condition compares names. For "me", it also compares the ID, to distinguish two people who
    have the same name.
    """
    name = sql.equals(sql.without_index("registered_by_name"), _registrar_name(term, actor))
    if term.value != "me":
        return name
    return sql.all_of([name, sql.equals(sql.zero_if_null("registered_by_id"), actor.person.id)])


def _registrar_name(term: Term, actor: Actor) -> str:
    return actor.person.name if term.value == "me" else term.value
