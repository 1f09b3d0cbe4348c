"""Look up and register images with the API, in the sandbox AWS."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from models import CloudCredentials, Image
from sandbox import aws
from tests.api.client import ApiClient, ClientFor
from tests.conftest import MakeCredentials, entries_of

IMAGES = "/account/acme/images"
NOBLE = aws.NOBLE.id_in("us-east-1")
BODY = {"cloud": "aws", "location": "us-east-1", "cloud_image_id": NOBLE}
RETURN = f"{IMAGES}?if_exists=return"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with aws.start() as url:
        yield url


@pytest.fixture(autouse=True)
def credentials(make_credentials: MakeCredentials, endpoint: str) -> CloudCredentials:
    return make_credentials("", "Sandbox", endpoint)


@pytest.fixture
def api(api_of: ClientFor) -> ApiClient:
    return api_of("account-editor")


def test_a_look_up_saves_nothing(api: ApiClient) -> None:
    answer = api.post(f"{IMAGES}/look-up", BODY)
    assert answer.status_code == 200
    found: Any = answer.json
    assert (found["cloud_image_id"], found["location"]) == (NOBLE, "us-east-1")
    assert found["details"]["state"] == "available"
    assert (found["suggested"]["os_family"], found["suggested"]["os_version"]) == (
        *("ubuntu", "24.04"),
    )
    assert not Image.select().exists()


def test_one_request_looks_up_and_registers(api: ApiClient) -> None:
    answer = api.post(IMAGES, {**BODY, "tags": ["ci"], "notes": "From a pipeline."})
    assert answer.status_code == 201
    found: Any = answer.json
    assert answer.headers["Location"] == found["url"]
    assert answer.headers["ETag"] == '"1"'
    assert (found["os_family"], found["os_version"]) == ("ubuntu", "24.04")
    assert (found["tags"], found["notes"], found["shared"]) == (["ci"], "From a pipeline.", True)
    assert found["state"] == "available"
    image = Image.get()
    assert (image.id, image.registered_by_name) == (found["id"], "account-editor")
    assert [entry.action for entry in entries_of(image)] == ["image.register"]
    assert api.get(f"{IMAGES}/{image.id}").json == found


def test_the_location_may_be_in_the_id(api: ApiClient) -> None:
    body = {"cloud": "aws", "cloud_image_id": f"us-east-1:{NOBLE}", "credentials": "Sandbox"}
    answer = api.post(IMAGES, body)
    assert answer.status_code == 201
    assert Image.get().location == "us-east-1"


def test_values_in_the_body_take_precedence(api: ApiClient) -> None:
    values = {
        "name": "mine",
        "os_family": "debian",
        "os_version": "13",
        "size_gb": None,
        "agent_installed": False,
        "shared": False,
    }
    found: Any = api.post(IMAGES, {**BODY, **values}).json
    assert {name: found[name] for name in values} == values


def test_a_version_of_another_family_is_not_suggested(api: ApiClient) -> None:
    answer = api.post(IMAGES, {**BODY, "os_family": "debian"})
    assert answer.status_code == 422
    assert answer.json is not None
    assert answer.json["errors"][0]["field"] == "os_version"
    assert not Image.select().exists()


def test_a_pipeline_can_repeat_the_request(api: ApiClient, api_of: ClientFor) -> None:
    first = api.post(RETURN, {**BODY, "name": "first"})
    assert first.status_code == 201
    again = api.post(RETURN, {**BODY, "name": "second"})
    assert again.status_code == 200
    assert again.json == first.json
    assert again.headers["ETag"] == first.headers["ETag"]
    refused = api.post(IMAGES, BODY)
    assert refused.status_code == 409
    assert refused.json is not None
    assert refused.json["type"] == "urn:problem-type:already-registered"
    assert refused.json["existing"]["id"] == first.json["id"]  # type: ignore[index]
    assert api.post(f"{IMAGES}/look-up", BODY).status_code == 409
    # The environment inherits the image.
    below = api_of("environment-editor").post(
        "/environment/acme/production/images?if_exists=return", BODY
    )
    assert below.status_code == 200
    assert below.json is not None
    assert below.json["url"].endswith(f"/environment/acme/production/images/{Image.get().id}")
    assert Image.select().count() == 1


def test_of_simultaneous_requests_one_registers(api_of: ClientFor) -> None:
    statuses: list[int] = []
    barrier = threading.Barrier(3, timeout=30)

    def register(api: ApiClient) -> None:
        barrier.wait()
        statuses.append(api.post(RETURN, BODY).status_code)

    clients = [api_of("account-editor") for _ in range(3)]
    threads = [threading.Thread(target=register, args=(api,)) for api in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200, 200, 201]
    assert Image.select().count() == 1


@pytest.mark.parametrize(
    ("changes", "status", "field"),
    [
        ({"cloud": "awz"}, 422, "cloud"),
        ({"credentials": 999}, 422, "credentials"),
        ({"credentials": "Missing"}, 422, "credentials"),
        ({"location": ""}, 422, "location"),
        ({"location": "us-east-1", "cloud_image_id": f"eu-west-1:{NOBLE}"}, 422, "location"),
        ({"name": "x"}, 422, "name"),
        ({"compute_resource": "x"}, 422, "compute_resource"),
        ({"cloud_image_id": 3}, 422, "cloud_image_id"),
    ],
)
def test_a_wrong_value_is_an_error_of_its_field(
    api: ApiClient, changes: dict[str, object], status: int, field: str
) -> None:
    answer = api.post(IMAGES, {**BODY, **changes})
    assert answer.status_code == status
    assert answer.json is not None
    assert [each["field"] for each in answer.json["errors"]] == [field]
    assert not Image.select().exists()


@pytest.mark.parametrize("image_id", ["ami-00000000000000abc", "i-0123456789abcdef0", ""])
def test_an_image_that_the_cloud_does_not_have_is_refused(api: ApiClient, image_id: str) -> None:
    answer = api.post(IMAGES, {**BODY, "cloud_image_id": image_id})
    assert answer.status_code == 422
    assert answer.json is not None
    assert answer.json["type"] == "urn:problem-type:cloud-refused"


def test_several_credentials_must_be_chosen(
    api: ApiClient, make_credentials: MakeCredentials, endpoint: str
) -> None:
    other = make_credentials("acme", "Other", endpoint)
    answer = api.post(IMAGES, BODY)
    assert answer.status_code == 422
    assert answer.json is not None
    assert f"{other.id} (“Other”)" in answer.json["detail"]
    assert api.post(IMAGES, {**BODY, "credentials": other.id}).status_code == 201


def test_a_check_reads_the_image_again(api: ApiClient) -> None:
    api.post(IMAGES, BODY)
    image = Image.get()
    Image.update(architecture="old").execute()
    answer = api.post(f"{IMAGES}/{image.id}/check", {})
    assert answer.status_code == 200
    found: Any = answer.json
    assert found["image"]["architecture"] == "x86_64"
    assert "ETag" not in answer.headers


def test_credentials_that_cannot_be_reached_are_a_problem_of_the_cloud(
    api: ApiClient, make_credentials: MakeCredentials
) -> None:
    nowhere = make_credentials("acme", "Nowhere")
    answer = api.post(IMAGES, {**BODY, "credentials": nowhere.id})
    assert answer.status_code == 504
    assert answer.json is not None
    assert answer.json["type"] == "urn:problem-type:cloud-unreachable"
