"""The Compute Engine adapter against the sandbox's Compute Engine, over a socket."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from sandbox import faulty, gce_answers, gce_images, gce_keys
from tests.clouds.gce.answers import answering_with, image
from tests.clouds.gce.peer import gce_credentials
from tests.clouds.helpers import fact
from webapp.clouds.credentials import CredentialValues
from webapp.clouds.details import Fact, ImageDetails, ImageState
from webapp.clouds.errors import CloudUnreachable, ImageNotVisible
from webapp.clouds.gce.adapter import Gce
from webapp.clouds.gce.details import image_details
from webapp.clouds.gce.ids import ImageRef
from webapp.clouds.instants import parse_instant
from webapp.clouds.locators import Locator
from webapp.images import operating_systems

REQUESTED = ImageRef("acme-images", "web")
LINK = "https://www.googleapis.com/compute/v1/projects/"


def describe(adapter: Gce, good: CredentialValues, image_id: str) -> ImageDetails:
    return adapter.describe(good, Locator("", image_id))


@pytest.mark.parametrize("known", gce_images.CATALOG, ids=lambda known: known.name)
def test_every_image_of_the_sandbox(
    adapter: Gce, good: CredentialValues, known: gce_images.SandboxImage
) -> None:
    details = describe(adapter, good, known.image_id)
    assert details.name == known.name
    assert details.description == known.description
    assert details.architecture == {"X86_64": "x86_64", "ARM64": "arm64"}[known.architecture]
    assert details.size_gb == known.size
    assert details.created_at == datetime.fromisoformat(known.created)
    assert details.image_id == ""
    assert fact(details, "project") == known.project
    assert fact(details, "number") == known.number
    assert fact(details, "family") == (known.family or None)
    assert fact(details, "features") == (", ".join(known.features) or None)
    assert fact(details, "licenses") == (
        ", ".join(each.partition("/")[2] for each in known.licenses) or None
    )


@pytest.mark.parametrize(
    ("known", "family", "version"),
    [
        (gce_images.NOBLE, "ubuntu", "24.04"),
        (gce_images.DEBIAN_13, "debian", "13"),
        (gce_images.WINDOWS_2025, "windows-server", "2025"),
        (gce_images.COS, "cos", "125"),
        (gce_images.ACME_IMAGE, "debian", "13"),
    ],
    ids=lambda each: getattr(each, "name", each),
)
def test_texts_suggest_the_operating_system(
    adapter: Gce, good: CredentialValues, known: gce_images.SandboxImage, family: str, version: str
) -> None:
    found = operating_systems.suggest(describe(adapter, good, known.image_id).os_texts)
    assert found is not None
    assert (found.family, found.version) == (family, version)


def test_all_details_of_a_private_image(adapter: Gce, good: CredentialValues) -> None:
    details = describe(adapter, good, gce_images.ACME_IMAGE.image_id)
    assert details.state is ImageState.AVAILABLE
    assert details.state_note == ""
    assert set(details.facts) >= {
        Fact("labels", "Labels", "team: web, tier: golden"),
        Fact("source", "Created from", "acme-images/zones/europe-west1-b/disks/golden-web"),
        Fact("locations", "Stored in", "eu"),
        Fact("archive_size", "Archive size", "1.0 GB"),
    }
    assert "/cryptoKeys/golden/" in (fact(details, "encryption") or "")
    assert len(details.warnings) == 1
    assert "a Cloud KMS key" in details.warnings[0]


def test_states_of_the_sandbox(adapter: Gce, good: CredentialValues) -> None:
    old = describe(adapter, good, gce_images.DEPRECATED.image_id)
    assert old.state is ImageState.DEPRECATED
    assert old.deprecated_at == datetime(2026, 4, 14, 7, tzinfo=UTC)
    assert old.state_note == (
        "This image has been deprecated since 2026-04-14. It still works, but a newer image is "
        f"recommended. Use {gce_images.DEBIAN_12.image_id} instead."
    )
    assert fact(old, "replacement") == old.replacement == gce_images.DEBIAN_12.image_id
    undated = describe(adapter, good, gce_images.ACME_DEPRECATED.image_id)
    assert undated.state_note.startswith("This image has been deprecated since an unknown date. ")
    obsolete = describe(adapter, good, gce_images.OBSOLETE.image_id)
    assert obsolete.state is ImageState.DISABLED
    assert obsolete.state_note == (
        "This image has been obsolete since 2026-01-01. New instances can’t be created from this "
        f"image. Use {gce_images.ACME_IMAGE.image_id} instead."
    )
    assert fact(obsolete, "obsolete") is None
    retired = describe(adapter, good, gce_images.RETIRED.image_id)
    assert retired.state is ImageState.GONE
    assert retired.state_note.startswith("This image has been marked as deleted since 2026-06-01.")
    assert fact(retired, "deleted") is None
    assert describe(adapter, good, gce_images.PENDING.image_id).state is ImageState.PENDING
    assert describe(adapter, good, gce_images.FAILED.image_id).state is ImageState.FAILED


def test_a_family_resolves_to_its_current_image(adapter: Gce, good: CredentialValues) -> None:
    details = describe(adapter, good, gce_images.ACME_IMAGE.family_id)
    assert details.name == gce_images.ACME_IMAGE.name
    assert details.image_id == gce_images.ACME_IMAGE.image_id


def test_a_number_resolves_to_the_image_name(adapter: Gce, good: CredentialValues) -> None:
    known = gce_images.DEBIAN_13
    details = describe(adapter, good, f"{known.project}/global/images/{known.number}")
    assert details.name == known.name
    assert details.image_id == known.image_id


def test_the_number_of_a_project_becomes_its_id(adapter: Gce) -> None:
    link = f"{LINK}acme-images/global/images/web"
    with faulty.serve(image(name="web", selfLink=link, status="READY")) as url:
        found = describe(adapter, gce_credentials(url), "112233445566/global/images/web")
        assert found.image_id == "acme-images/global/images/web"
    with faulty.serve(image(name="web", status="READY")) as url:
        found = describe(adapter, gce_credentials(url), "112233445566/global/images/web")
        assert found.image_id == ""


def test_check_returns_project_and_account(adapter: Gce, good: CredentialValues) -> None:
    identity = adapter.check(good)
    assert identity.account == "acme-images"
    assert identity.description == gce_keys.EMAIL


def test_the_check_does_not_require_images_in_the_project(adapter: Gce) -> None:
    """The images to register may be in another project."""
    answer = gce_answers.forbidden("acme-images", "compute.images.list")
    with faulty.serve(answering_with(answer)) as url:
        assert adapter.check(gce_credentials(url)).account == "acme-images"
    empty = b'{"kind": "compute#imageList", "id": "projects/acme-images/global/images"}'
    with faulty.serve(lambda _: faulty.Answer(200, empty, "application/json")) as url:
        assert adapter.check(gce_credentials(url)).account == "acme-images"


def test_there_are_no_locations(adapter: Gce, good: CredentialValues) -> None:
    assert adapter.locations(good) == ()
    assert adapter.default_locations({}) == ()


def test_the_console_link(adapter: Gce) -> None:
    def link(image_id: str) -> str:
        return adapter.console_url({}, Locator("", image_id))

    page = "https://console.cloud.google.com/compute/imagesDetail/projects/"
    assert link("acme-images/global/images/web") == f"{page}acme-images/global/images/web"
    scoped = "example.com:acme-images/global/images/web"
    assert link(scoped) == page + scoped
    assert link("acme-images/global/images/family/web") == ""
    private = {"endpoint_url": "http://127.0.0.1"}
    assert adapter.console_url(private, Locator("", "acme-images/global/images/web")) == ""


@pytest.mark.parametrize(
    ("project", "console"),
    [
        ("eu0:acme-images", "console.cloud.berlin-build0.goog"),
        ("eu0-system:debian-cloud", "console.cloud.berlin-build0.goog"),
        ("s3ns:acme-images", "console.cloud.s3nscloud.fr"),
        ("xx9:acme-images", ""),
    ],
)
def test_each_universe_has_its_own_console(adapter: Gce, project: str, console: str) -> None:
    image_id = f"{project}/global/images/web"
    page = console and f"https://{console}/compute/imagesDetail/projects/{image_id}"
    assert adapter.console_url({}, Locator("", image_id)) == page


def test_the_public_endpoint_may_be_entered(adapter: Gce) -> None:
    locator = Locator("", "eu0:acme-images/global/images/web")
    public = {"endpoint_url": "https://compute.apis-berlin-build0.goog/"}
    assert adapter.console_url(public, locator) == adapter.console_url({}, locator)
    other = {"endpoint_url": "https://compute.s3nsapis.fr"}
    assert adapter.console_url(other, locator) == ""


def test_images_of_a_sovereign_cloud_are_described(adapter: Gce, cloud_url: str) -> None:
    key = gce_keys.sovereign_key_file()
    sovereign = gce_credentials(cloud_url, service_account_key=key)
    assert adapter.check(sovereign).account == "eu0:acme-images"
    for known in (gce_images.SOVEREIGN, gce_images.SOVEREIGN_OWN):
        link = known.answer()["selfLink"]
        details = describe(adapter, sovereign, adapter.parse_image_id(link).value)
        assert (details.name, details.image_id) == (known.name, "")
        assert fact(details, "project") == known.project
        assert describe(adapter, sovereign, known.family_id).image_id == known.image_id


def test_the_number_of_a_project_may_be_of_any_universe(
    adapter: Gce, monkeypatch: pytest.MonkeyPatch
) -> None:
    requested: list[ImageRef] = []

    def get(_: object, image: ImageRef) -> dict[str, str]:
        requested.append(image)
        return {"name": "web", "status": "READY"}

    adapter.warm_up()
    monkeypatch.setattr("webapp.clouds.gce.sdk.Client.get", get)
    key = gce_keys.sovereign_key_file()
    sovereign = gce_credentials("", service_account_key=key)
    assert describe(adapter, sovereign, "112233445566/global/images/web").name == "web"
    assert requested == [ImageRef("112233445566", "web")]


@pytest.mark.parametrize(
    ("image_id", "words"),
    [
        (gce_images.SOVEREIGN.image_id, "are for googleapis.com"),
        ("s3ns:acme/global/images/web", "is in the cloud s3nsapis.fr"),
    ],
)
def test_an_image_of_another_universe_is_explained_without_a_call(
    adapter: Gce, good: CredentialValues, image_id: str, words: str
) -> None:
    public = CredentialValues({**good, "endpoint_url": ""})
    with pytest.raises(ImageNotVisible, match=words):
        describe(adapter, public, image_id)


@pytest.mark.parametrize(
    ("requested_name", "answer"),
    [
        ("web", {"name": "other"}),
        ("web", {"name": "", "id": "5"}),
        ("5", {"name": "web", "id": "6"}),
        ("family/web", {"name": "web-1", "family": "other"}),
        ("family/web", {"name": "web"}),
    ],
)
def test_answers_about_another_image_are_rejected(
    adapter: Gce, requested_name: str, answer: dict[str, str]
) -> None:
    with (
        faulty.serve(image(**answer)) as url,
        pytest.raises(CloudUnreachable, match="didn’t respond like"),
    ):
        describe(adapter, gce_credentials(url), f"acme-images/global/images/{requested_name}")


@pytest.mark.parametrize(
    ("image", "state", "words"),
    [
        ({"status": "READY"}, ImageState.AVAILABLE, ""),
        ({"status": "READY", "deprecated": {"state": "ACTIVE"}}, ImageState.AVAILABLE, ""),
        ({"status": "READY", "deprecated": {}}, ImageState.AVAILABLE, ""),
        (
            {"status": "READY", "deprecated": {"state": "DEPRECATED"}},
            ImageState.DEPRECATED,
            "newer",
        ),
        ({"status": "READY", "deprecated": {"state": "OBSOLETE"}}, ImageState.DISABLED, "obsolete"),
        ({"status": "READY", "deprecated": {"state": "DELETED"}}, ImageState.GONE, "as deleted"),
        ({"status": "READY", "deprecated": {"state": "NEW"}}, ImageState.AVAILABLE, ""),
        ({"status": "PENDING"}, ImageState.PENDING, "still being created"),
        ({"status": "FAILED"}, ImageState.FAILED, "failed to create"),
        (
            {"status": "FAILED", "deprecated": {"state": "DEPRECATED"}},
            ImageState.FAILED,
            "failed to create",
        ),
        ({"status": "DELETING"}, ImageState.GONE, "being deleted"),
        ({"status": "NEW"}, ImageState.FAILED, "unknown state for this image: NEW."),
        ({}, ImageState.FAILED, "unknown state for this image: none."),
    ],
)
def test_each_state_is_translated(image: dict[str, Any], state: ImageState, words: str) -> None:
    details = image_details({"name": "web", **image}, REQUESTED)
    assert details.state is state
    assert words in details.state_note
    assert details.state_note == "" or details.state_note.endswith(".")


def test_a_future_deprecation_does_not_change_the_state() -> None:
    """According to Google, only the state counts, and the dates are just for information."""
    deprecation = {
        "state": "ACTIVE",
        "deprecated": "2027-01-01T00:00:00Z",
        "obsolete": "2028-01-01",
    }
    details = image_details(
        {"name": "web", "status": "READY", "deprecated": deprecation}, REQUESTED
    )
    assert details.state is ImageState.AVAILABLE
    assert details.deprecated_at == datetime(2027, 1, 1, tzinfo=UTC)
    assert fact(details, "obsolete") == "Announced for 2028-01-01"
    assert details.deprecation_announced_for == details.deprecated_at
    del deprecation["deprecated"]
    ends = image_details({"name": "web", "status": "READY", "deprecated": deprecation}, REQUESTED)
    assert ends.deprecation_announced_for == datetime(2028, 1, 1, tzinfo=UTC)


PAST, FUTURE = "2021-01-01T00:00:00Z", "2096-01-01T00:00:00Z"
DATES = (None, PAST, FUTURE)


@pytest.mark.parametrize("stage", [None, "ACTIVE", "DEPRECATED", "OBSOLETE", "DELETED"])
@pytest.mark.parametrize("deprecated", DATES)
@pytest.mark.parametrize("obsolete", DATES)
@pytest.mark.parametrize("deleted", DATES)
def test_no_combination_of_a_state_and_dates_contradicts_itself(
    stage: str | None, deprecated: str | None, obsolete: str | None, deleted: str | None
) -> None:
    stages = {"DEPRECATED": deprecated, "OBSOLETE": obsolete, "DELETED": deleted}
    answer = {"state": stage, **{name.lower(): date for name, date in stages.items()}}
    details = image_details({"name": "web", "status": "READY", "deprecated": answer}, REQUESTED)
    later = list(stages)[list(stages).index(stage) + 1 :] if stage in stages else list(stages)
    still_works = stage not in {"OBSOLETE", "DELETED"}
    reached = [name for name in later if stages[name] == PAST] if still_works else []
    assert ("still works" in details.state_note) == (details.state is ImageState.DEPRECATED)
    assert (details.state in {ImageState.AVAILABLE, ImageState.DEPRECATED}) == still_works
    if reached:
        assert details.state is ImageState.DEPRECATED
        assert (
            f"announced that the image would be {reached[-1].lower()} from 2021"
            in details.state_note
        )
    elif stage in stages:
        assert f"{stage.lower()} since" in details.state_note
    else:
        assert details.state is ImageState.AVAILABLE
        # The page says “None announced” only if there is neither a date nor a note.
        plans = [name for name in later if stages[name] == FUTURE]
        assert bool(details.deprecated_at or details.state_note) == bool(plans)
        assert details.deprecated_at is None or not details.state_note
    if details.deprecated_at and details.deprecated_at > datetime.now(UTC):
        assert details.state is ImageState.AVAILABLE
    is_announced = details.state is ImageState.AVAILABLE and FUTURE in stages.values()
    assert details.deprecation_announced_for == (parse_instant(FUTURE) if is_announced else None)
    for name in ("OBSOLETE", "DELETED"):
        date = stages[name] if name in later else None
        announced = f"Announced for {date[:10]}" if date else None
        assert fact(details, name.lower()) == announced


@pytest.mark.parametrize("state", ["DEPRECATED", "OBSOLETE", "DELETED"])
@pytest.mark.parametrize(
    ("date", "words"),
    [
        (None, "since an unknown date"),
        ("someday", "since an unknown date"),
        ("2064-03-11T20:18:36.194-07:00", "since an unknown date"),
        ("2026-03-11T20:18:36.194-07:00", "since 2026-03-12"),
    ],
)
def test_the_statement_about_a_deprecated_image_has_the_date_of_its_state(
    state: str, date: str | None, words: str
) -> None:
    """Real images that are already deprecated may have dates in the future."""
    other = dict.fromkeys(("deprecated", "obsolete", "deleted"), "2020-01-01T00:00:00Z")
    deprecation = {**other, "state": state, state.lower(): date, "replacement": f"{LINK}p/x"}
    details = image_details(
        {"name": "web", "status": "READY", "deprecated": deprecation}, REQUESTED
    )
    assert details.state_note.count("since") == 1
    assert f" {words}. " in details.state_note
    assert details.state_note.endswith(" Use p/x instead.")


def test_an_image_does_not_replace_itself() -> None:
    deprecation = {"state": "DEPRECATED", "replacement": LINK + str(REQUESTED)}
    details = image_details(
        {"name": "web", "status": "READY", "deprecated": deprecation}, REQUESTED
    )
    assert details.replacement == ""
    assert "instead" not in details.state_note


def test_an_image_with_few_details() -> None:
    details = image_details({"name": "web", "creation_timestamp": "yesterday"}, REQUESTED)
    assert details.size_gb is None
    assert details.architecture == ""
    assert details.created_at is None
    assert details.deprecated_at is None
    assert details.warnings == ()
    assert details.facts == (Fact("project", "Project", "acme-images"),)
    assert details.os_texts == ("web",)


def test_rare_facts_are_read() -> None:
    image = {
        "name": "web",
        "enable_confidential_compute": True,
        "image_encryption_key": {"sha256": "FNzVtrl0s8e0o9+bqa1VvCyTzPTCzRW9Mvyk1oJbyHo="},
        "source_image": f"{LINK}debian-cloud/global/images/debian-13",
        "archive_size_bytes": "269993565",
        "labels": {"plain": "", **{f"label-{number:02}": "x" for number in range(20)}},
    }
    details = image_details(image, REQUESTED)
    assert set(details.facts) >= {
        Fact("confidential", "Confidential computing", "Yes"),
        Fact("encryption", "Encryption key", "Supplied by the owner"),
        Fact("source", "Created from", "debian-cloud/global/images/debian-13"),
        Fact("archive_size", "Archive size", "257 MB"),
    }
    assert (fact(details, "labels") or "").endswith("label-11: x and 9 more")
    (warning,) = details.warnings
    assert warning == (
        "The image is encrypted with a key supplied by its owner. The key is required to create an "
        "instance from the image."
    )


@pytest.mark.parametrize(
    ("fields", "source"),
    [
        ({"source_disk": f"{LINK}p/zones/z/disks/d"}, "p/zones/z/disks/d"),
        ({"source_snapshot": "projects/p/global/snapshots/s"}, "p/global/snapshots/s"),
        ({"raw_disk": {"source": "gs://bucket/image.tar.gz"}}, "gs://bucket/image.tar.gz"),
        ({"raw_disk": {"source": ""}}, None),
        ({"raw_disk": {}}, None),
    ],
)
def test_source_of_an_image(fields: dict[str, Any], source: str | None) -> None:
    assert fact(image_details({"name": "web", **fields}, REQUESTED), "source") == source


@pytest.mark.parametrize(
    ("fields", "texts"),
    [
        (
            {"licenses": [f"{LINK}debian-cloud/global/licenses/debian-13-trixie"], "family": "f"},
            ("debian-13-trixie", "f", "web"),
        ),
        ({"description": "Windows inside"}, ("web", "Windows inside")),
        ({"guest_os_features": [{"type_": "WINDOWS"}, {}]}, ("web", "Windows")),
    ],
)
def test_the_texts_that_suggest_the_operating_system(
    fields: dict[str, Any], texts: tuple[str, ...]
) -> None:
    assert image_details({"name": "web", **fields}, REQUESTED).os_texts == texts


def test_the_project_of_the_credentials_is_known(adapter: Gce, good: CredentialValues) -> None:
    assert adapter.default_project(good) == "acme-images"
