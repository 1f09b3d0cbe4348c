"""Saved views, and the settings of the list, as a browser meets them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

import models
from models import Membership, Person, SavedView
from webapp.people import preferences

ClientOf = Callable[[str], FlaskClient]
ACME = "/account/acme"
UBUNTU = "images?q=os%3Aubuntu"


def save(client: FlaskClient, name: str = "Gold", path: str = UBUNTU, **said: str) -> TestResponse:
    return client.post(f"{ACME}/views", data={"name": name, "path": path, **said})


def view_of(name: str = "Gold") -> SavedView:
    models.database.connect(reuse_if_open=True)
    view: SavedView = SavedView.get(SavedView.name == name)
    return view


def view_exists() -> bool:
    with models.database.connection_context():
        return bool(SavedView.select().exists())


def test_a_search_is_saved_and_opened(client_of: ClientOf) -> None:
    client = client_of("account-viewer")
    answer = save(client)
    assert (answer.status_code, answer.location) == (303, f"{ACME}/{UBUNTU}")
    page = client.get(f"{ACME}/views").text
    assert "Saved view “Gold”." in page
    assert f'href="{ACME}/{UBUNTU}"' in page
    assert "Share" not in page


def test_what_is_typed_stays_after_an_error(client_of: ClientOf) -> None:
    client = client_of("account-editor")
    for said, words in [
        ({"name": ""}, "Enter a name for the view."),
        ({"name": "x" * 61}, "at most 60 characters"),
        ({"path": "members"}, "Only searches of the Images page"),
        ({"path": "images?q=" + "x" * 900}, "too long to save"),
    ]:
        answer = save(client, **{"shared": "y", **said})
        assert answer.status_code == 422
        assert words in answer.text
        assert f'value="{said.get("path", UBUNTU)}"' in answer.text
        assert f'value="{said.get("name", "Gold")}"' in answer.text
        assert "checked" in answer.text
        assert "Replace" not in answer.text
    assert not view_exists()


def test_a_name_that_is_taken_can_be_replaced(client_of: ClientOf) -> None:
    client = client_of("account-editor")
    save(client, shared="y")
    answer = save(client, path="images?q=web")
    assert answer.status_code == 422
    assert "You already have a view named “Gold” here. Replace it" in answer.text
    assert "Replace “Gold”" in answer.text
    # It goes on being shared unless one says otherwise.
    assert "checked" in answer.text
    assert view_of().path == UBUNTU
    answer = save(client, path="images?q=web", shared="y", replace="y")
    assert answer.location == f"{ACME}/images?q=web"
    assert (view_of().path, view_of().shared) == ("images?q=web", True)


def test_a_view_never_leads_elsewhere(client_of: ClientOf) -> None:
    client = client_of("account-viewer")
    for path in (
        "//evil.example",
        "https://evil.example",
        "../scalr/images",
        "\\evil",
        "images/../x",
    ):
        assert save(client, path=path).status_code == 422
    assert not view_exists()


def test_sharing_renaming_and_deleting(client_of: ClientOf) -> None:
    editor, viewer = client_of("account-editor"), client_of("account-viewer")
    save(editor)
    address = f"{ACME}/views/{view_of().id}"
    assert viewer.get(f"{address}/rename").status_code == 404
    editor.post(f"{address}/share", data={"shared": "y"})
    page = viewer.get(f"{ACME}/views").text
    assert "Shared by others" in page
    assert "account-editor" in page
    assert "Delete" not in page
    assert "is now shared with everyone at Account acme" in editor.get(f"{ACME}/views").text
    assert 'value="Gold"' in editor.get(f"{address}/rename").text
    answer = editor.post(f"{address}/rename", data={"name": "Silver"})
    assert (answer.status_code, view_of("Silver").shared) == (303, True)
    assert editor.post(f"{address}/rename", data={"name": ""}).status_code == 422
    assert "Everyone at Account acme will lose access" in editor.get(f"{address}/delete").text
    editor.post(f"{address}/share")
    assert not view_of("Silver").shared
    assert editor.post(f"{address}/delete").location == f"{ACME}/views"
    assert not view_exists()


def test_a_rename_into_a_taken_name(client_of: ClientOf) -> None:
    client = client_of("account-viewer")
    save(client)
    save(client, "Silver")
    answer = client.post(f"{ACME}/views/{view_of().id}/rename", data={"name": "Silver"})
    assert answer.status_code == 422
    assert "already have a view named “Silver”" in answer.text
    assert 'value="Silver"' in answer.text


def test_an_admin_deletes_what_others_share(client_of: ClientOf) -> None:
    save(client_of("account-editor"), shared="y")
    address = f"{ACME}/views/{view_of().id}"
    admin = client_of("account-admin")
    assert "Delete" in admin.get(f"{ACME}/views").text
    for action in ("rename", "share"):
        assert admin.post(f"{address}/{action}", data={"name": "x"}).status_code == 403
    assert client_of("scalr-editor").post(f"{address}/delete").status_code == 403
    assert admin.post(f"{address}/delete").status_code == 303
    assert not view_exists()


def test_who_is_an_editor_no_more_is_not_offered_what_they_may_not(client_of: ClientOf) -> None:
    editor = client_of("account-editor")
    save(editor, shared="y")
    models.database.connect(reuse_if_open=True)
    person = Person.get(Person.email == "account-editor@example.com")
    Membership.update(role=models.Role.VIEWER).where(Membership.person == person).execute()
    page = editor.get(f"{ACME}/views").text
    assert "Stop sharing" in page
    assert "Rename" not in page
    assert editor.post(f"{ACME}/views/{view_of().id}/share").status_code == 303
    assert "Rename" in editor.get(f"{ACME}/views").text


def test_a_view_is_pinned_to_the_bar(client_of: ClientOf) -> None:
    client = client_of("account-viewer")
    save(client)
    assert "In the bookmarks bar" not in client.get(f"{ACME}/views").text
    client.post(f"{ACME}/bookmarks", data={"path": UBUNTU, "label": "Gold"})
    assert "In the bookmarks bar" in client.get(f"{ACME}/views").text


def test_names_are_shown_as_text(client_of: ClientOf) -> None:
    client = client_of("account-editor")
    save(client, "<script>{bold}</script>", shared="y")
    for path in ("views", f"views/{view_of('<script>{bold}</script>').id}/delete"):
        page = client.get(f"{ACME}/{path}").text
        assert "&lt;script&gt;{bold}" in page
        assert "<script>{" not in page


def test_views_on_the_images_page(client_of: ClientOf) -> None:
    """One click to each; and the search that would be saved follows what HTMX brings in."""
    save(client_of("account-editor"), "Shared one", shared="y")
    client = client_of("account-viewer")
    save(client, "My own", "images?q=web")
    page = client.get(f"{ACME}/images?q=arch%3Aarm64").text
    assert f'href="{ACME}/images?q=web">My own</a>' in page
    assert f'href="{ACME}/{UBUNTU}">Shared one</a>' in page
    assert 'name="path" value="images?q=arch%3Aarm64"' in page
    assert "Share with everyone" not in page
    part = client.get(f"{ACME}/images?q=web", headers={"HX-Request": "true"}).text
    for name, field_id in (("path", "view-path"), ("next", "settings-next")):
        field = f'id="{field_id}" name="{name}" value="images?q=web" hx-swap-oob="true"'
        assert part.count(field) == 1
    assert "My own" not in part


@pytest.mark.parametrize(
    ("back", "to"),
    [
        ("images?q=web", "images?q=web"),
        ("overview", "overview"),
        ("", "images"),
        ("//evil.example", "images"),
        ("https://evil.example", "images"),
        ("../x", "images"),
    ],
)
def test_the_settings_of_the_list(client_of: ClientOf, back: str, to: str) -> None:
    client = client_of("account-viewer")
    said = {"columns": ["by", "os", "nothing"], "page_size": "100", "next": back}
    answer = client.post(f"{ACME}/preferences", data=said)
    assert (answer.status_code, answer.location) == (303, f"{ACME}/{to}")
    with models.database.connection_context():
        person = Person.get(Person.email == "account-viewer@example.com")
        assert preferences.load_preferences(person) == preferences.Preferences(("os", "by"), 100)


@pytest.mark.parametrize("size", ["33", "", "x", "-1"])
def test_a_page_size_that_is_not_offered(client_of: ClientOf, size: str) -> None:
    client = client_of("account-viewer")
    answer = client.post(f"{ACME}/preferences", data={"page_size": size, "columns": "by"})
    assert answer.status_code == 303
    assert "settings weren&#39;t saved" in client.get(f"{ACME}/views").text
    with models.database.connection_context():
        person = Person.get(Person.email == "account-viewer@example.com")
        assert preferences.load_preferences(person) == preferences.Preferences()


def test_views_of_another_scope(client_of: ClientOf) -> None:
    save(client_of("account-editor"), shared="y")
    address = f"/environment/acme/production/views/{view_of().id}/delete"
    assert client_of("scalr-admin").get(address).status_code == 404
