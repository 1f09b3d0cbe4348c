"""Requests whose session has ended, or whose CSRF token is invalid.

A form is neither processed nor lost, and a background request never gets a page.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from models import DeletedImage, Image, Scope
from tests.cast import PASSWORD
from tests.conftest import ActorOf, ClientOf, MakeImage
from tests.views.pages import visible_text
from webapp.clouds import CLOUDS
from webapp.forms.credentials import credentials_form
from webapp.forms.fields import Secret, SecretMultilineText
from webapp.images import deletion
from webapp.web.resumed_forms import DROPPED_NAMES

ADMIN = "account-admin@example.com"
SITE = {"Origin": "http://localhost", "Referer": "http://localhost/account/acme/images?q=a"}
"""The headers that a browser sends with a form of a page of this site."""
HTMX = {"HX-Request": "true", "HX-Current-URL": "http://localhost/account/acme/images?q=a"}
FORM = re.compile(r'<form method="post" action="([^"]+)" data-resume>(.*?)</form>', re.DOTALL)
INPUT = re.compile(r'<input type="hidden" name="([^"]+)"(?: [^>]*)? ?value="([^"]*)"')


@pytest.fixture(autouse=True)
def csrf_protection(app: Flask) -> Iterator[None]:
    app.config["WTF_CSRF_ENABLED"] = True
    yield
    app.config["WTF_CSRF_ENABLED"] = False


def token_in(page: TestResponse) -> str:
    found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page.text)
    assert found is not None
    return found[1]


def sign_in(client: FlaskClient, page: TestResponse) -> TestResponse:
    """Sign in with the form in `page`."""
    values = {name: html.unescape(value) for name, value in INPUT.findall(page.text)}
    action = re.search(r'<form method="post" action="([^"]+)" novalidate', page.text)
    assert action is not None
    values.update(csrf_token=token_in(page), email=ADMIN, password=PASSWORD)
    return client.post(html.unescape(action[1]), data=values, headers=SITE)


def resume(client: FlaskClient, page: TestResponse) -> TestResponse:
    """Send the form in `page` again, as app.js does."""
    found = FORM.search(page.text)
    assert found is not None
    values = [(name, html.unescape(value)) for name, value in INPUT.findall(found[2])]
    data: dict[str, list[str]] = {}
    for name, value in values:
        data.setdefault(name, []).append(value)
    return client.post(html.unescape(found[1]), data=data, headers=SITE)


def resume_page(client: FlaskClient, page: TestResponse) -> TestResponse:
    """Sign in with the form in `page`, and return the page that sends the unsent form again."""
    answer = sign_in(client, page)
    assert FORM.search(answer.text)
    return answer


def test_a_form_without_a_session_is_shown_again_after_signing_in(
    client_of: ClientOf, make_image: MakeImage
) -> None:
    image = make_image("acme", name="Old name")
    client = client_of("nobody")
    path = f"/account/acme/images/{image.id}/edit"
    values = {"name": "New “name” & more", "os_family": "ubuntu", "size_gb": "33", "shared": "y"}
    page = client.post(path, data=values, headers=SITE)
    assert page.status_code == 401
    assert "Sign in to continue with your form" in visible_text(page)
    wrong = client.post(
        "/sign-in",
        data={
            **dict(INPUT.findall(page.text)),
            "csrf_token": token_in(page),
            "unsent": html.unescape(dict(INPUT.findall(page.text))["unsent"]),
            "email": ADMIN,
            "password": "wrong",
        },
        headers=SITE,
    )
    assert wrong.status_code == 422
    shown = resume(client, sign_in(client, wrong))
    assert shown.status_code == 422
    assert 'value="New “name” &amp; more"' in shown.text
    assert 'value="33"' in shown.text
    assert "Your session had ended, so nothing was saved" in visible_text(shown)
    assert Image.get().name == "Old name"


def test_a_form_with_a_stale_token_is_shown_again(client_of: ClientOf) -> None:
    client = client_of("scalr-admin")
    client.get("/scalr/accounts")
    values = {"name": "Umbrella", "csrf_token": "stale"}
    page = client.post("/scalr/accounts", data=values, headers=SITE)
    assert page.status_code == 400
    shown = resume(client, page)
    assert shown.status_code == 422
    assert 'value="Umbrella"' in shown.text
    assert not Scope.select().where(Scope.name == "Umbrella").exists()
    created = client.post(
        "/scalr/accounts", data={"name": "Umbrella", "csrf_token": token_in(shown)}
    )
    assert created.status_code == 303


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "//[x"},
        {"Origin": "http://localhost:8080"},
        {},
    ],
)
@pytest.mark.parametrize("name", ["scalr-admin", "nobody"])
def test_a_form_from_another_site_is_never_shown(
    client_of: ClientOf, name: str, headers: dict[str, str]
) -> None:
    client = client_of(name)
    page = client.post("/scalr/accounts", data={"name": "Umbrella"}, headers=headers)
    assert "Umbrella" not in page.text
    assert page.status_code in {303, 400}
    assert not Scope.select().where(Scope.name == "Umbrella").exists()


def test_secrets_are_not_sent_to_the_browser(client_of: ClientOf) -> None:
    values = {"name": "Production", "access_key_id": "AKIAEXAMPLE", "secret_access_key": "s3cr3t"}
    client = client_of("nobody")
    page = client.post("/account/acme/credentials/new/aws", data=values, headers=SITE)
    page = resume_page(client, page)
    assert "AKIAEXAMPLE" in page.text
    assert "s3cr3t" not in page.text


def test_every_secret_field_is_dropped(app: Flask) -> None:
    with app.test_request_context():
        for cloud in CLOUDS.values():
            for field in credentials_form(cloud):
                if isinstance(field, Secret | SecretMultilineText):
                    assert field.name in DROPPED_NAMES


@pytest.mark.parametrize(
    "path",
    [
        "/account/acme/images",
        "/account/acme/images/new/aws?live=1",
        "/account/acme/images/new/aws/confirm?image_id=ami-1",
        "/account/acme/images/suggestions?q=a",
        "/account/acme/images/successors?successor=a",
        "/account/acme/images/filters",
        "/scopes",
    ],
)
def test_a_background_request_gets_only_a_notice(client_of: ClientOf, path: str) -> None:
    answer = client_of("nobody").get(path, headers=HTMX)
    assert answer.status_code == 401
    assert answer.headers["HX-Retarget"] == "#session-end"
    assert answer.headers["HX-Push-Url"] == "false"
    assert 'href="/sign-in?next=/account/acme/images?q%3Da"' in answer.text
    assert "<form" not in answer.text
    assert "<input" not in answer.text


@pytest.mark.parametrize("url", ["", "//[x", "https://evil.example/page"])
def test_the_notice_never_leads_to_another_site(client_of: ClientOf, url: str) -> None:
    headers = {"HX-Request": "true", "HX-Current-URL": url}
    answer = client_of("nobody").get("/scopes", headers=headers)
    assert answer.status_code == 401
    assert "evil" not in answer.text


def test_a_stale_token_of_htmx_reloads_the_page(client_of: ClientOf, make_image: MakeImage) -> None:
    image = make_image("acme")
    client = client_of("account-admin")
    path = f"/account/acme/images/{image.id}/check"
    answer = client.post(path, headers={**HTMX, "X-CSRFToken": "stale"})
    assert (answer.status_code, answer.headers["HX-Refresh"]) == (204, "true")


def test_signing_in_twice_goes_on(client_of: ClientOf) -> None:
    client = client_of("nobody")
    first, second = client.get("/sign-in"), client.get("/sign-in?next=/account/acme/images")
    assert sign_in(client, first).status_code == 303
    answer = sign_in(client, second)
    assert (answer.status_code, answer.location) == (303, "/account/acme/images")


def test_an_expired_sign_in_page_is_shown_again(client_of: ClientOf) -> None:
    client = client_of("nobody")
    data = {"email": ADMIN, "password": PASSWORD, "csrf_token": "stale"}
    page = client.post("/sign-in?next=/scopes", data=data)
    assert page.status_code == 422
    assert "This page expired before you sent it. Enter your password again." in visible_text(page)
    assert f'value="{ADMIN}"' in page.text
    assert sign_in(client, page).location == "/scopes"


def test_an_expired_invitation_form_is_shown_again(client_of: ClientOf) -> None:
    admin = client_of("account-admin")
    page = admin.get("/account/acme/members")
    data = {"email": "new@example.com", "role": "viewer", "csrf_token": token_in(page)}
    link = re.search(r"/invitation/[\w-]+", admin.post("/account/acme/members", data=data).text)
    assert link is not None
    client = client_of("nobody")
    values = {"name": "Jo", "password": "a long secret text"}
    shown = resume(client, client.post(link[0], data=values, headers=SITE))
    assert 'value="Jo"' in shown.text
    assert "a long secret text" not in shown.text


@pytest.mark.parametrize("is_signed_in", [True, False])
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost:8080"},
        {"Origin": "null"},
        {},
    ],
)
def test_another_site_cannot_show_a_form_through_the_page_to_sign_in(
    client_of: ClientOf, headers: dict[str, str], is_signed_in: bool
) -> None:
    values = {"email": "attacker@example.com", "role": "admin"}
    attack = client_of("nobody").post("/account/acme/members", data=values, headers=SITE)
    sealed = {"unsent": html.unescape(dict(INPUT.findall(attack.text))["unsent"])}
    client = client_of("account-admin" if is_signed_in else "nobody")
    page = client.post("/sign-in", data=sealed, headers=headers)
    assert "data-resume" not in page.text
    assert 'name="unsent"' not in page.text


@pytest.mark.parametrize("text", ["", "{", "forged", '["/account/acme/members", [["a", "b"]]]'])
def test_a_forged_unsent_form_is_ignored(client_of: ClientOf, text: str) -> None:
    client = client_of("nobody")
    page = client.get("/sign-in")
    data = {"email": ADMIN, "password": PASSWORD, "csrf_token": token_in(page), "unsent": text}
    assert client.post("/sign-in", data=data, headers=SITE).location == "/"


def test_a_button_without_a_page_can_be_pressed_again(
    client_of: ClientOf, make_image: MakeImage
) -> None:
    image = make_image("acme")
    admin = client_of("account-admin")
    form = admin.get(f"/account/acme/images/{image.id}/delete")
    data = {"csrf_token": token_in(form), "revision": "1"}
    admin.post(f"/account/acme/images/{image.id}/delete", data=data)
    batch = DeletedImage.get().batch
    client = client_of("nobody")
    page = client.post("/account/acme/images/undelete", data={"batch": batch}, headers=SITE)
    answer = sign_in(client, page)
    assert (answer.status_code, answer.location) == (303, "/account/acme/images?q=a")
    assert not Image.select().exists()
    shown = client.get(answer.location, follow_redirects=True)
    assert "Your session had ended, so nothing was changed." in visible_text(shown)
    again = re.search(r'action="([^"]*/undelete)">(.*?)</form>', shown.text, re.DOTALL)
    assert again is not None
    assert f'value="{batch}"' in again[2]


def test_a_form_with_secrets_only_is_shown_again(client_of: ClientOf) -> None:
    client = client_of("nobody")
    data = {"current_password": PASSWORD, "password": "a whole new password"}
    page = client.post("/password", data=data, headers=SITE)
    shown = resume(client, sign_in(client, page))
    assert shown.status_code == 422
    assert "nothing was saved" in visible_text(shown)


def test_the_choice_between_two_versions_is_shown_again(
    client_of: ClientOf, make_image: MakeImage
) -> None:
    image = make_image("acme", name="Old name")
    client = client_of("account-admin")
    path = f"/account/acme/images/{image.id}/edit"
    client.get(path)
    values = {
        "name": "Theirs",
        "os_family": "ubuntu",
        "os_version": "ubuntu|24.04",
        "revision": "1",
    }
    token = {"csrf_token": token_in(client.get(path))}
    assert client.post(path, data={**values, **token}).status_code == 303
    conflict = client.post(path, data={**values, **token, "name": "Mine"})
    assert conflict.status_code == 409
    sealed = re.search(r'name="versions"[^>]*value="([^"]+)"', conflict.text)
    assert sealed is not None
    answer = {"versions": html.unescape(sealed[1]), "every": "yours", "csrf_token": "stale"}
    shown = resume(client, client.post(path, data=answer, headers=SITE))
    assert shown.status_code == 422
    assert "nothing was saved" in visible_text(shown)
    assert Image.get().name == "Theirs"


def test_a_large_form_asks_to_sign_in(client_of: ClientOf) -> None:
    data = {"text": "x" * 1_200_000}
    page = client_of("nobody").post("/account/acme/images/import", data=data, headers=SITE)
    assert page.status_code == 413
    assert "Your session has ended" in visible_text(page)


def test_a_file_that_is_too_large_does_not_ask_to_sign_in(client_of: ClientOf) -> None:
    page = client_of("account-admin").post(
        "/account/acme/images/import",
        data=b"x" * 12_700_000,
        content_type="multipart/form-data; boundary=boundary",
        headers=SITE,
    )
    assert page.status_code == 413
    assert "Import files can have up to 10 MB" in visible_text(page)


def test_a_late_answer_does_not_sign_in_again(client_of: ClientOf, app: Flask) -> None:
    client = client_of("account-admin")
    page = client.get("/account/acme/images")
    cookies = {name: client.get_cookie(name) for name in ("session", "state")}
    client.post("/sign-out", data={"csrf_token": token_in(page)})
    assert client.get_cookie("session") is None
    for name, cookie in cookies.items():
        assert cookie is not None
        client.set_cookie(name, cookie.decoded_value)
    assert client.get("/account/acme/images").status_code == 303


def test_answers_set_no_cookie_unless_the_session_changes(client_of: ClientOf) -> None:
    client = client_of("account-admin")
    client.get("/account/acme/images")
    for path in ("/account/acme/images", "/help", "/static/app.css"):
        with client.get(path) as answer:
            assert "Set-Cookie" not in answer.headers, path
    assert "Cookie" not in answer.headers.get("Vary", "")


def test_deleted_images_are_not_restored_until_the_form_is_sent_again(
    client_of: ClientOf, actor_of: ActorOf, make_image: MakeImage
) -> None:
    image = make_image("acme")
    deletion.delete(actor_of("account-admin"), image)
    client = client_of("nobody")
    url = "/account/acme/images/deleted"
    page = client.post(url, data={"image": [image.id]}, headers=SITE)
    shown = resume(client, sign_in(client, page))
    assert shown.status_code == 422
    assert "nothing was saved" in visible_text(shown)
    assert f'value="{image.id}" checked' in shown.text
    assert not Image.select().exists()
