"""The pages of Scalr and accounts can include the scopes below."""

from __future__ import annotations

import csv
import html
import io
import re

import pytest
from flask.testing import FlaskClient

from models import Image, SavedView, Scope, now
from tests.conftest import ActorOf, ClientOf, MakeImage, reload
from tests.views.pages import markup_problems, visible_text
from webapp.images import life_cycle
from webapp.search.parser import parse

ACME = "/account/acme"
IMAGES = f"{ACME}/images"
PRODUCTION = "/environment/acme/production/images"


@pytest.fixture
def images(make_image: MakeImage) -> dict[str, Image]:
    paths = {"": "above", "acme": "here", "acme/production": "below", "globex/lab": "elsewhere"}
    return {
        name: make_image(path, number, name=f"{name} golden")
        for number, (path, name) in enumerate(paths.items(), start=1)
    }


def switch(page: str) -> tuple[str, bool]:
    """Return the URL of the switch “Scopes below”, and whether the switch is on."""
    found = re.search(r'<a id="include-below".*?</a>', page, re.DOTALL)
    assert found, "the page has no switch"
    url = re.search(r'href="([^"]*)"', found[0])
    assert url is not None
    return html.unescape(url[1]), "aria-current" in found[0]


def listed(page: str) -> set[str]:
    return set(re.findall(r">(\w+) golden</a>", page))


@pytest.mark.usefixtures("images")
def test_the_switch_includes_the_scopes_below(client_of: ClientOf) -> None:
    client = client_of("account-viewer")
    page = client.get(f"{IMAGES}?q=golden&sort=name").text
    url, is_on = switch(page)
    assert (listed(page), is_on) == ({"here", "above"}, False)
    assert 'data-label="Owner"' not in page
    page = client.get(url).text
    back, is_on = switch(page)
    assert (listed(page), is_on) == ({"here", "above", "below"}, True)
    assert 'data-label="Owner">acme / production</td>' in page
    assert "3 images found" in page
    assert back == f"{IMAGES}?q=golden&sort=name"
    part = client.get(url, headers={"HX-Request": "true", "HX-Target": "results"}).text
    assert switch(part) == (back, True)


def test_an_image_links_to_the_page_where_it_can_be_changed(
    client_of: ClientOf, images: dict[str, Image]
) -> None:
    client = client_of("account-editor")
    page = client.get(f"{IMAGES}?q=in:below").text
    links = {name: f'href="{IMAGES}/{images[name].id}"' for name in ("here", "above")}
    links["below"] = f'href="{PRODUCTION}/{images["below"].id}"'
    assert all(link in page for link in links.values())
    assert not markup_problems(page)
    assert client.get(f"{PRODUCTION}/{images['below'].id}").status_code == 200
    assert re.findall(r'name="image" value="(\d+)"', page) == [str(images["here"].id)]
    assert "This image can be changed only at Environment acme / production." in page


@pytest.mark.usefixtures("images")
@pytest.mark.parametrize("name", ["environment-admin", "stranger", "outsider"])
def test_people_who_may_not_see_a_scope_do_not_see_the_scopes_below(
    client_of: ClientOf, name: str
) -> None:
    for path in ("images?q=in:below", "images/count?q=in:below", "images/filters?q=in:below"):
        assert client_of(name).get(f"{ACME}/{path}").status_code == 404
    assert client_of(name).get(f"{ACME}/overview").status_code == 404


@pytest.mark.usefixtures("images")
def test_an_environment_has_no_scopes_below(client_of: ClientOf) -> None:
    page = client_of("environment-viewer").get(f"{PRODUCTION}?q=in:below").text
    assert 'id="include-below"' not in page
    assert "“in:below” works only at the Scalr scope and at accounts" in page
    assert listed(page) == {"below", "here", "above"}


def test_an_empty_list_offers_the_scopes_below(client_of: ClientOf, make_image: MakeImage) -> None:
    client = client_of("scalr-admin")
    assert "The scopes below Account acme have" not in client.get(IMAGES).text
    make_image("acme/production", name="below golden")
    page = client.get("/scalr/images").text
    assert "No images at Scalr yet" in page
    assert "The scopes below Scalr have 1 image." in page
    assert 'href="/scalr/images?q=in:below"' in page
    page = client.get(f"{IMAGES}?q=golden").text
    assert "No images match your search" in page
    url = re.search(
        r'href="([^"]*)"[^>]*>(?:(?!</a>).)*Search the scopes below too', page, re.DOTALL
    )
    assert url is not None
    assert listed(client.get(html.unescape(url[1])).text) == {"below"}
    Image.delete().execute()
    assert "No images at Scalr yet" in client.get("/scalr/images?q=in:below").text


def test_an_export_contains_the_scopes_below(
    client_of: ClientOf, actor_of: ActorOf, images: dict[str, Image], make_image: MakeImage
) -> None:
    successor = make_image("acme/production", 9, name="next")
    life_cycle.deprecate(
        actor_of("scalr-admin"),
        reload(images["below"]),
        images["below"].registered_at.date(),
        "",
        successor.id,
    )
    answer = client_of("account-viewer").get(f"{IMAGES}/export.csv?q=in:below+golden")
    rows = list(csv.DictReader(io.StringIO(answer.data.decode("utf-8-sig"), newline="")))
    owners = {row["name"].partition(" ")[0]: row["scope"] for row in rows}
    assert owners == {
        "above": "scalr", "here": "account/acme", "below": "environment/acme/production",
    }  # fmt: skip
    successors = {row["name"]: row["successor"] for row in rows if row["successor"]}
    assert list(successors) == ["below golden"]
    assert successor.cloud_image_id in successors["below golden"]


def test_a_bulk_action_skips_the_scopes_below(
    client_of: ClientOf, images: dict[str, Image]
) -> None:
    client = client_of("account-editor")
    fields = {"action": "no-agent", "all": "y", "q": "in:below golden"}
    page = client.post(f"{IMAGES}/bulk", data=fields)
    text = visible_text(page)
    assert "Mark agent as not installed on 1 image" in text
    assert "1 image is inherited and will be skipped." in text
    assert "1 image of the scopes below Account acme will be skipped." in text
    expected = re.search(r'name="expected" value="([^"]+)"', page.text)
    assert expected is not None
    client.post(f"{IMAGES}/bulk/start", data={**fields, "expected": expected[1]})
    installed = {name for name, image in images.items() if reload(image).agent_installed}
    assert installed == {"above", "below", "elsewhere"}
    only_below = client.post(f"{IMAGES}/bulk", data={**fields, "q": "in:below owner:below"})
    assert "Account acme doesn’t own any of the selected images." in visible_text(only_below)
    by_id = client.post(f"{IMAGES}/bulk", data={"action": "delete", "image": [images["below"].id]})
    assert "Account acme doesn’t own any of the selected images." in visible_text(by_id)


@pytest.mark.usefixtures("images")
def test_a_saved_view_and_a_bookmark_keep_the_scopes_below(client_of: ClientOf) -> None:
    client = client_of("account-editor")
    data = {"name": "Everything", "path": "images?q=in:below"}
    page = client.post(f"{ACME}/views", data=data, follow_redirects=True).text
    assert listed(page) == {"here", "above", "below"}
    assert "below" in SavedView.get().path
    assert "Images, including scopes below" in page


@pytest.mark.usefixtures("images")
def test_the_overview_lists_the_scopes_below(client_of: ClientOf) -> None:
    client = client_of("scalr-viewer")
    page = client.get("/scalr/overview").text
    table = page[page.index('id="scopes-below"') : page.index("</table>")]
    links = re.findall(r'<a href="([^"]*)">([\d,]+)<span', table)
    numbers = {html.unescape(url): int(number) for url, number in links}
    assert numbers == {
        "/account/acme/images?q=owner:here": 1,
        "/account/acme/images?q=in:below+-owner:above": 2,
        "/account/globex/images?q=in:below+-owner:above": 1,
    }
    for url, number in numbers.items():
        assert len(listed(client.get(url).text)) == number
    assert "3 images in the scopes below Scalr." in visible_text(page)
    Scope.update(deleted_at=now(), path="~9").where(Scope.path == "globex").execute()
    assert "globex" not in client.get("/scalr/overview").text
    page = client_of("account-viewer").get(f"{ACME}/overview").text
    assert "/environment/acme/production/images?q=owner:here" in page
    assert (
        'id="scopes-below"'
        not in client_of("environment-viewer").get("/environment/acme/production/overview").text
    )


def test_a_person_whose_id_is_searched_is_sent_to_the_owner(
    client_of: ClientOf, images: dict[str, Image]
) -> None:
    below = images["below"]
    text = f"in:below status:retired {below.cloud_image_id}"
    page = client_of("account-viewer").get(IMAGES, query_string={"q": text}).text
    assert f'href="{PRODUCTION}/{below.id}"' in page
    assert not parse(text).problems


def test_the_image_of_a_scope_below_has_no_page_here(
    client_of: ClientOf, images: dict[str, Image]
) -> None:
    client: FlaskClient = client_of("account-admin")
    assert client.get(f"{IMAGES}/{images['below'].id}").status_code == 404


def test_the_palette_links_to_the_owner(client_of: ClientOf, images: dict[str, Image]) -> None:
    client = client_of("account-viewer")
    page = client.get("/palette", query_string={"scope": "acme", "q": "in:below golden"}).text
    assert f'href="{PRODUCTION}/{images["below"].id}"' in page
    assert f'href="{IMAGES}/{images["above"].id}"' in page
    assert "elsewhere" not in page
