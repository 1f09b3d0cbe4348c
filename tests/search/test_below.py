"""A search with `in:below` also finds the images of the scopes below, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import models
from models import FacetGroup, Image, Level, Scope, is_sqlite, now
from tests.conftest import ActorOf, MakeImage, ScopeAt, reload
from tests.query_plans import plan_of
from tests.search import naive
from webapp.images import deletion, sharing
from webapp.search import catalogue, facets, overview, planner, suggestions
from webapp.search.catalogue import Listing
from webapp.search.counts import Count
from webapp.search.keys import Key
from webapp.search.language import NotUnderstood
from webapp.search.ordering import SORTS
from webapp.search.query import INCLUDING_BELOW, OWNED_OR_INHERITED

Names = Callable[..., list[str]]


@pytest.fixture
def names(actor_of: ActorOf, scope: ScopeAt) -> Names:
    """Return a function that returns the names of the images that a search finds, in order."""

    def names(path: str, text: str = "in:below", **listing: object) -> list[str]:
        here, actor = scope(path), actor_of("scalr-admin")
        query = catalogue.parse_search(here, text)
        assert not query.problems
        page = catalogue.find_page(actor, here, Listing(query, **listing))  # type: ignore[arg-type]
        assert page.count == Count(len(page.images)) == catalogue.count_matches(actor, here, query)
        return [image.name for image in page.images]

    return names


@pytest.fixture
def images(make_image: MakeImage) -> list[Image]:
    """Create an image at each scope, and a hidden image at Scalr."""
    return [
        make_image("", 1, name="of Scalr"),
        make_image("", 2, name="hidden at Scalr", shared=False),
        make_image("acme", 3, name="of acme", shared=False, os_family="debian", os_version="12"),
        make_image("acme/production", 4, name="of production", os_family="Plan 9"),
        make_image("acme/staging", 5, name="of staging"),
        make_image("globex", 6, name="of globex"),
        make_image("globex/lab", 7, name="of lab"),
    ]


BELOW_ACME = {"of production", "of staging"}
EVERY = {*BELOW_ACME, "of Scalr", "hidden at Scalr", "of acme", "of globex", "of lab"}


@pytest.mark.usefixtures("images")
@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("", "", {"of Scalr", "hidden at Scalr"}),
        ("", "in:below", EVERY),
        ("", "in:below owner:here", {"of Scalr", "hidden at Scalr"}),
        ("", "in:below owner:below", EVERY - {"of Scalr", "hidden at Scalr"}),
        ("", "in:below scope:account", {"of acme", "of globex"}),
        ("", "in:below scope:environment", {*BELOW_ACME, "of lab"}),
        (
            "",
            "in:below scope:scalr scope:environment shared:no",
            {"hidden at Scalr", "of lab", *BELOW_ACME},
        ),
        ("", "in:below -scope:account -owner:here", {*BELOW_ACME, "of lab"}),
        ("acme", "in:below", {"of Scalr", "of acme", *BELOW_ACME}),
        ("acme", "in:below owner:below", BELOW_ACME),
        ("acme", "in:below -owner:above", {"of acme", *BELOW_ACME}),
        ("acme", "in:below owner:above", {"of Scalr"}),
        ("acme", "in:below owner:here owner:above", {"of Scalr", "of acme"}),
        ("acme", 'in:below os:"Plan 9"', {"of production"}),
        ("acme", 'in:below -os:"Plan 9" -owner:above', {"of acme", "of staging"}),
        ("acme", "in:below prod", {"of production"}),
        ("globex", "IN:Below", {"of Scalr", "of globex", "of lab"}),
    ],
)
def test_a_scope_finds_the_images_of_the_scopes_below(
    names: Names, path: str, text: str, expected: set[str]
) -> None:
    assert set(names(path, text)) == expected


@pytest.mark.parametrize("text", ["in:below", "-in:below", "owner:below", "-owner:below"])
def test_terms_that_make_no_sense_here_are_explained(scope: ScopeAt, text: str) -> None:
    path = "acme/production" if text == "in:below" else "acme"
    query = catalogue.parse_search(scope(path), f"{text} golden")
    (problem,) = query.problems
    assert problem.text == text
    assert text in problem.message
    assert str(query) == "golden"
    with pytest.raises(NotUnderstood):
        query.require_understood()


def test_toggling_keeps_the_other_terms(scope: ScopeAt) -> None:
    query = catalogue.parse_search(scope("acme"), "golden bad:term")
    below = query.with_below_toggled()
    assert below.text == "golden in:below bad:term"
    owned = catalogue.parse_search(scope("acme"), "in:below owner:below golden")
    assert str(owned.with_below_toggled()) == "golden"


def test_an_image_belongs_to_its_account_whatever_happens_to_it(
    make_image: MakeImage, actor_of: ActorOf, scope: ScopeAt, names: Names
) -> None:
    admin, acme, scalr = actor_of("scalr-admin"), scope("acme"), scope("")
    image = make_image("acme/production", 1, name="moving")
    assert reload(image).account_id == acme.id
    image.save()  # Stores every column, also the account that this process has never read.
    assert reload(image).account_id == acme.id
    batch = deletion.delete(admin, reload(image))
    assert names("acme") == []
    deletion.restore_batch(admin, scope("acme/production"), batch)
    assert reload(image).account_id == acme.id
    sharing.promote(admin, reload(image))
    assert reload(image).account_id == acme.id
    assert names("acme", "in:below owner:here") == ["moving"]
    sharing.promote(admin, reload(image))
    assert reload(image).account_id == scalr.id
    assert names("", "in:below owner:below") == []
    assert [(group.account_id, group.images) for group in FacetGroup.select()] == [(scalr.id, 1)]


def test_images_of_a_scope_that_is_being_deleted_are_left_out(
    images: list[Image], names: Names, scope: ScopeAt, actor_of: ActorOf
) -> None:
    start_deletion("acme/production")
    assert "of production" not in names("")
    assert set(names("acme", "in:below -owner:above", sort="owner")) == {"of acme", "of staging"}
    assert names("acme", "in:below owner:below") == ["of staging"]
    assert names("acme", "in:below prod") == []
    assert catalogue.count_below(scope("acme")) == 1
    assert [row.scope.path for row in overview.load_scopes_below(scope("acme")).rows] == [
        "acme/staging"
    ]
    query = catalogue.parse_search(scope("acme"), "in:below")
    found = catalogue.iterate_images(actor_of("scalr-admin"), scope("acme"), query)
    assert images[3].id not in {image.id for image in found}


def start_deletion(path: str) -> None:
    Scope.update(deleted_at=now(), path="~1").where(Scope.path == path).execute()


@pytest.mark.usefixtures("images")
def test_each_request_finds_out_whether_a_scope_is_being_deleted(names: Names) -> None:
    assert names("acme", "in:below owner:below") == ["of staging", "of production"]
    start_deletion("acme/production")
    assert names("acme", "in:below owner:below") == ["of staging"]


@pytest.mark.parametrize("iterates_values", [False, True])
def test_a_running_export_leaves_out_a_scope_whose_deletion_begins(
    images: list[Image],
    scope: ScopeAt,
    actor_of: ActorOf,
    monkeypatch: pytest.MonkeyPatch,
    iterates_values: bool,
) -> None:
    monkeypatch.setattr(catalogue, "CHUNK", 1)
    monkeypatch.setattr(catalogue, "VALUES_CHUNK", 1)
    actor, here = actor_of("scalr-admin"), scope("acme")
    query = catalogue.parse_search(here, "in:below shared:no")
    Image.update(shared=False).execute()
    if iterates_values:
        found = (name for (name,) in catalogue.iterate_values(actor, here, query, ["name"]))
    else:
        found = (image.name for image in catalogue.iterate_images(actor, here, query))
    assert next(found) == images[2].name == "of acme"
    start_deletion("acme/production")
    assert list(found) == ["of staging"]


@pytest.mark.usefixtures("images")
def test_an_image_names_its_owner(scope: ScopeAt, actor_of: ActorOf) -> None:
    query = catalogue.parse_search(scope(""), "in:below cloud:aws")
    actor = actor_of("scalr-admin")
    page = catalogue.find_page(actor, scope(""), Listing(query, "owner", descending=False))
    owners = [(image.level, image.owner, image.owner_path) for image in page.images]
    assert (Level.ENVIRONMENT, "Environment acme / production", "acme/production") in owners
    assert owners == sorted(owners, key=lambda owner: scope(owner[2]).id)
    exported = {
        image.name: image.scope.path for image in catalogue.iterate_images(actor, scope(""), query)
    }
    assert exported["of lab"] == "globex/lab"


@pytest.mark.usefixtures("images")
def test_menus_and_suggestions_have_the_values_of_the_scopes_below(scope: ScopeAt) -> None:
    acme = scope("acme")
    query = catalogue.parse_search(acme, "in:below os:debian")
    menus = {menu.label: menu for menu in facets.filter_menus(acme, query)}
    systems = {choice.label: choice.images for choice in menus["OS"].choices}
    assert systems == {"Debian": 1, "Plan 9": 1, "Ubuntu": 2}
    query = catalogue.parse_search(acme, "in:below")
    menus = {menu.label: menu for menu in facets.filter_menus(acme, query)}
    owners = {choice.label: choice.images for choice in menus["Owner"].choices}
    assert owners == {"Scopes below": 2, "This scope": 1, "Scopes above": 1}
    assert "Plan 9" in facets.visible_values(acme, INCLUDING_BELOW, [Key.OS])[Key.OS]
    assert "Plan 9" not in facets.visible_values(acme, OWNED_OR_INHERITED, [Key.OS])[Key.OS]

    def suggested(path: str, text: str) -> list[str]:
        return [each.label for each in suggestions.suggest(scope(path), text, len(text))]

    assert suggested("acme", "in:below os:pl") == ['os:"Plan 9"']
    assert suggested("acme", "os:pl") == []
    assert suggested("acme", "in")[0] == "in:"
    assert suggested("acme", "in:") == ["in:below"]
    assert "in:" not in suggested("acme/production", "in")
    assert suggested("acme/production", "in:") == []


@pytest.mark.usefixtures("images")
def test_the_scopes_below_are_counted(
    scope: ScopeAt, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = overview.load_scopes_below(scope(""))
    rows = [(row.scope.path, row.owned, row.with_environments) for row in below.rows]
    assert rows == [("acme", 1, 3), ("globex", 1, 2)]
    assert (below.total, below.images) == (2, 5)
    for path, owned, with_environments in rows:
        assert len(names(path, "owner:here")) == owned
        assert len(names(path, "in:below -owner:above")) == with_environments
    monkeypatch.setattr(overview, "MAX_SCOPES", 1)
    below = overview.load_scopes_below(scope(""))
    assert [row.scope.path for row in below.rows] == ["acme"]
    assert (below.total, below.images) == (2, 5)


@pytest.mark.parametrize("path", ["", "acme"])
@pytest.mark.parametrize(
    ("sort", "text", "index"),
    [
        *((sort, "agent:yes", "") for sort in SORTS),
        ("name", "os:ubuntu agent:yes", "os_family_name_key "),
        ("id", "cloud:aws agent:yes", "cloud_cloud_image_id "),
    ],
)
def test_an_index_has_the_images_of_a_subtree_in_every_order(
    make_image: MakeImage,
    scope: ScopeAt,
    actor_of: ActorOf,
    monkeypatch: pytest.MonkeyPatch,
    *,
    path: str,
    sort: str,
    text: str,
    index: str,
) -> None:
    for limit in ("FEW", "MANY"):
        monkeypatch.setattr(planner, limit, 0)
    for number in range(3):
        make_image("acme/production", number)
    database = models.database.obj
    if not is_sqlite():
        pytest.skip("PostgreSQL may choose any index if a table has few rows.")
    statements = []
    send = database.execute_sql

    def execute_sql(sql: str, params: object = None) -> object:
        if "JOIN image" in sql:
            statements.append((sql, params))
        return send(sql, params)

    monkeypatch.setattr(database, "execute_sql", execute_sql)
    here, actor = scope(path), actor_of("scalr-admin")
    query = catalogue.parse_search(here, f"in:below {text}")
    page = catalogue.find_page(actor, here, Listing(query, sort, size=1))
    catalogue.find_page(actor, here, Listing(query, sort, size=1, after=page.next))
    assert len(statements) >= 2
    expected = f"{'account' if path else 'any'}_image_by_{index}"
    for sql, params in statements:
        plan = plan_of(sql, params)
        assert expected in plan, plan
        assert "SCAN image" not in plan


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("path", ["", "acme"])
@pytest.mark.parametrize(
    "text",
    [
        "in:below os:ubuntu os:debian",
        "in:below -os:rocky",
        "in:below os:debian agent:yes",
        "-os:rocky",
    ],
)
def test_the_images_of_several_families_are_merged_by_name(
    make_image: MakeImage,
    scope: ScopeAt,
    actor_of: ActorOf,
    monkeypatch: pytest.MonkeyPatch,
    *,
    path: str,
    text: str,
    descending: bool,
) -> None:
    for limit in ("FEW", "MANY"):
        monkeypatch.setattr(planner, limit, 0)
    families = ("ubuntu", "debian", "rocky")
    for number in range(18):
        owner = ("", "acme", "acme/production")[number % 3]
        family = families[number * 5 % 7 % 3]
        name = f"image-{number * 7 % 18:02}"
        make_image(owner, number, name=name, os_family=family, shared=number % 4 == 0)
    here, actor = scope(path), actor_of("scalr-admin")
    query = catalogue.parse_search(here, text)
    matching = {image.id: image for image in naive.matching_images(actor, here, query)}
    assert len(matching) > 3
    found: list[str] = []
    after = ""
    while after or not found:
        listing = Listing(query, "name", descending, size=2, after=after)
        page = catalogue.find_page(actor, here, listing)
        found += [image.name for image in page.images]
        after = page.next
    names = [image.name for image in matching.values()]
    assert found == sorted(names, reverse=descending)


@pytest.mark.parametrize("path", ["", "acme"])
@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("os:u", "os_family_os_version_key"),
        ("location:eu", "cloud_location"),
        ("arch:a", "architecture"),
    ],
)
def test_an_index_has_the_values_of_a_subtree(
    make_image: MakeImage,
    scope: ScopeAt,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    text: str,
    index: str,
) -> None:
    if not is_sqlite():
        pytest.skip("PostgreSQL may choose any index if a table has few rows.")
    make_image("acme/production")
    database = models.database.obj
    statements = []
    send = database.execute_sql

    def execute_sql(sql: str, params: object = None) -> object:
        if "facet_group" in sql or " image " in sql:
            statements.append((sql, params))
        return send(sql, params)

    here = scope(path)
    monkeypatch.setattr(database, "execute_sql", execute_sql)
    catalogue.parse_search(here, f"in:below {text}")
    with_subtree = [each for each in statements if "RECURSIVE" in each[0]]
    assert len(with_subtree) == 1
    plan = plan_of(*with_subtree[0])
    assert ("account_image_by_" if path else "any_image_by_") + index in plan
    assert "SCAN image" not in plan
