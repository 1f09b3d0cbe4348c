"""Two people change one record: the second is shown both versions, and chooses."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

import models
from models import AuditEntry, Image
from tests.conftest import ActorOf, ClientOf, MakeImage, choices, reload
from tests.views.pages import revision_in, visible_text
from webapp.images import deletion, editing, life_cycle, sharing
from webapp.images.choices import choices_of
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
"""The form of `make_image`'s image, with another size."""


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
    """The editor types a size while the admin renames the image and stops sharing it."""
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
    assert answer(client_of("account-admin"), url, page, every="yours").status_code == 400
    assert answer(client, f"{IMAGES}/{other.id}/edit", page, every="yours").status_code == 400
    assert client.post(url, data={"versions": "forged"}).status_code == 400
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
    assert "Only a deprecated or retired image can have a reason" in page.text
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
