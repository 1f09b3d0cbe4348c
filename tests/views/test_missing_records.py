"""A record is deleted or moved while somebody fills in its form: the page says so, and by whom."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from models import Image, Membership, Person, SavedView, Scope
from tests.conftest import ActorOf, ClientOf, MakeCredentials, MakeImage, ScopeAt, reload
from tests.jobs.scope_deletion import delete_scope
from tests.views.pages import visible_text
from webapp.credentials import cloud_credentials
from webapp.credentials.vault import Vault
from webapp.images import deletion, editing, sharing
from webapp.people import members
from webapp.revisions.conflicts import RecordDeleted
from webapp.search import saved_views
from webapp.views.conflicts import VERSIONS
from webapp.web.resumed_forms import DROPPED_NAMES

ACME = "/account/acme"
TYPED = {
    "name": "typed name",
    "os_family": "ubuntu",
    "os_version": "ubuntu|24.04",
    "size_gb": "20 gigabytes",
    "agent_installed": "y",
    "revision": "1",
}
"""The values of the form that edits an image. The size is invalid, but the page must show it."""
STATUS = {"status": "retired", "on": "2026-12-31", "reason": "typed reason", "revision": "1"}


@pytest.mark.parametrize(
    ("page", "data", "shown"),
    [
        (
            "edit",
            TYPED,
            "Name typed name Family Ubuntu Version 24.04 LTS Noble Numbat Size 20 gigabytes",
        ),
        ("life-cycle", STATUS, "From 2026-12-31 Reason typed reason Status Retired"),
        ("delete", {"revision": "1"}, ""),
        ("share", {"revision": "1", "shared": "y"}, "Shared Yes"),
    ],
)
def test_a_form_of_an_image_that_was_deleted_meanwhile(
    client_of: ClientOf,
    make_image: MakeImage,
    actor_of: ActorOf,
    page: str,
    data: dict[str, str],
    shown: str,
) -> None:
    image = make_image("acme", name="noble")
    deletion.delete(actor_of("account-admin"), image)
    url = f"{ACME}/images/{image.id}/{page}"
    answer = client_of("account-editor").post(url, data=data)
    text = visible_text(answer)
    assert answer.status_code == 404
    assert "“noble” was deleted account-admin deleted the image “noble” on 20" in text
    assert "Nothing was saved." in text
    assert shown in text
    assert ("What you entered" in text) == bool(shown)
    assert "Open the image" not in text
    assert "Page not found" in client_of("account-editor").get(url).text


def test_a_form_of_an_image_that_was_promoted_meanwhile(
    client_of: ClientOf, make_image: MakeImage, actor_of: ActorOf
) -> None:
    """The page links to the image if the person may see it."""
    image = make_image("acme", name="noble")
    sharing.promote(actor_of("scalr-admin"), image)
    url, client = f"{ACME}/images/{image.id}/edit", client_of("account-editor")
    answer = client.post(url, data=TYPED)
    text = visible_text(answer)
    assert answer.status_code == 409
    assert "“noble” was promoted scalr-admin promoted the image “noble” to Scalr on 20" in text
    assert "Name typed name" in text
    assert f'href="{ACME}/images/{image.id}"' in answer.text
    assert f'href="/scalr/images/{image.id}"' in client_of("scalr-editor").post(url).text
    # The page does not reveal later changes at the other scope.
    editing.edit_fields(
        actor_of("scalr-admin"), reload(image), {"shared": False, "name": "secret name"}
    )
    for changed in (True, False):
        if not changed:
            deletion.delete(actor_of("scalr-editor"), reload(image))
        answer = client.post(url, data=TYPED)
        assert "scalr-admin promoted the image" in visible_text(answer)
        assert "secret name" not in answer.text
        assert "scalr-editor" not in answer.text
        assert f"/images/{image.id}" not in answer.text


def test_an_image_that_the_scope_never_owned_is_not_explained(
    client_of: ClientOf, make_image: MakeImage, actor_of: ActorOf
) -> None:
    client = client_of("account-editor")
    pages = []
    for path in ("globex", "acme/production", ""):
        image = make_image(path, name="hidden", shared=False)
        deletion.delete(actor_of("scalr-admin"), image)
        pages.append(client.post(f"{ACME}/images/{image.id}/edit", data=TYPED))
    pages.append(client.post(f"{ACME}/images/999999/edit", data=TYPED))
    assert len({visible_text(page) for page in pages}) == 1
    text = visible_text(pages[0])
    assert pages[0].status_code == 404
    assert "Page not found It may have been deleted" in text
    assert "Name typed name" in text
    inherited = make_image("", name="golden")
    answer = client.post(f"{ACME}/images/{inherited.id}/edit", data=TYPED)
    assert answer.status_code == 403
    assert "scalr" not in visible_text(answer).partition("What you entered")[2]


def test_an_image_deleted_during_the_request_is_explained(
    client_of: ClientOf,
    make_image: MakeImage,
    actor_of: ActorOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image = make_image("acme", name="noble")

    def set_shared(*_: object, **__: object) -> None:
        deletion.delete(actor_of("account-admin"), reload(image))
        raise RecordDeleted(image)

    monkeypatch.setattr(sharing, "set_shared", set_shared)
    url = f"{ACME}/images/{image.id}/share"
    answer = client_of("account-editor").post(url, data={"shared": "y", "revision": "1"})
    assert answer.status_code == 404
    assert "account-admin deleted the image “noble”" in visible_text(answer)
    assert "Shared Yes" in visible_text(answer)


def test_credentials_that_were_deleted_meanwhile(
    client_of: ClientOf, make_credentials: MakeCredentials, actor_of: ActorOf
) -> None:
    row = make_credentials("acme", "Production")
    cloud_credentials.start_deletion(actor_of("scalr-admin"), row)
    secrets = {name: f"typed-{name}" for name in DROPPED_NAMES}
    data = {**secrets, "name": "typed name", "access_key_id": "AKIATYPED", "revision": "1"}
    client = client_of("account-admin")
    answer = client.post(f"{ACME}/credentials/{row.id}/edit", data=data)
    text = visible_text(answer)
    assert answer.status_code == 404
    assert "scalr-admin deleted the credentials “Production”" in text
    assert "Name typed name" in text
    assert "AKIATYPED" in text
    for name in DROPPED_NAMES - {"csrf_token"}:
        assert f"typed-{name}" not in answer.text
    assert f'href="{ACME}/credentials"' in answer.text


def test_a_scope_that_was_deleted_meanwhile(
    client_of: ClientOf, scope: ScopeAt, actor_of: ActorOf
) -> None:
    client, url = client_of("account-admin"), f"{ACME}/environments/staging"
    delete_scope(actor_of("scalr-admin"), scope("acme/staging"), scope("acme/staging").name)
    for page in ("rename", "delete"):
        answer = client.post(f"{url}/{page}", data={"name": "typed name", "revision": "1"})
        text = visible_text(answer)
        assert answer.status_code == 404
        assert "scalr-admin deleted the environment “staging”" in text
        assert "Name typed name" in text
        assert f'href="{ACME}/environments"' in answer.text
    never = client.post(f"{ACME}/environments/never/rename", data={"name": "typed name"})
    assert "Page not found" in never.text
    assert "typed name" in never.text


def test_a_member_who_was_removed_meanwhile(client_of: ClientOf, actor_of: ActorOf) -> None:
    editor = Person.get(Person.email == "account-editor@example.com")
    membership = Membership.get(person=editor, scope=Scope.at("acme"))
    members.remove(actor_of("scalr-admin"), membership.scope, membership.id)
    url = f"{ACME}/members/{membership.id}"
    answer = client_of("account-admin").post(url, data={"role": "viewer", "revision": "1"})
    assert answer.status_code == 404
    assert "removed the member “account-editor (account-editor@" in visible_text(answer)
    assert "Role Viewer" in visible_text(answer)
    answer = client_of("account-admin").post(f"{url}/remove", data={"revision": "1"})
    assert answer.status_code == 404


@pytest.mark.parametrize("shared", [True, False])
def test_a_view_that_was_deleted_meanwhile(
    client_of: ClientOf, actor_of: ActorOf, scope: ScopeAt, *, shared: bool
) -> None:
    """Deleting a private view is in no log, so the page does not know about it."""
    view = saved_views.save_view(
        actor_of("account-editor"), scope("acme"), "Mine", "images?q=a", shared=shared
    )
    deleter = actor_of("account-admin" if shared else "account-editor")
    saved_views.delete_view(deleter, SavedView.get_by_id(view.id))
    url = f"{ACME}/views/{view.id}/rename"
    answer = client_of("account-editor").post(url, data={"name": "typed name", "revision": "1"})
    text = visible_text(answer)
    assert answer.status_code == 404
    assert "Name typed name" in text
    assert ("account-admin deleted the shared view “Mine”" in text) == shared
    assert f'href="{ACME}/views"' in answer.text


def test_versions_that_were_compared_are_shown_if_the_image_was_deleted(
    client_of: ClientOf, make_image: MakeImage, actor_of: ActorOf
) -> None:
    from tests.views.test_conflicts import answer as answer_conflict  # noqa: PLC0415

    image, client = make_image("acme"), client_of("account-editor")
    url = f"{ACME}/images/{image.id}/edit"
    editing.edit_fields(actor_of("account-admin"), reload(image), {"name": "theirs"})
    page = client.post(url, data={**TYPED, "size_gb": "20", "tags": "cis, team=web"})
    assert page.status_code == 409
    deletion.delete(actor_of("account-admin"), reload(image))
    gone = answer_conflict(client, url, page, every="yours")
    assert gone.status_code == 404
    assert "Name typed name" in visible_text(gone)
    assert "Tags cis, team=web" in visible_text(gone)
    assert not Image.select().exists()


def test_versions_without_an_audience_are_ignored(
    client_of: ClientOf, make_image: MakeImage, actor_of: ActorOf, vault: Vault
) -> None:
    image = make_image("acme")
    deletion.delete(actor_of("account-admin"), reload(image))
    versions = vault.seal({"yours": {"name": "typed name"}}, VERSIONS)
    url = f"{ACME}/images/{image.id}/edit"
    gone = client_of("account-editor").post(url, data={"versions": versions})
    assert gone.status_code == 404
    assert "typed name" not in gone.text


def test_somebody_without_the_right_learns_nothing(
    client_of: ClientOf, make_image: MakeImage, actor_of: ActorOf
) -> None:
    image = make_image("acme", name="noble")
    deletion.delete(actor_of("account-admin"), image)
    for who, status in (("account-viewer", 403), ("stranger", 404)):
        client: FlaskClient = client_of(who)
        answer = client.post(f"{ACME}/images/{image.id}/edit", data=TYPED)
        assert answer.status_code == status
        assert "noble" not in answer.text
