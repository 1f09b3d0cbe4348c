"""The page Activity: the person's jobs and messages, and nothing about other people."""

from __future__ import annotations

from datetime import timedelta

import pytest
from peewee import OperationalError

import models
from models import Job, JobRow, Membership, Notice, Person, Role, Scope, now
from tests.conftest import ActorOf, ClientOf, MakeImage, ScopeAt
from tests.jobs.threads import process_jobs
from tests.views.pages import visible_text
from webapp.credentials.vault import Vault
from webapp.jobs import activity, runner, store
from webapp.people import members, notices
from webapp.transfer.import_preparation import APPLY, PREPARE

HTMX = {"HX-Request": "true"}

EDITOR = "account-editor (account-editor@example.com)"


def create_job(
    actor_of: ActorOf, scope: Scope, who: str = "account-editor", **values: object
) -> Job:
    """Create a job that has finished, unless `values` say otherwise."""
    actor = actor_of(who)
    job: Job = Job.create(
        **{
            "scope": scope, "person": actor.person, "action": "image-delete", "arguments": {},
            "total": 3, "done": 3, "state": "done", **values,
        }
    )  # fmt: skip
    return job


def test_running_and_queued_jobs_show_their_progress_and_can_be_stopped(
    five_jobs: list[Job], client_of: ClientOf
) -> None:
    client = client_of("account-editor")
    page = client.get("/activity").text
    text = visible_text(page)
    assert text.count("Running 0 of 1 processed") == 3
    assert text.count("Queued 0 of 1 processed") == 2
    assert "One other job must finish first." in text
    assert "2 other jobs must finish first." in text
    assert f'hx-get="/activity?running={five_jobs[0].id}.{five_jobs[1].id}' in page
    stop = f"/account/acme/jobs/{five_jobs[0].id}/stop"
    assert f'href="{stop}"' in page
    client.post(stop)
    assert visible_text(client.get("/activity").text).count("Stopped 0 of 1 processed") == 1


def test_an_admin_sees_and_stops_the_running_jobs_of_other_people(
    five_jobs: list[Job], client_of: ClientOf
) -> None:
    job, admin = five_jobs[0], client_of("account-admin")
    page = admin.get("/activity").text
    text = visible_text(page)
    assert "No jobs in the last 7 days." in text
    assert "Running jobs of other people" in text
    assert text.count(f"{EDITOR} · Account acme") == 5
    stop = f"/account/acme/jobs/{job.id}/stop"
    assert f'href="{stop}"' in page
    assert f'href="/account/acme/jobs/{job.id}"' not in page
    assert 'hx-trigger="every 2s"' in page
    question = visible_text(admin.get(stop).text)
    assert f"{EDITOR} started this job at Account acme" in question
    answer = admin.post(stop, follow_redirects=True)
    assert answer.request.path == "/activity"
    assert "You stopped “Test 1 image”, which account-editor started." in visible_text(answer.text)
    assert visible_text(answer.text).count(f"{EDITOR} · Account acme") == 4
    assert "had already ended" in visible_text(admin.post(stop, follow_redirects=True).text)

    owner = client_of("account-editor")
    shown = visible_text(owner.get(f"/account/acme/jobs/{job.id}").text)
    assert "Stopped. 0 of 1 processed. account-admin stopped this job." in shown
    text = visible_text(owner.get("/activity").text)
    assert "account-admin stopped this job." in text
    assert "account-admin stopped your job “Test 1 image”." in text
    assert "Running jobs of other people" not in text


@pytest.mark.parametrize(
    ("who", "count"),
    [("scalr-admin", 5), ("environment-admin", 0), ("account-viewer", 0), ("scalr-editor", 0)],
)
def test_only_admins_of_a_scope_see_its_jobs(
    five_jobs: list[Job], client_of: ClientOf, who: str, count: int
) -> None:
    text = visible_text(client_of(who).get("/activity").text)
    assert text.count(f"{EDITOR} · Account acme") == count


def test_only_the_oldest_jobs_of_other_people_are_listed(
    five_jobs: list[Job], actor_of: ActorOf
) -> None:
    listed, has_more = activity.find_jobs_of_others(actor_of("account-admin"), size=2)
    assert ([each.job for each in listed], has_more) == (five_jobs[:2], True)
    listed, has_more = activity.find_jobs_of_others(actor_of("account-admin"), size=5)
    assert ([each.job for each in listed], has_more) == (five_jobs, False)


def test_the_end_of_a_job_is_announced_once(five_jobs: list[Job], client_of: ClientOf) -> None:
    client = client_of("account-editor")
    url = f"/activity?running={five_jobs[0].id}"
    assert "job-news" not in client.get(url, headers=HTMX).text
    client.post(f"/account/acme/jobs/{five_jobs[0].id}/stop")
    fragment = client.get(url, headers=HTMX).text
    assert 'id="job-news" hx-swap-oob="innerHTML">Test 1 image: Stopped.' in fragment
    assert "<h1>" not in fragment
    assert "<h1>" in client.get(url).text


@pytest.mark.parametrize("awaited", ["", ".", "x", "٣.4", "1" * 3000, "1." * 900])
def test_any_text_as_the_running_jobs_is_answered(client_of: ClientOf, awaited: str) -> None:
    query = {"running": awaited, "before": awaited, "jobs_before": awaited}
    assert client_of("account-editor").get("/activity", query_string=query).status_code == 200


def test_a_finished_job_shows_how_many_rows_failed(
    actor_of: ActorOf, client_of: ClientOf, scope: ScopeAt
) -> None:
    job = create_job(actor_of, scope("acme"))
    for position, outcome in enumerate(("refused", "done", "refused")):
        JobRow.create(job=job, position=position, subject="row", outcome=outcome)
    page = client_of("account-editor").get("/activity").text
    assert "Done 3 of 3 processed, 2 failed" in visible_text(page)
    assert f'href="/account/acme/jobs/{job.id}"' in page
    assert "hx-trigger" not in page.partition('id="jobs"')[2].partition("</section>")[0]


def test_an_import_leads_to_its_review(
    actor_of: ActorOf, client_of: ClientOf, scope: ScopeAt
) -> None:
    planned = create_job(actor_of, scope("acme"), action=APPLY, state="planned")
    create_job(actor_of, scope("acme"), action="image-share", state="planned")
    create_job(actor_of, scope("acme"), action=PREPARE)
    create_job(actor_of, scope("acme"), action="newer-version")
    page = client_of("account-editor").get("/activity").text
    assert "Waiting for your review" in page
    assert f'href="/account/acme/images/import/{planned.id}"' in page
    assert page.count('id="job-') == 2  # One of them is the live region.


def test_only_recent_jobs_and_messages_of_the_person_are_listed(
    actor_of: ActorOf, client_of: ClientOf, scope: ScopeAt
) -> None:
    old = now() - timedelta(days=8)
    create_job(actor_of, scope("acme"), created_at=old)
    create_job(actor_of, scope("acme"), who="account-admin")
    for who, at in (("account-editor", old), ("account-admin", now())):
        Notice.create(
            person=actor_of(who).person, scope=scope("acme"), kind="success", text="A message.",
            links={}, at=at,
        )  # fmt: skip
    text = visible_text(client_of("account-editor").get("/activity").text)
    assert "No jobs in the last 7 days." in text
    assert "No messages in the last 7 days." in text
    assert notices.purge_chunk() is False
    assert Notice.select().count() == 1


def test_nothing_about_a_scope_is_listed_after_the_role_there_has_ended(
    actor_of: ActorOf, client_of: ClientOf, scope: ScopeAt
) -> None:
    client, person = client_of("account-editor"), actor_of("account-editor").person
    create_job(actor_of, scope("acme/staging"))
    notices.save(actor_of("account-editor"), scope("acme/staging"), "success", "Secret.", {})
    assert "Secret." in client.get("/activity").text
    with models.database.connection_context():
        Membership.delete().where(Membership.person == person).execute()
        Membership.create(person=person, scope=scope("acme/production"), role="viewer")
    page = client.get("/activity").text
    assert "staging" not in page
    assert "Secret." not in page
    assert "No jobs in the last 7 days." in page


def test_each_message_of_a_page_can_be_read_again(
    client_of: ClientOf, make_image: MakeImage
) -> None:
    image = make_image("acme", name="<b>web</b> {name} 映像")
    client = client_of("account-editor")
    client.post(f"/account/acme/images/{image.id}/delete", data={"revision": image.revision})
    shown = client.get("/account/acme/images").text.partition('id="toasts"')[2]
    client.post("/account/acme/images/bulk", data={})
    page = client.get("/activity").text
    assert "&lt;b&gt;web&lt;/b&gt; {name} 映像" in shown
    assert "&lt;b&gt;web&lt;/b&gt; {name} 映像" in page
    assert "Choose an action for the selected images." in page
    assert "at Account acme" in page


def test_a_message_about_joining_a_scope_disappears_with_the_role(
    actor_of: ActorOf, client_of: ClientOf, scope: ScopeAt
) -> None:
    admin, person = actor_of("scalr-admin"), actor_of("account-viewer").person
    token = members.invite(admin, scope("globex"), person.email, Role.VIEWER)
    client = client_of("account-viewer")
    client.post(f"/invitation/{token}")
    assert "You’re now a member of Account globex" in client.get("/activity").text
    with models.database.connection_context():
        at_globex = (Membership.person == person) & (Membership.scope == scope("globex"))
        Membership.delete().where(at_globex).execute()
    assert "lobex" not in client.get("/activity").text


def test_a_message_has_the_links_that_it_had(client_of: ClientOf) -> None:
    client = client_of("scalr-admin")
    client.post("/scalr/accounts", data={"name": "Initech"})
    page = client.get("/activity").text
    assert '<a href="/account/initech/images">Account Initech</a> created.' in page


def test_long_lists_have_pages(actor_of: ActorOf, client_of: ClientOf, scope: ScopeAt) -> None:
    actor = actor_of("account-editor")
    jobs = [create_job(actor_of, scope("acme")) for _ in range(21)]
    for number in range(21):
        notices.save(actor, scope("acme"), "success", f"message {number:02}.", {})
    client = client_of("account-editor")
    first = client.get("/activity").text
    assert (f'id="job-{jobs[0].id}"' in first, "message 00." in first) == (False, False)
    older = client.get(f"/activity?jobs_before={jobs[1].id}").text
    assert f'id="job-{jobs[0].id}"' in older
    assert "Older jobs" not in older
    before = Notice.get(text="message 01.").id
    assert "message 00." in client.get(f"/activity?before={before}").text
    assert "No older messages." in client.get("/activity?before=1").text


def test_a_long_message_is_shortened(
    actor_of: ActorOf, client_of: ClientOf, scope: ScopeAt
) -> None:
    actor = actor_of("account-editor")
    notices.save(actor, scope("acme"), "danger", f"“{'x' * 3000}\0”", {})
    assert len(Notice.get(person=actor.person).text) == 1000
    assert "Warning:" in client_of("account-editor").get("/activity").text


def test_a_page_shows_its_message_if_the_message_cannot_be_stored(
    client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_values: object) -> None:
        raise OperationalError("disk full")

    monkeypatch.setattr(Notice, "create", fail)
    client = client_of("account-editor")
    page = client.post("/account/acme/images/bulk", data={}, follow_redirects=True)
    assert "Choose an action for the selected images." in page.text


def test_a_job_that_ends_shows_its_result(
    actor_of: ActorOf, client_of: ClientOf, make_image: MakeImage, vault: Vault, scope: ScopeAt
) -> None:
    image = make_image("acme")
    actor = actor_of("account-editor")
    row = JobRow(subject="x", image_id=image.id, arguments={"revision": image.revision})
    job = store.create_job(actor, scope("acme"), "image-delete", {"batch": "b"}, [row])
    runner.start_job(job, vault)
    process_jobs()
    assert "Done 1 of 1 processed" in visible_text(client_of("account-editor").get("/activity"))
    assert Person.select().where(Person.id == actor.person).exists()
