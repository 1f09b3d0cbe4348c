"""Pages say that an image is deprecated, and link to the image to use instead."""

from __future__ import annotations

import html
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from flask.testing import FlaskClient

from models import CloudCredentials, Image
from sandbox import gce, gce_images
from tests.conftest import ClientOf, MakeImage, details
from tests.views.pages import visible_text
from webapp.clouds.details import Fact, ImageDetails, ImageState
from webapp.images import due_dates, image_details

ACME = "/account/acme"
OLD, NEW = "windows-cloud/global/images/windows-v20180410", "windows-cloud/global/images/windows-v2"
NOTE = f"This image has been obsolete since an unknown date. Use {NEW} instead."
NEXT = f"{ACME}/images/new/gce?image_id={NEW}"


def obsolete(**changes: object) -> ImageDetails:
    more = {
        "state": ImageState.DISABLED,
        "state_note": NOTE,
        "facts": (Fact("replacement", "Replacement", NEW),),
        **changes,
    }
    return details(**more)


def store(image: Image, image_id: str, answer: ImageDetails) -> Image:
    image.cloud, image.location, image.cloud_image_id = "gce", "", image_id
    image_details.apply_details(image, answer)
    image.save()
    return image


def page_of(client: FlaskClient, image: Image) -> str:
    return html.unescape(client.get(f"{ACME}/images/{image.id}").text)


def test_an_unregistered_replacement_is_a_link_to_new_image(
    client_of: ClientOf, make_image: MakeImage
) -> None:
    old = store(make_image("acme"), OLD, obsolete())
    page = page_of(client_of("account-editor"), old)
    link = f'<a class="mono" href="{NEXT}">{NEW}</a>'
    assert page.count(link) == 3  # above the details, in the state, and as a fact
    assert visible_text(page).count(NOTE) == 2
    assert "None announced" not in page
    form = client_of("account-editor").get(NEXT)
    assert form.status_code == 200
    assert NEW in form.text


def test_a_registered_replacement_is_a_link_to_its_page(
    client_of: ClientOf, make_image: MakeImage
) -> None:
    old = store(make_image("acme", 1), OLD, obsolete())
    new = store(make_image("", 2, name="Windows golden"), NEW, details())
    page = page_of(client_of("account-viewer"), old)
    assert f'<a class="mono" href="{ACME}/images/{new.id}">{NEW}</a>' in page
    assert "(registered as “Windows golden”) instead." in page
    assert "/images/new/gce" not in page


def test_a_replacement_that_the_scope_cannot_see_is_not_revealed(
    client_of: ClientOf, make_image: MakeImage
) -> None:
    old = store(make_image("acme", 1), OLD, obsolete())
    store(make_image("globex", 2, name="Secret golden"), NEW, details())
    assert "Secret golden" not in page_of(client_of("account-editor"), old)


def test_a_viewer_gets_the_id_of_an_unregistered_replacement_without_a_link(
    client_of: ClientOf, make_image: MakeImage
) -> None:
    old = store(make_image("acme"), OLD, obsolete())
    page = page_of(client_of("account-viewer"), old)
    assert f'<span class="mono">{NEW}</span> instead.' in page
    assert "/images/new/" not in page


@pytest.mark.parametrize("named", ["<b>", "p/zones/z/disks/d", OLD])
def test_other_replacements_are_no_links(
    client_of: ClientOf, make_image: MakeImage, named: str
) -> None:
    answer = obsolete(
        state_note=f"Use {named} instead.", facts=(Fact("replacement", "Replacement", named),)
    )
    old = store(make_image("acme"), OLD, answer)
    page = client_of("account-editor").get(f"{ACME}/images/{old.id}")
    assert page.status_code == 200
    assert "<b>" not in page.text
    assert "/images/new/gce" not in page.text


@pytest.mark.parametrize(
    ("changes", "row"),
    [
        ({"state": ImageState.DEPRECATED, "deprecated_at": None}, None),
        ({"state": ImageState.DEPRECATED, "deprecated_at": datetime(2026, 1, 1, tzinfo=UTC)}, None),
        ({"state": ImageState.DISABLED, "deprecated_at": None}, None),
        ({"state": ImageState.GONE, "deprecated_at": None}, None),
        ({"state": ImageState.AVAILABLE, "state_note": ""}, "None announced"),
        ({"state": ImageState.AVAILABLE, "state_note": "Planned on an unknown date."}, None),
        (
            {"state": ImageState.AVAILABLE, "deprecated_at": datetime(2099, 1, 1, tzinfo=UTC)},
            "Announced for",
        ),
    ],
)
def test_nothing_contradicts_the_state(
    client_of: ClientOf, make_image: MakeImage, changes: dict[str, object], row: str | None
) -> None:
    old = store(make_image("acme"), OLD, obsolete(**changes))
    text = visible_text(page_of(client_of("account-editor"), old))
    assert f"Deprecation {row}" in text if row else "Deprecation " not in text


def test_an_announced_deprecation_that_is_due_reads_as_a_deprecation(
    client_of: ClientOf, make_image: MakeImage
) -> None:
    answer = details(state=ImageState.AVAILABLE, deprecated_at=datetime(2026, 1, 20, tzinfo=UTC))
    image = store(make_image("acme"), OLD, answer)
    Image.update_all(checked_at=datetime(2026, 1, 5, tzinfo=UTC)).execute()
    assert due_dates.apply_due_dates() == 1
    page = visible_text(page_of(client_of("account-editor"), image))
    text = page.partition(" History ")[0]
    assert "Deprecated since 2026-01-20 according to the last check on 2026-01-05." in text
    assert "State Deprecated" in text
    assert "State Available" not in text
    assert "Announced for" not in text


@pytest.fixture
def gce_credentials(client_of: ClientOf) -> Iterator[CloudCredentials]:
    with gce.start() as url:
        fields = {"name": "Sandbox", **gce.credentials(url)}
        client_of("account-admin").post(f"{ACME}/credentials/new/gce", data=fields)
        yield CloudCredentials.get(CloudCredentials.name == "Sandbox")


def test_the_look_up_of_an_obsolete_image_offers_the_replacement(
    client_of: ClientOf, gce_credentials: CloudCredentials
) -> None:
    query = {"credentials": gce_credentials.id, "image_id": gce_images.OBSOLETE.image_id}
    client = client_of("account-editor")
    page = client.get(f"{ACME}/images/new/gce/confirm", query_string=query)
    assert page.status_code == 200
    replacement = gce_images.ACME_IMAGE.image_id
    assert f'href="{ACME}/images/new/gce?image_id={replacement}"' in page.text
    assert "obsolete since 2026-01-01" in page.text
