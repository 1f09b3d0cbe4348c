"""The cases that `bench.list` measures.

A case is a page of the application, the person who requests the page, and the page's lower bound.
"Terms" in docs/architecture.md explains slices and facet groups.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import quote, urlencode

import models
from bench import fleet, list_bounds, lower_bound
from bench.fleet_images import (
    CJK_WORD,
    COMMON_TAG,
    COMMON_WORD,
    MISSING_WORD,
    OLD_TAG,
    RARE_CJK_WORD,
    RARE_TAG,
    RARE_WORD,
)
from bench.list_bounds import contains, range_page, scanned_page, sorted_matches
from bench.lower_bound import LowerBound, Slices, groups, rows
from models import Image, Level, Scope, today
from schema.tags import LINE_END, token_text
from webapp.search.ordering import SORTS
from webapp.views.palette import MAX_IMAGES

HOPS = 40
"""The number of times that Next is followed to reach a deep page."""
FILTER_COLUMNS = (
    "cloud",
    "os_family",
    "location",
    "status",
    "agent_installed",
    "scope_id",
    "architecture",
    "verified",
)
CHART_COLUMNS = ("cloud", "os_family", "scope_id", "status", "state", "agent_installed", "verified")
FREQUENT = (
    "cloud:aws os:ubuntu agent:yes",
    "cloud = 'aws' AND os_family = 'ubuntu' AND agent_installed = TRUE",
)
"""The text of a search with three filters that many images match, and its SQL condition.

The condition applies to facet groups and to images."""
RARE = (
    "cloud:openstack os:debian status:retired",
    "cloud = 'openstack' AND os_family = 'debian' AND status = 'retired'",
)
"""The text and the SQL condition of a search with three filters that few images match."""
SORTED_FILTERS = {
    "name": ("os:windows-server", "os_family = 'windows-server'"),
    "id": ("cloud:vmware", "cloud = 'vmware'"),
    "location": ("cloud:vmware", "cloud = 'vmware'"),
    "os": ("os:windows-server", "os_family = 'windows-server'"),
    "agent": ("agent:yes", "agent_installed = TRUE"),
    "arch": ("arch:x86_64", "architecture = 'x86_64'"),
    "status": ("status:retired", "status = 'retired'"),
}
"""A filter for some of the sort orders: the text of the search, and its SQL condition.

In the index for the sort order, the images that match are one range, but not the first range."""
MENU_SEARCHES = {
    "": "TRUE",
    "cloud:aws": "cloud = 'aws'",
    "os:u": "os_family = 'ubuntu'",
    "cloud:aws os:ubuntu": "cloud = 'aws' AND os_family = 'ubuntu'",
    RARE[0]: RARE[1],
    f"tag:{RARE_TAG}": "TRUE",
    f"tag:{COMMON_TAG}": "TRUE",
    f"tag:{COMMON_TAG} cloud:aws": "cloud = 'aws'",
}
"""The searches of the cases with the Filters panel, with their conditions for facet groups."""
BoundAfter = Callable[[str], LowerBound]
"""A function that returns the lower bound of a page, given the condition for its cursor."""


@dataclass(frozen=True)
class Case:
    """One page, and the e-mail address of the person who requests it.

    `scope` is the beginning of the URLs of all pages of a scope. `hops` is the number of times that
    Next is followed from this page to reach the page that is measured.
    """

    name: str
    email: str
    scope: str
    page: str
    lower_bound: LowerBound
    hops: int = 0

    @property
    def url(self) -> str:
        return f"{self.scope}/{self.page}"

    @property
    def lower_bound_url(self) -> str:
        return f"/{quote(self.name, safe='')}"


@dataclass(frozen=True)
class Place:
    """A scope at which somebody opens pages.

    With `below`, all searches include the scopes below, and the names of the cases end with the
    name of the scope. `account_id` is the account that shares many images.
    """

    scope: Scope
    email: str
    slices: Slices
    account_id: int
    below: bool = False

    @property
    def url(self) -> str:
        """The beginning of the URLs of all pages of the scope."""
        path = f"/{self.scope.path}" if self.scope.path else ""
        return f"/{self.scope.level}{path}"

    @property
    def ending(self) -> str:
        return f" below {self.scope.name}" if self.below else ""

    def search(self, text: str) -> str:
        """Return the text of a search. With `below`, the search includes the scopes below."""
        return f"in:below {text}".strip() if self.below else text

    def case(self, name: str, page: str, bound: LowerBound, **arguments: str) -> Case:
        """Return the case of a page of the scope. `arguments` are the parameters in its URL."""
        if arguments:
            page += "?" + urlencode(arguments)
        return Case(name + self.ending, self.email, self.url, page, bound)

    def list_case(
        self, name: str, text: str, bound: LowerBound, *, sort: str = "", hops: int = 0
    ) -> Case:
        """Return the case of a list of images."""
        arguments = {"q": self.search(text), "sort": sort}
        query_string = urlencode({key: value for key, value in arguments.items() if value})
        page = f"images?{query_string}" if query_string else "images"
        return Case(name + self.ending, self.email, self.url, page, bound, hops)


def fleet_cases() -> list[Case]:
    """Return all cases for the fleet (see `bench.fleet`) in the open database."""
    little, much = Scope.at(fleet.PATH_SEEING_LITTLE), Scope.at(fleet.PATH_SEEING_MUCH)
    assert little is not None
    assert much is not None
    scalr, account = much.lineage[-1], much.lineage[1]
    slices = _slices(little)
    seeing_little = Place(little, fleet.EMAIL_SEEING_LITTLE, slices, account.id)
    places = [
        Place(much, fleet.EMAIL_SEEING_MUCH, _slices(much), account.id),
        Place(scalr, fleet.SCALR_ADMIN, _slices_below(scalr), account.id, below=True),
        Place(account, fleet.SCALR_ADMIN, _slices_below(account), account.id, below=True),
    ]
    first = LowerBound(rows(slices), groups(slices))
    cases = [seeing_little.list_case("first page, sees little", "", first)]
    for place in places:
        cases += _lists(place)
        cases += _panels(place)
    return cases


def _slices(scope: Scope) -> Slices:
    own, inherited = f"scope_id = {scope.id}", (f"scope_id = {above}" for above in scope.above)
    return [(own, False), (own, True), *((above, True) for above in inherited)]


def _slices_below(scope: Scope) -> Slices:
    """Return the slices of a list that includes the scopes below an account or the Scalr scope."""
    owners = f"account_id = {scope.id}" if scope.level is Level.ACCOUNT else "TRUE"
    return [(owners, False), (owners, True), *_slices(scope)[2:]]


def _lists(place: Place) -> list[Case]:
    slices = place.slices
    first = place.list_case("first page", "", LowerBound(rows(slices), groups(slices)))
    searches = {**_searches(place), **_tag_searches(slices), **_unfinished_tokens(slices)}
    return [
        first,
        *_deep_pages(place),
        *(place.list_case(name, text, bound) for name, (text, bound) in searches.items()),
        *_sorted_lists(place),
    ]


def _deep_pages(place: Place) -> Iterator[Case]:
    """Yield the cases of a second page, and of pages after `HOPS` pages."""
    slices = place.slices
    tag, word = contains("tag_index", token_text(COMMON_TAG)), contains("search_text", COMMON_WORD)

    def page(count: str, where: str = "TRUE") -> BoundAfter:
        return lambda after: LowerBound(rows(slices, where=f"{where} AND {after}"), count)

    def by_name(after: str) -> LowerBound:
        return LowerBound(rows(slices, ("name_key",), "ASC", after), groups(slices))

    def tagged(after: str) -> LowerBound:
        return list_bounds.tagged_page(slices, COMMON_TAG, after)

    every, filters = page(groups(slices)), page(groups(slices, FREQUENT[1]), FREQUENT[1])
    yield from _page_after(place, "second page", "", every, hops=1)
    yield from _page_after(place, "deep page", "", every)
    yield from _page_after(place, "deep page, by name", "", by_name, sort="name")
    yield from _page_after(place, "deep page, filters", FREQUENT[0], filters, FREQUENT[1])
    yield from _page_after(place, "deep page, word", COMMON_WORD, page("", word), word)
    yield from _page_after(place, "deep page, tag", f"tag:{COMMON_TAG}", tagged, tag)


def _page_after(
    place: Place,
    name: str,
    text: str,
    bound: BoundAfter,
    where: str = "TRUE",
    *,
    sort: str = "",
    hops: int = HOPS,
) -> Iterator[Case]:
    """Yield the case of the page after `hops` pages, or of the last page if that comes earlier.

    If all matches fit on the first page, yield no case. `where` is the condition for the matches.
    """
    keys, direction = (SORTS[sort], "ASC") if sort else (("registered_at",), "DESC")
    limit = hops * lower_bound.PAGE
    statement = lower_bound.sort_keys(place.slices, keys, direction, where, limit + 1)
    found = models.database.execute_sql(statement).fetchall()
    hops = (len(found) - 1) // lower_bound.PAGE
    if hops:
        values = ", ".join(f"'{value}'" for value in found[hops * lower_bound.PAGE - 1])
        after = f"({', '.join(keys)}, id) {'>' if sort else '<'} ({values})"
        yield place.list_case(name, text, bound(after), sort=sort, hops=hops)


def _searches(place: Place) -> dict[str, tuple[str, LowerBound]]:
    """Return the text and the lower bound of each search, by case name.

    Two searches are for a part of the cloud image ID of an image that the account shares.

    The lower bounds for few matches find the matches by an index, and sort them. The lower bounds
    for many matches check the newest images one by one until the page is full.
    """
    slices = place.slices
    shared_images = Image.select().where(
        Image.cloud == "aws", Image.shared, Image.scope == place.account_id
    )
    fragment = shared_images.order_by(Image.id.desc()).get().cloud_image_id[6:14]
    long_ago, lately = (f"{today() - timedelta(days=days)}" for days in (1_400, 7))
    filters = "cloud = 'aws' AND os_family = 'ubuntu'"
    searches = {
        "word, many hits": (COMMON_WORD, scanned_page(slices, COMMON_WORD)),
        "word, few hits": (RARE_WORD, sorted_matches(slices, RARE_WORD)),
        "word, no hit": (MISSING_WORD, sorted_matches(slices, MISSING_WORD)),
        "two characters, many": (CJK_WORD, scanned_page(slices, CJK_WORD)),
        "one character, few": (RARE_CJK_WORD, sorted_matches(slices, RARE_CJK_WORD)),
        "id:fragment": (
            f"id:{fragment}",
            sorted_matches(slices, fragment, contains("lower(cloud_image_id)", fragment)),
        ),
        "part of an id": (fragment, sorted_matches(slices, fragment)),
        "three filters, many": (
            FREQUENT[0],
            LowerBound(rows(slices, where=FREQUENT[1]), groups(slices, FREQUENT[1])),
        ),
        "three filters, few": (
            RARE[0],
            LowerBound(list_bounds.rows_of_groups(slices, RARE[1]), groups(slices, RARE[1])),
        ),
        "word and filters": (
            f"{COMMON_WORD} cloud:aws os:ubuntu",
            scanned_page(slices, COMMON_WORD, filters),
        ),
        "excluded filter": (
            "-cloud:aws",
            LowerBound(rows(slices, where="cloud <> 'aws'"), groups(slices, "cloud <> 'aws'")),
        ),
        "created:<date": (
            f"created:<{long_ago}",
            range_page(slices, f"registered_at < '{long_ago}'"),
        ),
        "created:>=date": (
            f"created:>={lately}",
            range_page(slices, f"registered_at >= '{lately}'"),
        ),
        "size:>n": ("size:>150", range_page(slices, "size_key > 150", "size_key + 0 > 150")),
    }
    if not place.below:  # The person at places with `below` has registered no images.
        name, by = place.email.partition("@")[0].title(), "registered_by_name"
        searches["by:me"] = (
            "by:me",
            range_page(slices, f"{by} = '{name}'", f"{by} || '' = '{name}'"),
        )
    return searches


def _tag_searches(slices: Slices) -> dict[str, tuple[str, LowerBound]]:
    """Return the text and the lower bound of each search for tags, by case name."""
    common, is_aws = contains("tag_index", token_text(COMMON_TAG)), "cloud = 'aws'"
    filters = f"{is_aws} AND os_family = 'ubuntu'"
    return {
        "tag, many": (f"tag:{COMMON_TAG}", list_bounds.tagged_page(slices, COMMON_TAG)),
        "tag, few": (f"tag:{RARE_TAG}", list_bounds.tagged_page(slices, RARE_TAG)),
        "tag of old images": (f"tag:{OLD_TAG}", list_bounds.tagged_page(slices, OLD_TAG)),
        "tag and filters": (
            f"tag:{COMMON_TAG} cloud:aws os:ubuntu",
            LowerBound(rows(slices, where=f"{common} AND {filters}")),
        ),
        "tag of old images, filter": (
            f"tag:{OLD_TAG} cloud:aws",
            list_bounds.tagged_page(slices, OLD_TAG, where=is_aws),
        ),
        "tag of old images, word": (
            f"tag:{OLD_TAG} {COMMON_WORD}",
            list_bounds.tagged_page(slices, OLD_TAG, where=contains("search_text", COMMON_WORD)),
        ),
        "two tags, one of old images": (
            f"tag:{OLD_TAG} tag:{COMMON_TAG}",
            list_bounds.tagged_page(slices, OLD_TAG, where=common),
        ),
        "excluded tag": (f"-tag:{COMMON_TAG}", LowerBound(rows(slices, where=f"NOT {common}"))),
    }


def _unfinished_tokens(slices: Slices) -> dict[str, tuple[str, LowerBound]]:
    """Return the text and the lower bound of each search with unfinished tokens, by case name.

    About a hundred tags begin with the unfinished tag of the last search. Each of these tags
    belongs to one image.
    """
    conditions = {
        "unfinished OS": ("os:u", "os_family = 'ubuntu'"),
        "unfinished OS, 2 families": ("os:r", "os_family IN ('rhel', 'rocky')"),
        "unfinished location": ("location:eu", "location LIKE 'eu%'"),
        "two unfinished tokens": (
            "os:u cloud:a",
            "os_family = 'ubuntu' AND cloud IN ('aws', 'azure')",
        ),
        "excluded unfinished OS": ("-os:u", "os_family <> 'ubuntu'"),
    }
    build = f"build={'9' * (len(str(Image.select().count() - 1)) - 3)}"
    return {
        **{
            name: (text, LowerBound(rows(slices, where=where), groups(slices, where)))
            for name, (text, where) in conditions.items()
        },
        "unfinished tag, many": (
            f"tag:{COMMON_TAG[:2]}",
            LowerBound(rows(slices, where=contains("tag_index", f"{LINE_END}{COMMON_TAG[:2]}"))),
        ),
        "unfinished tag, many values": (f"tag:{build}", list_bounds.tag_prefix_page(slices, build)),
    }


def _sorted_lists(place: Place) -> Iterator[Case]:
    slices = place.slices
    for key in SORTS:
        yield place.list_case(
            f"sort by {key}", "", list_bounds.sorted_page(slices, key, below=place.below), sort=key
        )
    for key, (text, where) in SORTED_FILTERS.items():
        bound = list_bounds.filtered_page(slices, where, key)
        yield place.list_case(f"filter, sort by {key}", text, bound, sort=key)
    for tag in (COMMON_TAG, OLD_TAG):
        where = contains("tag_index", token_text(tag))
        bound = LowerBound(rows(slices, SORTS["name"], "ASC", where))
        yield place.list_case(f"tag {tag}, sort by name", f"tag:{tag}", bound, sort="name")
    if place.below:
        for key in SORTS:
            many = list_bounds.filtered_page(slices, FREQUENT[1], key)
            few = list_bounds.filtered_page(slices, RARE[1], key, few=True)
            yield place.list_case(f"many, sort by {key}", FREQUENT[0], many, sort=key)
            yield place.list_case(f"few, sort by {key}", RARE[0], few, sort=key)


def _panels(place: Place) -> Iterator[Case]:
    """Yield all cases that are not lists: counts, menus, suggestions, the palette, the overview."""
    slices = place.slices
    columns = [column for column in FILTER_COLUMNS if not (place.below and column == "scope_id")]
    number = LowerBound(list_bounds.count_matches(slices, COMMON_WORD), sums=True)
    yield place.case("number of hits", "images/count", number, q=place.search(COMMON_WORD))
    for text, where in MENU_SEARCHES.items():
        menus = LowerBound(list_bounds.group_values(slices, columns, where), sums=True)
        name = f"filter menus, {text}" if text else "filter menus"
        yield place.case(name, "images/filters", menus, q=place.search(text))
    for text, column in (("os:u", "os_family"), ("ub", "cloud, os_family, location, architecture")):
        values = LowerBound(list_bounds.group_values(slices, [column]), sums=True)
        yield place.case(f"suggestions, {text}", "images/suggestions", values, q=place.search(text))
    tags = LowerBound(list_bounds.tag_numbers(slices), sums=True)
    yield place.case("suggestions, tag:te", "images/suggestions", tags, q=place.search("tag:te"))
    for text, page in {
        COMMON_WORD: scanned_page(slices, COMMON_WORD),
        RARE_WORD: sorted_matches(slices, RARE_WORD),
        MISSING_WORD: sorted_matches(slices, MISSING_WORD),
        "production": scanned_page(slices, "production"),
        "os:u": LowerBound(rows(slices, where="os_family = 'ubuntu'")),
        f"tag:{RARE_TAG}": list_bounds.tagged_page(slices, RARE_TAG),
    }.items():
        few = list_bounds.first_rows(page, MAX_IMAGES)
        url = "palette?" + urlencode({"scope": place.scope.path, "q": place.search(text)})
        yield Case(f"palette, {text}{place.ending}", place.email, "", url, few)
    if place.below:
        charts = LowerBound(list_bounds.group_values(slices, ("account_id", "scope_id")), sums=True)
    else:
        charts = LowerBound(
            list_bounds.group_values(slices, CHART_COLUMNS), list_bounds.ages(slices), sums=True
        )
    yield place.case("overview", "overview", charts)
