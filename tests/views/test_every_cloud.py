"""Use every cloud in the whole application, over a socket to the peer of the cloud.

A peer is a server that an adapter is tested against. The tests cover credentials, NEXT, REGISTER
and Check now, and the message for each way in which a cloud can fail.
"""

from __future__ import annotations

import html
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from flask.testing import FlaskClient

from models import CloudCredentials, Image, now
from sandbox import faulty, tls
from tests.clouds.peer import Peer
from tests.clouds.peers import PEERS
from tests.conftest import ClientOf
from tests.views.pages import form_action, receipt_in
from webapp.clouds import base
from webapp.clouds.credentials import CredentialValues
from webapp.clouds.locators import LocationRule, Locator
from webapp.images import receipts

ACME = "/account/acme"
pytestmark = [
    pytest.mark.usefixtures("db"),
    pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.cloud.key, scope="module"),
]


@pytest.fixture(scope="module")
def cloud_url(peer: Peer) -> Iterator[str]:
    with peer.start() as url:
        yield url


@pytest.fixture
def client(client_of: ClientOf) -> FlaskClient:
    return client_of("account-admin")


def save_credentials(
    client: FlaskClient, peer: Peer, values: CredentialValues, **more: str
) -> CloudCredentials:
    """Add the credentials with the form, as a person would."""
    fields = {"name": f"{peer.cloud.label} {time.monotonic_ns()}", **values, **more}
    answer = client.post(f"{ACME}/credentials/new/{peer.cloud.key}", data=fields)
    assert answer.status_code == 303, answer.text
    row: CloudCredentials = CloudCredentials.get(CloudCredentials.name == fields["name"])
    return row


def press_next(client: FlaskClient, row: CloudCredentials, locator: Locator) -> Any:
    query = {
        "credentials": row.id,
        "location": locator.location,
        "image_id": locator.image_id,
    }
    return client.get(f"{ACME}/images/new/{row.cloud}/confirm", query_string=query)


def press_register(client: FlaskClient, page: str, **changes: str) -> Any:
    fields = {
        "receipt": receipt_in(page),
        "name": "approved",
        "os_family": "ubuntu",
        "os_version": "ubuntu|24.04",
        "size_gb": "",
        "agent_installed": "y",
        "shared": "y",
    }
    return client.post(f"{ACME}/images", data={**fields, **changes})


def test_from_credentials_to_a_registered_image(
    client: FlaskClient, peer: Peer, cloud_url: str
) -> None:
    values = peer.credentials(cloud_url)
    row = save_credentials(client, peer, values)
    assert row.account
    page = press_next(client, row, peer.known)
    assert page.status_code == 200
    text = html.unescape(page.text)
    assert peer.known_name in text
    assert peer.secret not in page.text
    answer = press_register(client, page.text)
    assert answer.status_code == 303
    image = Image.get()
    regional = peer.cloud.location_rule is LocationRule.REGIONAL
    assert image.location == (peer.known.location if regional else "")
    assert image.cloud_image_id == peer.known.image_id
    assert image.size_gb is None
    shown = client.get(answer.location)
    assert peer.known_name in html.unescape(shown.text)
    checked = client.post(f"{answer.location}/check", data={"credentials": row.id})
    changes = re.search(r'<dl class="changes">.*?</dl>', checked.text, re.DOTALL)
    assert "Nothing has changed in the cloud" in checked.text, changes and changes[0]
    listed = client.get(f"{ACME}/images?q={peer.known.image_id[-12:]}").text
    assert "approved" in listed


LABELS = {
    "aws": ("Cloud Credentials", "Location", "Cloud Image ID"),
    "azure": ("Cloud Credentials", "Cloud Location", "Cloud Image ID"),
    "gce": ("Cloud Credentials", "Location", "Cloud Image ID"),
    "openstack": ("Cloud Credentials", "Cloud Location", "Cloud Image ID"),
    "vmware": ("Cloud Credentials", "Location", "Cloud Image"),
}
"""The labels of SELECT IMAGE in the specification, by the key of the cloud."""


def test_both_steps_have_the_labels_of_the_specification(
    client: FlaskClient, peer: Peer, cloud_url: str
) -> None:
    row = save_credentials(client, peer, peer.credentials(cloud_url))
    first = client.get(f"{ACME}/images/new/{peer.cloud.key}").text
    second = press_next(client, row, peer.known).text
    form = first.partition('id="select-image"')[2]
    labels = re.findall(r'(?:<label|<dt) class="form-label[^>]*>([^<]+)<', form)
    assert tuple(labels) == LABELS[peer.cloud.key]
    assert all(f">{button}<" in first for button in ("NEXT", "CANCEL"))
    chosen, _, details = second.partition("</section>")
    assert tuple(re.findall(r"<dt>([^<]+)</dt>", chosen)) == LABELS[peer.cloud.key]
    found = re.findall(r'class="form-(?:label|check-label)[^>]*>([^<]+)<', details)
    compute_resource = ["Compute Resource"] if peer.cloud.key == "vmware" else []
    found = found[: found.index("Shared") + 1]  # Other images to register are offered after this.
    assert [label for label in found if not label.startswith("Other")] == [
        *("Name", "OS", "Family", "Version", "Size"),
        *compute_resource,
        *("Tags", "Scalr Agent Installed", "Shared"),
    ]
    assert all(f">{button}<" in details for button in ("REGISTER", "CANCEL"))


def test_register_long_after_next_looks_the_image_up_again(
    client: FlaskClient, peer: Peer, cloud_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = save_credentials(client, peer, peer.credentials(cloud_url))
    page = press_next(client, row, peer.alias or peer.known).text
    with monkeypatch.context() as much_later:
        later = now() + timedelta(hours=5)
        much_later.setattr(receipts, "now", lambda: later)
        again = press_register(client, page, name="typed by hand")
    assert (again.status_code, Image.select().count()) == (422, 0)
    text = html.unescape(again.text)
    assert "The details haven’t changed." in text
    assert 'value="typed by hand"' in text
    assert peer.known.image_id in text
    assert press_register(client, again.text).status_code == 303
    assert Image.get().cloud_image_id == peer.known.image_id


def test_back_shows_what_was_entered(client: FlaskClient, peer: Peer, cloud_url: str) -> None:
    row = save_credentials(client, peer, peer.credentials(cloud_url))
    entered = peer.alias or peer.known
    page = press_next(client, row, entered)
    action = form_action(page.text)
    fields = {"receipt": receipt_in(page.text), "name": "", "size_gb": "x7"}
    for answer in (page, client.post(action, data=fields)):
        back = client.post(form_action(answer.text), data={**fields, "back": "1"})
        assert back.status_code == 303
        values = dict(parse_qsl(urlsplit(back.location).query))
        assert values["image_id"] == entered.image_id
        assert values.get("location", "") == entered.location
        first = client.get(back.location).text
        assert f'name="entered" value="{values["entered"]}"' in html.unescape(first)
        confirm = back.location.replace("?", "/confirm?", 1)
        again = client.get(confirm).text
        assert re.search(r'<input[^>]* name="name"[^>]* value=""', again)
        assert re.search(r'<input[^>]* name="size_gb"[^>]* value="x7"', again)
    assert page.headers["Cache-Control"] == "no-cache, private"


def test_an_alias_is_registered_as_its_current_image(
    client: FlaskClient, peer: Peer, cloud_url: str
) -> None:
    row = save_credentials(client, peer, peer.credentials(cloud_url))
    page = press_next(client, row, peer.alias or peer.known).text
    text = html.unescape(page)
    assert ("currently refers to" in text) == (peer.alias is not None)
    assert press_register(client, page).status_code == 303
    assert Image.get().cloud_image_id == peer.known.image_id
    if peer.alias is not None:
        assert peer.alias.image_id in text
        assert press_next(client, row, peer.alias).status_code == 409


def test_an_image_is_registered_once_per_compute_resource(
    client: FlaskClient, peer: Peer, cloud_url: str
) -> None:
    row = save_credentials(client, peer, peer.credentials(cloud_url))
    first = press_next(client, row, peer.known)
    assert press_register(client, first.text).status_code == 303
    again = press_next(client, row, peer.known)
    assert "already registered" in again.text
    late = press_register(client, first.text)
    assert late.status_code == 303
    assert Image.select().count() == 1
    resources = re.findall(r'<option value="([^"]+)"', _field(again.text, "compute_resource"))
    if peer.cloud.compute_resource_field is None:
        assert again.status_code == 409
        return
    assert len(resources) > 1
    for name in resources:
        page = press_next(client, row, peer.known).text
        assert press_register(client, page, compute_resource=name).status_code == 303
    assert Image.select().count() == 1 + len(resources)
    assert press_next(client, row, peer.known).status_code == 409
    invented = press_register(client, again.text, compute_resource="another")
    assert invented.status_code == 422


def _field(page: str, name: str) -> str:
    found = re.search(rf'<div[^>]* id="field-{name}">.*?</div>', page, re.DOTALL)
    return found[0] if found else ""


def test_forms_keep_the_chosen_values(client: FlaskClient, peer: Peer, cloud_url: str) -> None:
    row = save_credentials(client, peer, peer.credentials(cloud_url))
    query = {"credentials": row.id, "image_id": peer.known.image_id}
    if peer.known.location:
        query["location"] = peer.known.location
    for live in ({}, {"live": "1"}):
        page = client.get(f"{ACME}/images/new/{row.cloud}", query_string={**query, **live}).text
        assert peer.known.image_id in html.unescape(page)
        assert peer.known.location in page
    if peer.cloud.lists_images:
        assert peer.known_name in html.unescape(page)


def test_the_answer_of_a_cloud_replaces_options_and_no_field(
    client: FlaskClient, peer: Peer, cloud_url: str
) -> None:
    row = save_credentials(client, peer, peer.credentials(cloud_url))
    query = {"live": "1", "credentials": row.id, "location": peer.known.location}
    answer = client.get(
        f"{ACME}/images/new/{row.cloud}", query_string=query, headers={"HX-Request": "true"}
    ).text
    if peer.cloud.location_field is None:
        return
    assert "<input" not in answer
    assert "<textarea" not in answer
    assert "<noscript" not in answer
    assert 'id="bookmarks"' not in answer
    assert "<title>" not in answer
    for select in re.findall(r"<(?:select|datalist)[^>]*>", answer):
        assert 'hx-swap-oob="innerHTML"' in select
    assert not peer.cloud.lists_images or peer.known_name in html.unescape(answer)


EMPTY_FORM = {
    "aws": ["Choose the location of the image.", "AMI"],
    "gce": [""],
    "openstack": ["Enter the cloud location of the image.", ""],
    "azure": [""],
    "vmware": ["Choose the location of the image.", "Choose an image from the list."],
}
"""A part of each error message of an empty form, in the order of the fields."""


def test_an_empty_form_reports_every_error_in_the_order_of_the_fields(
    client: FlaskClient, peer: Peer, cloud_url: str
) -> None:
    row = save_credentials(client, peer, peer.credentials(cloud_url))
    answer = press_next(client, row, Locator("", ""))
    assert answer.status_code == 422
    page = html.unescape(answer.text)
    shown = re.findall(r'class="invalid-feedback.*?</svg>(.*?)</div>', page, re.DOTALL)
    expected = EMPTY_FORM[row.cloud]
    assert len(shown) == len(expected), shown
    for text, words in zip(shown, expected, strict=True):
        assert words in text
    fields = ["location", "image_id"] if len(expected) == 2 else ["image_id"]
    (focused,) = [tag for tag in re.findall(r"<(?:input|select)[^>]*>", page) if "autofocus" in tag]
    assert f'id="{fields[0]}"' in focused
    marked = re.findall(r'form-label required" for="(\w+)"', page)
    assert marked == ["credentials", *fields]
    for name in marked:
        tag = re.search(rf'<(?:input|select)[^>]* id="{name}"[^>]*>', page)
        assert tag
        assert " required" in tag[0] or 'aria-required="true"' in tag[0], name


def test_a_location_that_is_missing_beside_an_image_id_has_the_focus(
    client: FlaskClient, peer: Peer, cloud_url: str
) -> None:
    if peer.cloud.location_field is None or not peer.cloud.location_field.required:
        return
    row = save_credentials(client, peer, peer.credentials(cloud_url))
    query = {"credentials": row.id, "location": "", "image_id": peer.known.image_id}
    page = client.get(f"{ACME}/images/new/{row.cloud}", query_string=query).text
    (focused,) = re.findall("<[^>]* autofocus[^>]*>", page)
    assert 'id="location"' in focused


def test_an_error_keeps_the_list_of_images(client: FlaskClient, peer: Peer, cloud_url: str) -> None:
    row = save_credentials(client, peer, peer.credentials(cloud_url))
    page = press_next(client, row, Locator(peer.known.location, "?")).text
    assert "is-invalid" in page
    assert not peer.cloud.lists_images or peer.known_name in html.unescape(page)


def test_a_pasted_id_finds_its_cloud(client: FlaskClient, peer: Peer, cloud_url: str) -> None:
    save_credentials(client, peer, peer.credentials(cloud_url))
    for text, canonical in peer.pasted.items():
        answer = client.get(f"{ACME}/images/new", query_string={"paste": text})
        assert answer.status_code == 303, text
        assert answer.location.startswith(f"{ACME}/images/new/{peer.cloud.key}?")
        assert canonical in html.unescape(client.get(answer.location).text)


@pytest.fixture
def short_call_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the time limit of a call to one second."""
    monkeypatch.setattr(base, "CALL_SECONDS", 1.0)


Faulty = Callable[[Peer], AbstractContextManager[str]]
FAILURES: dict[str, Faulty] = {
    "bad credential": lambda peer: peer.serve(peer.rejecting()),
    "missing permission": lambda peer: peer.serve(peer.denying()),
    "throttled": lambda peer: peer.serve(peer.throttling()),
    "slow": lambda peer: peer.serve(faulty.slow(30, faulty.answering(200))),
    "trickling": lambda peer: peer.serve(faulty.trickling),
    "reset midway": lambda peer: peer.serve(faulty.resetting),
    "unreachable": lambda _: faulty.refusing(),
    "TLS": lambda _: faulty.serve(faulty.answering(200), tls=tls.untrusted()),
    "TLS expired": lambda _: faulty.serve(faulty.answering(200), tls=tls.expired()),
    "garbage": lambda peer: peer.serve(faulty.answering(200, "<html>Hi</html>", "text/html")),
    "500": lambda peer: peer.serve(faulty.answering(500)),
}


@pytest.mark.usefixtures("short_call_timeout")
@pytest.mark.parametrize("failure", FAILURES)
def test_a_failing_cloud_is_reported_without_secrets(
    client: FlaskClient, peer: Peer, failure: str, record_property: Callable[[str, str], None]
) -> None:
    with FAILURES[failure](peer) as url:
        row = save_credentials(client, peer, peer.credentials(url), skip_check="y")
        sentence = refusal_message(press_next(client, row, peer.known), peer, peer.known)
        record_property("message", f"{peer.cloud.key} | {failure} | {sentence}")
        # Saving the credentials shows the same message.
        values = {"name": "another", **peer.credentials(url)}
        answer = client.post(f"{ACME}/credentials/new/{peer.cloud.key}", data=values)
        assert peer.secret not in answer.text
        if failure == "missing permission" and answer.status_code == 303:
            return  # Checking the credentials does not need this permission.
        assert answer.status_code == 422
        assert 'class="alert alert-danger"' in answer.text


def test_a_wrong_locator_is_reported_and_stays_in_the_form(
    client: FlaskClient,
    peer: Peer,
    cloud_url: str,
    record_property: Callable[[str, str], None],
) -> None:
    row = save_credentials(client, peer, peer.credentials(cloud_url))
    wrong = {
        "not found": peer.unknown,
        "malformed id": Locator(peer.known.location, peer.invalid_ids[1]),
        "wrong location": peer.in_other_location,
        "unknown location": peer.at_unknown_location,
    }
    for failure, locator in wrong.items():
        if locator is None:
            assert peer.cloud.location_rule is LocationRule.GLOBAL
            continue
        sentence = refusal_message(press_next(client, row, locator), peer, locator)
        record_property("message", f"{peer.cloud.key} | {failure} | {sentence}")


def refusal_message(answer: Any, peer: Peer, locator: Locator) -> str:
    """Return the message on a page that keeps the input."""
    assert answer.status_code == 422, answer.text
    page = html.unescape(answer.text)
    assert "REGISTER" not in page
    assert locator.image_id in page
    assert locator.location in page
    assert peer.secret not in page
    alert = re.search(r'class="alert alert-danger".*?<p class="mb-0">(.*?)</p>', page, re.DOTALL)
    wrong = alert or re.search(r'class="invalid-feedback.*?</svg>(.*?)</div>', page, re.DOTALL)
    assert wrong is not None, page
    return " ".join(wrong[1].split())
