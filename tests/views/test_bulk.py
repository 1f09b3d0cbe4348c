"""The pages of bulk actions, of jobs, and of undoing a deletion, as requests."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

import models
from models import AuditEntry, Image, Job, JobRow, LifeCycle, Scope
from tests.conftest import MakeImage, details
from webapp.access import Actor
from webapp.clouds import CLOUDS
from webapp.jobs import bulk
from webapp.jobs import runner as jobs

ClientOf = Callable[[str], FlaskClient]
Actors = Callable[[str], Actor]
ACME = "/account/acme"
IMAGES = f"{ACME}/images"


@pytest.fixture
def acme(client_of: ClientOf) -> FlaskClient:
    return client_of("account-editor")


@pytest.fixture(autouse=True)
def no_thread_outlives_its_test() -> Iterator[None]:
    yield
    for thread in threading.enumerate():
        if thread.name.startswith("job-"):
            thread.join(10)


def text_of(response: TestResponse) -> str:
    """What a reader sees, with single blanks."""
    words = re.sub(r"<[^>]+>", " ", response.get_data(as_text=True))
    return " ".join(words.split())


def preview(client: FlaskClient, action: str, *images: Image, **fields: object) -> TestResponse:
    data = {"action": action, "image": [image.id for image in images], **fields}
    return client.post(f"{IMAGES}/bulk", data=data)


def confirm(client: FlaskClient, action: str, *images: Image, **fields: object) -> TestResponse:
    data = {"action": action, "image": [image.id for image in images], **fields}
    return client.post(f"{IMAGES}/bulk/confirm", data=data, follow_redirects=True)


def again(image: Image) -> Image:
    found: Image = Image.get_by_id(image.id)
    return found


def test_a_preview_changes_nothing_and_says_what_would_happen(
    acme: FlaskClient, make_image: MakeImage
) -> None:
    shared, own = make_image("acme", 1, name="public"), make_image("acme", 2, shared=False)
    inherited, foreign = make_image("", 3), make_image("globex", 4)
    text = text_of(preview(acme, "share", shared, own, inherited, foreign))
    assert "Share: 2 images" in text
    assert "1 image of the selected is inherited from above and left out" in text
    assert "1 image is so already and stays as it is" in text
    assert "Share: 1 image " in text
    assert not again(own).shared
    assert not Job.select().exists()


def test_what_is_active_anyhow_stays_so(acme: FlaskClient, make_image: MakeImage) -> None:
    active, retired = make_image("acme", 1), make_image("acme", 2)
    confirm(acme, "retire", retired, on="2026-01-31")
    text = text_of(preview(acme, "restore", active, retired))
    assert "1 image is so already" in text
    assert "Make active again: 1 image " in text


def test_stop_sharing_says_who_loses_sight(acme: FlaskClient, make_image: MakeImage) -> None:
    text = text_of(preview(acme, "unshare", make_image("acme")))
    assert "These lose sight of those that are shared: Environment acme / production" in text


def test_nothing_of_ones_own(acme: FlaskClient, make_image: MakeImage) -> None:
    response = preview(acme, "delete", make_image("", 1))
    assert "none of the selected images is owned by Account acme" in text_of(response)
    assert b"confirm" not in response.data


@pytest.mark.parametrize("step", ["bulk", "bulk/confirm"])
@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"image": "1"}, "Choose what to do"),
        ({"image": "1", "action": "explode"}, "Choose what to do"),
        ({"action": "share"}, "Select images first"),
        ({"action": "share", "image": ["x", "99999999999"]}, "Select images first"),
    ],
)
def test_what_is_missing_is_told(
    acme: FlaskClient, step: str, fields: dict[str, object], words: str
) -> None:
    response = acme.post(f"{IMAGES}/{step}", data={"q": "noble", **fields}, follow_redirects=True)
    assert response.request.full_path == f"{IMAGES}?q=noble"
    assert words in text_of(response)


def test_an_environment_is_not_offered_to_share(client_of: ClientOf, make_image: MakeImage) -> None:
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
def test_a_choice_is_changed(
    acme: FlaskClient,
    make_image: MakeImage,
    action: str,
    before: dict[str, bool],
    after: dict[str, bool],
) -> None:
    changed, same = make_image("acme", 1, **before), make_image("acme", 2, **after)
    inherited = make_image("", 3, **before)
    text = text_of(confirm(acme, action, changed, same, inherited))
    assert "Done. 2 of 2." in text
    (name,) = after
    assert [getattr(again(each), name) for each in (changed, same)] == [after[name]] * 2
    assert getattr(again(inherited), name) == before[name]
    entries = AuditEntry.select().where(AuditEntry.action == "image.edit")
    assert [entry.image_id for entry in entries] == [changed.id]


def test_all_that_match_and_are_ones_own(acme: FlaskClient, make_image: MakeImage) -> None:
    for number in range(1, 4):
        make_image("acme", number, name=f"noble {number}")
    make_image("acme", 4, name="jammy")
    make_image("", 5, name="noble from above")
    fields = {"all": "y", "q": "noble"}
    text = text_of(preview(acme, "delete", **fields))
    assert "Delete: 3 images" in text
    assert "1 image of the selected is inherited" in text
    response = confirm(acme, "delete", expected="3", **fields)
    assert "Done. 3 of 3." in text_of(response)
    assert "Back to the images" in text_of(response)
    assert f'href="{IMAGES}?q=noble"' in response.get_data(as_text=True)
    assert {image.name for image in Image.select()} == {"jammy", "noble from above"}


def test_other_images_match_by_then(acme: FlaskClient, make_image: MakeImage) -> None:
    make_image("acme", 1), make_image("acme", 2)
    response = confirm(acme, "delete", all="y", expected="1")
    assert response.status_code == 409
    assert "Meanwhile the search finds other images" in text_of(response)
    assert Image.select().count() == 2


def test_more_than_a_job_takes(
    acme: FlaskClient, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "MOST", 1)
    make_image("acme", 1), make_image("acme", 2)
    for step in ("bulk", "bulk/confirm"):
        data = {"action": "check", "all": "y", "expected": "2"}
        response = acme.post(f"{IMAGES}/{step}", data=data, follow_redirects=True)
        assert "Narrow the search" in text_of(response)
    assert not Job.select().exists()


def test_the_operating_system_is_asked_for(acme: FlaskClient, make_image: MakeImage) -> None:
    image = make_image("acme")
    page = preview(acme, "os", image).get_data(as_text=True)
    assert 'name="os_family"' in page
    wrong = confirm(acme, "os", image, os_family="ubuntu", os_version="debian|12")
    assert wrong.status_code == 422
    assert "Choose a version of Ubuntu." in text_of(wrong)
    assert f'name="image" value="{image.id}"' in wrong.get_data(as_text=True)
    confirm(acme, "os", image, os_family="debian", os_version="debian|12")
    assert (again(image).os_family, again(image).os_version) == ("debian", "12")
    confirm(acme, "os", image, os_family="other", os_version="other", os_family_other="Haiku",
            os_version_other="R1")  # fmt: skip
    assert (again(image).os_family, again(image).os_version) == ("Haiku", "R1")


def test_deprecating_many(acme: FlaskClient, make_image: MakeImage) -> None:
    old, retired, new = (make_image("acme", number) for number in (1, 2, 3))
    actor_day = models.today()
    confirm(acme, "retire", retired, on=actor_day.isoformat())
    text = text_of(
        confirm(
            acme, "deprecate", old, retired, new,
            on=actor_day.isoformat(), reason="Old.", successor=f"#{new.id}",
        )
    )  # fmt: skip
    assert "Make it active again first" in text
    assert "An image cannot be its own successor" in text
    assert (again(old).status, again(old).successor) == (LifeCycle.DEPRECATED, new)
    assert (again(old).status_reason, again(retired).status) == ("Old.", LifeCycle.RETIRED)
    assert again(new).status is LifeCycle.ACTIVE
    confirm(acme, "restore", old, retired)
    assert [again(each).status for each in (old, retired)] == [LifeCycle.ACTIVE] * 2


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"on": ""}, "Enter a day"),
        ({"on": "tomorrow"}, "Not a valid date"),
        ({"reason": "x" * 256}, "255 characters"),
        ({"successor": "#12345"}, "sees no image"),
    ],
)
def test_a_life_that_cannot_be(
    acme: FlaskClient, make_image: MakeImage, fields: dict[str, str], words: str
) -> None:
    image = make_image("acme")
    response = confirm(acme, "deprecate", image, **{"on": "2026-01-31", "reason": "Kept", **fields})
    assert response.status_code == 422
    assert words in text_of(response)
    assert fields.get("reason", "Kept") in response.get_data(as_text=True)
    assert again(image).status is LifeCycle.ACTIVE


def test_checking_many_asks_the_clouds(
    acme: FlaskClient, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [make_image("acme", number) for number in range(1, 13)]
    said = details(architecture="arm64")
    monkeypatch.setattr(CLOUDS["aws"], "describe", lambda _credentials, _locator: said)
    confirm(acme, "check", *images)
    job = Job.get()
    for thread in threading.enumerate():
        if thread.name == f"job-{job.id}":
            thread.join(20)
    assert "Done. 12 of 12." in text_of(acme.get(f"{ACME}/jobs/{job.id}"))
    assert {image.architecture for image in Image.select()} == {"arm64"}
    with models.database.connection_context():
        assert {row.message for row in JobRow.select()} == {"Changed in the cloud: Architecture."}


def test_the_page_of_a_job(acme: FlaskClient, make_image: MakeImage) -> None:
    gone, there = make_image("acme", 1, name="gone"), make_image("acme", 2, name="there")
    confirm(acme, "agent", gone)
    page = confirm(acme, "no-agent", there, gone)
    job = page.request.path
    text = text_of(page)
    assert "Set: agent not installed: 2 images" in text
    assert "Stop" not in text
    assert f'href="{IMAGES}/{there.id}"' in page.get_data(as_text=True)
    assert "hx-get" not in page.get_data(as_text=True).partition('id="job"')[2]
    progress = acme.get(f"{job}/progress").get_data(as_text=True)
    assert progress.lstrip().startswith('<section id="job"')
    assert "Done. 2 of 2." in progress
    assert "there" in text_of(acme.get(f"{job}?show=done"))
    assert acme.get(f"{job}?show=nonsense&after=nonsense").status_code == 200


def test_rows_come_in_pages(
    acme: FlaskClient, make_image: MakeImage, actor_of: Actors, scope: Callable[[str], Scope]
) -> None:
    rows = [JobRow(subject=f"row {number:03}") for number in range(120)]
    job = jobs.create(actor_of("account-editor"), scope("acme"), "image-agent", {}, rows)
    Job.update(state="stopped").where(Job.id == job.id).execute()
    JobRow.update(outcome="refused", message="No.").where(JobRow.position == 119).execute()
    address, seen = f"{ACME}/jobs/{job.id}", []
    while address:
        page = acme.get(address).get_data(as_text=True)
        seen += re.findall(r"row \d{3}", page)
        following = re.search(r'href="([^"]+)">Next', page)
        address = following[1].replace("&amp;", "&") if following else ""
    assert seen == ["row 119", *(f"row {number:03}" for number in range(119))]
    assert "What was not reached is as it was." in text_of(acme.get(f"{ACME}/jobs/{job.id}"))
    assert "row 119" not in text_of(acme.get(f"{ACME}/jobs/{job.id}?show=open"))


@pytest.mark.parametrize("who", ["account-admin", "scalr-admin", "account-viewer"])
def test_a_job_is_nobody_elses(
    client_of: ClientOf, acme: FlaskClient, make_image: MakeImage, who: str
) -> None:
    job = confirm(acme, "agent", make_image("acme")).request.path
    for path in ("", "/progress"):
        assert client_of(who).get(f"{job}{path}").status_code == 404
        assert acme.get(f"{job}{path}".replace(ACME, "/scalr")).status_code == 404
    assert client_of(who).post(f"{job}/stop").status_code == 404


def test_a_running_job_can_be_left_stopped_and_resumed(
    acme: FlaskClient, make_image: MakeImage, actor_of: Actors, scope: Callable[[str], Scope]
) -> None:
    image = make_image("acme", agent_installed=False)
    rows = [JobRow(image_id=image.id, subject=image.name)]
    job = jobs.create(actor_of("account-editor"), scope("acme"), "image-agent", {}, rows)
    Job.update(state="running").where(Job.id == job.id).execute()
    page = acme.get(f"{ACME}/jobs/{job.id}").get_data(as_text=True)
    assert f'hx-get="{ACME}/jobs/{job.id}/progress"' in page
    assert "You can leave this page" in page
    assert acme.post(f"{ACME}/jobs/{job.id}/stop").status_code == 303
    page = acme.get(f"{ACME}/jobs/{job.id}").get_data(as_text=True)
    assert "Stopped." in page
    assert "hx-trigger" not in page.partition('id="job"')[2]
    long_ago = models.now() - timedelta(minutes=1)
    Job.update(state="running", seen_at=long_ago).where(Job.id == job.id).execute()
    acme.get(f"{ACME}/jobs/{job.id}")
    for thread in threading.enumerate():
        if thread.name == f"job-{job.id}":
            thread.join(10)
    assert "Done. 1 of 1." in text_of(acme.get(f"{ACME}/jobs/{job.id}"))
    assert again(image).agent_installed


def test_a_deletion_is_undone_from_its_toast(acme: FlaskClient, make_image: MakeImage) -> None:
    image = make_image("acme")
    page = acme.post(f"{IMAGES}/{image.id}/delete", follow_redirects=True).get_data(as_text=True)
    assert f'action="{IMAGES}/undelete"' in page
    found = re.search(r'name="batch" value="(\w{32})"', page)
    assert found is not None
    batch = {"batch": found[1]}
    assert acme.get(f"{IMAGES}/{image.id}").status_code == 404
    response = acme.post(f"{IMAGES}/undelete", data=batch, follow_redirects=True)
    assert response.request.path == f"{IMAGES}/{image.id}"
    assert "is registered here again" in text_of(response)
    response = acme.post(f"{IMAGES}/undelete", data=batch, follow_redirects=True)
    assert "There is nothing to undo any more." in text_of(response)


def test_a_bulk_deletion_is_undone_from_its_job(acme: FlaskClient, make_image: MakeImage) -> None:
    images = [make_image("acme", number) for number in range(1, 4)]
    page = confirm(acme, "delete", *images)
    assert not Image.select().exists()
    found = re.search(r'name="batch" value="(\w{32})"', page.get_data(as_text=True))
    assert found is not None
    make_image("acme", 2, name="again")
    response = acme.post(f"{IMAGES}/undelete", data={"batch": found[1]}, follow_redirects=True)
    assert "was registered again meanwhile at Account acme" in text_of(response)
    assert "All 3 Refused 1 Done 2" in text_of(response)
    assert {image.id for image in Image.select()} > {images[0].id, images[2].id}
    assert "Undo" in text_of(acme.get(page.request.path))


def test_nobody_else_undoes_by_a_batch(
    client_of: ClientOf, acme: FlaskClient, make_image: MakeImage
) -> None:
    image = make_image("acme")
    page = acme.post(f"{IMAGES}/{image.id}/delete", follow_redirects=True).get_data(as_text=True)
    found = re.search(r'name="batch" value="(\w{32})"', page)
    assert found is not None
    stranger = client_of("stranger").post(
        "/account/globex/images/undelete", data={"batch": found[1]}
    )
    assert stranger.status_code == 303
    viewer = client_of("account-viewer").post(f"{IMAGES}/undelete", data={"batch": found[1]})
    assert viewer.status_code == 403
    assert not Image.select().exists()
