"""The audit log and the history of an image: pages, old links, and long values."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import pytest
from flask.testing import FlaskClient

import models
from models import AuditEntry, DeletedImage, Image, Person, Scope
from tests.conftest import ActorOf, ClientOf, MakeCredentials, MakeImage, ScopeAt
from tests.jobs.scope_deletion import delete_scope
from tests.query_plans import plan_of
from tests.views.pages import visible_text
from webapp import audit
from webapp.audit import log as audit_log
from webapp.images import deletion
from webapp.people import scopes
from webapp.search.audit_log import finder
from webapp.search.audit_log.query import ALL_ENTRIES
from webapp.transfer.export import BYTE_ORDER_MARK

LOG = "/account/acme/audit"
SUBJECT = re.compile("<strong>(entry [0-9]+)</strong>")
HREF = 'href="([^"]+)">{}<'


def write(scope: Scope | None, count: int, start: int = 0, record: str = "") -> None:
    for number in range(start, start + count):
        AuditEntry.create(
            scope=scope, scope_label="", person_name="P", action="image.edit", changes={},
            subject=f"entry {number}", record=record,
        )  # fmt: skip


def follow(client: FlaskClient, page: str, label: str) -> str:
    found = re.search(HREF.format(label), page)
    assert found, label
    return client.get(found[1].replace("&amp;", "&")).text


def test_pages_do_not_shift_while_entries_are_added(client_of: ClientOf, scope: ScopeAt) -> None:
    write(scope("acme/production"), 120)
    client = client_of("account-admin")
    first = client.get(LOG).text
    assert "Newer" not in first
    with models.database.connection_context():
        write(Scope.get(path="acme"), 70, start=120)
    second = follow(client, first, "Older")
    third = follow(client, second, "Older")
    listed = [SUBJECT.findall(page) for page in (first, second, third)]
    assert [name for names in listed for name in names] == [
        f"entry {number}" for number in reversed(range(120))
    ]
    assert "Older" not in third
    assert SUBJECT.findall(follow(client, third, "Newer")) == listed[1]
    newest = follow(client, third, "Newest")
    assert SUBJECT.findall(newest)[0] == "entry 189"
    assert "Newer" not in newest


def test_newer_ends_with_a_whole_page(client_of: ClientOf, scope: ScopeAt) -> None:
    write(scope("acme"), 60)
    first = AuditEntry.get(subject="entry 49").id
    page = client_of("account-admin").get(f"{LOG}?after={first}").text
    assert len(SUBJECT.findall(page)) == 50
    assert "Newer" not in page
    assert "Older" in page


def test_a_page_before_the_oldest_entry_links_to_the_entries(
    client_of: ClientOf, scope: ScopeAt
) -> None:
    write(scope("acme"), 3)
    client, oldest = client_of("account-admin"), AuditEntry.get(subject="entry 0").id
    page = client.get(f"{LOG}?before={oldest}").text
    assert not SUBJECT.findall(page)
    assert len(SUBJECT.findall(follow(client, page, "Newer"))) == 3


def test_old_links_lead_to_the_newest_entries(client_of: ClientOf) -> None:
    response = client_of("account-admin").get(f"{LOG}?page=7")
    assert (response.status_code, response.location) == (303, LOG)


@pytest.mark.parametrize("value", ["", "x", "-1", "0", "9" * 400, "٣", "1e3", "2147483648"])
def test_any_text_as_a_cursor_is_answered(client_of: ClientOf, value: str) -> None:
    client = client_of("account-admin")
    assert client.get(LOG, query_string={"before": value}).status_code == 200
    assert client.get(LOG, query_string={"after": value}).status_code == 200


@pytest.mark.parametrize("path", ["", "acme", "acme/production"])
def test_each_log_is_a_range_of_an_index(
    scope: ScopeAt, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(scope("acme"), 5)
    statements = []
    execute = models.database.obj.execute_sql

    def execute_and_record(sql: str, params: object = None) -> object:
        statements.append((sql, params))
        return execute(sql, params)

    here = scope(path)
    monkeypatch.setattr(models.database.obj, "execute_sql", execute_and_record)
    finder.find_page(here, ALL_ENTRIES, before=100_000)
    monkeypatch.undo()
    plan = plan_of(*statements[0])
    assert "SORT" not in plan.upper().replace("TEMP B-TREE FOR ORDER BY", "SORT"), plan
    assert {"": "", "acme": "account_id", "acme/production": "scope_id"}[path] in plan
    assert "SCAN audit_entry" not in plan, plan


def test_an_account_keeps_the_entries_of_its_deleted_environments(
    scope: ScopeAt, actor_of: ActorOf
) -> None:
    write(scope("acme/staging"), 1)
    write(scope("globex/lab"), 1, start=1)
    delete_scope(actor_of("account-admin"), scope("acme/staging"), "staging")
    names = [entry.subject for entry in finder.find_page(scope("acme"), ALL_ENTRIES).entries]
    assert names == ["staging", "entry 0"]
    assert finder.find_page(scope("acme/production"), ALL_ENTRIES).entries == []
    delete_scope(actor_of("scalr-admin"), scope("acme"), "acme")
    names = [entry.subject for entry in finder.find_page(scope(""), ALL_ENTRIES).entries]
    assert names == ["acme", "staging", "entry 1", "entry 0"]
    scopes.create(actor_of("scalr-admin"), scope(""), "acme")
    (entry,) = finder.find_page(scope("acme"), ALL_ENTRIES).entries
    assert entry.action == "account.create"


def test_one_huge_entry_does_not_make_the_page_huge(
    client_of: ClientOf, make_image: MakeImage
) -> None:
    image = make_image("acme")
    old, new = "x" * 3_000_000, "x" * 2_999_999 + "y"
    values = {"Description": (old, new), "Warnings": ("é" * 600, "short"), "shared": (False, True)}
    many = {f"Fact {number}": (number, number + 1) for number in range(5_000)}
    nested = {"Note": (None, ["z" * 700]), "same": ("w" * 900, "w" * 900)}
    for changes in (values, many, nested):
        AuditEntry.create(
            scope=image.scope, scope_label="Account acme", person_name="P", action="image.check",
            subject="huge", record=image.reference, changes=changes,
        )  # fmt: skip
    client = client_of("account-admin")
    image_page = f"/account/acme/images/{image.id}"
    for url in (LOG, image_page, f"{image_page}/history"):
        page = client.get(url).text
        assert len(page) < 200_000
        assert "(the rest differs)" in page
        assert "<ins>Yes</ins>" in page
        assert "w" * 200 not in page
        assert page.count("Show all") == 3
    with models.database.connection_context():
        ids = [entry.id for entry in AuditEntry.select().where(AuditEntry.subject == "huge")]
    for url in (LOG, f"{image_page}/history"):
        description, facts, note = (client.get(f"{url}/{entry_id}").text for entry_id in ids)
        assert len(description) < 1_500_000
        assert "too large for one page" in description
        assert "é" * 600 in description
        assert facts.count("<dt>Fact") == 500
        assert "z" * 700 in note
        assert "too large" not in note


def test_an_entry_is_shown_only_in_its_own_log(
    client_of: ClientOf, make_image: MakeImage, scope: ScopeAt
) -> None:
    here, other = make_image("acme", 1), make_image("globex", 2)
    write(scope("globex"), 1, record=other.reference)
    foreign = AuditEntry.get(subject="entry 0").id
    own = AuditEntry.get(record=here.reference).id
    client = client_of("account-admin")
    assert client.get(f"{LOG}/{own}").status_code == 200
    assert client.get(f"{LOG}/{foreign}").status_code == 404
    assert client.get(f"/account/acme/images/{here.id}/history/{foreign}").status_code == 404
    assert client.get(f"/environment/acme/production/audit/{own}").status_code == 404


def test_the_page_of_an_image_shows_the_newest_entries_of_its_history(
    client_of: ClientOf, make_image: MakeImage
) -> None:
    image = make_image("acme")
    write(image.scope, 100, record=image.reference)
    client = client_of("environment-viewer")
    page = client.get(f"/environment/acme/production/images/{image.id}").text
    assert SUBJECT.findall(page) == [f"entry {number}" for number in range(99, 79, -1)]
    older = follow(client, page, "Show older")
    assert SUBJECT.findall(older)[0] == "entry 79"
    assert "registered the image" in follow(client, older, "Older")


def test_secrets_are_shown_as_changed(actor_of: ActorOf, make_image: MakeImage) -> None:
    image: Image = make_image("acme")
    secret = {"password": (audit.SECRET, audit.SECRET)}
    audit.record(
        actor_of("account-admin"), image.scope, "image.edit", "n", changes=secret, record=image
    )
    entry = audit_log.image_page(image, show_credentials=True).entries[0]
    assert entry.changes == {"password": (audit.SECRET, audit.SECRET)}
    assert not entry.is_shortened


@pytest.mark.parametrize("length", range(494, 502))
@pytest.mark.parametrize("text", ["\U0001f600", '"', "\\", "\n", "é", "映"])
def test_a_cut_text_is_the_beginning_of_the_text(
    make_image: MakeImage, text: str, length: int
) -> None:
    image = make_image("acme")
    value = "x" * length + text * 100
    AuditEntry.create(
        scope=image.scope, scope_label="", person_name="P", action="image.edit", subject="s",
        record=image.reference, changes={"name": (value, "")},
    )  # fmt: skip
    shown = audit_log.image_page(image, show_credentials=True).entries[0].changes["name"][0]
    assert shown.endswith("…")
    assert value.startswith(shown[:-1])
    assert len(shown) > 480


def test_the_log_is_searched_and_the_search_has_a_url(client_of: ClientOf, scope: ScopeAt) -> None:
    write(scope("acme/production"), 60)
    client = client_of("account-admin")
    page = client.get(f"{LOG}?q=entry+did:edit").text
    assert len(SUBJECT.findall(page)) == 50
    assert 'value="entry did:edit"' in page
    older = follow(client, page, "Older")
    assert len(SUBJECT.findall(older)) == 10
    assert 'value="entry did:edit"' in older
    assert "No entries match your search" in client.get(f"{LOG}?q=by:me").text
    assert "Did you mean “did:”?" in client.get(f"{LOG}?q=di:edit").text


def test_a_day_in_the_url_has_its_time_zone(client_of: ClientOf) -> None:
    client = client_of("account-admin")
    page = client.get(f"{LOG}?q=at:today&zone=Asia/Tokyo").text
    assert "Today (Asia/Tokyo)" in page
    headers = {"HX-Request": "true"}
    pushed = {
        text: client.get(f"{LOG}?q={text}&zone=Asia/Tokyo", headers=headers).headers["HX-Push-Url"]
        for text in ("at:today", "at:7d")
    }
    assert pushed == {
        "at:today": f"{LOG}?q=at%3Atoday&zone=Asia%2FTokyo",
        "at:7d": f"{LOG}?q=at%3A7d",
    }


def test_a_form_without_javascript_leads_to_the_short_url(client_of: ClientOf) -> None:
    response = client_of("account-admin").get(f"{LOG}?zone=&q=at:today")
    assert (response.status_code, response.location) == (303, f"{LOG}?q=at%3Atoday")


def test_a_search_with_few_matches_can_go_on(
    client_of: ClientOf, scope: ScopeAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finder, "SCAN_LIMIT", 20)
    write(scope("acme"), 50)
    client = client_of("account-admin")
    page = client.get(f"{LOG}?q=%22entry+5%22").text
    assert "No matches on this page" in page
    page = follow(client, follow(client, page, "Search further"), "Search further")
    assert SUBJECT.findall(page) == ["entry 5"]
    after = AuditEntry.get(AuditEntry.subject == "entry 10").id
    page = client.get(f"{LOG}?q=%22entry+5%22&after={after}").text
    assert "No matches on this page" in page
    (primary,) = re.findall('class="btn btn-primary"[^>]*>([^<]*)', page)
    assert primary == "Search further"


def test_suggestions_of_the_log_name_only_people_of_the_log(
    client_of: ClientOf, scope: ScopeAt, actor_of: ActorOf
) -> None:
    for name, path in (("account-editor", "acme"), ("stranger", "globex")):
        audit.record(actor_of(name), scope(path), "image.edit", "an image")
    page = client_of("account-admin").get(f"{LOG}/suggestions?q=by:&caret=3").text
    assert "by:account-editor" in page
    assert "stranger" not in page


def test_subjects_lead_to_their_pages(
    client_of: ClientOf,
    make_image: MakeImage,
    make_credentials: MakeCredentials,
    actor_of: ActorOf,
    scope: ScopeAt,
) -> None:
    admin, here = actor_of("account-admin"), scope("acme")
    image, deleted, gone = (make_image("acme", number, name=f"i{number}") for number in range(3))
    for each in (deleted, gone):
        deletion.delete(admin, each, deletion.new_batch())
    DeletedImage.delete().where(DeletedImage.id == gone.id).execute()
    inherited = make_image("", 5, name="inherited")
    environment = scopes.create(admin, here, "lab")
    credentials = make_credentials("acme")
    for scope_, record in ((here, inherited), (here, credentials)):
        audit.record(admin, scope_, "image.edit", f"about {record.reference}", record=record)
    client = client_of("account-admin")
    page = client.get(LOG).text
    links = dict(re.findall('<a href="([^"]*)"><strong>([^<]*)', page))
    assert links == {
        f"/account/acme/images/{image.id}": "i0",
        f"/account/acme/images/{deleted.id}": "i1",
        f"/account/acme/images/{inherited.id}": f"about {inherited.reference}",
        f"/environment/acme/{environment.name}/": "lab",
        "/account/acme/credentials": f"about {credentials.reference}",
    }
    assert "<strong>i2</strong>" in page
    assert "Restore" in client.get(f"/account/acme/images/{deleted.id}").text


def test_entries_of_a_job_are_folded_and_can_be_shown(client_of: ClientOf, scope: ScopeAt) -> None:
    with models.transaction():
        for number in range(60):
            AuditEntry.create(
                scope=scope("acme"), scope_label="Account acme", person_name="P", job_id=9,
                action="image.register", subject=f"entry {number}", changes={},
            )  # fmt: skip
    client = client_of("account-admin")
    page = client.get(f"{LOG}?q=on:image").text
    assert "registered 60 images" in page
    assert "entry 59, entry 58, entry 57, entry 56 and 56 more" in page
    link = re.search('href="([^"]*)" aria-label="Show all: registered 60 images"', page)
    assert link
    assert link[1] == f"{LOG}?q=job%3A9+did%3Aregister"
    shown = client.get(link[1]).text
    assert SUBJECT.findall(shown) == [f"entry {number}" for number in range(59, 9, -1)]
    assert SUBJECT.findall(follow(client, shown, "Older"))[-1] == "entry 0"


def exported(client: FlaskClient, text: str = "") -> list[dict[str, Any]]:
    """Return the entries in the JSON export, and check that the other exports have the same."""
    records: list[dict[str, Any]] = json.loads(client.get(f"{LOG}/export.json?q={text}").text)
    lines = client.get(f"{LOG}/export.jsonl?q={text}").text.split("\n")
    assert [json.loads(line) for line in lines[:-1]] == records
    assert lines[-1] == ""
    table = client.get(f"{LOG}/export.csv?q={text}").text
    rows = list(csv.DictReader(io.StringIO(table.removeprefix(BYTE_ORDER_MARK), newline="")))
    assert [int(row["id"]) for row in rows] == [record["id"] for record in records]
    return records


def test_the_searched_entries_are_exported(
    client_of: ClientOf, scope: ScopeAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finder, "CHUNK", 7)
    monkeypatch.setattr(finder, "SCAN_LIMIT", 10)
    write(scope("acme/production"), 60)
    write(scope("globex"), 3, start=90)
    client = client_of("account-admin")
    names = [record["subject"] for record in exported(client)]
    assert names == [f"entry {number}" for number in reversed(range(60))]
    assert [record["subject"] for record in exported(client, "%22entry+3%22")] == [
        *(f"entry {number}" for number in reversed(range(30, 40))), "entry 3",
    ]  # fmt: skip
    assert exported(client, "by:nobody") == []
    refused = client.get(f"{LOG}/export.csv?q=bye:me")
    assert refused.status_code == 422
    assert "Did you mean “by:”?" in refused.text
    assert f'action="{LOG}"' in refused.text


def test_an_export_has_neither_secrets_nor_formulas(
    client_of: ClientOf, make_image: MakeImage, actor_of: ActorOf
) -> None:
    image = make_image("acme")
    changes = {"password": (audit.SECRET, audit.SECRET), "name": ("a", "x" * 900)}
    admin = actor_of("account-admin")
    audit.record(admin, image.scope, "image.edit", "=1+1", record=image, changes=changes)
    client = client_of("account-admin")
    record = exported(client)[0]
    assert record.pop("at").endswith("+00:00")
    assert record == {
        "id": AuditEntry.get(subject="=1+1").id,
        "scope": "Account acme",
        "person": "account-admin",
        "person_email": "account-admin@example.com",
        "token": "",
        "action": "image.edit",
        "subject": "=1+1",
        "record": image.reference,
        "job": None,
        "changes": {
            "password": [audit.SECRET, audit.SECRET],
            "name": ["a", "x" * 499 + "…"],
        },
        "changes_shortened": True,
    }
    assert ",'=1+1," in client.get(f"{LOG}/export.csv").text


def test_admins_see_the_address_that_a_person_had_beside_the_name(
    client_of: ClientOf, make_image: MakeImage, actor_of: ActorOf, scope: ScopeAt
) -> None:
    """Anybody can choose the name of somebody else."""
    image, editor = make_image("acme"), actor_of("account-editor")
    audit.record(editor, scope("acme"), "image.edit", "gold", record=image)
    Person.update(email="later@example.com").where(Person.id == editor.person.id).execute()
    shown = "account-editor (account-editor@example.com) edited the image gold"
    history = f"/account/acme/images/{image.id}/history"
    admin, viewer = client_of("account-admin"), client_of("account-viewer")
    assert shown in visible_text(admin.get("/account/acme/audit"))
    assert shown in visible_text(admin.get(history))
    assert "account-editor edited the image gold" in visible_text(viewer.get(history))
