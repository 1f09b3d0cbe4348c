"""Notes on pages: editing them, reading them, and the conflict of two editors."""

from __future__ import annotations

import html

import pytest

from tests.conftest import ActorOf, ClientOf, MakeImage, reload
from tests.views.pages import visible_text
from tests.views.test_tags import IMAGES, TYPED
from webapp.images import editing

NOTES = "## Build\r\n\r\n- built by **CI**\r\n- [log](https://ci.example.com/1)"


def test_an_editor_writes_notes_in_markdown(client_of: ClientOf, make_image: MakeImage) -> None:
    image, client = make_image("acme"), client_of("account-editor")
    url = f"{IMAGES}/{image.id}"
    assert "No notes yet." in client.get(url).text
    data = {**TYPED, "revision": image.revision, "notes": NOTES}
    page = client.post(f"{url}/edit", data=data, follow_redirects=True).text
    assert reload(image).notes == NOTES.replace("\r\n", "\n")
    assert "<h3>Build</h3>" in page
    assert '<a href="https://ci.example.com/1" rel="noopener nofollow">log</a>' in page
    assert "## Build\n\n- built by **CI**" in html.unescape(client.get(f"{url}/edit").text)
    assert "<h3>Build</h3>" in client_of("account-viewer").get(url).text


def test_a_reader_sees_nothing_about_notes_that_nobody_wrote(
    client_of: ClientOf, make_image: MakeImage
) -> None:
    image = make_image("acme")
    assert "Notes" not in visible_text(client_of("account-viewer").get(f"{IMAGES}/{image.id}"))


@pytest.mark.parametrize(
    ("notes", "message"),
    [
        ("a\x07b", "Remove the control character U+0007 from the note."),
        ("a\u202eb", "Remove the invisible character U+202E"),
        ("x" * 10_001, "at most 10,000 characters."),
        ("x" * 20_001, "Enter at most 20,000 characters."),
    ],
)
def test_invalid_notes_are_explained_and_stay_in_the_form(
    client_of: ClientOf, make_image: MakeImage, notes: str, message: str
) -> None:
    image, client = make_image("acme"), client_of("account-editor")
    data = {**TYPED, "revision": image.revision, "notes": notes}
    page = client.post(f"{IMAGES}/{image.id}/edit", data=data)
    assert page.status_code == 422
    assert message in html.unescape(page.text)
    assert notes in html.unescape(page.text)
    assert reload(image).notes == ""


def test_two_editors_of_the_same_notes_see_both_versions(
    client_of: ClientOf, make_image: MakeImage, actor_of: ActorOf
) -> None:
    image, client = make_image("acme"), client_of("account-editor")
    data = {**TYPED, "revision": image.revision, "notes": "mine"}
    editing.edit_fields(actor_of("account-admin"), reload(image), {"notes": "theirs"})
    page = client.post(f"{IMAGES}/{image.id}/edit", data=data)
    assert page.status_code == 409
    assert "mine" in visible_text(page)
    assert "theirs" in visible_text(page)


def test_hostile_notes_are_text(client_of: ClientOf, make_image: MakeImage) -> None:
    notes = "<script>alert(1)</script> ![x](https://example.com/x.png) [y](javascript:alert(1))"
    image = make_image("acme", notes=notes)
    page = client_of("account-viewer").get(f"{IMAGES}/{image.id}").text
    assert "<script>alert" not in page
    assert "<img" not in page
    assert 'href="javascript' not in page
