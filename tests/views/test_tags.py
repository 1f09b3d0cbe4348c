"""Tags on pages: entering them, the conflict of two editors, the list and the history."""

from __future__ import annotations

import html

import pytest

from models import Person
from tests.conftest import ActorOf, ClientOf, MakeImage, reload
from tests.views.pages import visible_text
from webapp.images import editing

IMAGES = "/account/acme/images"
TYPED = {
    "name": "noble",
    "os_family": "ubuntu",
    "os_version": "ubuntu|24.04",
    "size_gb": "8",
    "agent_installed": "y",
    "shared": "y",
}


def test_an_editor_enters_tags_and_the_page_links_to_their_searches(
    client_of: ClientOf, make_image: MakeImage
) -> None:
    image, client = make_image("acme"), client_of("account-editor")
    url = f"{IMAGES}/{image.id}/edit"
    data = {**TYPED, "revision": image.revision, "tags": "team=Web, two words,"}
    page = client.post(url, data=data, follow_redirects=True).text
    assert reload(image).tags == ["team=Web", "two words"]
    assert f'href="{IMAGES}?q=tag:team%3Dweb">team=Web</a>' in page
    assert f'href="{IMAGES}?q=tag:%22two+words%22">two words</a>' in page.replace("%20", "+")
    assert "added team=Web, two words" in visible_text(page)
    assert 'value="team=Web, two words"' in client.get(url).text


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ("a\x07b", "Remove the control character U+0007 from the tag."),
        ("a\x1fb", "Remove the control character U+001F from the tag."),
        ("=web", "Enter a name before the “=” of the tag “=web”."),
        ("x" * 129, "Enter a tag of 1 to 128 characters."),
        (",".join(f"t{number}" for number in range(51)), "at most 50 tags, but there are 51"),
        ("x" * 20_000, "Enter at most"),
    ],
)
def test_invalid_tags_are_explained_and_stay_in_the_form(
    client_of: ClientOf, make_image: MakeImage, tags: str, message: str
) -> None:
    image, client = make_image("acme"), client_of("account-editor")
    data = {**TYPED, "revision": image.revision, "tags": tags}
    page = client.post(f"{IMAGES}/{image.id}/edit", data=data)
    assert page.status_code == 422
    assert message in html.unescape(page.text)
    assert reload(image).tags == []


def test_two_editors_of_the_same_tags_see_both_versions(
    client_of: ClientOf, make_image: MakeImage, actor_of: ActorOf
) -> None:
    image, client = make_image("acme", tags=["cis"]), client_of("account-editor")
    data = {**TYPED, "revision": image.revision, "tags": "cis, team=web"}
    editing.edit_fields(actor_of("account-admin"), reload(image), {"tags": ["cis", "tier=1"]})
    page = client.post(f"{IMAGES}/{image.id}/edit", data=data)
    assert page.status_code == 409
    text = visible_text(page.text)
    assert "cis, team=web" in text
    assert "cis, tier=1" in text
    assert reload(image).tags == ["cis", "tier=1"]


def test_the_list_shows_the_first_tags_of_an_image(
    client_of: ClientOf, make_image: MakeImage
) -> None:
    make_image("acme", 1, name="tagged", tags=["a<b>", "c", "d", "e", "f"])
    make_image("acme", 2, name="plain")
    Person.update(columns="name tags").execute()
    client = client_of("account-viewer")
    page = client.get(f"{IMAGES}?q=tag:C")
    assert "tagged" in page.text
    assert "plain" not in page.text
    assert '<span class="tag">a&lt;b&gt;</span>' in page.text
    assert "+2" in page.text
    assert 'title="a&lt;b&gt;, c, d, e, f"' in page.text
    assert "sort=tags" not in page.text


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ("", "Enter at least one tag."),
        (" , ", "Enter at least one tag."),
        ("=web", "before the “=”"),
    ],
)
def test_a_bulk_action_explains_which_tags_are_invalid(
    client_of: ClientOf, make_image: MakeImage, tags: str, message: str
) -> None:
    image, client = make_image("acme"), client_of("account-editor")
    data = {"action": "tag", "image": image.id, "tags": tags}
    assert 'name="tags"' in client.post(f"{IMAGES}/bulk", data=data).text
    page = client.post(f"{IMAGES}/bulk/start", data=data)
    assert page.status_code == 422
    assert message in html.unescape(page.text)


def test_an_excluded_tag_that_no_visible_image_has_is_a_problem(
    client_of: ClientOf, make_image: MakeImage
) -> None:
    make_image("acme", 1, tags=["cis"])
    make_image("globex", 2, tags=["secret"], shared=False)
    client = client_of("account-viewer")
    for tag in ("secret", "nothing"):
        page = client.get(f"{IMAGES}?q=-tag:{tag}").text
        assert f"“-tag:{tag}” excludes nothing, because no image here has this value." in page
    assert "excludes nothing" not in client.get(f"{IMAGES}?q=-tag:cis").text


def test_the_history_describes_the_tags_of_an_image_with_many_tags(
    client_of: ClientOf, make_image: MakeImage, actor_of: ActorOf
) -> None:
    tags = [f"team-{number:03}=a-rather-long-value-of-a-tag" for number in range(49)]
    image = make_image("acme", tags=tags)
    editing.edit_fields(actor_of("account-admin"), image, {"tags": [*tags, "cis"]})
    client = client_of("account-viewer")
    text = visible_text(client.get(f"{IMAGES}/{image.id}").text)
    assert "Tags added cis" in text
    assert "shortened" not in text
