"""The counts of the filter menus equal the number of images that their links find."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flask import Flask
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from models import Image, Person, Scope, transaction
from tests.conftest import ActorOf, MakeImage, ScopeAt
from webapp.access import Actor
from webapp.people import accounts
from webapp.search import catalogue, facets, overview
from webapp.search.catalogue import Listing
from webapp.search.facets import Choice
from webapp.search.keys import Key
from webapp.search.language import NotUnderstood
from webapp.search.query import OWNED_OR_INHERITED, Query, Term
from webapp.search.visible_values import location_key

# Names, labels and versions of families in the operating system data, and values similar to these.
FAMILIES = (
    "ubuntu", "Ubuntu", "Ubuntu Core", "ubuntu core", "ubuntu 24.04", "Ubuntu 24.04", "oracle",
    "Oracle Linux", "Oracle Solaris", "Oracle", "Rocky", "rocky linux", "Windows", "noble", "My",
    "My Linux", "os:ubuntu", "-ubuntu", "--", 'quo"te', "back\\slash", "a|b", "me", "other", "İOS",
    " padded ", "two  blanks", "\u3000", "日本語",
)  # fmt: skip
VERSIONS = ("24.04", "core", "Core 24.04", "Solaris", "Linux 9", "9", "x|y", "")
LOCATIONS = ("", "us-east-1", "US-East-1", "Data Center 1", "data center 1", "dc:1", "-dc", '"dc"')
ARCHITECTURES = ("", "x86_64", "amd64", "AMD64", "aarch64", "arm64", "ppc 64")


def text(longest: int) -> st.SearchStrategy[str]:
    characters = st.characters(exclude_categories=("C", "Zl", "Zp"))
    return st.text(characters, min_size=1, max_size=longest)


rows = st.lists(
    st.fixed_dictionaries(
        {
            "os_family": st.sampled_from(FAMILIES) | text(12),
            "os_version": st.sampled_from(VERSIONS) | text(6),
            "location": st.sampled_from(LOCATIONS) | text(12),
            "architecture": st.sampled_from(ARCHITECTURES) | text(8),
            "agent_installed": st.booleans(),
            "state": st.sampled_from(["available", "gone", "deprecated", "unknown"]),
            "status": st.sampled_from(["active", "deprecated", "retired"]),
            "shared": st.booleans(),
            "path": st.sampled_from(["", "acme"]),
        }
    ),
    min_size=1,
    max_size=8,
)
filters = st.lists(
    st.sampled_from(
        [
            "agent:no",
            "-status:gone",
            "owner:here",
            "status:active",
            "-agent:no",
            "-os:u",
            "os:u",
            '-os:"ubuntu 2"',
            "location:us",
            "arch:a",
            "status:a",
        ]
    )
    | st.builds('-os:"{}"'.format, st.sampled_from(["ubuntu", "ubuntu 24.04", "My Linux 9"]))
    | st.builds('-location:"{}"'.format, st.sampled_from(["us-east-1", "US-EAST-1"])),
    max_size=3,
    unique=True,
)


def fill_database(images: list[dict[str, object]]) -> None:
    with transaction():
        Image.delete().execute()
        for number, values in enumerate(images):
            Image.create(
                cloud="aws",
                scope=Scope.at(str(values["path"])),
                cloud_image_id=f"ami-{number:017x}",
                name=f"image {number}",
                details={},
                credentials_name="",
                registered_by_name="Somebody",
                **{name: value for name, value in values.items() if name != "path"},
            )


def without_spelling(term: Term) -> Term:
    """Return a term in which all spellings of a location are equal.

    A menu has a spelling of the images that match the other filters. Other images may have another
    spelling that comes first.
    """
    value = location_key(term.value) if term.key is Key.LOCATION else term.value
    return replace(term, value=value)


def count_found(actor: Actor, scope: Scope, query: Query) -> int:
    """Return the number of images that the link of a query lists."""
    assert len(query.text) <= 500
    parsed = catalogue.parse_search(scope, query.text)
    assert parsed.problems == ()
    assert [*map(without_spelling, parsed.terms)] == [*map(without_spelling, query.terms)]
    page = catalogue.find_page(actor, scope, Listing(parsed, size=50))
    assert page.count.exact
    assert page.count.number == len(page.images)
    return page.count.number


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(images=rows, search=filters)
@example(
    images=[
        {**dict.fromkeys(["location", "architecture"], ""), "os_family": family,
         "os_version": version, "agent_installed": True, "shared": False, "path": "acme",
         "state": "available", "status": "active"}
        for family in FAMILIES for version in ("1", "Solaris")
    ][:50],
    search=[],
)  # fmt: skip
def test_every_filter_finds_as_many_images_as_it_counts(
    db: Flask, images: list[dict[str, object]], search: list[str]
) -> None:
    fill_database(images)
    scope, actor = Scope.at("acme"), accounts.actor_for(Person.get(name="scalr-admin"))
    assert scope is not None
    query = catalogue.parse_search(scope, " ".join(search))
    assert all(problem.text.startswith("-") for problem in query.problems)
    for menu in facets.filter_menus(scope, query):
        for choice in menu.choices:
            if choice.chosen:
                continue
            (term,) = set(choice.query.terms) - set(query.terms)
            alone = [other for other in choice.query.terms if other.key is not term.key]
            excluded = [other for other in choice.query.terms_for(term.key) if other.excluded]
            alternatives = Query((*alone, *excluded), (), "").with_term(term)
            assert count_found(actor, scope, alternatives) == choice.images, (menu.label, term)
            if term.key in {Key.OS, Key.LOCATION, Key.ARCH}:
                assert term.value in {
                    str(each[name])
                    for each in images
                    for name in ("os_family", "location", "architecture")
                }
    for chart in overview.load_overview(actor, scope).charts:
        for bar in chart.bars:
            if bar.search:
                linked = catalogue.parse_search(scope, bar.search)
                assert count_found(actor, scope, linked) == bar.images, (chart.title, bar.label)


def os_choices(scope: Scope, search: str = "") -> dict[str, Choice]:
    query = catalogue.parse_search(scope, search) if search else OWNED_OR_INHERITED
    menus = {menu.label: menu for menu in facets.filter_menus(scope, query)}
    return {choice.label: choice for choice in menus["OS"].choices}


@pytest.mark.parametrize(
    "family", ["Oracle Solaris", "Ubuntu Core", "ubuntu core", "Windows", "-x"]
)
def test_a_family_that_a_person_typed_is_found_and_shown_as_typed(
    make_image: MakeImage, actor_of: ActorOf, scope: ScopeAt, family: str
) -> None:
    make_image("acme", 1, os_family=family, os_version="11.4")
    make_image("acme", 2, os_family="ubuntu")
    make_image("acme", 3, os_family="oracle", os_version="Solaris")
    acme, actor = scope("acme"), actor_of("scalr-admin")
    choice = os_choices(acme)[family]
    assert choice.images == count_found(actor, acme, choice.query) == 1
    for text, label in ((family, family), (f"{family} 11.4", f"{family} 11.4")):
        (term,) = catalogue.parse_search(acme, f'os:"{text}"').terms
        assert term.label == f"OS: {label}"
        assert count_found(actor, acme, Query((term,), (), str(term))) == 1
    chosen = os_choices(acme, choice.query.text)[family]
    assert chosen.chosen
    assert chosen.query.text == ""


def test_a_chosen_family_without_matches_stays_in_the_menu(
    make_image: MakeImage, scope: ScopeAt
) -> None:
    make_image("acme", 1, os_family="Oracle Solaris", agent_installed=True)
    make_image("acme", 2, os_family="ubuntu", os_version="24.04", agent_installed=True)
    make_image("acme", 3, os_family="debian", agent_installed=False)
    for text in ("Oracle Solaris", "ubuntu"):
        choices = os_choices(scope("acme"), f'os:"{text}" agent:no')
        assert [(each.images, each.chosen) for each in choices.values()] == [(1, False), (0, True)]
        choices = os_choices(scope("acme"), f'os:"{text}" agent:yes')
        assert sum(each.chosen for each in choices.values()) == 1, choices
    for text in ("ubuntu 24.04", "ubuntu 20.04"):
        assert list(os_choices(scope("acme"), f'os:"{text}" agent:no')) == ["Debian"]


def test_a_family_of_another_scope_does_not_change_the_meaning_of_a_search(
    make_image: MakeImage, scope: ScopeAt
) -> None:
    make_image("globex", 1, os_family="Oracle Solaris", shared=False)
    (term,) = catalogue.parse_search(scope("acme"), 'os:"Oracle Solaris"').terms
    assert term.label == "OS: Oracle Linux Solaris"


def test_a_search_for_a_very_long_operating_system_finds_nothing(
    make_image: MakeImage, actor_of: ActorOf, scope: ScopeAt
) -> None:
    make_image("acme")
    for words in (" ".join("abcd" for _ in range(98)), "ubuntu " + "x " * 240):
        query = catalogue.parse_search(scope("acme"), f'os:"{words}"')
        assert not query.problems
        assert count_found(actor_of("scalr-admin"), scope("acme"), query) == 0


@pytest.mark.parametrize(
    "text", ["-os:ubunut", "-location:us-esat-1", "-arch:amd46", "-by:Nobody", '-os:"ubuntu 42"']
)
def test_an_excluded_value_that_no_image_has_is_a_problem(
    make_image: MakeImage, scope: ScopeAt, text: str
) -> None:
    make_image("acme", os_family="ubuntu", os_version="24.04")
    query = catalogue.parse_search(scope("acme"), f"{text} image")
    assert [problem.text for problem in query.problems] == [text]
    assert "no image here has this value" in query.problems[0].message
    with pytest.raises(NotUnderstood, match="can’t be used"):
        query.require_understood()


@pytest.mark.parametrize(
    "text", ["-os:ubuntu", "-location:us-east-1", "-arch:x86_64", "-by:me", "-status:retired"]
)
def test_an_excluded_value_that_is_not_mistyped_is_no_problem(
    make_image: MakeImage, scope: ScopeAt, text: str
) -> None:
    image = make_image("acme", os_family="ubuntu", os_version="24.04")
    assert not catalogue.parse_search(scope("acme"), text).problems
    by = f'-by:"{image.registered_by_name}"'
    assert not catalogue.parse_search(scope("acme"), by).problems


def test_a_location_is_found_in_every_spelling_and_counted_once(
    make_image: MakeImage, actor_of: ActorOf, scope: ScopeAt
) -> None:
    make_image("acme", 1, location="RegionOne")
    make_image("acme", 2, location="RegionOne")
    make_image("acme", 3, location="regionone", agent_installed=False)
    make_image("acme", 4, location="RegionTwo")
    acme, actor = scope("acme"), actor_of("scalr-admin")
    for text in ("location:regionone", "location:RegionOne", "location:REGIONONE"):
        query = catalogue.parse_search(acme, text)
        assert count_found(actor, acme, query) == 3
        assert [term.label for term in query.terms] == ["Location: RegionOne"]
        assert count_found(actor, acme, catalogue.parse_search(acme, f"-{text}")) == 1
        for search in (text, f"{text} agent:no", f"-{text}"):
            query = catalogue.parse_search(acme, search)
            menus = {menu.label: menu for menu in facets.filter_menus(acme, query)}
            counts = {each.label: each.images for each in menus["Location"].choices}
            others = "agent:no" if "agent:no" in search else ""
            assert counts["RegionOne"] == (1 if others else 3)
            assert "regionone" not in counts
            (chosen,) = (each for each in menus["Location"].choices if each.label == "RegionOne")
            assert chosen.chosen is not search.startswith("-")
            assert len(chosen.query.terms_for(Key.LOCATION)) == (0 if chosen.chosen else 1)
    (term,) = catalogue.parse_search(acme, "location:regionone location:REGIONONE").terms
    assert term.value == "RegionOne"
    assert facets.visible_values(acme, OWNED_OR_INHERITED, [Key.LOCATION])[Key.LOCATION] == [
        "RegionOne",
        "RegionTwo",
    ]
