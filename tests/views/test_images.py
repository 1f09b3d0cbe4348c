"""The Images page and the page of an image: what they show, to whom, and what they offer."""

from __future__ import annotations

import pytest

from models import Image
from tests.conftest import ClientOf, MakeImage
from tests.views.pages import revision_in, visible_text
from webapp.clouds import CLOUDS
from webapp.clouds.errors import ImageNotVisible
from webapp.images.choices import SIZE_MESSAGE

ACME = "/account/acme"


def test_an_empty_list_explains_and_offers_the_first_step(client_of: ClientOf) -> None:
    page = client_of("account-editor").get(f"{ACME}/images").text
    assert "No images at Account acme yet" in page
    assert "Register the first image" in page
    page = client_of("account-viewer").get(f"{ACME}/images").text
    assert "Register the first image" not in page
    assert "Ask an editor" in page


def test_the_list_names_the_owner_in_words(client_of: ClientOf, make_image: MakeImage) -> None:
    make_image("", name="from above")
    page = client_of("environment-viewer").get("/environment/acme/production/images").text
    assert "from above" in page
    assert "Owned by Scalr:" in page


def test_a_search_without_results_offers_registration_of_an_id(
    client_of: ClientOf, make_image: MakeImage
) -> None:
    make_image("acme")
    client = client_of("account-editor")
    page = client.get(f"{ACME}/images?q=nothing-like-it").text
    assert "No images match your search" in page
    assert "Clear search" in page
    assert "Register this image" not in page
    page = client.get(f"{ACME}/images?q=ami-0123456789abcdef0").text
    assert f"{ACME}/images/new?paste=ami-0123456789abcdef0" in page
    page = client_of("account-viewer").get(f"{ACME}/images?q=ami-0123456789abcdef0").text
    assert "Register this image" not in page


def test_a_search_shows_the_image_whose_id_it_contains(
    client_of: ClientOf, make_image: MakeImage
) -> None:
    image = make_image("acme", name="noble")
    client = client_of("account-editor")

    def search(text: str) -> str:
        return client.get(f"{ACME}/images", query_string={"q": text}).text

    for text in (
        f"arn:aws:ec2:us-east-1::image/{image.cloud_image_id}",
        f"us-east-1:{image.cloud_image_id}",
        f'ami = "{image.cloud_image_id}"',
    ):
        assert "No images match your search" not in search(text), text
    for text in (f"{image.cloud_image_id} (prod)", f"{image.cloud_image_id} status:retired"):
        page = search(text)
        assert f'<a href="{ACME}/images/{image.id}">noble</a>' in page, text
        assert "Register this image" not in page


def test_htmx_gets_a_fragment_and_others_the_page(
    client_of: ClientOf, make_image: MakeImage
) -> None:
    make_image("acme", name="only one")
    client = client_of("account-viewer")
    page = client.get(f"{ACME}/images")
    part = client.get(f"{ACME}/images", headers={"HX-Request": "true"})
    assert "HX-Request" in page.headers["Vary"]
    assert "HX-Request" in part.headers["Vary"]
    assert "<html" in page.text
    assert "<html" not in part.text
    assert part.text.count("only one") == 1
    assert 'hx-swap-oob="true"' in part.text
    for header in ("HX-Boosted", "HX-History-Restore-Request"):
        whole = client.get(f"{ACME}/images", headers={"HX-Request": "true", header: "true"})
        assert "<html" in whole.text


@pytest.mark.parametrize(
    "query",
    [
        "q=cloud:nothing+os:nothing+owner:nothing&sort=nothing&page=nothing",
        "page=-1",
        "page=99999999999999999999",
        "page=0",
        "q=%ff%01",
        "sort=--name",
        "q=os:" + "x" * 5000,
        "q=" + "a+" * 300,
    ],
)
def test_every_query_string_is_accepted(
    client_of: ClientOf, make_image: MakeImage, query: str
) -> None:
    make_image("acme")
    assert client_of("account-viewer").get(f"{ACME}/images?{query}").status_code == 200


def test_nul_characters_are_refused(client_of: ClientOf) -> None:
    client = client_of("account-admin")
    assert client.get(f"{ACME}/images?q=%00").status_code == 400
    assert client.get(f"{ACME}/images/new/aws%00").status_code == 400
    assert client.post(f"{ACME}/members", data={"email": "a\x00@example.com"}).status_code == 400


def test_html_in_names_is_escaped(client_of: ClientOf, make_image: MakeImage) -> None:
    image = make_image("acme", name='"><script>alert(1)</script>')
    client = client_of("account-admin")
    for path in ("", f"/{image.id}", f"/{image.id}/edit", "?q=%3Cscript%3Ealert(1)"):
        page = client.get(f"{ACME}/images{path}").text
        assert "<script>alert" not in page
        assert "&lt;script&gt;" in page


def test_the_page_of_an_image_shows_its_details(client_of: ClientOf, make_image: MakeImage) -> None:
    image = make_image("acme", name="golden")
    assert image.credentials is not None
    image.credentials.settings = {"partition": "aws", "endpoint_url": ""}
    image.credentials.save()
    page = client_of("account-editor").get(f"{ACME}/images/{image.id}").text
    for words in (
        "golden",
        image.cloud_image_id,
        "Ubuntu 24.04 LTS Noble Numbat",
        "by scalr-admin",
        "Open in the console",
        "Owner account",
        "/dev/sda1 (root)",
        "Check now",
        "scalr-admin registered the image <strong>golden",
    ):
        assert words in page, words
    assert "Promote" not in page
    assert "Promote" in client_of("scalr-editor").get(f"{ACME}/images/{image.id}").text


def test_inherited_images_are_read_only(client_of: ClientOf, make_image: MakeImage) -> None:
    image = make_image("acme")
    below = f"/environment/acme/production/images/{image.id}"
    page = client_of("environment-admin").get(below).text
    assert "inherited from Account acme" in page
    assert "Check now" not in page
    assert f"{ACME}/images/{image.id}" not in page
    assert f"{ACME}/images/{image.id}" in client_of("account-viewer").get(below).text


def test_editing_keeps_input_after_an_error(client_of: ClientOf, make_image: MakeImage) -> None:
    image = make_image("acme")
    client = client_of("account-editor")
    form = {
        "name": "typed name",
        "os_family": "ubuntu",
        "os_version": "debian|12",
        "size_gb": "0",
    }
    response = client.post(f"{ACME}/images/{image.id}/edit", data=form)
    assert response.status_code == 422
    for words in ("typed name", "Choose a version of Ubuntu.", "at least 1"):
        assert words in response.text
    assert Image.get_by_id(image.id).name == "noble"


def test_editing_to_another_operating_system(client_of: ClientOf, make_image: MakeImage) -> None:
    image = make_image("acme")
    client = client_of("account-editor")
    form = {
        "name": "renamed",
        "os_family": "other",
        "os_family_other": "Haiku",
        "os_version": "other",
        "os_version_other": "R1",
        "size_gb": "",
        "revision": "1",
    }
    client.post(f"{ACME}/images/{image.id}/edit", data=form)
    stored = Image.get_by_id(image.id)
    assert (stored.name, stored.os_family, stored.os_version) == ("renamed", "Haiku", "R1")
    assert (stored.size_gb, stored.agent_installed, stored.shared) == (None, False, False)
    edit_page = client.get(f"{ACME}/images/{image.id}/edit").text
    assert 'value="Haiku"' in edit_page
    assert 'value="R1"' in edit_page


def test_turning_shared_off_lists_the_scopes_that_lose_access(
    client_of: ClientOf, make_image: MakeImage
) -> None:
    image = make_image("acme")
    client, below = client_of("account-editor"), client_of("environment-viewer")
    page = client.get(f"{ACME}/images/{image.id}/share").text
    assert "Environment acme / production" in page
    assert "Environment acme / staging" in page
    seen = f"/environment/acme/production/images/{image.id}"
    assert below.get(seen).status_code == 200
    client.post(f"{ACME}/images/{image.id}/share", data={"revision": revision_in(page)})
    assert below.get(seen).status_code == 404
    revision = revision_in(client.get(f"{ACME}/images/{image.id}/share"))
    client.post(f"{ACME}/images/{image.id}/share", data={"shared": "y", "revision": revision})
    assert below.get(seen).status_code == 200


def test_a_refused_promotion_links_to_the_registered_image(
    client_of: ClientOf, make_image: MakeImage
) -> None:
    below, above = make_image("acme/production"), make_image("acme")
    path = f"/environment/acme/production/images/{below.id}/promote"
    response = client_of("account-editor").post(path)
    assert response.status_code == 422
    assert f"{ACME}/images/{above.id}" in response.text


def test_the_current_search_can_be_pinned(client_of: ClientOf, make_image: MakeImage) -> None:
    make_image("acme")
    client = client_of("account-viewer")
    # The redirect removes the empty parameters.
    url = f"{ACME}/images?q=cloud:aws+os:ubuntu&sort=&page="
    page = client.get(url, follow_redirects=True).text
    assert 'name="path" value="images?q=cloud%3Aaws+os%3Aubuntu"' in page
    assert 'name="label" value="Images, AWS, Ubuntu"' in page
    form = {"path": "images?q=cloud%3Aaws+os%3Aubuntu", "label": "Images, AWS, Ubuntu"}
    shown = client.post(f"{ACME}/bookmarks", data=form, follow_redirects=True).text
    assert "to your bookmarks bar" in shown
    assert f'href="{ACME}/bookmarks"' in shown
    assert 'class="pin"' not in shown


@pytest.mark.parametrize("number", [2**31, 2**63, 10**30])
@pytest.mark.parametrize(
    "path",
    ["images/{}", "images/{}/edit", "jobs/{}", "credentials/{}/edit", "images/import/{}"],
)
def test_an_id_that_no_database_can_store_is_not_found(
    client_of: ClientOf, path: str, number: int
) -> None:
    assert client_of("scalr-admin").get(f"/scalr/{path.format(number)}").status_code == 404


def test_a_wrong_size_has_one_message(client_of: ClientOf, make_image: MakeImage) -> None:
    image = make_image("acme", 1)
    client = client_of("account-editor")
    for size in ("abc", "1.5", "0"):
        data = {"name": image.name, "size_gb": size}
        page = client.post(f"/account/acme/images/{image.id}/edit", data=data)
        assert page.status_code == 422
        assert page.text.count(SIZE_MESSAGE) == 1


def test_an_image_without_the_agent_has_a_warning_with_a_link(
    client_of: ClientOf, make_image: MakeImage
) -> None:
    client = client_of("account-viewer")
    for number, installed in ((1, True), (2, False)):
        image = make_image("acme", number, agent_installed=installed)
        page = client.get(f"{ACME}/images/{image.id}").text
        assert ("The Scalr agent isn’t installed on this image." in page) is not installed
        assert ("/help/new-image#the-scalr-agent" in page) is not installed
    assert 'id="the-scalr-agent"' in client.get("/help/new-image").text


def test_the_page_shows_when_and_why_the_last_check_failed(
    client_of: ClientOf, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hidden(*_: object) -> None:
        raise ImageNotVisible("The application has no role on the subscription.")

    image, client = make_image("acme"), client_of("account-editor")
    monkeypatch.setattr(CLOUDS["aws"], "describe", hidden)
    data = {"credentials": image.credentials_id}
    assert client.post(f"{ACME}/images/{image.id}/check", data=data).status_code == 422
    page = client_of("account-viewer").get(f"{ACME}/images/{image.id}")
    text = visible_text(page)
    assert "The last check failed on" in text
    assert "The application has no role on the subscription." in text
    assert "State Available" in text
    listed = visible_text(client.get(f"{ACME}/images"))
    assert "Available Last check failed" in listed
