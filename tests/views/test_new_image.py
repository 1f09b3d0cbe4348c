"""New Image over a real socket to the AWS sandbox: NEXT, its failures, and REGISTER."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from models import CloudCredentials, Image, now
from sandbox import aws
from tests.conftest import ClientOf, MakeCredentials, MakeImage, details
from tests.views.pages import form_action, receipt_in, visible_text
from webapp.clouds import CLOUDS
from webapp.clouds.details import ImageState
from webapp.clouds.errors import CloudUnreachable, ImageNotFound
from webapp.clouds.limits import MAX_LISTED
from webapp.clouds.locators import Location
from webapp.credentials.vault import Vault
from webapp.images import receipts, registration
from webapp.images.receipts import VALID_SECONDS

ACME = "/account/acme"
NOBLE = aws.NOBLE.id_in("us-east-1")
NEXT = f"{ACME}/images/new/aws/confirm"


def next_url(credentials: CloudCredentials, image_id: str, location: str = "us-east-1") -> str:
    """Return the URL that NEXT opens."""
    query = {"credentials": credentials.id, "location": location, "image_id": image_id}
    return f"{NEXT}?{urlencode(query)}"


def filled_form(page: str, **changes: str) -> dict[str, str]:
    filled = {
        "receipt": receipt_in(page),
        "name": "noble",
        "os_family": "ubuntu",
        "os_version": "ubuntu|24.04",
        "size_gb": "8",
        "agent_installed": "y",
        "shared": "y",
    }
    return {**filled, **changes}


def test_the_selector_opens_at_a_cloud_with_credentials(
    client_of: ClientOf, credentials: CloudCredentials
) -> None:
    page = client_of("account-editor").get(f"{ACME}/images/new").text
    assert 'aria-current="true"' in page
    assert "Sandbox" in page
    assert "US East (N. Virginia)" in page
    assert "EC2 &gt; Images &gt; AMIs" in page


def test_live_locations_come_from_the_cloud(
    client_of: ClientOf, credentials: CloudCredentials
) -> None:
    page = client_of("account-editor").get(f"{ACME}/images/new/aws?live=1").text
    assert 'value="eu-west-1"' in page


def test_next_reads_the_image_and_suggests(
    client_of: ClientOf, credentials: CloudCredentials
) -> None:
    response = client_of("account-editor").get(next_url(credentials, f"  {NOBLE.upper()} "))
    assert response.status_code == 200
    page = html.unescape(response.text)
    for words in (
        aws.NOBLE.name,
        aws.NOBLE.description,
        "x86_64",
        f"Suggested from “{aws.NOBLE.name}”",
        "/dev/sda1 (root)",
        "can’t be verified",
        'value="8"',
    ):
        assert words in page, words
    assert re.search(r'<option selected value="ubuntu\|24.04">', page)


def test_a_location_in_another_spelling_is_understood(
    client_of: ClientOf, credentials: CloudCredentials
) -> None:
    response = client_of("account-editor").get(next_url(credentials, NOBLE, "US-EAST-1"))
    assert response.status_code == 200
    assert "us-east-1" in response.text
    assert "US-EAST-1" not in visible_text(response.text)


def test_a_suggested_version_that_is_not_in_the_list_is_filled_in_as_text(
    client_of: ClientOf, credentials: CloudCredentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "RHEL-6.7_HVM-20180802-x86_64-1-Hourly2-GP2"
    answer = details(name=name, os_texts=("Red Hat Enterprise Linux", name))
    monkeypatch.setattr(CLOUDS["aws"], "describe", lambda *_: answer)
    page = html.unescape(client_of("account-editor").get(next_url(credentials, NOBLE)).text)
    assert '<option selected value="rhel">' in page
    assert '<option selected value="other">Other version…' in page
    assert re.search(r'<input[^>]*name="os_version_other"[^>]*value="6.7"', page)


def test_a_pasted_arn_sets_the_location(client_of: ClientOf, credentials: CloudCredentials) -> None:
    client = client_of("account-editor")
    arn = f"arn:aws:ec2:us-east-1::image/{NOBLE}"
    assert client.get(next_url(credentials, arn, "")).status_code == 200
    response = client.get(next_url(credentials, arn, "eu-west-1"))
    assert response.status_code == 422
    assert "so that they match" in response.text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("i-0abc123def4567890", "This is the ID of an instance."),
        ("snap-0123456789abcdef0", "This is the ID of a snapshot."),
        (f"us-east-1:{NOBLE},eu-west-1:ami-12345678", "more than one AMI ID"),
        ("Canonical:ubuntu-24_04-lts:server", "This text has 3."),
        ("6f2b8c1e-1a3d-4e5f-8a9b-0c1d2e3f4a5", "OpenStack: This UUID is too short"),
        ("ubuntu", "doesn’t look like an image ID from any supported cloud"),
        ("", "Paste an image ID, or choose a cloud below."),
    ],
)
def test_the_paste_box_shows_the_reason_of_the_cloud_that_knows_the_text(
    client_of: ClientOf, text: str, words: str
) -> None:
    response = client_of("account-editor").get(f"{ACME}/images/new", query_string={"paste": text})
    assert response.status_code == 422
    assert words in html.unescape(response.text)


@pytest.mark.parametrize(
    ("text", "location"),
    [
        (f"us-east-1:{NOBLE}", "us-east-1"),
        (f'"ImageId": "{NOBLE}"', None),
        (f"{NOBLE} (noble)", None),
        (f'ami = "{NOBLE.upper()}"', None),
    ],
)
def test_the_paste_box_takes_an_ami_as_tools_print_it(
    client_of: ClientOf, text: str, location: str | None
) -> None:
    response = client_of("account-editor").get(f"{ACME}/images/new", query_string={"paste": text})
    assert response.status_code == 303
    arguments = parse_qs(urlsplit(response.location).query)
    assert arguments["image_id"] == [NOBLE]
    assert arguments.get("location", [None]) == [location]


@pytest.mark.parametrize(
    ("image_id", "location", "words"),
    [
        ("ami-123", "us-east-1", "17"),
        ("", "us-east-1", "AMI"),
        ("i-0123456789abcdef0", "us-east-1", "instance"),
        (NOBLE, "", "Choose the location"),
        (NOBLE, "us-east-1a", "Enter its region, us-east-1."),
        ("ami-0000000000000dead", "us-east-1", "ami-0000000000000dead"),
        (aws.ONLY_IRELAND.id_in("eu-west-1"), "us-east-1", "eu-west-1"),
    ],
)
def test_failures_keep_the_input(
    client_of: ClientOf, credentials: CloudCredentials, image_id: str, location: str, words: str
) -> None:
    response = client_of("account-editor").get(next_url(credentials, image_id, location))
    assert response.status_code == 422
    page = html.unescape(response.text)
    assert words in page
    assert f'value="{image_id}"' in page
    if location:
        assert re.search(rf'<option selected value="{location}">', page)


@pytest.mark.parametrize("deleted_id", ["999999", "abc", "-1", "9" * 40])
def test_deleted_credentials_are_never_replaced_by_others(
    client_of: ClientOf, credentials: CloudCredentials, deleted_id: str
) -> None:
    query = {"credentials": deleted_id, "location": "us-east-1", "image_id": NOBLE}
    answer = client_of("account-editor").get(NEXT, query_string=query)
    assert answer.status_code == 422
    assert "The credentials that you chose have been deleted" in html.unescape(answer.text)
    assert f'value="{NOBLE}"' in answer.text
    assert '<option selected value="">Choose…</option>' in answer.text
    page = client_of("account-editor").get(NEXT.removesuffix("/confirm"), query_string=query).text
    assert "The credentials that you chose have been deleted" in html.unescape(page)


def test_an_unreachable_cloud_is_reported(
    client_of: ClientOf, make_credentials: MakeCredentials
) -> None:
    response = client_of("account-editor").get(next_url(make_credentials(), NOBLE))
    assert response.status_code == 422
    assert 'role="alert"' in response.text
    assert "not-a-secret-at-all" not in response.text


def test_a_deprecated_or_disabled_image_is_reported(
    client_of: ClientOf, credentials: CloudCredentials
) -> None:
    client = client_of("account-editor")
    for known, words in ((aws.OLD, "deprecated"), (aws.DISABLED, "disabled")):
        page = client.get(next_url(credentials, known.id_in("us-east-1"))).text
        assert "alert-warning" in page
        assert words in page


def test_registering_saves_the_image(client_of: ClientOf, credentials: CloudCredentials) -> None:
    client = client_of("account-editor")
    page = client.get(next_url(credentials, NOBLE)).text
    response = client.post(f"{ACME}/images", data=filled_form(page), follow_redirects=True)
    assert "is registered at Account acme" in html.unescape(response.text)
    image = Image.get()
    assert (image.cloud_image_id, image.location) == (NOBLE, "us-east-1")
    assert image.description == aws.NOBLE.description
    assert (image.agent_installed, image.shared) == (True, True)


def test_facts_come_from_the_receipt_and_not_from_the_form(
    client_of: ClientOf, credentials: CloudCredentials
) -> None:
    client = client_of("account-editor")
    page = client.get(next_url(credentials, NOBLE)).text
    forged = filled_form(page, architecture="pdp11", cloud_image_id="ami-00000000", location="mars")
    client.post(f"{ACME}/images", data=forged)
    image = Image.get()
    assert (image.architecture, image.cloud_image_id) == ("x86_64", NOBLE)


@pytest.mark.parametrize("receipt", ["", "nonsense", "a.b.c"])
def test_an_invalid_receipt_registers_nothing(
    client_of: ClientOf, credentials: CloudCredentials, receipt: str
) -> None:
    client = client_of("account-editor")
    page = client.get(next_url(credentials, NOBLE)).text
    response = client.post(f"{ACME}/images", data=filled_form(page, receipt=receipt))
    assert response.status_code == 400
    assert Image.select().count() == 0


def test_a_receipt_of_another_person_or_scope_is_refused(
    client_of: ClientOf, credentials: CloudCredentials
) -> None:
    page = client_of("account-admin").get(next_url(credentials, NOBLE)).text
    other, elsewhere = client_of("account-editor"), client_of("account-admin")
    assert other.post(f"{ACME}/images", data=filled_form(page)).status_code == 400
    staging = "/environment/acme/staging/images"
    assert elsewhere.post(staging, data=filled_form(page)).status_code == 400


TYPED = {"name": "typed by hand", "os_version": "ubuntu|22.04", "size_gb": "77"}


def let_receipts_expire(monkeypatch: pytest.MonkeyPatch) -> None:
    later = now() + timedelta(seconds=VALID_SECONDS + 5)
    monkeypatch.setattr(receipts, "now", lambda: later)


def assert_typed_form(page: str) -> None:
    """Assert that the confirmation has what was typed, and that nothing is registered."""
    assert 'value="typed by hand"' in page
    assert '<option selected value="ubuntu|22.04">' in page
    assert 'value="77"' in page
    assert not re.search(r'name="agent_installed"[^>]*checked|checked[^>]*"agent_installed"', page)
    assert Image.select().count() == 0


def register_without_agent(client: FlaskClient, page: str, **changes: str) -> TestResponse:
    filled = filled_form(page, **TYPED, **changes)
    del filled["agent_installed"]
    return client.post(html.unescape(form_action(page)), data=filled)


def test_an_expired_receipt_keeps_the_form_and_looks_the_image_up_again(
    client_of: ClientOf, credentials: CloudCredentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of("account-editor")
    page = client.get(next_url(credentials, NOBLE)).text
    let_receipts_expire(monkeypatch)
    response = register_without_agent(client, page)
    assert response.status_code == 422
    assert "more than 30 minutes ago" in response.text
    assert "The details haven’t changed." in response.text
    assert_typed_form(response.text)
    monkeypatch.undo()
    assert register_without_agent(client, response.text).status_code == 303
    assert (Image.get().name, Image.get().size_gb) == ("typed by hand", 77)


def test_the_differences_to_the_expired_look_up_are_shown(
    client_of: ClientOf, credentials: CloudCredentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of("account-editor")
    page = client.get(next_url(credentials, NOBLE)).text
    changed = details(state=ImageState.DISABLED, created_at=datetime(2026, 5, 6, 7, 8, tzinfo=UTC))
    monkeypatch.setattr(CLOUDS["aws"], "describe", lambda *_: changed)
    let_receipts_expire(monkeypatch)
    response = register_without_agent(client, page)
    text = visible_text(response)
    assert "These details have changed:" in text
    assert "State Available → Disabled" in text
    assert "2026-05-06 07:08 UTC" in text
    assert_typed_form(response.text)


def test_a_failed_second_look_up_keeps_the_form_and_can_be_repeated(
    client_of: ClientOf, credentials: CloudCredentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of("account-editor")
    page = client.get(next_url(credentials, NOBLE)).text
    let_receipts_expire(monkeypatch)

    def unreachable(*_: object) -> None:
        raise CloudUnreachable("AWS does not answer.")

    with monkeypatch.context() as cloud:
        cloud.setattr(CLOUDS["aws"], "describe", unreachable)
        response = register_without_agent(client, page)
    assert response.status_code == 422
    assert "couldn’t be looked up again. AWS does not answer." in response.text
    assert_typed_form(response.text)
    again = register_without_agent(client, response.text)
    assert "The details haven’t changed." in again.text
    assert_typed_form(again.text)


def test_edited_credentials_look_the_image_up_again(
    client_of: ClientOf,
    credentials: CloudCredentials,
    vault: Vault,
    endpoint: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = client_of("account-editor")
    page = client.get(next_url(credentials, NOBLE)).text
    values = {**vault.reveal(credentials), "access_key_id": "AKIAOTHER"}
    vault.store(credentials, CLOUDS["aws"].credential_fields, values)
    credentials.save()

    def not_found(*_: object) -> None:
        raise ImageNotFound("There is no such AMI.")

    with monkeypatch.context() as cloud:
        cloud.setattr(CLOUDS["aws"], "describe", not_found)
        response = register_without_agent(client, page)
    assert response.status_code == 422
    assert "“Sandbox” were edited after the image was looked up" in response.text
    assert "There is no such AMI." in response.text
    assert_typed_form(response.text)
    again = register_without_agent(client, response.text)
    assert "The details haven’t changed." in again.text
    assert_typed_form(again.text)
    assert register_without_agent(client, again.text).status_code == 303


@pytest.mark.parametrize("is_expired", [False, True])
def test_credentials_that_are_deleted_before_registering_can_be_replaced(
    client_of: ClientOf,
    credentials: CloudCredentials,
    monkeypatch: pytest.MonkeyPatch,
    is_expired: bool,
) -> None:
    client, admin = client_of("account-editor"), client_of("account-admin")
    page = client.get(next_url(credentials, NOBLE)).text
    fields = {"name": "Others", **aws.credentials(credentials.settings["endpoint_url"])}
    CloudCredentials.delete().execute()
    with monkeypatch.context() as clock:
        if is_expired:
            let_receipts_expire(clock)
        alone = register_without_agent(client, page)
    assert alone.status_code == 422
    assert "were looked up" not in alone.text
    assert "have been deleted" in alone.text
    assert "No AWS credentials are available" in alone.text
    assert_typed_form(alone.text)
    admin.post(f"{ACME}/credentials/new/aws", data=fields)
    others = CloudCredentials.get()
    offered = register_without_agent(client, alone.text)
    assert offered.status_code == 422
    assert f'<option value="{others.id}">Others</option>' in offered.text
    assert "No AWS credentials" not in offered.text
    assert_typed_form(offered.text)
    again = register_without_agent(client, offered.text, credentials=str(others.id))
    assert again.status_code == 422
    assert "The image was looked up again" in again.text
    assert "have been deleted" not in again.text
    assert_typed_form(again.text)
    assert register_without_agent(client, again.text).status_code == 303
    assert Image.get().credentials == others


def test_an_invalid_form_does_not_renew_the_receipt(
    client_of: ClientOf, credentials: CloudCredentials
) -> None:
    client = client_of("account-editor")
    page = client.get(next_url(credentials, NOBLE)).text
    response = client.post(f"{ACME}/images", data=filled_form(page, name=""))
    assert receipt_in(response.text) == receipt_in(page)


@pytest.mark.parametrize("receipt", ["", "nonsense", "a.b.c"])
def test_an_invalid_receipt_is_replaced_and_the_form_kept(
    client_of: ClientOf, credentials: CloudCredentials, receipt: str
) -> None:
    client = client_of("account-editor")
    page = client.get(next_url(credentials, NOBLE)).text
    response = register_without_agent(client, page, receipt=receipt)
    assert response.status_code == 400
    assert "This confirmation can’t be used" in response.text
    assert_typed_form(response.text)
    assert register_without_agent(client, response.text).status_code == 303


def test_the_time_of_the_look_up_is_the_time_of_the_last_check(
    client_of: ClientOf, credentials: CloudCredentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of("account-editor")
    read_at = now() - timedelta(minutes=20)
    with monkeypatch.context() as past:
        past.setattr(registration, "now", lambda: read_at)
        page = client.get(next_url(credentials, NOBLE)).text
    assert client.post(f"{ACME}/images", data=filled_form(page)).status_code == 303
    assert Image.get().checked_at == read_at


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": ""}, "Enter a name for the image."),
        ({"name": "x"}, "2 to 255"),
        ({"os_family": ""}, "Choose the family"),
        ({"os_version": ""}, "Choose the version"),
        ({"os_version": "debian|12"}, "Choose a version of Ubuntu."),
        ({"os_family": "other"}, "Enter the family"),
        ({"os_version": "other"}, "Enter the version"),
        ({"size_gb": "-1"}, "at least 1"),
        ({"size_gb": "big"}, "whole number of GB"),
    ],
)
def test_invalid_input_is_reported_and_stays_in_the_form(
    client_of: ClientOf, credentials: CloudCredentials, changes: dict[str, str], words: str
) -> None:
    client = client_of("account-editor")
    page = client.get(next_url(credentials, NOBLE)).text
    changes = {"name": "typed name", **changes}
    response = client.post(f"{ACME}/images", data=filled_form(page, **changes))
    assert response.status_code == 422
    assert words in response.text
    assert Image.select().count() == 0
    again = filled_form(response.text)
    assert client.post(f"{ACME}/images", data=again).status_code == 303


def test_a_visible_registered_image_is_linked(
    client_of: ClientOf, credentials: CloudCredentials
) -> None:
    client = client_of("scalr-admin")
    page = client.get(next_url(credentials, NOBLE).replace(ACME, "/scalr")).text
    client.post("/scalr/images", data=filled_form(page, name="of Scalr"))
    response = client_of("account-editor").get(next_url(credentials, NOBLE))
    assert response.status_code == 409
    assert f"{ACME}/images/{Image.get().id}" in response.text


def test_an_invisible_registered_image_is_not_revealed(
    client_of: ClientOf, credentials: CloudCredentials
) -> None:
    client = client_of("scalr-admin")
    page = client.get(next_url(credentials, NOBLE).replace(ACME, "/scalr")).text
    filled = filled_form(page, name="unshared image")
    del filled["shared"]
    client.post("/scalr/images", data=filled)
    response = client_of("account-editor").get(next_url(credentials, NOBLE))
    assert response.status_code == 200
    assert "unshared image" not in response.text


def test_only_admins_are_offered_to_add_credentials(
    client_of: ClientOf, make_image: MakeImage
) -> None:
    page = client_of("account-admin").get(f"{ACME}/images/new").text
    assert f"{ACME}/credentials/new/aws" in page
    page = client_of("account-editor").get(f"{ACME}/images/new").text
    assert f"{ACME}/credentials/new/aws" not in page
    assert "mailto:account-admin@example.com" in page


def test_credentials_of_other_scopes_are_not_revealed(
    client_of: ClientOf, make_credentials: MakeCredentials, endpoint: str
) -> None:
    make_credentials("acme", "mine", endpoint)
    foreign = make_credentials("globex", "theirs", endpoint)
    page = client_of("account-editor").get(next_url(foreign, NOBLE)).text
    assert "theirs" not in page
    response = client_of("account-editor").post(
        f"{ACME}/images/new/aws/confirm", data={"credentials": foreign.id}
    )
    assert response.status_code == 405


def test_a_check_of_an_unchanged_image_finds_no_changes(
    client_of: ClientOf, credentials: CloudCredentials
) -> None:
    client = client_of("account-editor")
    page = client.get(next_url(credentials, aws.ACME_IMAGE.id_in("us-east-1"))).text
    image_url = client.post(f"{ACME}/images", data=filled_form(page)).location
    answer = client.post(f"{image_url}/check", data={"credentials": credentials.id})
    assert answer.status_code == 200
    assert "Nothing has changed in the cloud" in answer.text


@pytest.mark.parametrize("length", [2001, 4000, 7000])
def test_a_pasted_text_that_is_too_long_is_explained(
    client_of: ClientOf, credentials: CloudCredentials, length: int
) -> None:
    client, text = client_of("account-editor"), "x" * length
    for answer in (
        client.get(f"{ACME}/images/new", query_string={"paste": text}),
        client.get(next_url(credentials, text)),
        client.get(next_url(credentials, NOBLE, text)),
    ):
        assert answer.status_code == 422
        assert "too long" in answer.text
        assert text in answer.text


@pytest.mark.parametrize(
    "entered",
    [
        *("", "null", "[", "[1]", "{}", '["x"]', "[" * 5000, '["ami-1", {"name": "other image"}]'),
        *('["IMAGE", null]', '["IMAGE", {"name": 7}]', '["IMAGE", ["name"]]', '["IMAGE", "name"]'),
    ],
)
def test_entries_that_do_not_belong_to_the_image_are_ignored(
    client_of: ClientOf, credentials: CloudCredentials, entered: str
) -> None:
    client, url = client_of("account-editor"), next_url(credentials, NOBLE)
    plain = client.get(url)
    answer = client.get(f"{url}&{urlencode({'entered': entered.replace('IMAGE', NOBLE)})}")
    assert answer.status_code == plain.status_code == 200
    name = re.compile(r'<input[^>]* name="name"[^>]*>')
    assert name.findall(answer.text) == name.findall(plain.text)


def test_a_list_that_was_cut_says_so(
    client_of: ClientOf, credentials: CloudCredentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = tuple(Location(f"region-{number}", "Region") for number in range(MAX_LISTED + 1))
    monkeypatch.setattr(CLOUDS["aws"], "_locations", lambda _: many)
    page = client_of("account-editor").get(f"{ACME}/images/new/aws?live=1").text
    assert "Only the first 10,000 locations are listed." in page
    assert "region-9999" in page
    assert "region-10000" not in page
    monkeypatch.setattr(CLOUDS["aws"], "_locations", lambda _: many[:3])
    page = client_of("account-editor").get(f"{ACME}/images/new/aws?live=1").text
    assert "Only the first" not in page


def test_a_form_that_is_resumed_after_signing_in_is_a_page_that_a_browser_can_go_back_to(
    client_of: ClientOf, credentials: CloudCredentials
) -> None:
    client = client_of("account-editor")
    selected = {
        "cloud": "aws",
        "credentials": credentials.id,
        "location": "us-east-1",
        "image_id": NOBLE,
    }
    form = filled_form(client.get(next_url(credentials, NOBLE)).text, name="Kept name")
    url = f"/account/acme/images?{urlencode(selected)}"
    answer = client.post(url, data={**form, "resumed": "1"})
    assert answer.status_code == 303
    page = client.get(answer.location)
    assert page.status_code == 200
    assert "nothing was saved" in page.text
    assert 'value="Kept name"' in page.text
    assert not Image.select().exists()
