"""List and get images with the API."""

from __future__ import annotations

import base64

import pytest

import models
from models import Image, Person, SavedView
from tests.api.client import ClientFor
from tests.conftest import ActorOf, MakeImage, ScopeAt
from webapp.images import deletion

IMAGES = "/account/acme/images"


@pytest.fixture
def three_images(make_image: MakeImage) -> list[Image]:
    return [
        make_image("acme", 1, name="first", os_family="debian", os_version="12"),
        make_image("acme", 2, name="second", tags=["team=web"]),
        make_image("", 3, name="third from above"),
    ]


def names(response: object) -> list[str]:
    return [item["name"] for item in response.json["items"]]  # type: ignore[attr-defined]


@pytest.mark.usefixtures("three_images")
def test_a_list_has_the_owned_and_the_inherited_images(api_of: ClientFor) -> None:
    answer = api_of("account-viewer").get(IMAGES)
    assert answer.status_code == 200
    assert answer.mimetype == "application/json"
    assert names(answer) == ["third from above", "second", "first"]
    assert answer.json is not None
    assert answer.json.keys() == {"items", "next"}
    assert answer.json["next"] is None
    assert "Link" not in answer.headers
    first = answer.json["items"][2]
    assert (first["os_family"], first["os_version"]) == ("debian", "12")
    assert first["scope"] == {"level": "account", "path": "acme"}
    assert first["url"] == f"http://localhost/api/v1{IMAGES}/{first['id']}"
    assert first["web_url"] == f"http://localhost{IMAGES}/{first['id']}"
    assert answer.json["items"][0]["url"].startswith(f"http://localhost/api/v1{IMAGES}/")


def test_images_of_scopes_below_have_urls_at_their_scopes(
    api_of: ClientFor, make_image: MakeImage
) -> None:
    image = make_image("acme/production", 1)
    answer = api_of("account-viewer").get(f"{IMAGES}?q=in:below")
    assert answer.json is not None
    (item,) = answer.json["items"]
    assert item["url"].endswith(f"/api/v1/environment/acme/production/images/{image.id}")
    assert item["web_url"].endswith(f"localhost/environment/acme/production/images/{image.id}")


@pytest.mark.usefixtures("three_images")
def test_a_search_is_the_search_of_the_page(api_of: ClientFor) -> None:
    api = api_of("account-viewer")
    assert names(api.get(f"{IMAGES}?q=os:debian")) == ["first"]
    assert names(api.get(f"{IMAGES}?q=tag:team+-third&sort=name")) == ["second"]
    assert names(api.get(f"{IMAGES}?sort=name")) == ["first", "second", "third from above"]
    assert names(api.get(f"{IMAGES}?sort=-name")) == ["third from above", "second", "first"]


@pytest.mark.usefixtures("three_images")
@pytest.mark.parametrize(
    ("query", "field", "hint"),
    [
        ("q=clod:aws", "q", "Did you mean “cloud:”?"),
        ("q=status=active", "q", "Did you mean “status:active”?"),
        ("q=-os:ubunut", "q", "excludes nothing"),
        ("sort=crea", "sort", "Did you mean “created”?"),
        ("view=12", "view", "There is no view"),
        ("cursor=nonsense", "cursor", "doesn’t belong to this list"),
        ("limit=0", "limit", ">= 1"),
        ("limit=251", "limit", "<= 250"),
        ("limit=many", "limit", "Expected `int`"),
        ("total=perhaps", "total", "Expected `bool`"),
        ("sorts=name", "sorts", "doesn’t exist"),
        ("sort=name&sort=os", "sort", "only once"),
    ],
)
def test_a_parameter_that_is_not_understood_is_never_ignored(
    api_of: ClientFor, query: str, field: str, hint: str
) -> None:
    answer = api_of("account-viewer").get(f"{IMAGES}?{query}")
    assert answer.status_code == 400
    assert answer.mimetype == "application/problem+json"
    assert answer.json is not None
    (error,) = answer.json["errors"]
    assert error["field"] == field
    assert hint in error["detail"]
    assert hint in answer.json["detail"]


def test_pages_follow_each_other_without_gaps(api_of: ClientFor, make_image: MakeImage) -> None:
    for number in range(1, 8):
        make_image("acme", number, name=f"image {number}")
    api, url, found = api_of("account-viewer"), f"{IMAGES}?limit=3&sort=name&q=image", []
    while url:
        answer = api.get(url.removeprefix("http://localhost/api/v1"))
        assert answer.json is not None
        assert len(answer.json["items"]) <= 3
        found += names(answer)
        url = answer.json["next"]
        assert answer.headers.get("Link", "") == (f'<{url}>; rel="next"' if url else "")
        assert "limit=3" in (url or "limit=3")
    assert found == [f"image {number}" for number in range(1, 8)]


def test_a_cursor_of_another_order_is_refused(api_of: ClientFor, make_image: MakeImage) -> None:
    for number in range(1, 4):
        make_image("acme", number)
    api = api_of("account-viewer")
    following = api.get(f"{IMAGES}?limit=1&sort=name").json
    assert following is not None
    cursor = following["next"].partition("cursor=")[2].partition("&")[0]
    assert api.get(f"{IMAGES}?limit=1&sort=-name&cursor={cursor}").status_code == 200
    assert api.get(f"{IMAGES}?limit=1&sort=created&cursor={cursor}").status_code == 400


@pytest.mark.usefixtures("three_images")
def test_a_total_is_counted_only_on_request(api_of: ClientFor) -> None:
    answer = api_of("account-viewer").get(f"{IMAGES}?limit=1&total=true").json
    assert answer is not None
    assert (answer["total"], answer["total_is_exact"]) == (3, True)
    assert len(answer["items"]) == 1


@pytest.mark.usefixtures("three_images")
def test_a_view_is_combined_with_the_search(api_of: ClientFor, scope: ScopeAt) -> None:
    owner = Person.get(Person.email == "account-editor@example.com")
    values = {"scope": scope("acme"), "person": owner, "name": "by name"}
    path = "images?q=-name-that-is-nowhere+agent%3Ayes&sort=name"
    shared = SavedView.create(path=path, shared=True, **values)
    api = api_of("account-viewer")
    url = f"{IMAGES}?view={shared.id}"
    assert names(api.get(url)) == ["first", "second", "third from above"]
    assert names(api.get(f"{url}&sort=-name&q=os:debian")) == ["first"]
    SavedView.update(shared=False).execute()
    assert api.get(url).status_code == 400


def test_an_image_has_an_etag(api_of: ClientFor, make_image: MakeImage) -> None:
    image = make_image("acme", notes="*Note*")
    api, url = api_of("account-editor"), f"{IMAGES}/{image.id}"
    answer = api.get(url)
    assert answer.status_code == 200
    assert answer.headers["ETag"] == f'"{image.revision}"'
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert answer.headers["Vary"] == "Authorization, Accept-Encoding"
    assert answer.json is not None
    assert answer.json["notes"] == "*Note*"
    assert answer.json["details"]["facts"][0]["value"] == "099720109477"
    assert answer.json["credentials"] == "AWS"
    for header in ('"1"', 'W/"1"', '"7", "1"', "*"):
        unchanged = api.get(url, headers={"If-None-Match": header})
        assert unchanged.status_code == 304, header
        assert unchanged.data == b""
        assert unchanged.headers["ETag"] == '"1"'
    assert api.get(url, headers={"If-None-Match": '"2"'}).status_code == 200


def test_viewers_do_not_see_the_names_of_credentials(
    api_of: ClientFor, make_image: MakeImage
) -> None:
    url = f"{IMAGES}/{make_image('acme').id}"
    viewed = api_of("account-viewer").get(url).json
    assert viewed is not None
    assert viewed["credentials"] is None


def test_an_image_of_another_scope_does_not_exist(api_of: ClientFor, make_image: MakeImage) -> None:
    elsewhere = make_image("globex")
    api = api_of("account-admin")
    answers = [
        api.get(f"{IMAGES}/{elsewhere.id}"),
        api.get(f"{IMAGES}/999999"),
        api.get(f"/account/globex/images/{elsewhere.id}"),
        api.get(f"/account/nowhere/images/{elsewhere.id}"),
        api.get("/scalr/images"),
        api.get("/environment/acme/nothing/images"),
        api.get("/environment/globex/lab/images"),
        api.get("/nothing/here"),
    ]
    for answer in answers:
        assert answer.status_code == 404
        assert answer.json is not None
        answer.json.pop("request_id")
    assert len({str({**answer.json, "request_id": ""}) for answer in answers if answer.json}) == 1


def test_a_deleted_image_is_gone(
    api_of: ClientFor, make_image: MakeImage, actor_of: ActorOf
) -> None:
    image = make_image("acme")
    with models.database.connection_context():
        deletion.delete(actor_of("account-editor"), image)
    answer = api_of("account-viewer").get(f"{IMAGES}/{image.id}")
    assert answer.status_code == 410
    assert answer.json is not None
    assert answer.json["type"] == "urn:problem-type:deleted"
    assert "can be restored" in answer.json["detail"]
    assert (
        api_of("environment-viewer").get(f"/environment/acme/staging/images/{image.id}").status_code
        == 404
    )


def test_a_token_can_be_sent_as_a_password(api_of: ClientFor) -> None:
    api = api_of("account-viewer")
    pair = base64.b64encode(f"ci:{api.token}".encode()).decode()
    headers = {"Authorization": f"Basic {pair}"}
    assert api.get(IMAGES, headers=headers).status_code == 200


def test_urls_contain_the_prefix_of_the_site(api_of: ClientFor, make_image: MakeImage) -> None:
    image = make_image("acme")
    make_image("acme", 2)
    answer = api_of("account-viewer").get(
        f"{IMAGES}?limit=1&sort=-created", environ_overrides={"SCRIPT_NAME": "/registry"}
    )
    assert answer.json is not None
    root = "http://localhost/registry"
    assert answer.json["next"].startswith(f"{root}/api/v1{IMAGES}?limit=1&sort=-created&cursor=")
    (item,) = answer.json["items"]
    assert item["url"] == f"{root}/api/v1{IMAGES}/{image.id + 1}"
    assert item["web_url"] == f"{root}{IMAGES}/{image.id + 1}"
