"""Browse: the images of the chosen credentials, for every cloud, and the review of a selection."""

from __future__ import annotations

import html
import re
from urllib.parse import urlencode

import pytest
from flask.testing import FlaskClient

from models import CloudCredentials, Image, Job
from sandbox import aws, faulty
from tests.clouds.aws.answers import aws_error
from tests.clouds.peer import Peer
from tests.clouds.peers import PEERS
from tests.clouds.test_browsing import OWN, PUBLIC
from tests.conftest import ClientOf, MakeCredentials, MakeImage
from tests.jobs.threads import process_jobs
from tests.views.pages import markup_problems, visible_text
from tests.views.test_every_cloud import save_credentials

ACME = "/account/acme"
AWS = f"{ACME}/images/new/aws/browse"
OWN_AMI = aws.ACME_IMAGE.id_in("us-east-1")


def query(credentials: CloudCredentials, **changes: object) -> dict[str, object]:
    return {"credentials": credentials.id, "location": "us-east-1", **changes}


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.cloud.key)
def test_selected_images_of_every_cloud_become_one_review(client_of: ClientOf, peer: Peer) -> None:
    client = client_of("account-admin")
    image_id, name = OWN[peer.cloud.key]
    with peer.start() as url:
        row = save_credentials(client, peer, peer.credentials(url))
        chosen = query(row, location=peer.known.location)
        browse_url = f"{ACME}/images/new/{peer.cloud.key}/browse"
        response = client.get(browse_url, query_string=chosen)
        assert response.status_code == 200
        page = html.unescape(response.text)
        assert f'name="image_id" value="{image_id}" aria-label="Select {name}"' in page
        assert PUBLIC.get(peer.cloud.key, "no such text") not in page
        assert not markup_problems(response.text)
        selected = {**chosen, "image_id": [image_id], "agent_installed": "y", "shared": "y"}
        response = client.post(browse_url, data=selected)
        assert response.status_code == 303, visible_text(response)
        process_jobs()
        review = response.headers["Location"]
        text = visible_text(client.get(review))
        if "Complete the selection" in text:
            client.post(f"{review}/answers", data={"operating_system": "Ubuntu 24.04"})
            process_jobs()
            text = visible_text(client.get(review))
        assert "1 image will be registered" in text
        start = html.escape(f"{browse_url}?{urlencode({k: v for k, v in chosen.items() if v})}")
        assert f'<a href="{start}">Browse your clouds</a>' in client.get(review).text
        job = client.post(review).headers["Location"]
        process_jobs()
        assert re.search(rf'href="{re.escape(start)}">.*Register more images', client.get(job).text)
        image = Image.get()
        assert image.cloud_image_id == image_id
        assert image.verified
        page = html.unescape(client.get(browse_url, query_string=chosen).text)
        assert f'href="{ACME}/images/{image.id}">{image.name}</a>' in page
        assert f'value="{image_id}"' not in page


def test_nothing_is_listed_before_credentials_and_location_are_chosen(
    client_of: ClientOf, credentials: CloudCredentials
) -> None:
    client = client_of("account-editor")
    page = client.get(AWS)
    assert page.status_code == 200
    assert "<tbody>" not in page.text
    page = client.get(AWS, query_string={"credentials": credentials.id})
    assert page.status_code == 422
    assert "Choose the location of the image." in visible_text(page)
    assert "<tbody>" not in page.text


def test_a_search_narrows_the_list(client_of: ClientOf, credentials: CloudCredentials) -> None:
    client = client_of("account-editor")
    page = client.get(AWS, query_string=query(credentials, q="POSTGRES")).text
    assert OWN_AMI in page
    assert aws.PARTNER_IMAGE.name not in page
    page = visible_text(client.get(AWS, query_string=query(credentials, q="<nothing>")))
    assert "No images match this search." in page
    response = client.get(AWS, query_string=query(credentials, q="x" * 201))
    assert response.status_code == 422
    assert "too long" in visible_text(response)


def test_a_long_list_has_pages(
    client_of: ClientOf, credentials: CloudCredentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapp.clouds.browsing.PAGE_LENGTH", 1)
    monkeypatch.setattr("webapp.clouds.aws.browsing.PAGE_SIZE", 1)
    client = client_of("account-editor")
    url = f"{AWS}?{urlencode(query(credentials))}"
    listed = []
    for number in (1, 2):
        response = client.get(url)
        listed += re.findall(r'name="image_id" value="([^"]+)"', response.text)
        assert len(listed) == number
        count = "image is" if number == 1 else "2 images are"
        assert f"The first {count} listed. The cloud has more images." in visible_text(response)
        assert not markup_problems(response.text)
        url = html.unescape(re.findall(r'rel="next"\s+href="([^"]+)"', response.text)[0])
    response = client.get(url)
    listed += re.findall(r'name="image_id" value="([^"]+)"', response.text)
    assert "3 images." in visible_text(response)
    assert 'rel="next"' not in response.text
    assert len(set(listed)) == len(listed) == 3


def test_an_error_on_the_next_page_keeps_the_list(
    client_of: ClientOf, make_credentials: MakeCredentials
) -> None:
    client = client_of("account-editor")
    with faulty.serve(aws_error("RequestLimitExceeded", status=503)) as url:
        arguments = query(make_credentials("", "Busy", url), after="own::1", shown=500)
        response = client.get(AWS, query_string=arguments, headers={"HX-Request": "true"})
        page = client.get(AWS, query_string=arguments)
    assert response.status_code == page.status_code == 422
    assert response.headers["HX-Reswap"] == "none"
    text = visible_text(response)
    assert "throttling" in text
    assert "To begin again, select “List images”." in text
    assert "<form" in page.text


def test_errors_of_the_cloud_are_shown_above_the_form(
    client_of: ClientOf, make_credentials: MakeCredentials
) -> None:
    client = client_of("account-editor")
    for behavior, words in (
        (aws_error("UnauthorizedOperation", status=403), "ec2:DescribeImages"),
        (aws_error("RequestLimitExceeded", status=503), "too many"),
        (faulty.answering(200, f"<a>{'<a/>' * 300_000}</a>"), "too large"),
        (faulty.answering(200, "<html>Hello</html>", "text/html"), "endpoint"),
    ):
        with faulty.serve(behavior) as url:
            row = make_credentials("", f"Faulty {words}", url)
            response = client.get(AWS, query_string=query(row))
        assert response.status_code == 422
        assert words in visible_text(response)


def test_credentials_of_another_account_cannot_be_used(
    client_of: ClientOf, make_credentials: MakeCredentials, endpoint: str
) -> None:
    foreign = make_credentials("globex", "Secret name", endpoint)
    client = client_of("account-editor")
    response = client.get(AWS, query_string=query(foreign))
    assert response.status_code == 422
    assert "Secret name" not in response.text
    assert "<tbody>" not in response.text
    response = client.post(AWS, data={**query(foreign), "image_id": OWN_AMI})
    assert response.status_code == 303
    assert "/browse" in response.headers["Location"]
    assert not Job.select().exists()


def test_a_foreign_record_of_a_listed_image_is_not_revealed(
    client_of: ClientOf, credentials: CloudCredentials, make_image: MakeImage
) -> None:
    image = make_image("globex", name="foreign record")
    Image.update(cloud_image_id=OWN_AMI, image_key=OWN_AMI).where(Image.id == image.id).execute()
    page = client_of("account-editor").get(AWS, query_string=query(credentials)).text
    assert f'name="image_id" value="{OWN_AMI}"' in page
    assert "foreign record" not in page


@pytest.mark.parametrize("texts", [[], [""], ["x" * 5000], ["\u202e", "ami-1"]])
def test_hostile_selections_register_nothing(
    client_of: ClientOf, credentials: CloudCredentials, texts: list[str]
) -> None:
    client: FlaskClient = client_of("account-editor")
    response = client.post(AWS, data={**query(credentials), "image_id": texts})
    assert response.status_code == 303
    process_jobs()
    page = visible_text(client.get(response.headers["Location"]))
    assert re.search(r"Select at least one image|have errors|has an error", page)
    assert not Image.select().exists()


def test_images_of_an_environment_are_never_shared(
    client_of: ClientOf, credentials: CloudCredentials
) -> None:
    client = client_of("environment-editor")
    url = "/environment/acme/production/images/new/aws/browse"
    assert 'name="shared"' not in client.get(url, query_string=query(credentials)).text
    data = {**query(credentials), "image_id": OWN_AMI, "shared": "y"}
    review = client.post(url, data=data).headers["Location"]
    process_jobs()
    client.get(review)
    client.post(review)
    process_jobs()
    assert not Image.get().shared
