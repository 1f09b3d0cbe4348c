"""The palette finds the pages, scopes and images that a person can open, and nothing else."""

from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient

from tests.conftest import ClientOf, MakeImage
from tests.views.pages import markup_problems, visible_text

HTMX = {"HX-Request": "true"}


def results(client: FlaskClient, text: str, scope: str = "acme") -> dict[str, str]:
    """Return the URL of each result by its text."""
    query = {"q": text, "scope": scope}
    answer = client.get("/palette", query_string=query, headers=HTMX)
    assert answer.status_code == 200
    assert not markup_problems(answer.text)
    links = re.findall(
        r'<a class="palette-result"\s+href="([^"]*)"[^>]*>(.*?)</a>', answer.text, re.DOTALL
    )
    return {visible_text(html): url for url, html in links}


def test_pages_are_found_by_any_words_of_their_names(client_of: ClientOf) -> None:
    admin = client_of("account-admin")
    assert results(admin, "new im") == {
        "New Image": "/account/acme/images/new",
        "Help: New Image": "/help/new-image",
    }
    assert next(iter(results(admin, "impo"))) == "Import images"
    assert "/help/importing" in results(admin, "export and").values()
    found = results(admin, "credentials cloud")
    assert found["Cloud Credentials"] == "/account/acme/credentials"
    assert found["New Cloud Credentials"] == "/account/acme/credentials/new"
    assert "/activity" in results(admin, "activity").values()


def test_a_viewer_finds_only_pages_that_open(client_of: ClientOf) -> None:
    viewer = client_of("account-viewer")
    urls = {url for text in ("", "e", "a", "i", "o") for url in results(viewer, text).values()}
    assert "/account/acme/images" in urls
    for url in urls:
        assert viewer.get(url, follow_redirects=True).status_code == 200


def test_images_are_found_by_words_and_tokens(client_of: ClientOf, make_image: MakeImage) -> None:
    image = make_image("acme", name="golden-noble", os_family="ubuntu")
    inherited = make_image("", name="golden-base", os_family="debian", number=2)
    make_image("globex", name="golden-secret")
    viewer = client_of("account-viewer")
    found = results(viewer, "golden")
    assert list(found.values()) == [
        f"/account/acme/images/{inherited.id}",
        f"/account/acme/images/{image.id}",
    ]
    assert list(results(viewer, "os:ub").values()) == [f"/account/acme/images/{image.id}"]
    assert "secret" not in str(results(viewer, "golden", scope="globex"))


def test_only_the_first_images_are_listed_and_the_last_result_leads_to_all(
    client_of: ClientOf, make_image: MakeImage
) -> None:
    for number in range(6):
        make_image("acme", name=f"golden-{number}", number=number + 1)
    found = results(client_of("account-viewer"), "golden")
    assert len(found) == 6
    assert found["Show all images that match"] == "/account/acme/images?q=golden"


@pytest.mark.parametrize("text", ["go", "clod:aws", "\x01", "x" * 300, '"', "-", "🙂" * 250])
def test_a_text_that_is_not_a_search_finds_no_images(
    client_of: ClientOf, make_image: MakeImage, text: str
) -> None:
    make_image("acme", name="golden")
    assert "golden" not in str(results(client_of("account-viewer"), text))


def test_the_reason_is_shown_if_no_images_are_searched(
    client_of: ClientOf, make_image: MakeImage
) -> None:
    make_image("acme", name="golden")
    viewer = client_of("account-viewer")
    no_match = "No page or scope matches. "
    for text, sentence in (
        ("go", f"{no_match}Images were not searched: “go” is too short."),
        ("im", "Images were not searched: “im” is too short."),
        ("gold", ""),
        ("nothing", "No page, scope or image matches."),
    ):
        answer = viewer.get("/palette", query_string={"q": text, "scope": "acme"}, headers=HTMX)
        notes = re.findall(r'<p class="palette-none">(.*?)</p>', answer.text, re.DOTALL)
        assert len(notes) == bool(sentence)
        assert "".join(map(visible_text, notes)).startswith(sentence)


def test_scopes_are_found_only_if_the_person_has_a_role_there(client_of: ClientOf) -> None:
    found = results(client_of("account-viewer"), "production")
    assert "/environment/acme/production/images" in found.values()
    assert "/account/globex/images" in results(client_of("scalr-viewer"), "globex", "").values()
    assert results(client_of("account-viewer"), "globex") == {}
    assert results(client_of("account-viewer"), "lab") == {}


@pytest.mark.parametrize("scope", ["globex", "nothing", "\x01", "acme/production/x"])
def test_a_scope_that_the_person_cannot_see_is_their_home_scope(
    client_of: ClientOf, scope: str
) -> None:
    found = results(client_of("account-viewer"), "overview", scope)
    assert list(found.values()) == ["/account/acme/overview"]


def test_a_person_without_a_role_finds_their_own_pages(client_of: ClientOf) -> None:
    outsider = client_of("outsider")
    assert results(outsider, "password") == {"Change password": "/password"}
    assert results(outsider, "images", "acme") == {}


def test_the_palette_is_a_page_without_javascript(client_of: ClientOf) -> None:
    viewer = client_of("account-viewer")
    page = viewer.get("/palette?scope=acme&q=overview")
    assert 'role="option"' not in page.text
    assert 'href="/account/acme/overview"' in page.text
    assert not markup_problems(page.text)
    assert "No page, scope or image matches" in viewer.get("/palette?q=xyzzy").text
