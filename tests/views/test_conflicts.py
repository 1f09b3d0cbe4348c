"""Two people change one record: the second person sees both versions, and chooses."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

import models
from models import (
    AuditEntry,
    CloudCredentials,
    Image,
    Membership,
    Person,
    Role,
    SavedView,
)
from tests.conftest import (
    ActorOf,
    ClientOf,
    MakeCredentials,
    MakeImage,
    ScopeAt,
    choices,
    reload,
)
from tests.views.pages import revision_in, visible_text
from webapp.credentials import cloud_credentials
from webapp.credentials.vault import Vault
from webapp.images import deletion, editing, life_cycle, sharing
from webapp.images.choices import choices_of
from webapp.people import members, scopes
from webapp.search import saved_views
from webapp.views.conflicts import MISSING_CHOICE

IMAGES = "/account/acme/images"
TYPED: dict[str, str] = {
    "name": "noble",
    "os_family": "ubuntu",
    "os_version": "ubuntu|24.04",
    "size_gb": "20",
    "agent_installed": "y",
    "shared": "y",
}
"""The values of the edit form for an image of `make_image`, with another size."""


@pytest.fixture
def client(client_of: ClientOf) -> FlaskClient:
    return client_of("account-editor")


def answer(client: FlaskClient, url: str, page: TestResponse, **versions: str) -> TestResponse:
    """Answer the conflict page."""
    found = re.search(r'name="versions" value="([^"]+)"', page.text)
    assert found
    data = {"versions": html.unescape(found[1]), **versions}
    return client.post(url, data=data, follow_redirects=True)


def change_meanwhile(actor_of: ActorOf, image: Image, **changes: object) -> None:
    """Change the image as the admin of acme."""
    editing.edit_fields(actor_of("account-admin"), reload(image), changes)


@pytest.fixture
def conflict(
    client: FlaskClient, make_image: MakeImage, actor_of: ActorOf
) -> tuple[Image, str, TestResponse]:
    """Return an image, the URL of its edit form, and the conflict page.

    The editor typed a size, while the admin renamed the image and stopped sharing it.
    """
    image = make_image("acme")
    url = f"{IMAGES}/{image.id}/edit"
    revision = revision_in(client.get(url))
    change_meanwhile(actor_of, image, name="theirs", shared=False)
    return image, url, client.post(url, data={**TYPED, "revision": revision})


def test_an_edit_based_on_an_old_revision_shows_both_versions(
    conflict: tuple[Image, str, TestResponse],
) -> None:
    image, _, page = conflict
    assert page.status_code == 409
    text = visible_text(page)
    assert "account-admin saved a change after you opened the form." in text
    rows = [visible_text(row) for row in re.findall(r"<tr>(.*?)</tr>", page.text, re.DOTALL)[1:]]
    assert [row.partition(" ")[0] for row in rows] == ["Name", "Size", "Shared"]
    assert "theirs Changed by account-admin" in rows[0]
    assert "noble As it was when you opened the form" in rows[0]
    assert "8 GB Not changed" in rows[1]
    assert "20 GB Changed by you" in rows[1]
    chosen = re.findall(r'name="version-(\w+)"\s+value="(\w+)"[^>]*checked', page.text)
    assert chosen == [("name", "theirs"), ("size_gb", "yours"), ("shared", "theirs")]
    stored = choices_of(reload(image))
    assert stored == choices(name="theirs", shared=False)


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        ({"every": "yours"}, choices(size_gb=20)),
        ({"every": "theirs"}, choices(name="theirs", shared=False)),
        (
            {
                "version-name": "theirs",
                "version-size_gb": "yours",
                "version-shared": "theirs",
            },
            choices(name="theirs", shared=False, size_gb=20),
        ),
    ],
)
def test_the_person_keeps_either_version_or_combines_them(
    client: FlaskClient,
    conflict: tuple[Image, str, TestResponse],
    versions: dict[str, str],
    expected: object,
) -> None:
    image, url, page = conflict
    assert "Changes saved." in visible_text(answer(client, url, page, **versions))
    assert choices_of(reload(image)) == expected


def test_an_incomplete_answer_is_asked_again(
    client: FlaskClient, conflict: tuple[Image, str, TestResponse]
) -> None:
    image, url, page = conflict
    again = answer(client, url, page, **{"version-name": "yours"})
    assert again.status_code == 422
    assert MISSING_CHOICE in again.text
    assert choices_of(reload(image)) == choices(name="theirs", shared=False)
    answer(client, url, again, every="yours")
    assert choices_of(reload(image)) == choices(size_gb=20)


def test_a_third_change_is_shown_before_the_answer_is_saved(
    client: FlaskClient, conflict: tuple[Image, str, TestResponse], actor_of: ActorOf
) -> None:
    image, url, page = conflict
    change_meanwhile(actor_of, image, name="theirs again")
    page = answer(client, url, page, every="yours")
    assert page.status_code == 409
    assert "theirs again" in page.text
    answer(client, url, page, every="yours")
    assert choices_of(reload(image)) == choices(size_gb=20)


def test_the_sealed_versions_of_another_person_or_record_are_refused(
    client: FlaskClient,
    client_of: ClientOf,
    make_image: MakeImage,
    conflict: tuple[Image, str, TestResponse],
) -> None:
    image, url, page = conflict
    other = make_image("acme", 2)
    before = choices_of(reload(image))
    assert answer(client_of("account-admin"), url, page, every="yours").status_code == 422
    assert answer(client, f"{IMAGES}/{other.id}/edit", page, every="yours").status_code == 422
    assert client.post(url, data={"versions": "forged"}).status_code == 422
    status_form = f"{IMAGES}/{image.id}/life-cycle"
    assert answer(client, status_form, page, every="yours").status_code == 422
    assert choices_of(reload(image)) == before


def test_a_form_without_a_revision_overwrites_nothing(
    client: FlaskClient, make_image: MakeImage
) -> None:
    image = make_image("acme")
    AuditEntry.update(revision=None).execute()
    for revision in ({}, {"revision": ""}, {"revision": "-1"}, {"revision": "x" * 5000}):
        page = client.post(f"{IMAGES}/{image.id}/edit", data={**TYPED, **revision})
        assert page.status_code == 409
    assert reload(image).size_gb == 8


def test_an_edit_of_facts_of_the_cloud_is_no_conflict(
    client: FlaskClient, make_image: MakeImage
) -> None:
    image = make_image("acme")
    url = f"{IMAGES}/{image.id}/edit"
    revision = revision_in(client.get(url))
    Image.update_all(state="gone", description="from the cloud").execute()
    assert client.post(url, data={**TYPED, "revision": revision}).status_code == 303
    assert (reload(image).size_gb, reload(image).state) == (20, "gone")


def test_both_people_may_make_the_same_change(
    client: FlaskClient, make_image: MakeImage, actor_of: ActorOf
) -> None:
    image = make_image("acme")
    url = f"{IMAGES}/{image.id}/edit"
    revision = revision_in(client.get(url))
    change_meanwhile(actor_of, image, size_gb=20)
    assert client.post(url, data={**TYPED, "revision": revision}).status_code == 303


def test_a_status_based_on_an_old_revision_shows_both_versions(
    client: FlaskClient, make_image: MakeImage, actor_of: ActorOf
) -> None:
    image, new = make_image("acme", 1), make_image("acme", 2, name="new")
    url, day = f"{IMAGES}/{image.id}/life-cycle", models.today()
    revision = revision_in(client.get(url))
    life_cycle.deprecate(actor_of("account-admin"), reload(image), day, "Theirs.", new.id)
    data = {"status": "retired", "on": str(day), "reason": "Mine.", "revision": revision}
    page = client.post(url, data=data)
    assert page.status_code == 409
    text = visible_text(page)
    for words in (f"Deprecated from {day}", f"Retired from {day}", "Theirs.", "Mine.", "new"):
        assert words in text
    assert reload(image).status_reason == "Theirs."
    chosen = {"version-deprecated_on": "yours", "version-reason": "theirs"}
    answer(client, url, page, **chosen, **{"version-successor": "theirs"})
    stored = reload(image)
    assert (stored.retired_on, stored.status_reason) == (day, "Theirs.")
    assert stored.successor_id == new.id


def test_an_impossible_combination_is_refused_and_asked_again(
    client: FlaskClient, make_image: MakeImage, actor_of: ActorOf
) -> None:
    image = make_image("acme")
    url, day = f"{IMAGES}/{image.id}/life-cycle", models.today()
    life_cycle.deprecate(actor_of("account-admin"), reload(image), day)
    revision = revision_in(client.get(url))
    life_cycle.make_active(actor_of("account-admin"), reload(image))
    data = {"status": "retired", "on": str(day), "reason": "Mine.", "revision": revision}
    page = client.post(url, data=data)
    chosen = {"version-deprecated_on": "theirs", "version-reason": "yours"}
    page = answer(client, url, page, **chosen)
    assert page.status_code == 422
    assert "Only an image that is or will be deprecated or retired can have a reason" in page.text
    answer(client, url, page, every="yours")
    assert reload(image).status_reason == "Mine."


@pytest.mark.parametrize("action", ["share", "promote", "delete"])
def test_a_confirmation_lists_what_changed_since_the_page_was_opened(
    client_of: ClientOf, make_image: MakeImage, actor_of: ActorOf, action: str
) -> None:
    client, image = client_of("scalr-editor"), make_image("acme")
    url = f"{IMAGES}/{image.id}/{action}"
    data: dict[str, Any] = {"revision": revision_in(client.get(url)), "shared": "y"}
    change_meanwhile(actor_of, image, shared=False)
    page = client.post(url, data=data)
    assert page.status_code == 409
    text = visible_text(page)
    assert "Shared: Yes → No by account-admin" in text
    stored = Image.get_by_id(image.id)
    assert (stored.shared, stored.scope.path) == (False, "acme")
    data["revision"] = revision_in(page)
    assert client.post(url, data=data).status_code == 303


def test_deleting_an_image_that_somebody_else_has_just_deleted_is_explained(
    client: FlaskClient, make_image: MakeImage, actor_of: ActorOf
) -> None:
    image = make_image("acme")
    stale = reload(image)
    deletion.delete(actor_of("account-admin"), image)
    url = f"{IMAGES}/{image.id}/delete"
    assert client.post(url, data={"revision": "1"}).status_code == 404
    with pytest.raises(models.RecordChanged):
        stale.save()


def test_sharing_does_not_undo_an_edit(
    client: FlaskClient, make_image: MakeImage, actor_of: ActorOf
) -> None:
    image = make_image("acme")
    stale = reload(image)
    change_meanwhile(actor_of, image, name="theirs")
    sharing.set_shared(actor_of("account-editor"), stale, shared=False)
    assert choices_of(reload(image)) == choices(name="theirs", shared=False)


def test_a_scope_renamed_twice_at_once_shows_both_names(
    client_of: ClientOf, actor_of: ActorOf, scope: ScopeAt
) -> None:
    client, url = client_of("account-admin"), "/account/acme/environments/staging/rename"
    revision = revision_in(client.get(url))
    scopes.rename(actor_of("scalr-admin"), scope("acme/staging"), "theirs")
    page = client.post(url, data={"name": "mine", "revision": revision})
    assert page.status_code == 409
    assert "theirs Changed by scalr-admin" in visible_text(page)
    assert scope("acme/staging").name == "theirs"
    # An answer that cannot be saved shows the page again.
    page = client.post(url, data={"name": "production", "revision": revision})
    page = answer(client, url, page, every="yours")
    assert page.status_code == 422
    assert "already has an environment with this name" in page.text


def test_a_scope_is_not_deleted_with_contents_that_the_page_did_not_show(
    client_of: ClientOf, scope: ScopeAt, make_image: MakeImage
) -> None:
    client, url = client_of("account-admin"), "/account/acme/environments/staging/delete"
    shown = client.get(url).text
    make_image("acme/staging")
    contents = re.search(r'name="contents"[^>]*value="([^"]+)"', shown)
    assert contents
    data = {"name": "staging", "revision": revision_in(shown), "contents": contents[1]}
    page = client.post(url, data=data)
    assert page.status_code == 409
    assert "have changed since you opened this page" in page.text
    assert "1 registered image" in visible_text(page)
    contents = re.search(r'name="contents"[^>]*value="([^"]+)"', page.text)
    assert contents
    assert client.post(url, data={**data, "contents": contents[1]}).status_code == 303


@pytest.fixture
def membership(scope: ScopeAt) -> Membership:
    member = Person.get(Person.email == "account-editor@example.com")
    found: Membership = Membership.get(person=member, scope=scope("acme"))
    return found


def test_a_role_changed_twice_at_once_shows_both_roles(
    client_of: ClientOf, actor_of: ActorOf, membership: Membership
) -> None:
    client, url = client_of("account-admin"), f"/account/acme/members/{membership.id}"
    admin = actor_of("scalr-admin")
    members.change_role(admin, membership.scope, membership.id, Role.VIEWER)
    page = client.post(url, data={"role": "admin", "revision": str(membership.revision)})
    assert page.status_code == 409
    assert "Viewer Changed by scalr-admin" in visible_text(page)
    assert "is now an admin" in visible_text(answer(client, url, page, every="yours"))
    assert Membership.get_by_id(membership.id).role is Role.ADMIN
    page = client.post(
        f"{url}/remove", data={"revision": str(membership.revision)}, follow_redirects=True
    )
    # The answer of the conflict page was the last change.
    assert "by you in another tab or window" in visible_text(page)
    assert Membership.get_or_none(Membership.id == membership.id)


def test_a_view_renamed_in_two_windows_shows_both_names(
    client: FlaskClient, actor_of: ActorOf, scope: ScopeAt
) -> None:
    editor = actor_of("account-editor")
    view = saved_views.save_view(editor, scope("acme"), "Gold", "images?q=cloud%3Aaws")
    url = f"/account/acme/views/{view.id}"
    revision = revision_in(client.get(f"{url}/rename"))
    saved_views.rename_view(editor, view, "Silver")
    page = client.post(f"{url}/rename", data={"name": "Bronze", "revision": revision})
    assert page.status_code == 409
    assert "Silver" in page.text
    text = visible_text(page)
    assert "You saved a change in another tab or window after you opened the form." in text
    assert "Saved version" in text
    assert "Their version" not in text
    answer(client, f"{url}/rename", page, every="yours")
    assert SavedView.get_by_id(view.id).name == "Bronze"
    page = client.post(f"{url}/delete", data={"revision": revision})
    assert page.status_code == 409
    page = client.post(f"{url}/delete", data={"revision": revision_in(page)})
    assert page.status_code == 303


def test_credentials_edited_twice_at_once_show_both_versions_without_secrets(
    client_of: ClientOf, actor_of: ActorOf, make_credentials: MakeCredentials, vault: Vault
) -> None:
    row = make_credentials("acme", "Theirs")
    client, url = client_of("account-admin"), f"/account/acme/credentials/{row.id}/edit"
    revision = revision_in(client.get(url))
    cloud_credentials.edit(
        actor_of("scalr-admin"), row, vault, "Renamed", dict(vault.reveal(row)), checked=False
    )
    typed = {"name": "Mine", "access_key_id": "AKIANEW", "secret_access_key": "typed-by-me"}
    page = client.post(url, data={**typed, "skip_check": "y", "revision": revision})
    assert page.status_code == 409
    text = visible_text(page)
    assert "Renamed Changed by scalr-admin" in text
    assert "The stored value" in text
    assert "The value that you entered" in text
    assert "typed-by-me" not in page.text
    assert "not-a-secret-at-all" not in page.text
    chosen = {
        "version-name": "theirs",
        "version-access_key_id": "yours",
        "version-secret_access_key": "yours",
        "version-endpoint_url": "theirs",
    }
    missing = answer(client, url, page)
    assert MISSING_CHOICE in missing.text
    assert "Save without checking" not in missing.text, "nothing was checked yet"
    page = answer(client, url, page, **chosen)
    assert page.status_code == 422  # The cloud cannot be reached.
    assert "Save without checking" in page.text
    answer(client, url, page, **chosen, skip_check="y")
    stored = CloudCredentials.get_by_id(row.id)
    assert stored.name == "Renamed"
    values = vault.reveal(stored)
    assert (values["access_key_id"], values["secret_access_key"]) == ("AKIANEW", "typed-by-me")


def test_a_secret_replaced_meanwhile_is_not_overwritten_by_an_edit_of_the_name(
    actor_of: ActorOf, make_credentials: MakeCredentials, vault: Vault
) -> None:
    row = make_credentials("acme")
    stale, admin = CloudCredentials.get_by_id(row.id), actor_of("account-admin")
    values = dict(vault.reveal(row))
    cloud_credentials.edit(
        admin, row, vault, row.name, {**values, "secret_access_key": "theirs"}, checked=False
    )
    cloud_credentials.edit(
        admin, stale, vault, "Mine", {**values, "secret_access_key": ""}, checked=False
    )
    stored = CloudCredentials.get_by_id(row.id)
    assert (stored.name, vault.reveal(stored)["secret_access_key"]) == ("Mine", "theirs")


def test_credentials_edited_since_the_page_was_opened_are_not_deleted_at_once(
    client_of: ClientOf, actor_of: ActorOf, make_credentials: MakeCredentials, vault: Vault
) -> None:
    row = make_credentials("acme", "Old")
    client, url = client_of("account-admin"), f"/account/acme/credentials/{row.id}/delete"
    revision = revision_in(client.get(url))
    cloud_credentials.edit(
        actor_of("scalr-admin"), row, vault, "New", dict(vault.reveal(row)), checked=False
    )
    page = client.post(url, data={"revision": revision})
    assert page.status_code == 409
    assert "Name: Old → New by scalr-admin" in visible_text(page)
    assert client.post(url, data={"revision": revision_in(page)}).status_code == 303


def test_a_change_of_your_own_in_another_window_is_called_yours(
    client: FlaskClient, make_image: MakeImage, actor_of: ActorOf
) -> None:
    image = make_image("acme")
    url = f"{IMAGES}/{image.id}"
    revision = revision_in(client.get(f"{url}/edit"))
    editing.edit_fields(actor_of("account-editor"), reload(image), {"name": "mine"})
    page = client.post(f"{url}/edit", data={**TYPED, "revision": revision})
    text = visible_text(page)
    assert "You saved a change in another tab or window after you opened the form." in text
    assert "mine Changed by you in another tab or window" in text
    assert "Keep all saved versions" in text
    page = client.post(f"{url}/delete", data={"revision": revision})
    assert "by you in another tab or window" in visible_text(page)
    change_meanwhile(actor_of, image, size_gb=9)
    text = visible_text(client.post(f"{url}/edit", data={**TYPED, "revision": revision}))
    assert "You and account-admin saved a change after you opened the form." in text
    assert "Their version" in text


def test_a_role_that_you_changed_in_another_window_is_called_yours(
    client_of: ClientOf, actor_of: ActorOf, membership: Membership
) -> None:
    client, url = client_of("account-admin"), f"/account/acme/members/{membership.id}"
    members.change_role(actor_of("account-admin"), membership.scope, membership.id, Role.VIEWER)
    page = client.post(
        f"{url}/remove", data={"revision": str(membership.revision)}, follow_redirects=True
    )
    assert "by you in another tab or window" in visible_text(page)


def test_a_view_is_replaced_only_as_it_was_when_you_were_asked(
    client: FlaskClient, actor_of: ActorOf, scope: ScopeAt
) -> None:
    editor, acme = actor_of("account-editor"), scope("acme")
    view = saved_views.save_view(editor, acme, "Gold", "images?q=cloud%3Aaws", shared=True)
    url, typed = "/account/acme/views", {"name": "Gold", "path": "images?q=cloud%3Agce"}
    question = client.post(url, data=typed)
    saved_views.save_view(editor, acme, "Gold", "images?q=cloud%3Aazure", shared=True, replace=True)
    answer = {**typed, "replace": "y", "shared": "y", "revision": revision_in(question)}
    page = client.post(url, data=answer)
    assert page.status_code == 422
    assert "was changed in another tab or window" in visible_text(page)
    assert SavedView.get_by_id(view.id).path == "images?q=cloud%3Aazure"
    page = client.post(url, data={**answer, "revision": revision_in(page)})
    assert page.status_code == 303
    assert SavedView.get_by_id(view.id).path == "images?q=cloud%3Agce"
