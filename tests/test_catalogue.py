"""What a scope sees, and in which order."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from models import Level, Scope
from tests.conftest import MakeImage
from webapp import catalogue
from webapp.catalogue import SORTS, Search

Scopes = Callable[[str], Scope]


def names(scope: Scope, **search: object) -> list[str]:
    return [image.name for image in catalogue.find(scope, Search(**search)).images]  # type: ignore[arg-type]


@pytest.fixture
def four(make_image: MakeImage) -> None:
    """One image at each scope, and one that Scalr keeps for itself."""
    make_image("", 1, name="of Scalr")
    make_image("", 2, name="kept by Scalr", shared=False)
    make_image("acme", 3, name="of acme", os_family="debian", os_version="12")
    make_image("acme/production", 4, name="of production", location="eu-west-1")


@pytest.mark.usefixtures("four")
@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("", {"of Scalr", "kept by Scalr"}),
        ("acme", {"of Scalr", "of acme"}),
        ("acme/production", {"of Scalr", "of acme", "of production"}),
        ("acme/staging", {"of Scalr", "of acme"}),
        ("globex/lab", {"of Scalr"}),
    ],
)
def test_own_and_inherited(scope: Scopes, path: str, seen: set[str]) -> None:
    assert set(names(scope(path))) == seen
    found = catalogue.find(scope(path), Search())
    assert found.total == len(seen)
    assert all(catalogue.get(scope(path), image.id) for image in found.images)


@pytest.mark.usefixtures("four")
@pytest.mark.parametrize(
    ("search", "seen"),
    [
        ({"text": "PROD"}, {"of production"}),
        ({"text": "eu-west"}, {"of production"}),
        ({"text": "ami-00000000000000003"}, {"of acme"}),
        ({"text": "debian"}, {"of acme"}),
        ({"text": "debian 12"}, {"of acme"}),
        ({"text": "bookworm"}, {"of acme"}),
        ({"text": "debian 24.04"}, set()),
        ({"text": "100%"}, set()),
        ({"text": "_"}, set()),
        ({"os_family": "debian"}, {"of acme"}),
        ({"owner": Level.SCALR}, {"of Scalr"}),
        ({"owner": Level.ENVIRONMENT}, {"of production"}),
        ({"cloud": "azure"}, set()),
        ({"cloud": "aws", "text": "of", "os_family": "ubuntu"}, {"of Scalr", "of production"}),
    ],
)
def test_search(scope: Scopes, search: dict[str, object], seen: set[str]) -> None:
    assert set(names(scope("acme/production"), **search)) == seen


def test_versions_are_sorted_as_numbers(make_image: MakeImage, scope: Scopes) -> None:
    for number, version in enumerate(("10", "9", "9.10", "9.9"), start=1):
        make_image("acme", number, name=f"v{version}", os_family="rhel", os_version=version)
    assert names(scope("acme"), sort="os", descending=False) == ["v9", "v9.9", "v9.10", "v10"]


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("descending", [True, False])
def test_paging_neither_skips_nor_repeats(
    make_image: MakeImage,
    scope: Scopes,
    monkeypatch: pytest.MonkeyPatch,
    sort: str,
    descending: bool,
) -> None:
    monkeypatch.setattr(catalogue, "PAGE_SIZE", 2)
    expected = {make_image("acme", number).id for number in range(1, 6)}
    search = {"sort": sort, "descending": descending}
    pages = [catalogue.find(scope("acme"), Search(**search, page=page)) for page in (1, 2, 3)]  # type: ignore[arg-type]
    seen = [image.id for page in pages for image in page.images]
    assert sorted(seen) == sorted(expected)
    assert [(page.number, page.pages, page.total) for page in pages] == [
        (1, 3, 5),
        (2, 3, 5),
        (3, 3, 5),
    ]


def test_a_page_beyond_the_last_is_the_last(make_image: MakeImage, scope: Scopes) -> None:
    make_image("acme")
    assert catalogue.find(scope("acme"), Search(page=99)).number == 1


def test_what_can_be_filtered_by(make_image: MakeImage, scope: Scopes) -> None:
    assert catalogue.os_families(scope("acme")) == []
    make_image("acme", 1, os_family="debian")
    make_image("globex", 2, os_family="rhel")
    assert catalogue.os_families(scope("acme/production")) == ["debian"]
    assert catalogue.clouds(scope("acme/production")) == ["aws"]
