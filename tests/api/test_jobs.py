"""Jobs and bulk actions with the API."""

from __future__ import annotations

import time
from typing import Any

import pytest

from models import Image, Job
from tests.api.client import ApiClient, ClientFor
from tests.conftest import MakeImage

IMAGES = "/account/acme/images"
BULK = f"{IMAGES}/bulk"


@pytest.fixture
def images(make_image: MakeImage) -> list[Image]:
    return [make_image("acme", number, name=f"image {number}") for number in (1, 2, 3)]


@pytest.fixture
def api(api_of: ClientFor, images: list[Image]) -> ApiClient:
    return api_of("account-editor")


def finished(api: ApiClient, job: Any) -> Any:
    """Wait until a job is done, and return it."""
    path = job["url"].removeprefix("http://localhost/api/v1")
    deadline = time.monotonic() + 30
    while True:
        found: Any = api.get(path).json
        if found["state"] != "running":
            return found
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_dry_run_changes_nothing(api: ApiClient, images: list[Image]) -> None:
    body = {"action": "tag", "q": "image", "tags": ["new"], "dry_run": True}
    answer = api.post(BULK, body)
    assert answer.status_code == 200
    found: Any = answer.json
    assert found["job"] is None
    assert found["effect"]["changed"] == 3
    assert found["effect"]["names"] == ["image 1", "image 2", "image 3"]
    assert not Job.select().exists()


@pytest.mark.parametrize(
    ("action", "arguments", "fields"),
    [
        ("share", {"tags": ["new"]}, ["tags"]),
        ("tag", {"tags": ["new"], "reason": "Old", "on": "2030-01-01"}, ["on", "reason"]),
        ("deprecate", {"os_family": "ubuntu", "os_version": "24.04"}, ["os_family", "os_version"]),
        ("delete", {"successor": 1}, ["successor"]),
    ],
)
def test_arguments_of_other_actions_are_refused(
    api: ApiClient,
    images: list[Image],
    action: str,
    arguments: dict[str, object],
    fields: list[str],
) -> None:
    answer = api.post(BULK, {"action": action, "images": [images[0].id], **arguments})
    assert answer.status_code == 422
    assert answer.json is not None
    assert [each["field"] for each in answer.json["errors"]] == fields
    assert not Job.select().exists()


def test_a_bulk_action_is_a_job(api: ApiClient, images: list[Image]) -> None:
    ids = [images[0].id, images[1].id]
    answer = api.post(BULK, {"action": "tag", "images": ids, "tags": ["new"]})
    assert answer.status_code == 202
    started: Any = answer.json
    assert answer.headers["Location"] == started["job"]["url"]
    job = finished(api, started["job"])
    assert (job["state"], job["total"], job["outcomes"]) == ("done", 2, {"done": 2})
    assert Image.get_by_id(images[0].id).tags == ["new"]
    assert Image.get_by_id(images[2].id).tags == []
    path = job["url"].removeprefix("http://localhost/api/v1")
    rows: Any = api.get(f"{path}/rows?limit=1").json
    assert [(row["image"], row["outcome"]) for row in rows["items"]] == [(ids[0], "done")]
    for cursor in ("2-1", "0-", "0-²", "x"):
        assert api.get(f"{path}/rows?cursor={cursor}").status_code == 400
    following: Any = api.get(rows["next"].removeprefix("http://localhost/api/v1")).json
    assert [row["image"] for row in following["items"]] == [ids[1]]
    assert following["next"] is None
    assert api.post(f"{path}/stop").json["state"] == "done"  # type: ignore[index]


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"action": "explode"}, "action"),
        ({"action": "tag"}, "tags"),
        ({"action": "tag", "tags": ["a,b"]}, "tags"),
        ({"action": "os"}, "os_family"),
        ({"action": "deprecate", "successor": 999}, "successor"),
        ({"action": "share", "images": []}, "images"),
        ({"action": "share", "q": "x"}, "images"),
    ],
)
def test_a_wrong_argument_starts_nothing(
    api: ApiClient, images: list[Image], arguments: dict[str, object], field: str
) -> None:
    answer = api.post(BULK, {"images": [images[0].id], **arguments})
    assert answer.status_code == 422
    assert answer.json is not None
    assert answer.json["errors"][0]["field"] == field
    assert not Job.select().exists()


def test_a_search_that_is_not_understood_selects_nothing(api: ApiClient) -> None:
    assert api.post(BULK, {"action": "delete", "q": "clod:aws"}).status_code == 400
    assert not Job.select().exists()


def test_nobody_else_sees_a_job(api: ApiClient, api_of: ClientFor, images: list[Image]) -> None:
    started: Any = api.post(BULK, {"action": "share", "images": [images[0].id]}).json
    path = started["job"]["url"].removeprefix("http://localhost/api/v1")
    assert api_of("account-admin").get(path).status_code == 404
    assert api_of("account-viewer").post(f"{path}/stop").status_code == 404
