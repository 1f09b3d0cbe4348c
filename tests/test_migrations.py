"""Migrating down and up again preserves the images, and searches find them."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, time, timedelta

import pytest
from flask import Flask
from peewee import fn
from playhouse.migrations import Runner

import models
from models import (
    ApiToken,
    AuditEntry,
    CloudCredentials,
    DeletedImage,
    FacetGroup,
    Image,
    Job,
    JobRow,
    LifeCycle,
    Person,
    SavedView,
    Scope,
    SessionKind,
    SignInSession,
    TagCount,
    TokenRule,
)
from schema.search_text import search_text
from tests.conftest import (
    ActorOf,
    MakeCredentials,
    MakeImage,
    ScopeAt,
    choices,
    details,
    entries_of,
    reload,
)
from tests.tokens.helpers import make_token
from webapp import database
from webapp.clouds.details import Fact, ImageState
from webapp.clouds.locators import Locator
from webapp.credentials.vault import Vault
from webapp.images import deletion, image_details, life_cycle, registration
from webapp.images.identity import AlreadyRegistered
from webapp.images.life_cycle import LifeCyclePlan
from webapp.people import scopes, sessions
from webapp.search import catalogue, saved_views
from webapp.search.catalogue import Listing
from webapp.search.parser import parse

CHECKS, REVISIONS = "0004_checks", "0005_revisions"
STATEMENTS, KEYS = "0006_cloud_statements", "0007_image_keys"
IMPORT_PLANS = "0009_import_plans"
DATACENTERS, LOCATIONS = "0010_datacenter_names", "0012_location_spellings"
PARAMETERS = "0013_parameter_names"
NORMALIZED_TEXTS = "0014_normalized_texts"
DUE_AT, PLACES = "0016_due_at", "0017_place_keys"
SHORT_WORD_INDEX = "0018_short_word_index"
NAMES = "0019_normalized_names"
AUDIT_RANGES = "0022_audit_ranges"
AUDIT_SEARCH = "0031_audit_search"
TAGS = "0029_tags"
SUBTREES = "0028_subtrees"
END_OF_JOBS = "0032_end_of_jobs"
PEOPLE = "0034_people"
API_TOKENS = "0041_tokens"
IDEMPOTENCY_KEYS = "0042_idempotency_keys"
TOKEN_RULES = "0043_token_rules"
PASSKEYS = "0044_passkeys"
REQUIRED_FACTORS = "0045_required_factors"
PROVIDER_RULES = "0046_provider_rules"


def test_images_can_be_found_after_migrating_down_and_up(
    make_image: MakeImage, actor_of: ActorOf, scope: ScopeAt
) -> None:
    make_image("", 1, name="Ünïcode golden 映像")
    make_image("acme", 2, name="plain")
    runner = Runner(models.database.obj, str(database.MIGRATIONS))
    runner.down("0002_catalogue")
    assert "search_text" not in {column.name for column in models.database.get_columns("image")}
    assert "facet_group" not in models.database.get_tables()
    assert runner.up()[0] == "0002_catalogue"
    assert FacetGroup.select(fn.SUM(FacetGroup.images)).scalar() == 2
    assert Image.select().where(Image.group_id == 0).count() == 0
    for text, count in (
        ("ünï", 1),
        ("映像", 1),
        ("owner:here", 1),
        ("ami-0000", 2),
    ):
        page = catalogue.find_page(actor_of("scalr-admin"), scope("acme"), Listing(parse(text)))
        assert (page.count.number, len(page.images)) == (count, count)


def test_tags_can_be_added_after_migrating_down_and_up(make_image: MakeImage) -> None:
    image = make_image("acme", tags=["cis"])
    runner = Runner(models.database.obj, str(database.MIGRATIONS))
    runner.down(TAGS)
    assert "tag_count" not in models.database.get_tables()
    assert runner.up()[0] == TAGS
    image = reload(image)
    assert image.tags == []
    image.tags = ["team=web"]
    image.save()
    assert {row.token for row in TagCount.select()} == {"team", "team=web"}


def test_images_that_were_never_read_get_the_state_unknown(
    make_image: MakeImage, actor_of: ActorOf, scope: ScopeAt
) -> None:
    make_image("acme", 1)
    editor, acme = actor_of("account-editor"), scope("acme")
    never_read, deleted = (
        registration.register_unverified(
            editor, acme, "aws", Locator("us-east-1", f"ami-0000000{number}"), choices(),
            details=details(),
        )
        for number in (2, 3)
    )  # fmt: skip
    batch = deletion.delete(editor, deleted)
    runner = Runner(models.database.obj, str(database.MIGRATIONS))
    runner.down(CHECKS)
    old = "SELECT state, verified FROM image ORDER BY id"
    rows = [(state, bool(read)) for state, read in models.database.execute_sql(old).fetchall()]
    assert rows == [("available", True), ("available", False)]
    assert DeletedImage.get().record["columns"]["state"] == "available"
    assert runner.up()[0] == CHECKS
    states = {image.id: image.state for image in Image.select()}
    assert states.pop(never_read.id) == ImageState.UNKNOWN
    assert list(states.values()) == [ImageState.AVAILABLE]
    assert Image.get_by_id(never_read.id).details["state"] == "unknown"
    groups = {(group.state, group.verified): group.images for group in FacetGroup.select()}
    assert groups == {("available", True): 1, ("unknown", False): 1}
    deletion.restore_batch(editor, acme, batch)
    restored = Image.get_by_id(deleted.id)
    assert (restored.state, restored.verified) == (ImageState.UNKNOWN, False)
    assert restored.details["state"] == "unknown"


def test_log_entries_name_the_same_images_after_migrating_down_and_up(
    make_image: MakeImage,
) -> None:
    image = make_image("acme")
    entry = AuditEntry.get(AuditEntry.action == "image.register")
    runner = Runner(models.database.obj, str(database.MIGRATIONS))
    runner.down(REVISIONS)
    rows = models.database.execute_sql("SELECT image_id FROM audit_entry ORDER BY id").fetchall()
    assert rows == [(image.id,)]
    assert runner.up()[0] == REVISIONS
    migrated = AuditEntry.get_by_id(entry.id)
    assert (migrated.record, migrated.revision) == (image.reference, None)
    assert Image.get_by_id(image.id).revision == 1


@pytest.mark.parametrize(
    ("cloud", "image_id", "before", "after"),
    [
        (
            "azure",
            "Canonical/UbuntuServer/18.04-LTS/18.04.202401161",
            {"state_note": "The publisher has deprecated this image. Azure suggests another."},
            {
                "name": "",
                "state_note": "This image has been deprecated since an unknown date. Azure "
                "suggests another.",
            },
        ),
        (
            "azure",
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/images/web",
            {"name": "web", "state_note": ""},
            {"name": "web", "state_note": ""},
        ),
        (
            "aws",
            "ami-0000000b",
            {
                "state_note": "The owner has deprecated this image. It still works.",
                "deprecated": "2021-01-22T11:40:00+00:00",
            },
            {
                "name": "ubuntu-noble-24.04",
                "state_note": "This image has been deprecated since 2021-01-22. It still works.",
            },
        ),
        (
            "gce",
            "acme/global/images/web",
            {
                "state_note": "The owner has marked this image as obsolete. New instances can’t be "
                "created from it. Use p/x instead.",
                "facts": [{"key": "obsolete", "label": "Obsolete from", "value": "2026-01-01"}],
            },
            {
                "state_note": "This image has been obsolete since 2026-01-01. New instances can’t "
                "be created from this image. Use p/x instead.",
            },
        ),
    ],
)
def test_stored_details_are_corrected(
    make_image: MakeImage,
    actor_of: ActorOf,
    cloud: str,
    image_id: str,
    before: dict[str, object],
    after: dict[str, object],
) -> None:
    runner = Runner(models.database.obj, str(database.MIGRATIONS))
    stored, deleted = make_image("acme", 1), make_image("acme", 2)
    for image in (stored, deleted):
        image.cloud, image.details = cloud, {**image.details, **before}
        image.cloud_image_id = f"{image_id}{image.id}"
        image.save()
    admin = actor_of("scalr-admin")
    batch = deletion.delete(admin, deleted)
    runner.down(STATEMENTS)
    assert runner.up()[0] == STATEMENTS
    deletion.restore_batch(admin, stored.scope, batch)
    for image in (stored, deleted):
        found = Image.get_by_id(image.id).details
        assert found == json.loads(json.dumps({**image.details, **after}))


def test_records_of_the_same_cloud_image_are_merged(
    make_image: MakeImage, actor_of: ActorOf, scope: ScopeAt, caplog: pytest.LogCaptureFixture
) -> None:
    admin, acme = actor_of("scalr-admin"), scope("acme")
    read = make_image("acme", 1, name="noble", shared=False)
    never_read, zone, newer = (
        make_image("acme", number, name=f"n{number}") for number in (2, 3, 4)
    )
    elsewhere = make_image("globex", 5, name="theirs")
    predecessor = make_image("acme", 6)
    life_cycle.deprecate(admin, never_read, models.today(), "Too old.", newer.id)
    life_cycle.deprecate(admin, predecessor, models.today(), "", never_read.id)
    runner = Runner(models.database.obj, str(database.MIGRATIONS))
    runner.down(KEYS)
    ami = read.cloud_image_id
    for image, location, image_id, state in (
        (never_read, "US-EAST-1", ami, "unknown"),
        (zone, "us-east-1a", ami, "available"),
        (elsewhere, "us-east-1b", ami, "available"),
    ):
        change = Image.update(location=location, cloud_image_id=image_id, state=state)
        change.where(Image.id == image.id).execute()
    assert runner.up()[0] == KEYS

    merged = reload(read)
    assert {each.name for each in Image.select().where(Image.scope == acme)} == {
        "noble", newer.name, predecessor.name
    }  # fmt: skip
    assert (merged.location, merged.image_key, merged.state) == ("us-east-1", ami, "available")
    assert merged.shared
    assert life_cycle.plan_of(merged) == LifeCyclePlan(models.today(), None, "Too old.", newer.id)
    assert merged.status is LifeCycle.DEPRECATED
    assert reload(predecessor).successor_id == merged.id
    assert reload(elsewhere).location == "us-east-1"
    entries = entries_of(merged)
    assert [entry.action for entry in entries[:2]] == ["image.merge", "image.merge"]
    assert {tuple(entry.changes["name"]) for entry in entries[:2]} == {
        ("n2", "noble"), ("n3", "noble")
    }  # fmt: skip
    assert {entry.subject for entry in entries} == {"noble", "n2", "n3"}
    assert {entry.scope_label for entry in entries} == {acme.label}
    assert caplog.text.count("was merged into it") == 2
    page = catalogue.find_page(admin, acme, Listing(parse("owner:here")))
    assert page.count.number == len(page.images) == 3
    with pytest.raises(AlreadyRegistered):
        make_image("acme", 1)


def test_azure_ids_that_differ_only_in_case_are_merged(make_image: MakeImage) -> None:
    first, second = (make_image("acme", number) for number in (1, 2))
    runner = Runner(models.database.obj, str(database.MIGRATIONS))
    runner.down(KEYS)
    for image, group in ((first, "RG-Wéb"), (second, "rg-wÉb")):
        image_id = f"/subscriptions/0/resourceGroups/{group}/providers/Microsoft.Compute/images/x"
        change = Image.update(cloud="azure", location="", cloud_image_id=image_id)
        change.where(Image.id == image.id).execute()
    runner.up()
    (merged,) = Image.select()
    assert merged.id == first.id
    assert "RG-Wéb" in merged.cloud_image_id
    assert merged.image_key == merged.cloud_image_id.lower()


def test_a_merge_makes_no_circle_of_successors(make_image: MakeImage, actor_of: ActorOf) -> None:
    admin = actor_of("scalr-admin")
    first, second, between = (make_image("acme", number) for number in (1, 2, 3))
    life_cycle.deprecate(admin, first, models.today(), "", between.id)
    life_cycle.deprecate(admin, between, models.today(), "", second.id)
    runner = Runner(models.database.obj, str(database.MIGRATIONS))
    runner.down(KEYS)
    change = Image.update(location="us-east-1a", cloud_image_id=first.cloud_image_id)
    change.where(Image.id == second.id).execute()
    runner.up()
    assert reload(between).successor_id == first.id
    assert reload(first).successor_id is None


def test_imports_that_were_not_applied_are_discarded(actor_of: ActorOf, scope: ScopeAt) -> None:
    """Their rows have another form. The reports of finished imports stay."""
    for action in ("import", "import-look-up"):
        for state in ("planned", "running", "done"):
            job = Job.create(
                scope=scope("acme"),
                person=actor_of("account-editor").person,
                action=action,
                arguments={},
                state=state,
                total=1,
            )
            JobRow.create(job=job, position=0, subject=state)
    runner = Runner(models.database.obj, str(database.MIGRATIONS))
    runner.down(IMPORT_PLANS)
    assert JobRow.select().count() == 5  # The plan of the present form is discarded.
    assert runner.up()[0] == IMPORT_PLANS
    assert {job.action for job in Job.select()} == {"import"}
    assert sorted(job.state for job in Job.select()) == ["done", "done", "stopped", "stopped"]
    assert JobRow.select().count() == 4


def test_names_of_datacenters_are_decoded(make_image: MakeImage, actor_of: ActorOf) -> None:
    runner = Runner(models.database.obj, str(database.MIGRATIONS))
    admin = actor_of("scalr-admin")
    plain, escaped, deleted, first, second, other = (
        make_image("acme", number) for number in range(1, 7)
    )
    for image, cloud, location, resource in (
        (plain, "vmware", "Labs/100", "Cluster A"),
        (escaped, "vmware", "Labs %2F DK/1%5c2", "a%252fb"),
        (deleted, "vmware", "Labs%2f1", "a%2fb"),
        (first, "vmware", "X/1", ""),
        (second, "vmware", "X%2f1", ""),
        (other, "openstack", "X%2f1", ""),
    ):
        image.cloud, image.location, image.compute_resource = cloud, location, resource
        image.save()
    batch = deletion.delete(admin, deleted)
    runner.down(DATACENTERS)
    Image.update(image_key="same").where(Image.id.in_([first.id, second.id])).execute()
    assert runner.up(DATACENTERS) == [DATACENTERS]
    images = Image.select(Image.location).where(Image.id.in_([first.id, second.id]))
    assert {image.location for image in images} == {"X/1", "X%2f1"}
    # A later migration merges records of one image.
    Image.update(image_key="other").where(Image.id == second.id).execute()
    runner.up()
    deletion.restore_batch(admin, plain.scope, batch)
    found = [
        (image.location, image.compute_resource)
        for image in map(reload, (plain, escaped, deleted, first, second, other))
    ]
    assert found == [
        ("Labs/100", "Cluster A"),
        ("Labs / DK/1\\2", "a%2fb"),
        ("Labs/1", "a/b"),
        ("X/1", ""),
        ("X%2f1", ""),
        ("X%2f1", ""),
    ]


def test_locations_lose_slashes_and_invisible_characters(
    make_image: MakeImage, actor_of: ActorOf
) -> None:
    images = [make_image("acme", number) for number in range(1, 6)]
    for image, cloud, location in zip(
        images,
        ("vmware", "openstack", "openstack", "vmware", "vmware"),
        ("/Labs/DC0/", "RegionOne\u200b", "/x/", "DC1", "/DC1"),
        strict=True,
    ):
        image.cloud, image.location = cloud, location
        image.save()
    deletion.delete(actor_of("scalr-admin"), images[0])
    runner = Runner(models.database.obj, str(database.MIGRATIONS))
    runner.down(LOCATIONS)
    Image.update(image_key="same").where(Image.location.in_(["DC1", "/DC1"])).execute()
    assert runner.up(LOCATIONS) == [LOCATIONS]
    (deleted,) = DeletedImage.select()
    assert deleted.record["columns"]["location"] == "Labs/DC0"
    locations = Image.select(Image.location).order_by(Image.id)
    assert [image.location for image in locations] == ["RegionOne", "/x/", "DC1", "/DC1"]
    Image.delete().where(Image.location == "/DC1").execute()
    runner.up()


def test_keys_of_parameters_get_the_case_of_their_names(make_image: MakeImage) -> None:
    parameter, other = make_image("acme", 1), make_image("acme", 2)
    runner = Runner(models.database.obj, str(database.MIGRATIONS))
    runner.down(PARAMETERS)
    name = "resolve:ssm:/golden/Web"
    for image, image_id in ((parameter, name), (other, "/Subscriptions/X")):
        change = Image.update(cloud_image_id=image_id, image_key=image_id.lower())
        change.where(Image.id == image.id).execute()
    assert runner.up()[0] == PARAMETERS
    assert reload(parameter).image_key == name
    assert reload(other).image_key == "/subscriptions/x"


def test_texts_of_images_are_stored_in_the_form_that_searches_compare(
    make_image: MakeImage,
) -> None:
    image, plain = make_image("acme", 1), make_image("acme", 2)
    before = {
        "name": "Cafe\u0301\u00a0映像  x",
        "os_family": "My\u3000Linux",
        "status_reason": "Too\u00a0old",
        "search_text": "cafe\u0301\u00a0映像  x\nami-1\na\u00a0description",
    }
    Image.update(before).where(Image.id == image.id).execute()
    runner = Runner(models.database.obj, str(database.MIGRATIONS))
    runner.down(NORMALIZED_TEXTS)
    assert runner.up()[0] == NORMALIZED_TEXTS
    migrated = reload(image)
    assert (migrated.name, migrated.os_family) == ("Café 映像 x", "My Linux")
    assert (migrated.name_key, migrated.status_reason) == ("café 映像 x", "Too old")
    assert migrated.search_text == search_text("Café 映像 x\nami-1\na description")
    assert reload(plain).search_text == plain.search_text


def test_due_dates_are_found_in_the_details_and_the_life_cycle(
    make_image: MakeImage, actor_of: ActorOf, scope: ScopeAt
) -> None:
    editor = actor_of("account-editor")
    instant, obsolete = datetime(2027, 5, 31, 12, tzinfo=UTC), datetime(2027, 3, 1, tzinfo=UTC)
    scheduled = "The publisher plans to deprecate this image."
    expected: dict[int, tuple[datetime | None, datetime | None]] = {}

    def store(
        cloud: str, image_id: str, announced: datetime | None, plan: LifeCyclePlan, **answer: object
    ) -> Image:
        image = make_image("acme", len(expected) + 1)
        life_cycle.change(editor, image, plan)
        image.cloud, image.cloud_image_id = cloud, image_id
        image_details.apply_details(image, details(**answer))
        image.save()
        day = plan.retired_on if plan.status is LifeCycle.DEPRECATED else plan.deprecated_on
        planned = datetime.combine(day, time(), UTC) if day else None
        expected[image.id] = announced, min(filter(None, (announced, planned)), default=None)
        return image

    future, past = date(2027, 4, 1), date(2026, 1, 1)
    none, both = LifeCyclePlan(), LifeCyclePlan(past, future)
    end = Fact("obsolete", "Obsolescence", "Announced for 2027-03-01")
    deprecated = {"state": ImageState.DEPRECATED, "deprecated_at": instant}
    store("aws", "ami-0000000b", instant, none, deprecated_at=instant)
    store("aws", "ami-0000000c", None, none, **deprecated)
    store("aws", "ami-0000000d", instant, both, deprecated_at=instant)
    store("aws", "ami-0000000e", None, LifeCyclePlan(past))
    store("gce", "a/global/images/b", obsolete, none, ends_at=obsolete, facts=(end,))
    store("azure", "P:O:S:1", instant, none, deprecated_at=instant, state_note=scheduled)
    deleted = store("aws", "ami-0000000f", instant, none, deprecated_at=instant)
    batch = deletion.delete(editor, deleted)
    runner = Runner(models.database.obj, str(database.MIGRATIONS))
    runner.down(DUE_AT)
    assert "deprecation_announced_for" not in DeletedImage.get().record["columns"]
    assert runner.up()[0] == DUE_AT
    assert deletion.restore_batch(editor, scope("acme"), batch)[0]
    stored = {image.id: (image.deprecation_announced_for, image.due_at) for image in Image.select()}
    assert stored == expected


def test_records_whose_locations_differ_only_in_spelling_are_merged(
    make_image: MakeImage, actor_of: ActorOf, caplog: pytest.LogCaptureFixture
) -> None:
    admin = actor_of("scalr-admin")
    first = make_image("acme", 1, name="noble 映像", shared=False)
    same, resource, same_resource, other = (
        make_image("acme", number, name=f"n{number}") for number in (2, 3, 4, 5)
    )
    successor, elsewhere = make_image("acme", 6), make_image("globex", 7)
    life_cycle.deprecate(admin, successor, models.today(), "", same.id)
    runner = Runner(models.database.obj, str(database.MIGRATIONS))
    runner.down(PLACES)
    for image, cloud, location, name in (
        (first, "openstack", "Région", ""),
        (same, "openstack", "RE\u0301GION", ""),
        (elsewhere, "openstack", "RÉGION", ""),
        (resource, "vmware", "Labs/DC0", "Cluster%2fA"),
        (same_resource, "vmware", "labs//dc0", "cluster/a"),
        (other, "vmware", "Labs/DC0", ""),
    ):
        changes = {"cloud": cloud, "location": location, "compute_resource": name}
        Image.update(image_key="uuid", **changes).where(Image.id == image.id).execute()
    assert runner.up()[0] == PLACES
    assert {image.id for image in Image.select()} == {
        *(first.id, resource.id, other.id, successor.id, elsewhere.id)
    }
    merged = reload(first)
    assert (merged.location, merged.location_key, merged.shared) == ("Région", "région", True)
    assert merged.search_text == search_text(merged.name, merged.cloud_image_id, merged.description)
    kept = reload(resource)
    assert (kept.location_key, kept.compute_resource_key) == ("labs/dc0", "cluster/a")
    assert reload(successor).successor_id == first.id
    assert entries_of(merged)[0].changes["name"] == ["n2", "noble 映像"]
    assert caplog.text.count("was merged into it") == 2
    for image in Image.select():
        stored = dict(image.__data__)
        image.derive()
        assert stored["location_key"] == image.location_key
        assert stored["compute_resource_key"] == image.compute_resource_key


def test_texts_get_one_form_of_the_letter_sigma(
    make_image: MakeImage, actor_of: ActorOf, scope: ScopeAt
) -> None:
    image = make_image("acme", 1, name="ΟΔΟΣ")
    Image.update(search_text="οδος\nami-1\n").where(Image.id == image.id).execute()
    runner = Runner(models.database.obj, str(database.MIGRATIONS))
    runner.down(SHORT_WORD_INDEX)
    assert runner.up()[0] == SHORT_WORD_INDEX
    page = catalogue.find_page(actor_of("scalr-admin"), scope("acme"), Listing(parse("οδοσ")))
    assert page.count.number == len(page.images) == 1


def test_names_are_stored_in_the_form_in_which_they_are_compared(
    actor_of: ActorOf,
    scope: ScopeAt,
    make_credentials: MakeCredentials,
    make_image: MakeImage,
    caplog: pytest.LogCaptureFixture,
) -> None:
    admin, acme = actor_of("account-admin"), scope("acme")
    old, new = "Cafe\u0301\u00a0A", "Café A"
    image = make_image("acme")
    credentials = [make_credentials("acme", name) for name in ("first", "second")]
    children = [scopes.create(admin, acme, name) for name in ("first", "second")]
    views = [
        saved_views.save_view(admin, acme, name, "images?q=x", shared=True)
        for name in ("first", "second", "third")
    ]
    runner = Runner(models.database.obj, str(database.MIGRATIONS))
    runner.down(NAMES)
    person = admin.person
    for table, row, name in (
        (CloudCredentials, credentials[0], old),
        (CloudCredentials, credentials[1], new),
        (Scope, children[0], old),
        (Scope, children[1], new),
        (SavedView, views[0], f"{new} (2)"),
        (SavedView, views[1], old),
        (SavedView, views[2], new),
        (Person, person, old),
    ):
        table.update(name=name).where(table.id == row.id).execute()
    Image.update(registered_by_name=old, credentials_name=old).execute()
    assert runner.up()[0] == NAMES
    assert [CloudCredentials.get_by_id(row.id).name for row in credentials] == [f"{new} (2)", new]
    assert [Scope.get_by_id(row.id).name for row in children] == [f"{new} (2)", new]
    names = [SavedView.get_by_id(row.id).name for row in views]
    assert names == [f"{new} (2)", f"{new} (3)", new]
    assert Person.get_by_id(person.id).name == new
    assert (reload(image).registered_by_name, reload(image).credentials_name) == (new, new)
    renamed = AuditEntry.select().where(AuditEntry.person_name == "Upgrade")
    assert {(entry.action, entry.subject) for entry in renamed} == {
        ("credentials.edit", f"{new} (2)"),
        ("environment.rename", f"{new} (2)"),
        ("view.edit", f"{new} (3)"),
    }
    assert caplog.text.count("was renamed to") == 3
    with pytest.raises(scopes.ScopeError):
        scopes.create(admin, acme, old)
    with pytest.raises(saved_views.NameTaken):
        saved_views.save_view(admin, acme, old, "images?q=x")


def test_old_entries_get_into_the_log_of_their_account(
    make_image: MakeImage, scope: ScopeAt
) -> None:
    make_image("acme/production", 1)
    make_image("acme", 2)
    make_image("", 3)
    runner = Runner(models.database.obj, str(database.MIGRATIONS))
    runner.down(AUDIT_RANGES)
    assert "account_id" not in {each.name for each in models.database.get_columns("audit_entry")}
    assert runner.up()[0] == AUDIT_RANGES
    acme = scope("acme").id
    entries = AuditEntry.select().order_by(AuditEntry.id)
    assert [entry.account_id for entry in entries] == [acme, acme, None]


def test_images_of_environments_are_found_at_their_account(
    make_image: MakeImage, actor_of: ActorOf, scope: ScopeAt
) -> None:
    make_image("acme/production", 1)
    make_image("acme", 2)
    make_image("", 3)
    runner = Runner(models.database.obj, str(database.MIGRATIONS))
    runner.down(SUBTREES)
    assert "account_id" not in {each.name for each in models.database.get_columns("image")}
    assert runner.up()[0] == SUBTREES
    acme, scalr = scope("acme").id, scope("").id
    for table in (Image, FacetGroup):
        accounts = [row.account_id for row in table.select().order_by(table.id)]
        assert accounts == [acme, acme, scalr]
    make_image("acme/staging", 4)
    listing = Listing(parse("in:below owner:below"))
    assert catalogue.find_page(actor_of("scalr-admin"), scope("acme"), listing).count.number == 2


def test_jobs_stay_after_migrating_down_and_up(actor_of: ActorOf, scope: ScopeAt) -> None:
    person = actor_of("account-editor").person
    values = {"action": "image-share", "arguments": {"a": 1}, "total": 2, "state": "running"}
    job = Job.create(scope=scope("acme"), person=person, stop_reason="why", **values)
    runner = Runner(models.database.obj, str(database.MIGRATIONS))
    runner.down(END_OF_JOBS)
    assert "stop_reason" not in {each.name for each in models.database.get_columns("job")}
    assert runner.up()[0] == END_OF_JOBS
    migrated = Job.get_by_id(job.id)
    assert (migrated.stop_reason, migrated.failing_since) == ("", None)
    assert {name: getattr(migrated, name) for name in values} == values


def test_people_get_the_time_of_their_last_sign_in(actor_of: ActorOf) -> None:
    person = actor_of("account-editor").person
    sessions.start(person, SessionKind.PASSWORD, "", "")
    began = SignInSession.get(SignInSession.person == person).created_at
    runner = Runner(models.database.obj, str(database.MIGRATIONS))
    runner.down(PEOPLE)
    names = {each.name for each in models.database.get_columns("person")}
    assert not names & {"disabled_at", "removed_at", "signed_in_at"}
    assert runner.up()[0] == PEOPLE
    assert Person.get_by_id(person.id).signed_in_at == began
    assert {entry.person_email for entry in AuditEntry.select()} == {""}


def test_jobs_and_entries_stay_without_a_token(actor_of: ActorOf, scope: ScopeAt) -> None:
    admin = actor_of("account-admin")
    scopes.create(admin, scope("acme"), "New")
    job = Job.create(
        scope=scope("acme"), person=admin.person, action="image-share", arguments={}, total=0
    )
    runner = Runner(models.database.obj, str(database.MIGRATIONS))
    runner.down(API_TOKENS)
    assert "api_token" not in models.database.get_tables()
    assert "token_key" not in {each.name for each in models.database.get_columns("job")}
    assert runner.up()[0] == API_TOKENS
    assert Job.get_by_id(job.id).token_key == AuditEntry.get().token_name == ""
    assert not Person.get_by_id(admin.person.id).is_service


def test_repeatable_requests_are_stored_again_after_migrating_down_and_up(app: Flask) -> None:
    runner = Runner(models.database.obj, str(database.MIGRATIONS))
    with models.database.connection_context():
        runner.down(IDEMPOTENCY_KEYS)
        assert "repeatable_request" not in models.database.get_tables()
        assert runner.up()[0] == IDEMPOTENCY_KEYS
        assert not models.RepeatableRequest.select().exists()


def test_tokens_survive_migrating_the_rules_down_and_up(
    actor_of: ActorOf, scope: ScopeAt, vault: Vault
) -> None:
    admin = actor_of("account-admin")
    kept = make_token(admin, scope("acme"), vault, name="kept").token
    exchanged = make_token(admin, scope("acme"), vault, name="exchanged").token
    ApiToken.update(rule_id=1).where(ApiToken.id == exchanged.id).execute()
    runner = Runner(models.database.obj, str(database.MIGRATIONS))
    runner.down(TOKEN_RULES)
    columns = {each.name for each in models.database.get_columns("api_token")}
    assert not {"rule_id", "previous_mac", "previous_sealed_key"} & columns
    assert "token_rule" not in models.database.get_tables()
    assert runner.up()[0] == TOKEN_RULES
    assert [each.id for each in ApiToken.select()] == [kept.id]
    assert not TokenRule.select().exists()


def test_required_factors_can_be_stored_again_after_migrating_down_and_up(app: Flask) -> None:
    with models.open_connection():
        token = sessions.start(Person.get(), SessionKind.PASSWORD, "", "")
        Scope.update(requires_factor=True).execute()
        runner = Runner(models.database.obj, str(database.MIGRATIONS))
        runner.down(REQUIRED_FACTORS)
        for table in ("scope", "identity", "sign_in_session"):
            names = {column.name for column in models.database.get_columns(table)}
            assert not names & {"requires_factor", "used_factor", "previous_digest", "rotated_at"}
        assert runner.up()[0] == REQUIRED_FACTORS
        assert not Scope.select().where(Scope.requires_factor).exists()
        lifetimes = sessions.Lifetimes(timedelta(hours=1), timedelta(days=1))
        assert sessions.load_session(token, lifetimes)


def test_passkeys_can_be_stored_again_after_migrating_down_and_up(app: Flask) -> None:
    runner = Runner(models.database.obj, str(database.MIGRATIONS))
    with models.database.connection_context():
        runner.down(PASSKEYS)
        assert "passkey" not in models.database.get_tables()
        assert runner.up()[0] == PASSKEYS
        assert not models.Passkey.select().exists()


def test_role_rules_can_be_stored_again_after_migrating_down_and_up(app: Flask) -> None:
    runner = Runner(models.database.obj, str(database.MIGRATIONS))
    with models.database.connection_context():
        runner.down(PROVIDER_RULES)
        assert "provider_rule" not in models.database.get_tables()
        assert runner.up()[0] == PROVIDER_RULES
        assert not models.ProviderRule.select().exists()


def test_processes_that_start_together_migrate_one_after_the_other(
    make_image: MakeImage,
) -> None:
    make_image("acme")
    runner = Runner(models.database.obj, str(database.MIGRATIONS))
    runner.down(AUDIT_RANGES)
    with ThreadPoolExecutor() as pool:
        futures = [pool.submit(_migrate_in_thread) for _ in range(3)]
        applied = [name for future in futures for name in future.result(timeout=60)]
    assert applied == [each.name for each in runner.status() if each.name >= AUDIT_RANGES]


def _migrate_in_thread() -> list[str]:
    with models.database.connection_context():
        return database.migrate(models.database.obj)


def test_entries_of_jobs_survive_migrating_down_and_up(make_image: MakeImage) -> None:
    make_image("acme", 1)
    AuditEntry.update(job_id=7).execute()
    runner = Runner(models.database.obj, str(database.MIGRATIONS))
    runner.down(AUDIT_SEARCH)
    columns = {each.name for each in models.database.get_columns("audit_entry")}
    indexes = {each.name for each in models.database.get_indexes("audit_entry")}
    assert "job_id" not in columns
    assert not {name for name in indexes if "_by_" in name}
    assert runner.up()[0] == AUDIT_SEARCH
    assert AuditEntry.select().where(AuditEntry.job_id.is_null()).count() == 1
