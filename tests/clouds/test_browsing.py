"""The images that credentials own or that are shared with them: lists, searches and limits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import pytest

from sandbox import aws, azure_images, faulty, gce_images, openstack_images
from sandbox.faulty import Answer, Request
from sandbox.vmware_inventory import UBUNTU
from tests.clouds.aws.peer import AwsPeer
from tests.clouds.gce.peer import GcePeer
from tests.clouds.helpers import cloud_error
from tests.clouds.openstack import answers as openstack_answers
from tests.clouds.openstack.peer import OpenStackPeer
from tests.clouds.peer import Peer
from tests.clouds.peers import PEERS
from webapp.clouds.aws.browsing import PAGE_SIZE
from webapp.clouds.azure import browsing as azure_browsing
from webapp.clouds.azure.sdk import Session
from webapp.clouds.browsing import MAX_PAGE_LENGTH, OWNED, PAGE_LENGTH, ImageCollector
from webapp.clouds.errors import CloudError, CloudUnreachable, UnknownLocation
from webapp.clouds.locators import ListedImage, Locator

OWN = {
    "aws": (aws.ACME_IMAGE.id_in("us-east-1"), aws.ACME_IMAGE.name),
    "gce": (gce_images.ACME_IMAGE.image_id, gce_images.ACME_IMAGE.name),
    "openstack": (openstack_images.ACME_IMAGE.image_id, openstack_images.ACME_IMAGE.name),
    "azure": (azure_images.ACME_IMAGE.resource_id, azure_images.ACME_IMAGE.name),
    "vmware": (UBUNTU.uuid, UBUNTU.name),
}
PAGE_LIMITS = (
    "aws.browsing.PAGE_SIZE",
    "azure.browsing.MAX_DEFINITIONS",
    "azure.browsing.MAX_GALLERIES",
    "gce.sdk.PAGE_SIZE",
    "openstack.browsing.PAGE_SIZE",
)
"""How much an adapter reads from its cloud at once."""
PUBLIC = {
    "aws": aws.NOBLE.id_in("us-east-1"),
    "gce": gce_images.NOBLE.image_id,
    "openstack": openstack_images.NOBLE.image_id,
    "azure": azure_images.NOBLE.urn(),
}


@pytest.fixture(scope="module", params=PEERS, ids=lambda peer: peer.cloud.key)
def peer(request: pytest.FixtureRequest) -> Peer:
    found: Peer = request.param
    return found


@pytest.fixture(scope="module")
def cloud_url(peer: Peer) -> Iterator[str]:
    with peer.start() as url:
        yield url


def test_the_sdk_is_loaded_before_the_time_of_a_page_begins(
    peer: Peer, cloud_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []

    class Collector(ImageCollector):
        def __init__(self, search: str, cursor: str) -> None:
            steps.append("the time of the page begins")
            super().__init__(search, cursor)

    monkeypatch.setattr(peer.cloud, "warm_up", lambda: steps.append("the SDK is loaded"))
    monkeypatch.setattr("webapp.clouds.base.ImageCollector", Collector)
    peer.cloud.browse(peer.credentials(cloud_url), peer.known.location)
    assert steps[:2] == ["the SDK is loaded", "the time of the page begins"]


def test_own_images_are_listed_and_public_images_are_not(peer: Peer, cloud_url: str) -> None:
    found = peer.cloud.browse(peer.credentials(cloud_url), peer.known.location)
    images = {image.image_id: image for image in found.images}
    image_id, name = OWN[peer.cloud.key]
    assert images[image_id].name == name
    assert PUBLIC.get(peer.cloud.key) not in images
    assert found.is_complete
    assert not found.next_cursor
    assert any(image.origin for image in found.images) == peer.cloud.lists_origins
    assert any(image.created for image in found.images) == peer.cloud.lists_dates
    for image in found.images:
        assert peer.cloud.parse_image_id(image.image_id).value == image.image_id
        assert image.name
    dates = [image.created for image in found.images if image.created]
    assert dates == sorted(dates, reverse=True)


def test_the_pages_of_a_list_contain_every_image_once(
    peer: Peer, cloud_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = peer.credentials(cloud_url)
    everything = peer.cloud.browse(credentials, peer.known.location).images
    monkeypatch.setattr("webapp.clouds.browsing.PAGE_LENGTH", 1)
    monkeypatch.setattr("webapp.clouds.browsing.WHOLE_LIST_PAGE_LENGTH", 1)
    for limit in PAGE_LIMITS:
        monkeypatch.setattr(f"webapp.clouds.{limit}", 1)
    listed: list[ListedImage] = []
    cursor, pages = "", 0
    while pages == 0 or cursor:
        page = peer.cloud.browse(credentials, peer.known.location, cursor=cursor)
        assert page.is_complete
        listed += page.images
        cursor, pages = page.next_cursor, pages + 1
        assert pages < 50
    assert pages > 1
    assert sorted(listed, key=str) == sorted(everything, key=str)


def test_a_cursor_from_another_cloud_is_harmless(peer: Peer, cloud_url: str) -> None:
    for cursor in ("nonsense", "own:", "images:zzz", "versions:zzz:zzz", "zzz zzz"):
        try:
            found = peer.cloud.browse(
                peer.credentials(cloud_url), peer.known.location, cursor=cursor
            )
        except CloudError:
            continue
        assert {image.image_id for image in found.images}.isdisjoint(PUBLIC.values())


def test_every_listed_image_can_be_looked_up(peer: Peer, cloud_url: str) -> None:
    credentials = peer.credentials(cloud_url)
    image_id, _ = OWN[peer.cloud.key]
    details = peer.cloud.describe(credentials, Locator(peer.known.location, image_id))
    assert details.state


def test_a_search_finds_parts_of_names_without_case(peer: Peer, cloud_url: str) -> None:
    credentials, location = peer.credentials(cloud_url), peer.known.location
    image_id, name = OWN[peer.cloud.key]
    for search in (name, name.upper(), f" {name[-4:]}   {name[:4]} ", image_id.upper()):
        found = peer.cloud.browse(credentials, location, search)
        assert image_id in {image.image_id for image in found.images}, search
    for search in ("no-such-image", "*", "?", "\\", "a\u0000b", "%", ".*", "é" * 5000):
        found = peer.cloud.browse(credentials, location, search)
        assert found.images == (), search


def test_a_location_that_does_not_exist_is_reported_or_has_no_images(
    peer: Peer, cloud_url: str
) -> None:
    if peer.at_unknown_location is None:
        return
    location = peer.at_unknown_location.location
    credentials = peer.credentials(cloud_url)
    if peer.cloud.key == "azure":
        assert peer.cloud.browse(credentials, location).images == ()
        return
    error = cloud_error(lambda: peer.cloud.browse(credentials, location))
    assert isinstance(error, UnknownLocation | CloudUnreachable)


def test_amis_that_other_accounts_share_name_their_owner() -> None:
    peer = AwsPeer()
    with aws.start() as url:
        found = peer.cloud.browse(peer.credentials(url), "us-east-1")
    images = {image.image_id: image for image in found.images}
    partner = images[aws.PARTNER_IMAGE.id_in("us-east-1")]
    assert partner.origin == f"Shared by {aws.PARTNER}"
    assert images[aws.ACME_IMAGE.id_in("us-east-1")].origin == OWNED
    assert aws.DISABLED.id_in("us-east-1") in images


def test_thousands_of_amis_are_read_in_pages_and_found_by_their_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    many = tuple(
        replace(aws.ACME_IMAGE, number=number, name=f"Build-{number:05}", shared_with=())
        for number in range(0x10000, 0x10000 + 3000)
    )
    monkeypatch.setattr(aws, "CATALOG", many)
    monkeypatch.setattr("webapp.clouds.browsing.PAGE_SECONDS", 60)
    peer = AwsPeer()
    with aws.start() as url:
        credentials = peer.credentials(url)
        found = peer.cloud.browse(credentials, "us-east-1")
        assert PAGE_LENGTH <= len(found.images) < PAGE_LENGTH + PAGE_SIZE
        assert found.next_cursor
        last = many[-1]
        found = peer.cloud.browse(credentials, "us-east-1", last.name.lower())
        assert [image.image_id for image in found.images] == [last.id_in("us-east-1")]
        assert not found.next_cursor


@pytest.mark.parametrize("search", ["centos", "CENTOS-STREAM", "tos-stREAM ent"])
def test_amis_are_found_by_names_in_any_mixture_of_cases(
    monkeypatch: pytest.MonkeyPatch, search: str
) -> None:
    names = ("CentOS-Stream-9", "CentBS-Stream-9", "centOS-straw")
    catalog = (
        replace(aws.ACME_IMAGE, number=number, name=name, shared_with=())
        for number, name in enumerate(names, 0x10000)
    )
    monkeypatch.setattr(aws, "CATALOG", tuple(catalog))
    peer = AwsPeer()
    with aws.start() as url:
        found = peer.cloud.browse(peer.credentials(url), "us-east-1", search).images
    assert {image.name for image in found} == (
        {names[0], names[2]} if search == "centos" else {names[0]}
    )


def test_a_search_for_amis_stays_within_the_limits_of_ec2() -> None:
    """EC2 allows 50 filters in a request, and 255 characters in a value of a filter."""
    requests = []

    def answer(request: Request) -> Answer:
        requests.append(parse_qs(request.body.decode()))
        return Answer(400)

    texts = ["a b " * 50, "*" * 200, "ami-" + "*" * 196]
    with faulty.serve(answer) as url:
        credentials = AwsPeer().credentials(url)
        for text in texts:
            with pytest.raises(CloudError):
                AwsPeer.cloud.browse(credentials, "us-east-1", text)
    assert len(requests) >= len(texts)
    for request in requests:
        assert len([name for name in request if name.endswith(".Name")]) <= 50
        values = [name for name in request if ".Value." in name]
        assert values
        assert all(len(value) <= 255 for name in values for value in request[name])


def test_own_amis_are_not_listed_again_as_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    own = replace(aws.ACME_IMAGE, shared_with=(aws.ACCOUNT,))
    monkeypatch.setattr(aws, "CATALOG", (own, aws.PARTNER_IMAGE))
    monkeypatch.setattr("webapp.clouds.browsing.PAGE_LENGTH", 1)
    peer = AwsPeer()
    with aws.start() as url:
        first = peer.cloud.browse(peer.credentials(url), "us-east-1")
        rest = peer.cloud.browse(peer.credentials(url), "us-east-1", cursor=first.next_cursor)
    assert [image.name for image in first.images] == [own.name]
    assert [image.name for image in rest.images] == [aws.PARTNER_IMAGE.name]
    assert not rest.next_cursor


def test_a_page_ends_when_the_cloud_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    many = tuple(
        replace(aws.ACME_IMAGE, number=number, name=f"Build-{number:05}", shared_with=())
        for number in range(0x10000, 0x10000 + 2 * PAGE_SIZE)
    )
    monkeypatch.setattr(aws, "CATALOG", many)
    monkeypatch.setattr("webapp.clouds.browsing.PAGE_SECONDS", 0)
    peer = AwsPeer()
    with aws.start() as url:
        found = peer.cloud.browse(peer.credentials(url), "us-east-1")
    assert len(found.images) == PAGE_SIZE
    assert found.next_cursor


def test_copies_are_the_images_with_the_same_name_and_owner_in_other_regions() -> None:
    peer = AwsPeer()
    with aws.start() as url:
        credentials = peer.credentials(url)
        details = peer.cloud.describe(credentials, peer.known)
        copies = peer.cloud.copies(credentials, peer.known, details)
        assert {(copy.location, copy.image_id) for copy in copies} == {
            (region, aws.NOBLE.id_in(region)) for region in ("eu-west-1", "us-west-2")
        }
        assert all(copy.details.name == aws.NOBLE.name for copy in copies)
        assert peer.cloud.copies(credentials, peer.known, replace(details, facts=())) == ()
        for name in ("", "*", "ubuntu*"):
            assert peer.cloud.copies(credentials, peer.known, replace(details, name=name)) == ()


def test_only_clouds_with_several_locations_find_copies() -> None:
    assert {peer.cloud.key for peer in PEERS if peer.cloud.finds_copies} == {"aws", "openstack"}


def glance(request: Request) -> Answer:
    """Answer with endless pages of images, most of which a project may not list."""
    query = {name: values[-1] for name, values in parse_qs(urlsplit(request.path).query).items()}
    first = int(query.get("marker", "0").rpartition("-")[2] or 0)
    images = [
        {
            "id": f"0fedcba9-8765-4321-8fed-{number:012d}",
            "name": ["x" * 3000, None, 7, f"image-{number}"][number % 4],
            "owner": "p" if number % 2 else "partner",
            "visibility": "public" if number % 8 == 0 else "shared",
            "created_at": "soon",
        }
        for number in range(first + 1, first + 101)
    ]
    answer = {"images": [*images, {"id": "../../etc"}, "nothing", images[-1]], "next": "/v2/images"}
    return Answer(200, json.dumps(answer).encode(), "application/json")


def test_a_page_of_a_hostile_list_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webapp.clouds.browsing.PAGE_SECONDS", 60)
    peer = OpenStackPeer()
    with faulty.serve(openstack_answers.cloud(glance)) as url:
        found = peer.cloud.browse(peer.credentials(url), "RegionOne")
    assert PAGE_LENGTH <= len(found.images) < PAGE_LENGTH + 200
    assert len(found.next_cursor) < 100
    assert all(len(image.name) <= 255 for image in found.images)
    assert not any(image.image_id.startswith("..") for image in found.images)
    assert {image.origin for image in found.images} == {OWNED, "Shared by partner"}
    assert not [image for image in found.images if int(image.image_id[-4:]) % 8 == 0]


def test_a_list_that_repeats_the_same_page_ends() -> None:
    def same_page(_: Request) -> Answer:
        image = {"id": "0fedcba9-8765-4321-8fed-cba987654321", "owner": "p", "name": "again"}
        body = json.dumps({"images": [image], "next": "/v2/images"})
        return Answer(200, body.encode(), "application/json")

    peer = OpenStackPeer()
    with faulty.serve(openstack_answers.cloud(same_page)) as url:
        found = peer.cloud.browse(peer.credentials(url), "RegionOne")
    assert [image.name for image in found.images] == ["again"]
    assert not found.is_complete


@pytest.mark.parametrize("body", ["[]", "{}", '{"images": {}}', '{"images": 7}', "[[[", '"x"'])
def test_other_documents_than_a_list_of_images_are_unreadable(body: str) -> None:
    peer = OpenStackPeer()
    answer = Answer(200, body.encode(), "application/json")
    with faulty.serve(openstack_answers.cloud(lambda _: answer)) as url:
        error = cloud_error(lambda: peer.cloud.browse(peer.credentials(url), "RegionOne"))
    assert isinstance(error, CloudUnreachable)


class AzureWithOddRegions:
    """A session of Azure, with names of regions that no region has."""

    ID = azure_images.ACME_IMAGE.resource_id.partition("/images/")[0]

    def managed_images(self) -> tuple[list[dict[str, str]], bool]:
        regions = {"a": "West Europe", "b": "西欧", "c": "westeurope-1"}
        images = [
            {"id": f"{self.ID}/images/{name}", "name": name, "location": region}
            for name, region in regions.items()
        ]
        return images, True

    def galleries(self) -> tuple[list[dict[str, str]], bool]:
        return [{"id": f"{self.ID}/galleries/g", "name": "g"}], True

    def gallery_definitions(self, *_: str) -> tuple[list[dict[str, str]], bool]:
        return [{"name": "d"}], True

    def gallery_versions(self, *_: str) -> list[dict[str, Any]]:
        regions = [{"name": "西欧"}, {"name": "westeurope"}]
        return [
            {
                "id": f"{self.ID}/galleries/g/images/d/versions/{number}.0.0",
                "name": f"{number}.0.0",
                "properties": {"publishingProfile": {"targetRegions": regions[:number]}},
            }
            for number in (1, 2)
        ]


@pytest.mark.parametrize(
    ("location", "names"),
    [("westeurope", {"a", "d 2.0.0"}), ("", {"a", "b", "c", "d 1.0.0", "d 2.0.0"})],
)
def test_an_odd_name_of_a_region_of_azure_does_not_hide_the_other_images(
    location: str, names: set[str]
) -> None:
    collector, session = ImageCollector(""), AzureWithOddRegions()
    azure_browsing.browse(cast(Session, session), location, collector)
    assert {image.name for image in collector.result().images} == names


def test_a_name_that_google_does_not_allow_is_left_out() -> None:
    def images(_: Request) -> Answer:
        names = ["web", "../../secrets", "Web", "x" * 3000, ""]
        items = [{"name": name, "creationTimestamp": "never"} for name in names]
        body = json.dumps({"kind": "compute#imageList", "items": items})
        return Answer(200, body.encode(), "application/json")

    peer = GcePeer()
    with faulty.serve(images) as url:
        found = peer.cloud.browse(peer.credentials(url), "")
    assert [image.name for image in found.images] == ["web"]


def test_a_page_with_too_many_images_keeps_the_first_and_is_not_complete() -> None:
    collector = ImageCollector("")
    for number in range(MAX_PAGE_LENGTH + 50):
        assert collector.has_enough == (number >= PAGE_LENGTH)
        collector.add(ListedImage(f"ami-{number}", f"image {number}"))
        collector.add(ListedImage(f"ami-{number}", "the same again"))
    result = collector.result()
    assert len(result.images) == MAX_PAGE_LENGTH
    assert not result.is_complete
    newest = ListedImage("new", "z", created=datetime(2026, 1, 1, tzinfo=UTC))
    collector = ImageCollector("")
    for image in (ListedImage("b", "b"), newest, ListedImage("a", "a")):
        collector.add(image)
    assert [image.image_id for image in collector.result().images] == ["new", "a", "b"]
    assert collector.result().is_complete
