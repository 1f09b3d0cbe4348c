"""The pages of a job and of the queue: progress, and rows that will be tried again."""

from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient

from models import Job, JobRow
from tests.conftest import ActorOf, ClientOf, MakeImage, ScopeAt
from tests.jobs.threads import process_jobs
from tests.views.pages import visible_text
from webapp.jobs import store
from webapp.transfer import import_preparation
from webapp.transfer.import_look_ups import LOOK_UP
from webapp.transfer.import_preparation import PLAN


def test_a_queued_job_shows_how_many_jobs_must_finish_first(
    five_jobs: list[Job], client_of: ClientOf
) -> None:
    client = client_of("account-editor")
    assert "Running." in client.get(f"/account/acme/jobs/{five_jobs[2].id}").text
    fourth = client.get(f"/account/acme/jobs/{five_jobs[3].id}").text
    assert "Queued." in fourth
    assert "One of your other jobs must finish first." in fourth
    assert "2 of your other jobs" in client.get(f"/account/acme/jobs/{five_jobs[4].id}").text


def test_a_queued_job_can_be_stopped(five_jobs: list[Job], client_of: ClientOf) -> None:
    client = client_of("account-editor")
    url = f"/account/acme/jobs/{five_jobs[4].id}"
    assert "Stopped." in client.post(f"{url}/stop", follow_redirects=True).text


def test_stopping_a_job_asks_for_confirmation_and_is_in_the_audit_log(
    five_jobs: list[Job], client_of: ClientOf
) -> None:
    client = client_of("account-editor")
    url = f"/account/acme/jobs/{five_jobs[0].id}"
    assert f'href="{url}/stop"' in client.get(url).text
    question = client.get(f"{url}/stop").text
    assert "Stop “Test 1 image”" in question
    assert "0 of 1 images have been processed." in question
    assert Job.get_by_id(five_jobs[0].id).state == "running"
    stopped = client.post(f"{url}/stop", follow_redirects=True).text
    assert "Stopped." in stopped
    assert "The remaining images weren’t changed." in stopped
    assert client.get(f"{url}/stop").location.endswith(url)
    log = client_of("account-admin").get("/account/acme/audit").text
    assert "stopped the job" in log
    assert "Test 1 image" in log


def test_the_page_of_a_job_leads_admins_to_its_entries_in_the_audit_log(
    five_jobs: list[Job], client_of: ClientOf, actor_of: ActorOf
) -> None:
    job = five_jobs[0]
    url, link = f"/account/acme/jobs/{job.id}", f"/account/acme/audit?q=job:{job.id}"
    assert link not in client_of("account-editor").get(url).text
    Job.update(person=actor_of("account-admin").person).where(Job.id == job.id).execute()
    admin = client_of("account-admin")
    assert f'href="{link}"' in admin.get(url).text
    assert f"Job {job.id}" in admin.get(link).text


def test_a_row_that_waits_for_a_busy_cloud_says_so(
    five_jobs: list[Job], client_of: ClientOf
) -> None:
    process_jobs()
    client = client_of("account-editor")
    url = f"/account/acme/jobs/{five_jobs[0].id}"
    assert "1 image will be tried again." in client.get(url).text
    assert (
        "The cloud is busy. The registry will try again." in client.get(f"{url}?show=pending").text
    )


def test_a_row_says_when_it_is_tried_again_until_its_job_is_stopped(
    five_jobs: list[Job], client_of: ClientOf
) -> None:
    process_jobs()
    client = client_of("account-editor")
    url = f"/account/acme/jobs/{five_jobs[0].id}"
    pending = client.get(f"{url}?show=pending").text
    assert "Next attempt:" in pending
    assert "will try again" in pending
    client.post(f"{url}/stop")
    stopped = client.get(url).text
    assert "Not processed" in stopped
    assert "Next attempt:" not in stopped
    assert "will try again" not in stopped


def queue(client: FlaskClient) -> list[str]:
    """Return the lines about the person's jobs on the Images page."""
    page = client.get("/account/acme/images").text
    section = page.partition('aria-label="Your jobs"')[2].partition("</section>")[0]
    lines = re.findall(r"<li>(.*?)</li>", section, re.DOTALL)
    return [visible_text(line).replace(" :", ":") for line in lines]


def test_the_images_page_lists_running_and_queued_jobs_with_their_titles(
    five_jobs: list[Job], client_of: ClientOf, actor_of: ActorOf, scope: ScopeAt
) -> None:
    arguments = {"name": "Account initech"}
    rows = [JobRow(subject=name) for name in ("initech / lab", "initech")]
    args = actor_of("account-editor"), scope("acme"), "scope-delete", arguments, rows
    deletion = store.create_job(*args, started=True)
    running, queued = "Test 1 image: running", "Test 1 image: queued"
    deletes = "Delete Account initech: queued"
    client = client_of("account-editor")
    expected = [running, running, running, queued, queued]
    assert queue(client) == [*expected, "1 more job hasn’t finished yet."]
    Job.update(state="stopped").where(Job.id.in_([job.id for job in five_jobs[:4]])).execute()
    Job.update(done=1).where(Job.id == deletion.id).execute()
    assert queue(client) == [running, f"{deletes[:-6]}running, 1 of 2 processed"]
    assert queue(client_of("account-admin")) == []


def test_a_job_of_a_newer_version_has_no_page_and_does_not_affect_others(
    five_jobs: list[Job], client_of: ClientOf
) -> None:
    Job.update(action="from-the-future").where(Job.id == five_jobs[0].id).execute()
    client = client_of("account-editor")
    assert len(queue(client)) == 4
    assert client.get(f"/account/acme/jobs/{five_jobs[0].id}").status_code == 404


@pytest.mark.parametrize("action", ["image-check", LOOK_UP, PLAN])
def test_the_focus_stays_on_its_element_while_the_progress_is_reloaded(
    action: str,
    client_of: ClientOf,
    actor_of: ActorOf,
    scope: ScopeAt,
    make_image: MakeImage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(import_preparation, "advance", lambda *_args, **_options: None)
    rows = [JobRow(subject="first", image_id=make_image("acme").id), JobRow(subject="second")]
    job = store.create_job(actor_of("account-editor"), scope("acme"), action, {}, rows)
    Job.update(state="running").where(Job.id == job.id).execute()
    JobRow.update(outcome="refused", message="Why").where(JobRow.position == 0).execute()
    JobRow.update(not_before=9e9).where(JobRow.position == 1).execute()
    page = client_of("account-editor").get(f"/account/acme/jobs/{job.id}", follow_redirects=True)
    fragment = page.text.partition('aria-label="Progress"')[2].partition("</section>")[0]
    elements = re.findall(r"<(?:a|button)\b[^>]*>", fragment)
    assert elements
    # htmx gives the focus to the new element with the same ID.
    assert [element for element in elements if ' id="' not in element] == []


def test_a_running_job_says_which_rows_it_lists(
    client_of: ClientOf, actor_of: ActorOf, scope: ScopeAt
) -> None:
    rows = [JobRow(subject=name, outcome="") for name in ("first", "second")]
    job = store.create_job(actor_of("account-editor"), scope("acme"), "image-share", {}, rows)
    Job.update(state="running").where(Job.id == job.id).execute()
    JobRow.update(outcome="refused").where(JobRow.position == 1).execute()
    client, url = client_of("account-editor"), f"/account/acme/jobs/{job.id}"

    def listed(show: str) -> tuple[list[str], list[str]]:
        page = client.get(f"{url}{show}").text
        current = re.findall(r'href="[^"]*/jobs/[^"]*" aria-current="true">(\w+)', page)
        cells = re.findall(r'<td data-label="Image">(.*?)</td>', page, re.DOTALL)
        return current, [visible_text(cell) for cell in cells]

    assert listed("") == (["Failed"], ["second"])
    assert listed("?show=all") == (["All"], ["second", "first"])
    Job.update(state="stopped").where(Job.id == job.id).execute()
    assert listed("") == (["All"], ["second", "first"])
