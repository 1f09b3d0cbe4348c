"""All operations of the API handle tokens, JSON, errors and headers in the same way."""

from __future__ import annotations

import json
import logging
from typing import Any

import peewee
import psycopg
import pytest
from flask import Flask

import models
from models import Image, Membership, Role, Scope
from tests.api.client import ApiClient, ClientFor
from tests.conftest import ActorOf, ClientOf, MakeImage, ScopeAt
from webapp.api.problems import KINDS
from webapp.clouds.errors import (
    CallsInProgress,
    CloudError,
    CloudThrottled,
    CloudUnreachable,
    ImageNotFound,
    InvalidImageId,
)
from webapp.credentials.vault import VaultError
from webapp.search import catalogue

IMAGES = "/account/acme/images"
UNAUTHORIZED = [
    "",
    "Bearer",
    "Bearer ",
    "Bearer nonsense",
    "Basic x",
    "Basic Og==",
    "Digest a=b",
    "x",
]


@pytest.mark.parametrize("header", UNAUTHORIZED)
def test_every_request_needs_a_token(app: Flask, header: str) -> None:
    api = ApiClient(app.test_client(), "")
    headers = {"Authorization": header} if header else {}
    answer = api.get(IMAGES, headers=headers)
    assert answer.status_code == 401
    assert answer.mimetype == "application/problem+json"
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")


def test_a_session_of_the_pages_is_no_token(client_of: ClientOf) -> None:
    client = client_of("account-admin")
    assert client.get("/account/acme/images").status_code == 200
    assert client.get(f"/api/v1{IMAGES}").status_code == 401


def test_no_answer_sets_a_cookie_or_allows_other_sites(
    api_of: ClientFor, make_image: MakeImage
) -> None:
    image = make_image("acme")
    api = api_of("account-editor")
    origin = {"Origin": "https://elsewhere.example"}
    answers = [
        api.get(IMAGES, headers=origin),
        api.get(f"{IMAGES}/{image.id}", headers=origin),
        api.get("/nothing", headers=origin),
        api.open("OPTIONS", IMAGES, headers=origin),
        api.post(f"{IMAGES}/{image.id}/tags", {"add": ["cis"]}, headers=origin),
    ]
    for answer in answers:
        assert "Set-Cookie" not in answer.headers
        assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]
        assert "Cookie" not in answer.headers.get("Vary", "")
        assert "X-Request-ID" in answer.headers
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] in {"no-store", "private, no-cache"}


def test_an_error_is_a_problem_document(api_of: ClientFor) -> None:
    answer = api_of("account-viewer").get(f"{IMAGES}/999")
    problem = answer.json
    assert problem is not None
    assert problem["type"] == "urn:problem-type:not-found"
    assert problem["title"] == KINDS["not-found"][1]
    assert problem["status"] == 404
    assert problem["detail"].endswith(".")
    assert problem["request_id"] == answer.headers["X-Request-ID"]


def test_a_wrong_method_names_the_right_ones(api_of: ClientFor) -> None:
    answer = api_of("account-editor").delete(IMAGES)
    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "POST"}
    assert answer.mimetype == "application/problem+json"


def test_a_forbidden_action_names_the_role_and_the_scope(
    api_of: ClientFor, make_image: MakeImage
) -> None:
    image = make_image("acme")
    answer = api_of("account-viewer").post(f"{IMAGES}/{image.id}/tags", {"add": ["x"]})
    assert answer.status_code == 403
    assert answer.json is not None
    assert answer.json["detail"] == "The token needs the role Editor at Account acme."
    inherited = api_of("environment-editor").post(
        f"/environment/acme/production/images/{image.id}/tags", {"add": ["x"]}
    )
    assert inherited.status_code == 403
    assert inherited.json is not None
    assert inherited.json["detail"] == "The token needs the role Editor at Account acme."
    of_account = api_of("account-editor").post(
        f"/environment/acme/production/images/{image.id}/tags", {"add": ["x"]}
    )
    assert of_account.json is not None
    assert "can be changed only there" in of_account.json["detail"]


def test_a_forbidden_action_says_that_the_owner_needs_a_second_factor(
    api_of: ClientFor, actor_of: ActorOf, scope: ScopeAt
) -> None:
    """The owner is a viewer of Scalr and an editor of acme, which requires a second factor."""
    api = api_of("account-editor")
    with models.open_connection():
        person, role = actor_of("account-editor").person, Role.VIEWER
        Membership.create(person=person, scope=scope(""), role=role)
        Scope.update(requires_factor=True).where(Scope.path == "acme").execute()
    assert api.get(IMAGES).status_code == 200
    for url, detail in (
        (IMAGES, "counts only with a second factor"),
        ("/account/acme/credentials", "The token needs the role Admin at Account acme."),
    ):
        answer = api.post(url, {})
        assert answer.status_code == 403
        assert answer.json is not None
        assert detail in answer.json["detail"]


@pytest.fixture
def tags_of(api_of: ClientFor, make_image: MakeImage) -> tuple[ApiClient, str]:
    return api_of("account-editor"), f"{IMAGES}/{make_image('acme').id}/tags"


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_only_json_is_accepted(tags_of: tuple[ApiClient, str], content_type: str) -> None:
    api, url = tags_of
    answer = api.open("POST", url, data='{"add": ["x"]}', content_type=content_type or None)
    assert answer.status_code == 415
    assert api.open("POST", url, data="a=b").status_code == 415


@pytest.mark.parametrize(
    "body",
    [
        *("", "{", "[]x", '{"add": ["\\ud800"]}', "\x00", "{'add': []}", '{"add": NaN}'),
        *('{"add": ["\\u0000"]}', "[" * 100_000, '{"add":' * 50_000),
    ],
)
def test_a_body_that_is_not_json_is_refused(tags_of: tuple[ApiClient, str], body: str) -> None:
    api, url = tags_of
    answer = api.open("POST", url, data=body.encode(), content_type="application/json")
    assert answer.status_code in {400, 422}
    assert answer.mimetype == "application/problem+json"
    assert Image.get().tags == []


def test_a_body_that_is_not_utf8_is_refused(tags_of: tuple[ApiClient, str]) -> None:
    api, url = tags_of
    answer = api.open("POST", url, data=b'{"add": ["\xff"]}', content_type="application/json")
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"add": "x"}, "add"),
        ({"add": [1]}, "add[0]"),
        ({"add": [["deep"]]}, "add[0]"),
        ({"added": []}, ""),
        ([], ""),
        (None, ""),
    ],
)
def test_a_value_of_another_type_is_an_error_of_its_field(
    tags_of: tuple[ApiClient, str], body: object, field: str
) -> None:
    api, url = tags_of
    answer = api.open("POST", url, data=json.dumps(body), content_type="application/json")
    assert answer.status_code == 422
    assert answer.json is not None
    assert [each["field"] for each in answer.json["errors"]] == [field]


def test_a_large_body_is_refused(tags_of: tuple[ApiClient, str]) -> None:
    api, url = tags_of
    body = json.dumps({"add": ["x" * 1024 * 1024]})
    answer = api.open("POST", url, data=body, content_type="application/json")
    assert answer.status_code == 413
    assert answer.mimetype == "application/problem+json"


@pytest.mark.parametrize("path", [f"{IMAGES}?q=%00", "/account/ac%00me/images", f"{IMAGES}?%00=1"])
def test_text_that_cannot_be_stored_is_refused(api_of: ClientFor, path: str) -> None:
    assert api_of("account-viewer").get(path).status_code == 400


@pytest.mark.parametrize("path", ["/account/acme/images/", "/account//acme/images", "/", ""])
def test_another_spelling_of_a_path_does_not_exist(api_of: ClientFor, path: str) -> None:
    answer = api_of("account-viewer").get(path)
    assert answer.status_code == 404
    assert answer.mimetype == "application/problem+json"


def test_ids_that_no_record_can_have_do_not_exist(api_of: ClientFor) -> None:
    for number in (0, -1, 2**63, 10**30):
        assert api_of("account-viewer").get(f"{IMAGES}/{number}").status_code == 404


@pytest.mark.parametrize("number", [0, -1, 2**31, 2**63, 10**30])
def test_ids_that_no_record_can_have_are_refused_in_parameters_and_bodies(
    api_of: ClientFor, make_image: MakeImage, number: int
) -> None:
    api, image = api_of("account-editor"), make_image("acme")
    body = {"cloud": "aws", "cloud_image_id": "ami-0", "credentials": number}
    assert api.get(f"{IMAGES}?view={number}").status_code == 400
    assert api.get(f"/account/acme/clouds/aws/locations?credentials={number}").status_code == 400
    for path, sent in (
        (IMAGES, body),
        (f"{IMAGES}/look-up", body),
        (f"{IMAGES}/{image.id}/check", {"credentials": number}),
    ):
        answer = api.post(path, sent)
        assert answer.status_code == 422
        assert answer.json is not None
        assert [each["field"] for each in answer.json["errors"]] == ["credentials"]


def test_every_kind_of_error_of_a_cloud_has_its_status(
    api_of: ClientFor, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = make_image("acme")
    throttled = CloudThrottled("Slow down.")
    throttled.retry_after = 2.5
    raised: dict[Exception, tuple[int, str, str | None]] = {
        ImageNotFound("There is no such image."): (422, "cloud-refused", None),
        InvalidImageId("That is no ID."): (422, "cloud-refused", None),
        throttled: (503, "cloud-busy", "3"),
        CallsInProgress("Too many calls."): (503, "cloud-busy", "10"),
        CloudUnreachable("No answer."): (504, "cloud-unreachable", None),
        VaultError("The key is lost."): (500, "credentials-unreadable", None),
    }
    for error, (status, kind, retry_after) in raised.items():

        def fail(*_arguments: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr("webapp.images.checking.read_again", fail)
        answer = api_of("account-editor").post(f"{IMAGES}/{image.id}/check")
        assert answer.status_code == status
        assert answer.json is not None
        assert answer.json["type"] == f"urn:problem-type:{kind}"
        assert answer.json["detail"] == str(error)
        assert answer.headers.get("Retry-After") == retry_after
    assert all(issubclass(type(each), CloudError | VaultError) for each in raised)


def test_an_unexpected_error_is_logged_and_not_shown(
    api_of: ClientFor, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise RuntimeError("a detail of the code")

    monkeypatch.setattr(catalogue, "find_page", fail)
    monkeypatch.setitem(app.config, "PROPAGATE_EXCEPTIONS", False)
    answer = api_of("account-viewer").get(IMAGES)
    assert answer.status_code == 500
    assert answer.mimetype == "application/problem+json"
    assert "detail of the code" not in answer.text


def test_an_outage_of_the_database_is_a_problem(
    api_of: ClientFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = api_of("account-viewer")

    def fail(*_arguments: object, **_options: object) -> None:
        error: Any = peewee.OperationalError("for administrators only")
        error.orig = psycopg.OperationalError()
        raise error

    monkeypatch.setattr(models.database.obj, "connect", fail)
    answer = api.get(IMAGES)
    assert answer.status_code == 503
    assert answer.mimetype == "application/problem+json"
    assert answer.headers["Retry-After"] == "5"
    assert answer.json is not None
    assert answer.json["title"] == "The registry can’t reach its database"


def test_an_unknown_host_is_refused(api_of: ClientFor, app: Flask) -> None:
    app.config["TRUSTED_HOSTS"] = ["registry.example.com"]
    try:
        answer = api_of("account-viewer").get(IMAGES)
    finally:
        app.config["TRUSTED_HOSTS"] = None
    assert answer.status_code == 400
    assert answer.mimetype == "application/problem+json"


def test_the_log_names_the_person_and_the_scope_but_no_token(
    api_of: ClientFor, caplog: pytest.LogCaptureFixture
) -> None:
    api = api_of("account-viewer")
    with caplog.at_level(logging.INFO, "webapp"):
        api.post(IMAGES, {"cloud": "aws", "cloud_image_id": "ami-0"})
    assert api.token not in caplog.text
    assert "refused: images:edit at Account acme" in caplog.text


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd"])
def test_answers_are_compressed_and_their_etags_still_work(
    api_of: ClientFor, make_image: MakeImage, encoding: str
) -> None:
    api, url = api_of("account-editor"), f"{IMAGES}/{make_image('acme', notes='note ' * 200).id}"
    accept = {"Accept-Encoding": encoding}
    answer = api.get(url, headers=accept)
    assert answer.headers["Content-Encoding"] == encoding
    assert "Accept-Encoding" in answer.headers["Vary"]
    etag = answer.headers["ETag"]
    assert etag == f'"1:{encoding}"'
    assert api.get(url, headers={**accept, "If-None-Match": etag}).status_code == 304
    assert api.get(url, headers={"If-None-Match": etag}).status_code == 304
    assert api.patch(url, {"name": "new"}, headers={"If-Match": etag}).status_code == 200
    assert api.patch(url, {"name": "newer"}, headers={"If-Match": etag}).status_code == 412
    assert "Content-Encoding" not in api.get("/nothing", headers=accept).headers
