"""The pages of bulk actions and jobs, and undoing a deletion."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

import models
from models import AuditEntry, Image, Job, JobRow, LifeCycle
from tests.conftest import ActorOf, ClientOf, MakeImage, ScopeAt, details, reload
from tests.jobs.threads import process_jobs
from tests.views.pages import visible_text
from webapp.clouds import CLOUDS
from webapp.forms.bulk import BulkForm
from webapp.images import deletion, editing, sharing
from webapp.jobs import bulk, store
from webapp.search.parser import parse

ACME = "/account/acme"
IMAGES = f"{ACME}/images"


@pytest.fixture
def client(client_of: ClientOf) -> FlaskClient:
    return client_of("account-editor")


def preview(client: FlaskClient, action: str, *images: Image, **fields: object) -> TestResponse:
    data = {"action": action, "image": [image.id for image in images], **fields}
    return client.post(f"{IMAGES}/bulk", data=data)


def confirm(client: FlaskClient, action: str, *images: Image, **fields: object) -> TestResponse:
    data = {"action": action, "image": [image.id for image in images], **fields}
    return client.post(f"{IMAGES}/bulk/start", data=data, follow_redirects=True)


def fingerprint(page: TestResponse) -> str:
    """Return the value that a preview sends back when the action is started."""
    match = re.search(r'name="expected" value="([^"]+)"', page.text)
    assert match is not None
    return match[1]


def test_a_preview_shows_what_would_change_and_changes_nothing(
    client: FlaskClient, make_image: MakeImage
) -> None:
    shared, own = make_image("acme", 1, name="public"), make_image("acme", 2, shared=False)
    inherited, foreign = make_image("", 3), make_image("globex", 4)
    text = visible_text(preview(client, "share", shared, own, inherited, foreign))
    assert "Share 2 images" in text
    assert "1 image is inherited and will be skipped." in text
    assert "1 image won’t change." in text
    assert "Share 1 image " in text
    assert not reload(own).shared
    assert not Job.select().exists()


def test_active_images_are_not_made_active_again(
    client: FlaskClient, make_image: MakeImage
) -> None:
    active, retired = make_image("acme", 1), make_image("acme", 2)
    confirm(client, "retire", retired, on="2026-01-31")
    text = visible_text(preview(client, "restore", active, retired))
    assert "1 image won’t change." in text
    assert "Reactivate 1 image " in text


def test_stop_sharing_lists_the_scopes_that_no_longer_see_the_images(
    client: FlaskClient, make_image: MakeImage
) -> None:
    text = visible_text(preview(client, "unshare", make_image("acme")))
    assert (
        "These scopes will no longer see the shared images: Environment acme / production" in text
    )


def test_a_selection_without_own_images_cannot_be_confirmed(
    client: FlaskClient, make_image: MakeImage
) -> None:
    response = preview(client, "delete", make_image("", 1))
    assert "Account acme doesn’t own any of the selected images." in visible_text(response)
    assert b"confirm" not in response.data


@pytest.mark.parametrize("step", ["bulk", "bulk/start"])
@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"image": "1"}, "Choose an action"),
        ({"image": "1", "action": "explode"}, "Choose an action"),
        ({"action": "share"}, "Select at least one image"),
        ({"action": "share", "image": ["x", "99999999999"]}, "Select at least one image"),
    ],
)
def test_an_incomplete_form_is_explained(
    client: FlaskClient, step: str, fields: dict[str, object], words: str
) -> None:
    response = client.post(f"{IMAGES}/{step}", data={"q": "noble", **fields}, follow_redirects=True)
    assert (response.request.path, response.request.args["q"]) == (IMAGES, "noble")
    assert words in visible_text(response)


def test_an_environment_does_not_offer_sharing(client_of: ClientOf, make_image: MakeImage) -> None:
    image = make_image("acme/production")
    client, images = client_of("environment-editor"), "/environment/acme/production/images"
    assert b'value="delete"' in client.get(images).data
    assert b'value="share"' not in client.get(images).data
    response = client.post(f"{images}/bulk", data={"action": "share", "image": image.id})
    assert response.status_code == 303


@pytest.mark.parametrize(
    ("action", "before", "after"),
    [
        ("share", {"shared": False}, {"shared": True}),
        ("unshare", {"shared": True}, {"shared": False}),
        ("agent", {"agent_installed": False}, {"agent_installed": True}),
        ("no-agent", {"agent_installed": True}, {"agent_installed": False}),
    ],
)
def test_changing_one_field(
    client: FlaskClient,
    make_image: MakeImage,
    action: str,
    before: dict[str, bool],
    after: dict[str, bool],
) -> None:
    changed, same = make_image("acme", 1, **before), make_image("acme", 2, **after)
    inherited = make_image("", 3, **before)
    text = visible_text(confirm(client, action, changed, same, inherited))
    assert "Done. 2 of 2 processed." in text
    (name,) = after
    assert [getattr(reload(each), name) for each in (changed, same)] == [after[name]] * 2
    assert getattr(reload(inherited), name) == before[name]
    entries = AuditEntry.select().where(AuditEntry.action == "image.edit")
    assert [entry.record for entry in entries] == [changed.reference]


def test_all_matching_own_images_are_deleted(client: FlaskClient, make_image: MakeImage) -> None:
    for number in range(1, 4):
        make_image("acme", number, name=f"noble {number}")
    make_image("acme", 4, name="jammy")
    make_image("", 5, name="noble from above")
    fields = {"all": "y", "q": "noble"}
    page = preview(client, "delete", **fields)
    text = visible_text(page)
    assert "Delete 3 images You selected all images that match these search terms: “noble”" in text
    assert "1 image is inherited" in text
    response = confirm(client, "delete", expected=fingerprint(page), **fields)
    assert "Done. 3 of 3 processed." in visible_text(response)
    assert "Back to images" in visible_text(response)
    assert f'href="{IMAGES}?q=noble"' in response.text
    assert {image.name for image in Image.select()} == {"jammy", "noble from above"}


def test_images_are_not_deleted_if_the_search_matches_others_now(
    client: FlaskClient, make_image: MakeImage
) -> None:
    leaving = make_image("acme", 1)
    page = preview(client, "delete", all="y", q="")
    assert "You selected all images of Account acme, without a search or filter." in visible_text(
        page
    )
    leaving.delete_instance()
    make_image("acme", 2)
    for expected in ("", "1", fingerprint(page)):
        response = confirm(client, "delete", all="y", q="", expected=expected)
        assert response.status_code == 409
        assert "The images that match your search have changed" in visible_text(response)
    assert Image.select().count() == 1


@pytest.mark.parametrize("step", ["bulk", "bulk/start"])
@pytest.mark.parametrize("text", ["status:retird", "noble ab", "clod:aws noble", "x" * 501])
def test_a_search_that_is_not_understood_selects_no_images(
    client: FlaskClient, make_image: MakeImage, step: str, text: str
) -> None:
    image = make_image("acme", name="noble")
    listed = client.get(IMAGES, query_string={"q": text})
    for expected in ("", fingerprint(preview(client, "delete", all="y", q=""))):
        data = {"action": "delete", "all": "y", "q": text, "expected": expected}
        response = client.post(f"{IMAGES}/{step}", data=data)
        assert response.status_code == 422
        page = html.unescape(visible_text(response))
        assert "Correct your search first" in page
        for problem in parse(text).problems:
            assert problem.message in page
            assert problem.message in html.unescape(visible_text(listed))
    assert not Job.select().exists()
    response = client.post(
        f"{IMAGES}/bulk", data={"action": "delete", "image": image.id, "q": text}
    )
    assert "Delete 1 image" in visible_text(response)


def test_all_images_are_selected_only_by_a_search(
    client: FlaskClient, make_image: MakeImage
) -> None:
    """A form without the field of the search must not select all images."""
    image = make_image("acme")
    response = preview(client, "delete", image, all="y")
    assert response.status_code == 303
    response = confirm(client, "delete", image, all="y")
    assert "Select at least one image" in visible_text(response)
    assert not Job.select().exists()


def test_a_bulk_action_has_a_limited_number_of_images(
    client: FlaskClient, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "MAX_IMAGES", 1)
    make_image("acme", 1), make_image("acme", 2)
    for step in ("bulk", "bulk/start"):
        data = {"action": "check", "all": "y", "q": "", "expected": "2"}
        response = client.post(f"{IMAGES}/{step}", data=data, follow_redirects=True)
        assert "Narrow your search" in visible_text(response)
    assert not Job.select().exists()


def test_setting_the_operating_system(client: FlaskClient, make_image: MakeImage) -> None:
    image = make_image("acme")
    page = preview(client, "os", image).text
    assert 'name="os_family"' in page
    wrong = confirm(client, "os", image, os_family="ubuntu", os_version="debian|12")
    assert wrong.status_code == 422
    assert "Choose a version of Ubuntu." in visible_text(wrong)
    assert f'name="image" value="{image.id}"' in wrong.text
    confirm(client, "os", image, os_family="debian", os_version="debian|12")
    assert (reload(image).os_family, reload(image).os_version) == ("debian", "12")
    confirm(client, "os", image, os_family="other", os_version="other", os_family_other="Haiku",
            os_version_other="R1")  # fmt: skip
    assert (reload(image).os_family, reload(image).os_version) == ("Haiku", "R1")


def test_deprecating_several_images(client: FlaskClient, make_image: MakeImage) -> None:
    old, retired, new = (make_image("acme", number) for number in (1, 2, 3))
    today = models.today()
    confirm(client, "retire", retired, on=today.isoformat())
    text = visible_text(
        confirm(
            client, "deprecate", old, retired, new,
            on=today.isoformat(), reason="Old.", successor=f"#{new.id}",
        )
    )  # fmt: skip
    assert "Reactivate it first" in text
    assert "An image can’t be its own successor" in text
    assert (reload(old).status, reload(old).successor) == (LifeCycle.DEPRECATED, new)
    assert (reload(old).status_reason, reload(retired).status) == ("Old.", LifeCycle.RETIRED)
    assert reload(new).status is LifeCycle.ACTIVE
    confirm(client, "restore", old, retired)
    assert [reload(each).status for each in (old, retired)] == [LifeCycle.ACTIVE] * 2


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"on": ""}, "Enter a date"),
        ({"on": "tomorrow"}, "YYYY-MM-DD"),
        ({"reason": "x" * 256}, "255 characters"),
        ({"successor": "#12345"}, "There is no image"),
    ],
)
def test_an_invalid_life_cycle_is_refused(
    client: FlaskClient, make_image: MakeImage, fields: dict[str, str], words: str
) -> None:
    image = make_image("acme")
    response = confirm(
        client, "deprecate", image, **{"on": "2026-01-31", "reason": "Too old", **fields}
    )
    assert response.status_code == 422
    assert words in visible_text(response)
    assert fields.get("reason", "Too old") in response.text
    assert reload(image).status is LifeCycle.ACTIVE


def test_checking_several_images(
    client: FlaskClient, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [make_image("acme", number) for number in range(1, 13)]
    described = details(architecture="arm64")
    monkeypatch.setattr(CLOUDS["aws"], "describe", lambda _credentials, _locator: described)
    confirm(client, "check", *images)
    job = Job.get()
    process_jobs()
    assert "Done. 12 of 12 processed." in visible_text(client.get(f"{ACME}/jobs/{job.id}"))
    assert {image.architecture for image in Image.select()} == {"arm64"}
    with models.database.connection_context():
        assert {row.message for row in JobRow.select()} == {"Changed in the cloud: Architecture."}


def job_section(page: str) -> str:
    """Return the HTML of the job in its page."""
    return page.partition('id="job"')[2].partition("</main>")[0]


def test_the_page_of_a_job_shows_its_outcome(client: FlaskClient, make_image: MakeImage) -> None:
    first, second = make_image("acme", 1, name="first"), make_image("acme", 2, name="second")
    confirm(client, "agent", first)
    page = confirm(client, "no-agent", second, first)
    job = page.request.path
    text = visible_text(page)
    assert "Mark agent as not installed on 2 images" in text
    assert "Stop" not in text
    assert f'href="{IMAGES}/{second.id}"' in page.text
    assert "hx-get" not in job_section(page.text)
    progress = client.get(f"{job}/progress").text
    assert progress.lstrip().startswith('<section id="job"')
    assert "Done. 2 of 2 processed." in progress
    assert "second" in visible_text(client.get(f"{job}?show=done"))
    assert client.get(f"{job}?show=nonsense&after=nonsense").status_code == 200


def test_rows_of_a_job_are_paged(
    client: FlaskClient, make_image: MakeImage, actor_of: ActorOf, scope: ScopeAt
) -> None:
    rows = [JobRow(subject=f"row {number:03}") for number in range(120)]
    job = store.create_job(actor_of("account-editor"), scope("acme"), "image-agent", {}, rows)
    Job.update(state="stopped").where(Job.id == job.id).execute()
    JobRow.update(outcome="refused", message="No.").where(JobRow.position == 119).execute()
    url, seen = f"{ACME}/jobs/{job.id}", []
    while url:
        page = client.get(url).text
        seen += re.findall(r"row \d{3}", page)
        next_link = re.search(r'href="([^"]+)">Next page', page)
        url = next_link[1].replace("&amp;", "&") if next_link else ""
    assert seen == ["row 119", *(f"row {number:03}" for number in range(119))]
    assert "The remaining images weren’t changed." in visible_text(
        client.get(f"{ACME}/jobs/{job.id}")
    )
    assert "row 119" not in visible_text(client.get(f"{ACME}/jobs/{job.id}?show=pending"))


@pytest.mark.parametrize("who", ["account-admin", "scalr-admin", "account-viewer"])
def test_nobody_else_sees_a_job(
    client_of: ClientOf, client: FlaskClient, make_image: MakeImage, who: str
) -> None:
    job = confirm(client, "agent", make_image("acme")).request.path
    for path in ("", "/progress"):
        assert client_of(who).get(f"{job}{path}").status_code == 404
        assert client.get(f"{job}{path}".replace(ACME, "/scalr")).status_code == 404


def test_a_person_without_the_right_cannot_stop_a_job(
    client_of: ClientOf, client: FlaskClient, make_image: MakeImage
) -> None:
    job = confirm(client, "agent", make_image("acme")).request.path
    assert client_of("account-viewer").post(f"{job}/stop").status_code == 404


def test_a_running_job_can_be_left_stopped_and_resumed(
    client: FlaskClient, make_image: MakeImage, actor_of: ActorOf, scope: ScopeAt
) -> None:
    image = make_image("acme", agent_installed=False)
    rows = [JobRow(image_id=image.id, subject=image.name)]
    job = store.create_job(actor_of("account-editor"), scope("acme"), "image-agent", {}, rows)
    Job.update(state="running").where(Job.id == job.id).execute()
    page = client.get(f"{ACME}/jobs/{job.id}").text
    assert f'hx-get="{ACME}/jobs/{job.id}/progress"' in page
    assert "You can leave this page" in page
    assert client.post(f"{ACME}/jobs/{job.id}/stop").status_code == 303
    page = client.get(f"{ACME}/jobs/{job.id}").text
    assert "Stopped." in page
    assert "hx-trigger" not in job_section(page)
    long_ago = models.now() - timedelta(minutes=1)
    Job.update(state="running", seen_at=long_ago).where(Job.id == job.id).execute()
    client.get(f"{ACME}/jobs/{job.id}")
    process_jobs()
    assert "Done. 1 of 1 processed." in visible_text(client.get(f"{ACME}/jobs/{job.id}"))
    assert reload(image).agent_installed


def test_a_deletion_is_undone_from_its_toast(client: FlaskClient, make_image: MakeImage) -> None:
    image = make_image("acme")
    page = client.post(f"{IMAGES}/{image.id}/delete", follow_redirects=True).text
    assert f'action="{IMAGES}/undelete"' in page
    found = re.search(r'name="batch" value="(\w{32})"', page)
    assert found is not None
    batch = {"batch": found[1]}
    assert client.get(f"{IMAGES}/{image.id}").status_code == 410
    response = client.post(f"{IMAGES}/undelete", data=batch, follow_redirects=True)
    assert response.request.path == f"{IMAGES}/{image.id}"
    assert "restored." in visible_text(response)
    response = client.post(f"{IMAGES}/undelete", data=batch, follow_redirects=True)
    assert "This deletion can no longer be undone." in visible_text(response)


def test_a_bulk_deletion_is_undone_from_its_job(client: FlaskClient, make_image: MakeImage) -> None:
    images = [make_image("acme", number) for number in range(1, 4)]
    page = confirm(client, "delete", *images)
    assert not Image.select().exists()
    found = re.search(r'name="batch" value="(\w{32})"', page.text)
    assert found is not None
    make_image("acme", 2, name="again")
    response = client.post(f"{IMAGES}/undelete", data={"batch": found[1]}, follow_redirects=True)
    assert "is already registered at Account acme" in visible_text(response)
    assert "All 3 Failed 1 Done 2" in visible_text(response)
    assert {image.id for image in Image.select()} > {images[0].id, images[2].id}
    assert "Undo" in visible_text(client.get(page.request.path))


def test_nobody_else_can_undo_a_deletion(
    client_of: ClientOf, client: FlaskClient, make_image: MakeImage
) -> None:
    image = make_image("acme")
    page = client.post(f"{IMAGES}/{image.id}/delete", follow_redirects=True).text
    found = re.search(r'name="batch" value="(\w{32})"', page)
    assert found is not None
    stranger = client_of("stranger").post(
        "/account/globex/images/undelete", data={"batch": found[1]}
    )
    assert stranger.status_code == 303
    viewer = client_of("account-viewer").post(f"{IMAGES}/undelete", data={"batch": found[1]})
    assert viewer.status_code == 403
    assert not Image.select().exists()


def revisions(page: TestResponse) -> str:
    """Return the revisions that a preview sends back when the action is started."""
    match = re.search(r'name="revisions"[^>]* value="([^"]+)"', page.text)
    assert match is not None
    return match[1]


@pytest.mark.parametrize("by_search", [True, False])
@pytest.mark.parametrize(
    "case",
    [
        ("unshare", {"name": "theirs"}, False),
        ("share", {"shared": False}, True),
        ("no-agent", {"agent_installed": False}, False),
        ("delete", {"size_gb": 99}, True),
    ],
)
def test_an_image_changed_since_the_preview_is_refused_if_the_change_would_be_lost(
    client_of: ClientOf,
    make_image: MakeImage,
    actor_of: ActorOf,
    case: tuple[str, dict[str, Any], bool],
    by_search: bool,
) -> None:
    action, changes, refused = case
    client = client_of("account-editor")
    images = [make_image("acme", 1), make_image("acme", 2, shared=action != "share")]
    search = {"all": "y", "q": "cloud:aws"} if by_search else {}
    seen = preview(client, action, *images, **search)
    editing.edit_fields(actor_of("account-admin"), reload(images[0]), changes)
    fields = {**search, "expected": fingerprint(seen), "revisions": revisions(seen)}
    text = visible_text(confirm(client, action, *images, **fields))
    assert ("account-admin changed" in text) is refused
    if refused:
        stored = reload(images[0])
        assert {name: getattr(stored, name) for name in changes} == changes


@pytest.mark.parametrize("text", ["", "!", "eJw=", "x" * 1000, "eJwzNDK0MjIEAAY1AaE="])
def test_revisions_that_a_preview_did_not_send_are_ignored(
    client: FlaskClient, make_image: MakeImage, text: str
) -> None:
    image = make_image("acme")
    confirm(client, "unshare", image, revisions=text)
    assert not reload(image).shared


def test_a_preview_of_many_images_stays_small(app: Flask) -> None:
    shown = {10**6 + 5 * number + number % 3: number % 7 + 1 for number in range(100_000)}
    with app.test_request_context():
        packed = BulkForm(data={"revisions": shown}).revisions._value()
    assert len(packed) < 128 * 1024
    with app.test_request_context(method="POST", data={"revisions": packed}):
        assert BulkForm().revisions.data == shown


@pytest.mark.parametrize("leaves", [deletion.delete, sharing.promote])
def test_a_selected_image_that_left_the_scope_is_never_skipped_silently(
    client: FlaskClient, make_image: MakeImage, actor_of: ActorOf, leaves: Callable[..., object]
) -> None:
    leaving, staying = make_image("acme", 1), make_image("acme", 2)
    seen = preview(client, "delete", leaving, staying)
    leaves(actor_of("scalr-admin"), reload(leaving))
    response = confirm(client, "delete", leaving, staying, revisions=revisions(seen))
    assert response.status_code == 409
    assert "Some of the selected images were deleted or promoted." in visible_text(response)
    assert reload(staying)
    again = confirm(client, "delete", leaving, staying, revisions=revisions(response))
    assert "Done. 1 of 1 processed." in visible_text(again)
