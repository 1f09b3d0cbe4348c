"""The pages and forms of saved views, and the settings of the list."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

import models
from models import Membership, Person, SavedView
from tests.conftest import ClientOf
from tests.views.pages import revision_in
from webapp.people import preferences

ACME = "/account/acme"
UBUNTU = "images?q=os%3Aubuntu"


def save(
    client: FlaskClient, name: str = "Gold", path: str = UBUNTU, **fields: str
) -> TestResponse:
    return client.post(f"{ACME}/views", data={"name": name, "path": path, **fields})


def find_view(name: str = "Gold") -> SavedView:
    models.database.connect(reuse_if_open=True)
    view: SavedView = SavedView.get(SavedView.name == name)
    return view


def view_exists() -> bool:
    with models.database.connection_context():
        return bool(SavedView.select().exists())


def test_a_search_is_saved_and_opened(client_of: ClientOf) -> None:
    client = client_of("account-viewer")
    response = save(client)
    assert (response.status_code, response.location) == (303, f"{ACME}/{UBUNTU}")
    page = client.get(f"{ACME}/views").text
    assert "View “Gold” saved." in page
    assert f'href="{ACME}/{UBUNTU}"' in page
    assert "Share" not in page


def test_an_error_preserves_the_input(client_of: ClientOf) -> None:
    client = client_of("account-editor")
    for fields, message in [
        ({"name": ""}, "Enter a name for the view."),
        ({"name": "x" * 61}, "1 to 60 characters"),
        ({"path": "members"}, "Only searches of the Images page"),
        ({"path": "images?q=" + "x" * 900}, "too long to save"),
    ]:
        response = save(client, **{"shared": "y", **fields})
        assert response.status_code == 422
        assert message in response.text
        assert f'value="{fields.get("path", UBUNTU)}"' in response.text
        assert f'value="{fields.get("name", "Gold")}"' in response.text
        assert "checked" in response.text
        assert "Replace" not in response.text
    assert not view_exists()


def test_an_existing_view_can_be_replaced(client_of: ClientOf) -> None:
    client = client_of("account-editor")
    save(client, shared="y")
    response = save(client, path="images?q=web")
    assert response.status_code == 422
    assert "You already have a view named “Gold” here. Replace it" in response.text
    assert "Replace “Gold”" in response.text
    # A shared view stays shared unless the person clears the checkbox.
    assert "checked" in response.text
    assert find_view().path == UBUNTU
    revision = revision_in(response)
    response = save(client, path="images?q=web", shared="y", replace="y", revision=revision)
    assert response.location == f"{ACME}/images?q=web"
    assert (find_view().path, find_view().shared) == ("images?q=web", True)


def test_a_view_cannot_leave_the_scope(client_of: ClientOf) -> None:
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


def test_a_view_is_shared_renamed_and_deleted(client_of: ClientOf) -> None:
    editor, viewer = client_of("account-editor"), client_of("account-viewer")
    save(editor)
    url = f"{ACME}/views/{find_view().id}"
    assert viewer.get(f"{url}/rename").status_code == 404
    editor.post(f"{url}/share", data={"shared": "y"})
    page = viewer.get(f"{ACME}/views").text
    assert "Shared by others" in page
    assert "account-editor" in page
    assert "Delete" not in page
    assert "is now shared with everyone at Account acme" in editor.get(f"{ACME}/views").text
    assert 'value="Gold"' in editor.get(f"{url}/rename").text
    revision = str(find_view().revision)
    response = editor.post(f"{url}/rename", data={"name": "Silver", "revision": revision})
    assert (response.status_code, find_view("Silver").shared) == (303, True)
    assert editor.post(f"{url}/rename", data={"name": ""}).status_code == 422
    assert "Everyone at Account acme will lose access" in editor.get(f"{url}/delete").text
    editor.post(f"{url}/share")
    assert not find_view("Silver").shared
    assert editor.post(f"{url}/delete").location == f"{ACME}/views"
    assert not view_exists()


def test_renaming_to_an_existing_name_is_refused(client_of: ClientOf) -> None:
    client = client_of("account-viewer")
    save(client)
    save(client, "Silver")
    view = find_view()
    data = {"name": "Silver", "revision": str(view.revision)}
    response = client.post(f"{ACME}/views/{view.id}/rename", data=data)
    assert response.status_code == 422
    assert "already have a view named “Silver”" in response.text
    assert 'value="Silver"' in response.text


def test_an_admin_deletes_shared_views_of_others(client_of: ClientOf) -> None:
    save(client_of("account-editor"), shared="y")
    url = f"{ACME}/views/{find_view().id}"
    admin = client_of("account-admin")
    assert "Delete" in admin.get(f"{ACME}/views").text
    for action in ("rename", "share"):
        assert admin.post(f"{url}/{action}", data={"name": "x"}).status_code == 403
    assert client_of("scalr-editor").post(f"{url}/delete").status_code == 403
    assert admin.post(f"{url}/delete").status_code == 303
    assert not view_exists()


def test_a_former_editor_sees_only_permitted_actions(client_of: ClientOf) -> None:
    editor = client_of("account-editor")
    save(editor, shared="y")
    models.database.connect(reuse_if_open=True)
    person = Person.get(Person.email == "account-editor@example.com")
    Membership.update(role=models.Role.VIEWER).where(Membership.person == person).execute()
    page = editor.get(f"{ACME}/views").text
    assert "Stop sharing" in page
    assert "Rename" not in page
    assert editor.post(f"{ACME}/views/{find_view().id}/share").status_code == 303
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
    for path in ("views", f"views/{find_view('<script>{bold}</script>').id}/delete"):
        page = client.get(f"{ACME}/{path}").text
        assert "&lt;script&gt;{bold}" in page
        assert "<script>{" not in page


def test_the_images_page_links_to_views(client_of: ClientOf) -> None:
    """The page links to each view, and a fragment updates the search that the form saves."""
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
    ("next_path", "redirect_path"),
    [
        ("images?q=web", "images?q=web"),
        ("overview", "overview"),
        ("", "images"),
        ("//evil.example", "images"),
        ("https://evil.example", "images"),
        ("../x", "images"),
    ],
)
def test_list_settings_are_saved(client_of: ClientOf, next_path: str, redirect_path: str) -> None:
    client = client_of("account-viewer")
    form = {"columns": ["by", "os", "nothing"], "page_size": "100", "density": "compact"}
    form["next"] = next_path
    response = client.post(f"{ACME}/preferences", data=form)
    assert (response.status_code, response.location) == (303, f"{ACME}/{redirect_path}")
    with models.database.connection_context():
        person = Person.get(Person.email == "account-viewer@example.com")
        saved = preferences.Preferences(("os", "by"), 100, "compact")
        assert preferences.load_preferences(person) == saved


@pytest.mark.parametrize("size", ["33", "", "x", "-1"])
def test_a_page_size_that_is_not_offered_is_refused(client_of: ClientOf, size: str) -> None:
    client = client_of("account-viewer")
    response = client.post(f"{ACME}/preferences", data={"page_size": size, "columns": "by"})
    assert response.status_code == 303
    assert "settings weren’t saved" in client.get(f"{ACME}/views").text
    with models.database.connection_context():
        person = Person.get(Person.email == "account-viewer@example.com")
        assert preferences.load_preferences(person) == preferences.Preferences()


def test_views_of_another_scope_are_not_found(client_of: ClientOf) -> None:
    save(client_of("account-editor"), shared="y")
    url = f"/environment/acme/production/views/{find_view().id}/delete"
    assert client_of("scalr-admin").get(url).status_code == 404
