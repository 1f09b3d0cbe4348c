"""Unfinished values, such as `os:u`, find the images whose value begins with them."""

from __future__ import annotations

import pytest

from models import Image, Scope
from tests.conftest import ActorOf, MakeImage, ScopeAt
from tests.search import naive
from webapp.search import catalogue, completions, suggestions
from webapp.search.catalogue import Listing
from webapp.search.keys import Key
from webapp.search.query import Query, Term

IMAGES = (
    {"name": "noble", "os_family": "ubuntu", "os_version": "24.04", "location": "us-east-1"},
    {"name": "jammy", "os_family": "ubuntu", "os_version": "22.04", "location": "us-west-2"},
    {"name": "unix", "os_family": "Unix V", "os_version": "7", "location": "US-Lab 1"},
    {"name": "rocky", "os_family": "rocky", "os_version": "9", "location": "eu-west-1"},
    {"name": "arm", "os_family": "debian", "os_version": "13"},
)


@pytest.fixture
def here(scope: ScopeAt, make_image: MakeImage) -> Scope:
    """Return a scope with the images."""
    for values in IMAGES:
        image = make_image("acme", **{"location": "sa-east-1", **values})
        architecture = "arm64" if image.name == "arm" else "x86_64"
        Image.update(architecture=architecture).where(Image.id == image.id).execute()
    make_image("globex", name="hidden", os_family="Ultrix", location="us-secret")
    return scope("acme")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("os:u", ["jammy", "noble", "unix"]),
        ("os:U", ["jammy", "noble", "unix"]),
        ("os:un", ["unix"]),
        ('os:"ubuntu 2"', ["jammy", "noble"]),
        ('os:"ubuntu 24"', ["noble"]),
        ('os:"Ubuntu 24.04 L"', ["noble"]),
        ('os:"unix v"', ["unix"]),
        ("os:ubuntu", ["jammy", "noble"]),
        ("os:ul", []),
        ("-os:u", ["arm", "rocky"]),
        ("os:u os:deb", ["arm", "jammy", "noble", "unix"]),
        ("location:us", ["jammy", "noble", "unix"]),
        ("location:us-e", ["noble"]),
        ("location:us-l", ["unix"]),
        ("location:us-s", []),
        ("arch:a", ["arm", "jammy", "noble", "rocky", "unix"]),
        ("arch:aar", ["arm"]),
        ("arch:amd", ["jammy", "noble", "rocky", "unix"]),
        ("cloud:a", ["arm", "jammy", "noble", "rocky", "unix"]),
        ("cloud:az", []),
        ("-cloud:az", ["arm", "jammy", "noble", "rocky", "unix"]),
        ("status:a", ["arm", "jammy", "noble", "rocky", "unix"]),
        ("status:ret", []),
        ("scope:acc owner:h shared:ye", ["arm", "jammy", "noble", "rocky", "unix"]),
    ],
)
def test_an_unfinished_value_finds_all_values_that_begin_with_it(
    here: Scope, actor_of: ActorOf, text: str, names: list[str]
) -> None:
    actor, query = actor_of("account-viewer"), catalogue.parse_search(here, text)
    assert not query.problems
    page = catalogue.find_page(actor, here, Listing(query, "name", descending=False))
    assert [image.name for image in page.images] == names
    assert page.count.number == len(names)
    expected = naive.matching_images(actor, here, query)
    assert sorted(image.name for image in expected) == names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('os:"Unix V"', ["tenth", "unix"]),
        ('os:"Unix V 7"', ["unix"]),
        ('os:"Unix V 1"', ["tenth"]),
        ('os:"unix v 1"', ["tenth"]),
        ('os:"Unix V 10th E"', ["tenth"]),
        ('os:"Unix V 8"', []),
        ('-os:"Unix V 10" os:unix', ["unix"]),
    ],
)
def test_an_unfinished_version_of_a_family_that_is_not_listed_finds_its_versions(
    here: Scope, actor_of: ActorOf, make_image: MakeImage, text: str, names: list[str]
) -> None:
    make_image("acme", 2, name="tenth", os_family="Unix V", os_version="10th edition")
    actor, query = actor_of("account-viewer"), catalogue.parse_search(here, text)
    page = catalogue.find_page(actor, here, Listing(query, "name", descending=False))
    assert [image.name for image in page.images] == names
    expected = naive.matching_images(actor, here, query)
    assert sorted(image.name for image in expected) == names


def test_a_family_without_a_version_is_not_a_version(here: Scope) -> None:
    unfinished = Term(Key.OS, "Unix V ", excluded=False)
    values = {("Unix V", ""), ("Unix V", "7")}
    assert completions.completions(unfinished, values) == (("Unix V", "7"),)


def test_an_unfinished_value_is_marked_and_stays_as_it_was_typed(here: Scope) -> None:
    query = catalogue.parse_search(here, '-os:u status:a location:"us-lab 1"')
    assert [term.label for term in query.terms] == [
        "Not OS: u…",
        "Status: a…",
        "Location: US-Lab 1",
    ]
    assert str(query) == '-os:u status:a location:"US-Lab 1"'


def test_a_chosen_value_replaces_the_unfinished_value_that_it_finishes(here: Scope) -> None:
    def choose(text: str, value: str) -> str:
        (added,) = catalogue.parse_search(here, value).terms
        return catalogue.parse_search(here, text).with_term(added).text

    assert choose("os:u golden", "os:ubuntu") == "golden os:ubuntu"
    assert choose("-os:u", "os:ubuntu") == "os:ubuntu"
    assert choose("os:u", "os:debian") == "os:u os:debian"
    noble = 'os:"ubuntu 24.04"'
    assert choose('os:"ubuntu 2"', noble) == noble


def test_too_many_values_are_a_problem_that_asks_for_more(
    here: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completions, "MAX_COMPLETIONS", 2)
    assert not catalogue.parse_search(here, "location:us-e").problems
    (problem,) = catalogue.parse_search(here, "location:us").problems
    assert problem.message == "“location:us” can mean more than 2 values. Type more."


@pytest.mark.parametrize("text", ["os:u", "location:us", "arch:a", "status:de", "cloud:a", "os:x"])
def test_the_first_suggestions_are_the_values_that_the_search_finds(here: Scope, text: str) -> None:
    def found(query: Query) -> set[tuple[str, ...]]:
        return {value[:1] for term in query.terms for value in term.completions or ((term.value,),)}

    unfinished = catalogue.parse_search(here, text)
    finished = [each.text for each in suggestions.suggest(here, text, len(text))]
    values = [catalogue.parse_search(here, each).terms[0].value for each in finished]
    if not unfinished.terms[0].completions:
        assert text in {"os:x", "status:de"}
        return
    expected = {value for (value,) in found(unfinished)}
    assert set(values[: len(expected)]) <= expected


def test_an_architecture_that_an_image_has_is_finished(here: Scope) -> None:
    Image.update(architecture="a").where(Image.name == "rocky").execute()
    (term,) = catalogue.parse_search(here, "arch:a").terms
    assert term.completions == ()
    (term,) = catalogue.parse_search(here, "arch:ar").terms
    assert term.completions == (("arm64",),)
