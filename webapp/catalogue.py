"""What a scope sees: its own images and those that it inherits, searched, filtered, sorted and
paged. Visibility is part of the query, never of a template."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import and_
from typing import Any

from peewee import Case, fn

from models import Image, Level, Scope
from webapp import operating_systems

PAGE_SIZE = 50
MOST_WORDS = 10
"""Of a search; what comes after is not looked at."""
SORTS = ("name", "location", "os", "agent", "created", "status")


@dataclass(frozen=True)
class Search:
    """One state of the Images page; every part of it stands in the address."""

    text: str = ""
    cloud: str = ""
    os_family: str = ""
    owner: Level | None = None
    sort: str = "created"
    descending: bool = True
    page: int = 1

    @property
    def narrows(self) -> bool:
        """Whether it asks for less than everything."""
        return bool(self.text or self.cloud or self.os_family or self.owner)


@dataclass(frozen=True)
class Page:
    """One page of results. `total` counts all of them."""

    images: list[Image]
    total: int
    number: int
    pages: int


def find(scope: Scope, search: Search) -> Page:
    query = Image.select().where(_conditions(scope, search))
    total = query.count()
    pages = max(1, -(-total // PAGE_SIZE))
    number = min(max(search.page, 1), pages)
    rows = list(query.order_by(*_order(search)).paginate(number, PAGE_SIZE))
    owners = {each.id: each for each in scope.lineage}
    for image in rows:
        image.scope = owners[image.scope_id]
    return Page(rows, total, number, pages)


def get(scope: Scope, image_id: int) -> Image | None:
    """An image that `scope` owns or inherits."""
    image: Image | None = Image.get_or_none((Image.id == image_id) & Image.seen_from(scope))
    return image


def is_empty(scope: Scope) -> bool:
    return not Image.select().where(Image.seen_from(scope)).exists()


def os_families(scope: Scope) -> list[str]:
    """Those of the images seen here, to filter by."""
    query = Image.select(Image.os_family).where(Image.seen_from(scope)).distinct()
    return sorted(row.os_family for row in query)


def clouds(scope: Scope) -> list[str]:
    """Those of the images seen here, to filter by."""
    query = Image.select(Image.cloud).where(Image.seen_from(scope)).distinct()
    return sorted(row.cloud for row in query)


def _conditions(scope: Scope, search: Search) -> Any:
    conditions = [Image.seen_from(scope)]
    if search.cloud:
        conditions.append(Image.cloud == search.cloud)
    if search.os_family:
        conditions.append(Image.os_family == search.os_family)
    if search.owner:
        owners = [each.id for each in scope.lineage if each.level is search.owner]
        conditions.append(Image.scope.in_(owners))
    words = list(dict.fromkeys(search.text.split()))
    conditions.extend(_holds(word) for word in words[:MOST_WORDS])
    return reduce(and_, conditions)


def _holds(word: str) -> Any:
    """Every word must be part of the name, the id, the location or the operating system, as
    stored or as shown ('Ubuntu', 'Noble')."""
    families, versions = operating_systems.matching(word)
    condition = (
        Image.name.contains(word)
        | Image.cloud_image_id.contains(word)
        | Image.location.contains(word)
        | Image.os_family.contains(word)
        | Image.os_version.contains(word)
        | Image.os_family.in_(families)
    )
    for family, keys in versions.items():
        condition |= (Image.os_family == family) & Image.os_version.in_(keys)
    return condition


def _order(search: Search) -> list[Any]:
    """Ties are broken by id, so that paging neither repeats nor skips a row."""
    columns: dict[str, list[Any]] = {
        "name": [fn.LOWER(Image.name)],
        "location": [Image.cloud, Image.location],
        "os": [Image.os_family, Image.os_version_key],
        "agent": [Case(None, [(Image.agent_installed, 1)], 0)],
        "created": [Image.registered_at],
        "status": [Image.state],
    }
    ordered = [*columns[search.sort], Image.id]
    return [each.desc() if search.descending else each.asc() for each in ordered]
