"""Change images with the API."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from werkzeug.test import TestResponse

import models
from models import AuditEntry, Image, Scope
from tests.api.client import ApiClient, ClientFor
from tests.conftest import MakeImage, entries_of, reload
from webapp.images import deletion

IMAGES = "/account/acme/images"
FIRST = {"If-Match": '"1"'}


@pytest.fixture
def image(make_image: MakeImage) -> Image:
    return make_image("acme", tags=["cis"])


@pytest.fixture
def url(image: Image) -> str:
    return f"{IMAGES}/{image.id}"


@pytest.fixture
def editor_api(api_of: ClientFor) -> ApiClient:
    return api_of("account-editor")


def problem_of(answer: TestResponse) -> str:
    assert answer.mimetype == "application/problem+json"
    assert answer.json is not None
    return str(answer.json["type"]).removeprefix("urn:problem-type:")


def test_an_edit_changes_only_the_values_in_the_body(
    editor_api: ApiClient, image: Image, url: str
) -> None:
    body = {"name": " new  name ", "size_gb": None, "tags": ["b", "a", "A"], "notes": "x"}
    answer = editor_api.patch(url, body, headers=FIRST)
    assert answer.status_code == 200
    assert answer.headers["ETag"] == '"2"'
    assert answer.json is not None
    assert answer.json["name"] == "new name"
    assert answer.json["tags"] == ["a", "b"]
    stored = reload(image)
    assert (stored.name, stored.size_gb, stored.os_version) == ("new name", None, "24.04")
    (entry, _) = entries_of(image)
    assert (entry.action, entry.person_name) == ("image.edit", "account-editor")
    assert editor_api.get(url).json == answer.json


def test_an_edit_accepts_a_merge_patch(editor_api: ApiClient, url: str) -> None:
    answer = editor_api.open(
        "PATCH",
        url,
        data='{"name": "merged"}',
        content_type="application/merge-patch+json",
        headers=FIRST,
    )
    assert answer.json is not None
    assert answer.json["name"] == "merged"


def test_an_edit_without_changes_keeps_the_revision(editor_api: ApiClient, url: str) -> None:
    answer = editor_api.patch(url, {"name": "noble"}, headers=FIRST)
    assert answer.status_code == 200
    assert answer.headers["ETag"] == '"1"'


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_a_change_needs_the_etag(
    editor_api: ApiClient, image: Image, url: str, method: str
) -> None:
    body = {"json": {"name": "other"}} if method == "PATCH" else {}
    assert problem_of(editor_api.open(method, url, **body)) == "precondition-required"
    for header in ('"2"', 'W/"1"', '"x"', ""):
        answer = editor_api.open(method, url, headers={"If-Match": header}, **body)
        assert answer.status_code == 412, header
        assert problem_of(answer) == "precondition-failed"
        assert answer.headers["ETag"] == '"1"'
    assert reload(image).name == "noble"
    assert editor_api.open(method, url, headers={"If-Match": "*"}, **body).status_code in {200, 204}


def test_all_wrong_values_of_an_edit_are_named(
    editor_api: ApiClient, image: Image, url: str
) -> None:
    body = {
        "name": "x",
        "os_family": "Debian 12",
        "os_version": "",
        "size_gb": 0,
        "tags": ["a,b"],
        "notes": "\x07",
    }
    answer = editor_api.patch(url, body, headers=FIRST)
    assert answer.status_code == 422
    assert answer.json is not None
    assert [each["field"] for each in answer.json["errors"]] == [
        *("name", "os_version", "size_gb", "tags", "notes", "os_family")
    ]
    assert reload(image).revision == 1


def test_of_two_writers_with_the_same_etag_one_fails(
    api_of: ClientFor, image: Image, url: str
) -> None:
    statuses: list[int] = []
    barrier = threading.Barrier(2, timeout=30)

    def write(api: ApiClient, name: str) -> None:
        barrier.wait()
        statuses.append(api.patch(url, {"name": name}, headers=FIRST).status_code)

    threads = [
        threading.Thread(target=write, args=(api_of(name), name))
        for name in ("account-editor", "account-admin")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200, 412]
    assert reload(image).revision == 2


def test_an_edit_after_a_check_needs_the_new_etag(
    editor_api: ApiClient, image: Image, url: str
) -> None:
    """On the page, such a change would be no conflict. An ETag identifies the whole record."""
    Image.update_all(checked_at=models.now()).execute()
    assert editor_api.patch(url, {"name": "other"}, headers=FIRST).status_code == 412


def test_an_image_of_an_environment_cannot_be_shared(
    api_of: ClientFor, make_image: MakeImage
) -> None:
    image = make_image("acme/production")
    url = f"/environment/acme/production/images/{image.id}"
    api = api_of("environment-editor")
    answer = api.patch(url, {"shared": True}, headers=FIRST)
    assert answer.status_code == 422
    assert answer.json is not None
    assert answer.json["errors"][0]["field"] == "shared"
    assert api.post(f"{url}/share", {"shared": True}).status_code == 404


def test_sharing(editor_api: ApiClient, image: Image, url: str) -> None:
    assert editor_api.post(f"{url}/share", {"shared": False}).json["shared"] is False  # type: ignore[index]
    assert reload(image).shared is False
    stale = editor_api.post(f"{url}/share", {"shared": True}, headers=FIRST)
    assert stale.status_code == 412
    assert editor_api.post(f"{url}/share", {"shared": True}).status_code == 200


def test_promoting_needs_the_role_above(api_of: ClientFor, make_image: MakeImage) -> None:
    image = make_image("acme/production")
    path = f"/environment/acme/production/images/{image.id}/promote"
    assert problem_of(api_of("environment-admin").post(path)) == "not-found"
    answer = api_of("account-editor").post(path)
    assert answer.status_code == 200
    assert answer.json is not None
    assert answer.json["scope"] == {"level": "account", "path": "acme"}
    assert answer.json["shared"] is True
    assert reload(image).scope == Scope.at("acme")
    again = api_of("account-editor").post(path)
    assert problem_of(again) == "forbidden"


def test_promoting_a_duplicate_names_the_registered_image(
    api_of: ClientFor, make_image: MakeImage
) -> None:
    image = make_image("acme/production")
    registered = make_image("acme", shared=False)
    answer = api_of("account-editor").post(
        f"/environment/acme/production/images/{image.id}/promote"
    )
    assert answer.status_code == 409
    assert answer.json is not None
    assert answer.json["existing"] == {
        "id": registered.id,
        "name": "noble",
        "url": f"http://localhost/api/v1{IMAGES}/{registered.id}",
    }


def test_the_life_cycle(editor_api: ApiClient, make_image: MakeImage, url: str) -> None:
    successor = make_image("acme", 2, name="next")
    body = {"status": "deprecated", "reason": "Old.", "successor": successor.id}
    answer = editor_api.put(f"{url}/life-cycle", body)
    assert answer.status_code == 200
    assert answer.json is not None
    assert (answer.json["status"], answer.json["successor"]) == ("deprecated", successor.id)
    assert answer.json["deprecated_on"] == models.today().isoformat()
    later = (models.today() + timedelta(days=9)).isoformat()
    body = {"status": "retired", "on": later, "successor": "next"}
    answer = editor_api.put(f"{url}/life-cycle", body, headers={"If-Match": '"2"'})
    assert answer.json is not None
    assert (answer.json["status"], answer.json["retired_on"]) == ("deprecated", later)
    for more in ({"reason": "Back"}, {"on": "2030-01-01"}, {"successor": "noble"}):
        answer = editor_api.put(f"{url}/life-cycle", {"status": "active", **more})
        assert answer.status_code == 422
    answer = editor_api.put(f"{url}/life-cycle", {"status": "active"})
    assert answer.json is not None
    assert (answer.json["status"], answer.json["successor"]) == ("active", None)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"status": "old"}, "status"),
        ({"status": "retired", "on": "2026-02-30"}, "on"),
        ({"status": "retired", "on": "2126-02-01"}, "on"),
        ({"status": "retired", "successor": 999}, "successor"),
        ({"status": "retired", "successor": "noble"}, "successor"),
        ({"status": "retired", "reason": "two\nlines"}, "reason"),
    ],
)
def test_a_wrong_life_cycle_is_refused(
    editor_api: ApiClient, image: Image, url: str, body: dict[str, object], field: str
) -> None:
    answer = editor_api.put(f"{url}/life-cycle", body)
    assert answer.status_code == 422
    assert answer.json is not None
    assert answer.json["errors"][0]["field"] == field
    assert reload(image).revision == 1


def test_tags_are_added_and_removed(editor_api: ApiClient, image: Image, url: str) -> None:
    answer = editor_api.post(f"{url}/tags", {"add": ["team=web", "CIS"], "remove": []})
    assert answer.json is not None
    assert answer.json["tags"] == ["cis", "team=web"]
    editor_api.post(f"{url}/tags", {"remove": ["Cis"]})
    assert reload(image).tags == ["team=web"]
    refused = editor_api.post(f"{url}/tags", {"add": ["a,b"]})
    assert refused.status_code == 422
    assert refused.json is not None
    assert refused.json["errors"][0]["field"] == "tags"


def test_a_deleted_image_can_be_restored(editor_api: ApiClient, image: Image, url: str) -> None:
    answer = editor_api.delete(url, headers=FIRST)
    assert answer.status_code == 204
    assert answer.data == b""
    assert problem_of(editor_api.get(url)) == "deleted"
    deleted = editor_api.get(f"{IMAGES}/deleted?q=nob").json
    assert deleted is not None
    assert [(each["id"], each["deleted_by"]) for each in deleted["items"]] == [
        (image.id, "account-editor")
    ]
    assert editor_api.get(f"{IMAGES}/deleted?q=other").json == {"items": [], "total": 0}
    restored = editor_api.post(f"{url}/restore")
    assert restored.status_code == 200
    assert restored.headers["ETag"] == '"2"'
    assert restored.json is not None
    assert restored.json["name"] == "noble"
    assert problem_of(editor_api.post(f"{url}/restore")) == "not-found"


def test_an_image_that_was_registered_again_is_not_restored(
    editor_api: ApiClient, make_image: MakeImage, url: str
) -> None:
    editor_api.delete(url, headers=FIRST)
    make_image("acme")
    answer = editor_api.post(f"{url}/restore")
    assert problem_of(answer) == "refused"


def test_a_job_deletes_the_successor_of_many_images(
    editor_api: ApiClient, make_image: MakeImage, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion, "MAX_PREDECESSORS", 0)
    predecessor = make_image("acme", 2)
    editor_api.put(
        f"{IMAGES}/{predecessor.id}/life-cycle", {"status": "retired", "successor": "noble"}
    )
    image_id = int(url.rpartition("/")[2])
    editor_api.put(
        f"{IMAGES}/{predecessor.id}/life-cycle", {"status": "retired", "successor": image_id}
    )
    answer = editor_api.delete(url, headers=FIRST)
    assert answer.status_code == 202
    assert answer.json is not None
    assert answer.headers["Location"] == answer.json["url"]
    assert "/api/v1/account/acme/jobs/" in answer.json["url"]


def test_the_history_has_all_entries(
    api_of: ClientFor, editor_api: ApiClient, image: Image, url: str
) -> None:
    editor_api.post(f"{url}/tags", {"add": ["new"]})
    history = editor_api.get(f"{url}/history?limit=1").json
    assert history is not None
    (newest,) = history["items"]
    assert newest["action"] == "image.edit"
    assert newest["action_text"] == "edited the image"
    assert newest["person"] == "account-editor"
    assert newest["changes"] == [{"field": "tags", "before": ["cis"], "after": ["cis", "new"]}]
    older = editor_api.get(history["next"].removeprefix("http://localhost/api/v1")).json
    assert older is not None
    assert [each["action"] for each in older["items"]] == ["image.register"]
    assert older["next"] is None
    assert AuditEntry.select().where(AuditEntry.record == image.reference).count() == 2
