"""Use an index to find the images that have a tag, and count the images of each tag.

Database triggers maintain two tables. `image_tag` has one row for each image and token. `tag_count`
has the number of images for each scope slice and token. `schema.tags` defines tokens, and
`webapp.search.conditions` defines slices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from schema.tags import ANY_VALUE
from webapp.search import sql
from webapp.search.conditions import Slice
from webapp.search.sql import Sql

MAX_READ = 1_000
"""The maximum number of rows of `tag_count` that `most_frequent` reads for a slice.

The function reads the rows with the most images. Usually, a slice has fewer rows. But the number
of rows has no limit, because every image can have tags that no other image has.
"""
MAX_PREFIX_ROWS = 50
"""The maximum number of rows that `most_frequent` reads for a slice in addition to MAX_READ rows.

The tokens of these rows begin with the text to look for, and may have few images.
"""
LAST_CHARACTER = "\U0010ffff"


class TagUse(NamedTuple):
    """A token, its label, and the number of images that have the token.

    The label is the tag in the spelling of an image that has or had the token. See `is_key` for the
    label of a key.
    """

    token: str
    label: str
    images: int

    @property
    def is_key(self) -> bool:
        """Whether the label means a key with any value, such as `team=` for the token `team`.

        If an image has the tag `team` without a value, the label can also be `team`. In this case,
        the property is false, even if other images have tags such as `team=web`.
        """
        return self.label.endswith(ANY_VALUE)

    @property
    def name(self) -> str:
        """The label for people: `team=…` if the token means a key with any value."""
        return f"{self.label}…" if self.is_key else self.label


def count_images(slices: Sequence[Slice], *tokens: str) -> int:
    """Return the number of images of the slices that have at least one of the tokens.

    The number is exact for one token. An image that has several of the tokens is counted once for
    each token.
    """
    if not slices:
        return 0
    counts = (
        sql.select([sql.sum_of("images")], sql.rows_of("tag_count", _in_slice(each, tokens)))
        for each in slices
    )
    return sql.fetch_number(sql.sum_of_results(counts))


def most_frequent(slices: Sequence[Slice], limit: int, part: str = "") -> list[TagUse]:
    """Return the tokens with the most images, the most frequent first.

    With `part`, return only tokens that contain this text. If `tag_count` has more than MAX_READ
    rows for a slice, a rare token may be missing. Rare tokens that begin with `part` are missing
    only if a slice has more than MAX_PREFIX_ROWS rows with such tokens.
    """
    subqueries = [
        sql.select(
            _COUNT_COLUMNS,
            sql.rows_of("tag_count", each.condition),
            order_by="images DESC",
            limit=MAX_READ,
        )
        for each in slices
    ]
    if part:
        prefix = _begins_with(part)
        subqueries += [
            sql.select(
                _COUNT_COLUMNS,
                sql.rows_of("tag_count", sql.all_of([each.condition, prefix])),
                limit=MAX_PREFIX_ROWS,
            )
            for each in slices
        ]
    if not subqueries:
        return []
    rows = sql.union(sql.select(["*"], sql.subquery(each, "part")) for each in subqueries)
    if part:
        # The same row can be in two of these subqueries.
        rows = sql.select(["*"], sql.subquery(rows, "all_rows"), distinct=True)
    contains_part = sql.contains("token", part) if part else sql.ALWAYS
    total = sql.named(sql.sum_of("images"), "total")
    statement = sql.select(
        ["token", total],
        sql.rows_of(sql.subquery(rows, "found"), contains_part),
        group_by=["token"],
        order_by="total DESC, token",
        limit=limit,
    )
    return uses_of(slices, [token for token, _total in sql.fetch(statement)])


def without_redundant_keys(uses: Sequence[TagUse]) -> list[TagUse]:
    """Return the tags without redundant keys.

    A key is redundant if all images with the key have the same tag, because a search for the key
    then finds the same images as a search for the tag. For example, if all images with the key
    `owner` have the tag `owner=sasha`, the key is left out.
    """
    tag_counts = {(use.token.partition("=")[0], use.images) for use in uses if "=" in use.token}
    return [use for use in uses if not (use.is_key and (use.token, use.images) in tag_counts)]


def tokens_beginning_with(slices: Sequence[Slice], beginning: str, limit: int) -> tuple[str, ...]:
    """Return the tokens that images have and that begin with a text, at most `limit`, sorted."""
    found: set[str] = set()
    for each in slices:
        source = sql.rows_of("tag_count", sql.all_of([each.condition, _begins_with(beginning)]))
        rows = sql.fetch(sql.select(["token"], source, order_by="token", limit=limit))
        found.update(token for (token,) in rows)
    return tuple(sorted(found)[:limit])


def uses_of(slices: Sequence[Slice], tokens: Sequence[str]) -> list[TagUse]:
    """Return a `TagUse` for each of `tokens` that at least one image has, the most frequent first.

    The numbers of images are exact.
    """
    if not tokens:
        return []
    has_token = sql.one_of("token", tokens)
    sums = (
        sql.select(
            ["token", "label", sql.sum_of("images")],
            sql.rows_of("tag_count", sql.all_of([each.condition, has_token])),
            group_by=["token", "label"],
        )
        for each in slices
    )
    uses: dict[str, TagUse] = {}
    for token, label, images in sql.fetch(sql.union(sums)):
        other = uses.get(token, TagUse(token, label, 0))
        # A tag is a better label than a key, which ends with an equals sign.
        best = min(other.label, label, key=lambda text: (text.endswith(ANY_VALUE), text))
        uses[token] = TagUse(token, best, other.images + int(images))
    return sorted(uses.values(), key=lambda use: (-use.images, use.token))


_COUNT_COLUMNS = ["scope_id", "shared", "token", "images"]


def entries(slice_: Slice, token: str, where: Sql = sql.ALWAYS) -> Sql:
    """Return the source for the rows of `image_tag` that have the token and belong to a slice.

    The rows have the columns `registered_at` and `id` of the images, and an index sorts the rows by
    these columns. The images must also meet the condition `where`.
    """
    conditions = [_in_slice(slice_, [token])]
    if where:
        conditions.append(sql.image_exists("image_tag.id", where))
    return sql.rows_of("image_tag", sql.all_of(conditions))


def images_with_tokens(slice_: Slice, tokens: Sequence[str], where: Sql) -> Sql:
    """Return the source for the images of a slice that have one of the tokens and meet `where`.

    An index finds the images.
    """
    ids = sql.select(["id"], sql.rows_of("image_tag", _in_slice(slice_, tokens)))
    return sql.rows_of("image", sql.all_of([sql.id_in(ids), where]))


def _in_slice(slice_: Slice, tokens: Sequence[str]) -> Sql:
    is_one = len(tokens) == 1
    has_token = sql.equals("token", tokens[0]) if is_one else sql.one_of("token", tokens)
    return sql.all_of([slice_.condition, has_token])


def _begins_with(beginning: str) -> Sql:
    last = beginning + LAST_CHARACTER
    return sql.all_of([sql.compare("token", ">=", beginning), sql.compare("token", "<", last)])
