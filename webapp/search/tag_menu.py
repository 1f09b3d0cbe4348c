"""For each tag in the Filters panel, count the matching images that have the tag.

The numbers in the other menus of the panel are sums over the facet groups
(`schema.images.FacetGroup`), but these groups do not contain tags. If a search has neither terms
about facets nor terms about tags, the numbers come from the table `tag_count`. Otherwise, the
images are counted one by one. If this would take too long, the numbers are unknown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from models import Scope
from schema.tags import labels_in
from webapp.search import conditions, planner, sql, tags
from webapp.search.conditions import FACET_KEYS, Slice
from webapp.search.keys import Key
from webapp.search.query import Query
from webapp.search.sql import Sql
from webapp.search.tags import TagUse

MAX_COUNTED_IMAGES = 5_000
"""The maximum number of images to count one by one, so that the menu opens without a delay."""


def tag_uses(
    scope: Scope, query: Query, limit: int, candidates: int | None = None
) -> tuple[list[TagUse], bool]:
    """Return the most frequent tags, and whether their numbers are known.

    Only images that match the query's terms about scopes, facets and tags are counted. If the
    numbers are unknown, return the tags that are the most frequent among the images that match the
    terms about scopes. `candidates` is the number of images that match the terms about scopes and
    facets, if the caller knows it.
    """
    slices = conditions.scope_slices(scope, query)
    terms = [term for term in query.terms if term.key in {*FACET_KEYS, Key.TAG}]
    if not slices or not terms:
        return tags.most_frequent(slices, limit), True
    sources = _tagged_image_sources(slices, Query(tuple(terms), (), ""), candidates)
    if sources is None:
        return tags.most_frequent(slices, limit), False
    return _count(sources, limit), True


def _tagged_image_sources(
    slices: Sequence[Slice], query: Query, candidates: int | None
) -> list[Sql] | None:
    """Return the sources (`webapp.search.sql`) that select the matching images with tags.

    Return None if there may be too many images to count.
    """
    has_tags = sql.all_of([conditions.tag_condition(query), sql.compare("tag_index", "<>", "")])
    if candidates is None:
        candidates = planner.count_grouped_images(slices, query)
    if candidates <= MAX_COUNTED_IMAGES:
        groups = sql.union(
            sql.select(["id"], source) for source in planner.group_sources(slices, query)
        )
        return [sql.rows_of("image", sql.all_of([sql.images_of_groups(groups), has_tags]))]
    for tokens in conditions.required_tokens(query):
        if tags.count_images(slices, *tokens) <= MAX_COUNTED_IMAGES:
            where = sql.all_of([conditions.facet_condition(query), has_tags])
            return [tags.images_with_tokens(each, tokens, where) for each in slices]
    return None


def _count(sources: Sequence[Sql], limit: int) -> list[TagUse]:
    images: Counter[str] = Counter()
    labels: dict[str, str] = {}
    for (index,) in sql.fetch(sql.union(sql.select(["tag_index"], each) for each in sources)):
        image_labels = labels_in(index)
        images.update(image_labels.keys())
        labels |= image_labels
    most_frequent = sorted(images.items(), key=lambda item: (-item[1], item[0]))[:limit]
    return [TagUse(token, labels[token], number) for token, number in most_frequent]
