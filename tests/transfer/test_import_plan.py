"""Importing: the plan of a file, and whether the import has the effect that the plan shows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from models import AuditEntry, Image, Job, JobRow, Scope, now
from tests.conftest import ActorOf, MakeCredentials, MakeImage, ScopeAt, details
from tests.jobs.threads import process_jobs
from tests.transfer.conftest import UNVERIFIED, ApplyPlan, PlanImport, ami_id, line, make_plan
from webapp.access import Forbidden
from webapp.clouds import CLOUDS
from webapp.clouds.details import ImageDetails, ImageState
from webapp.clouds.errors import ImageNotFound
from webapp.clouds.locators import Locator
from webapp.credentials.vault import Vault
from webapp.images import checking
from webapp.images.choices import choices_of
from webapp.images.receipts import VALID_SECONDS
from webapp.jobs import actions, claims, runner, store
from webapp.search import catalogue
from webapp.search.query import OWNED_OR_INHERITED
from webapp.transfer import export, import_formats, import_job, imports
from webapp.transfer.import_plan import Effect, ImportOptions, PlannedLine
from webapp.transfer.imports import PlannedAgain


def planned_lines(job: Job) -> list[PlannedLine]:
    lines, has_next_page = imports.list_lines(job, None, 1, 1000)
    assert not has_next_page
    return lines


def only_line(job: Job) -> PlannedLine:
    (only,) = planned_lines(job)
    return only


def message_of(line: PlannedLine) -> str:
    return " ".join(line.errors)


def images_at(path: str = "acme") -> list[Image]:
    return list(Image.select().join(Scope).where(Scope.path == path).order_by(Image.id))


def test_a_plan_changes_nothing(plan: PlanImport) -> None:
    before = AuditEntry.select().count()
    job = plan(line())
    assert only_line(job).effect is Effect.CREATE
    assert job.arguments["counts"] == {"error": 0, "create": 1, "update": 0, "unchanged": 0}
    assert (job.state, job.total, AuditEntry.select().count()) == ("planned", 1, before)
    assert not Image.select().exists()


def test_an_image_that_is_not_looked_up_is_not_verified(
    plan: PlanImport, apply_plan: ApplyPlan
) -> None:
    job = plan(
        line(
            description="Ours",
            architecture="arm64",
            size_gb=30,
            agent_installed="yes",
            os_family="Ubuntu",
            os_version="22.04",
        )
    )
    assert apply_plan(job) == [("created", "")]
    (image,) = images_at()
    assert (image.verified, image.credentials, image.credentials_name) == (False, None, "")
    assert (image.description, image.architecture, image.size_gb) == ("Ours", "arm64", 30)
    assert (image.os_family, image.os_version) == ("ubuntu", "22.04")
    assert (image.agent_installed, image.shared, image.state) == (True, False, "unknown")
    assert image.details["state"] == "unknown"
    entry = AuditEntry.get(AuditEntry.record == image.reference)
    assert (entry.action, entry.person) == ("image.register", job.person)


def test_the_first_check_reads_an_image_at_the_location_in_the_file(
    make_credentials: MakeCredentials,
    plan: PlanImport,
    apply_plan: ApplyPlan,
    actor_of: ActorOf,
    vault: Vault,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The location is not part of the identity of an Azure image."""
    version = "/CommunityGalleries/contoso-1/Images/linux/Versions/1.0.9"
    values = {"cloud": "azure", "cloud_image_id": version, "location": "East US"}
    apply_plan(plan({**values, "name": "ubuntu-noble-24.04"}))
    (image,) = images_at()
    assert (image.location, image.details["lookup_location"]) == ("", "eastus")
    read_locations: list[str] = []

    def describe(_credentials: object, locator: Locator) -> ImageDetails:
        read_locations.append(locator.location)
        return details(lookup_location=locator.location)

    monkeypatch.setattr(CLOUDS["azure"], "describe", describe)
    monkeypatch.setattr(vault, "reveal", lambda _credentials: {})
    credentials = make_credentials("acme")
    credentials.cloud = "azure"
    credentials.save()
    checking.check_again(actor_of("account-editor"), image, vault, credentials.id)
    assert read_locations == ["eastus"]


def test_importing_a_file_again_changes_nothing(plan: PlanImport, apply_plan: ApplyPlan) -> None:
    lines = [line(number, shared=number == 1) for number in range(1, 4)]
    assert apply_plan(plan(*lines)) == [("created", "")] * 3
    again = plan(*lines)
    assert [each.effect for each in planned_lines(again)] == [Effect.UNCHANGED] * 3
    assert apply_plan(again) == [("unchanged", "")] * 3


@pytest.mark.parametrize("path", ["", "acme", "acme/production"])
@pytest.mark.parametrize("chunks", [export.csv_chunks, export.json_chunks])
def test_an_export_can_be_imported_unchanged(
    make_image: MakeImage,
    actor_of: ActorOf,
    scope: ScopeAt,
    vault: Vault,
    apply_plan: ApplyPlan,
    *,
    path: str,
    chunks: Callable[[Iterable[Image], Scope], Iterator[str]],
) -> None:
    names = ("noble", "=1+1", "'-x", 'a "b", c;')
    for number, name in enumerate(names, start=1):
        make_image(path, number, name=name, size_gb=None if number == 1 else 8, os_version="8.10 x")
    actor, here = actor_of("scalr-admin"), scope(path)
    text = "".join(chunks(catalogue.iterate_images(actor, here, OWNED_OR_INHERITED), here))
    file = import_formats.parse_file(text.encode())
    job = make_plan(actor, here, vault, file, UNVERIFIED)
    assert job.arguments["unknown_columns"] == []
    assert set(job.arguments["ignored_columns"]) == set(export.READ_ONLY_COLUMNS)
    assert [(each.effect, each.errors) for each in planned_lines(job)] == [
        (Effect.UNCHANGED, [])
    ] * 4
    assert apply_plan(job) == [("unchanged", "")] * 4


def test_empty_columns_stay_unchanged(
    make_image: MakeImage, plan: PlanImport, apply_plan: ApplyPlan
) -> None:
    image = make_image("acme", shared=False)
    before = choices_of(image)
    columns = {"cloud": "aws", "location": "us-east-1", "cloud_image_id": ami_id(1), "shared": True}
    job = plan({**columns, "name": "", "size_gb": 16})
    assert only_line(job).effect is Effect.UPDATE
    assert JobRow.get(JobRow.job == job).image_id == image.id
    assert only_line(job).changes == {"shared": ["no", "yes"], "size_gb": [8, 16]}
    assert apply_plan(job) == [("updated", "")]
    after = choices_of(Image.get_by_id(image.id))
    assert after == replace(before, shared=True, size_gb=16)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"cloud": None}, "The cloud is missing"),
        ({"cloud": "nimbus"}, "“nimbus” isn’t a known cloud"),
        ({"cloud_image_id": None}, "The cloud_image_id is missing"),
        ({"cloud_image_id": "ami-12"}, "too short"),
        ({"location": ""}, "The location is missing"),
        ({"cloud_image_id": f"arn:aws:ec2:eu-west-1::image/{ami_id(1)}"}, "so that they match"),
        ({"compute_resource": "cluster"}, "don’t have a compute_resource"),
        ({"name": ""}, "The name is missing"),
        ({"name": "x", "os_family": "ubuntu", "os_version": "24.04"}, "2 to 255 characters"),
        ({"name": "web"}, "The os_family is missing"),
        ({"name": "ubuntu web"}, "The os_version is missing"),
        ({"os_family": "Haiku"}, "The os_version is missing"),
        ({"name": "web", "os_family": "x" * 200}, "The os_version is missing"),
        ({"size_gb": "big"}, "a whole number of GB"),
        ({"size_gb": 0}, "a whole number of GB"),
        ({"size_gb": 1.5}, "a whole number of GB"),
        ({"size_gb": 1e300}, "a whole number of GB"),
        ({"agent_installed": "maybe"}, "agent_installed must be yes or no"),
        ({"status": "new"}, "“new” isn’t a status"),
        ({"status": "retired", "retired_on": "31.1.2026"}, "retired_on isn’t valid"),
        ({"deprecated_on": "0026-12-31"}, "Enter a date from 2000-01-01 to 2100-12-31"),
        ({"status_reason": "Old."}, "requires the status"),
        ({"description": "x" * 5_000}, "at most 4,096 characters"),
        ({"location": "x" * 200}, "Use at most 128 characters"),
    ],
)
def test_an_invalid_line_is_refused_and_does_not_affect_the_others(
    plan: PlanImport, apply_plan: ApplyPlan, values: Mapping[str, Any], words: str
) -> None:
    job = plan(line(**values), line(2))
    wrong, right = planned_lines(job)
    assert (wrong.effect, wrong.position, right.effect) == (Effect.ERROR, "item 1", Effect.CREATE)
    assert words in message_of(wrong)
    assert apply_plan(job) == [("refused", message_of(wrong)), ("created", "")]
    assert [image.cloud_image_id for image in images_at()] == [ami_id(2)]


def test_all_errors_of_a_line_are_reported_at_once(plan: PlanImport) -> None:
    wrong = only_line(
        plan(
            line(
                cloud_image_id="ami-12",
                location="us-east-1a",
                name="x",
                os_family="Haiku",
                size_gb=0,
                shared="maybe",
                status="new",
                retired_on="soon",
                status_reason="x" * 300,
                description="x" * 5_000,
            )
        )
    )
    for words in (
        *("too short", "is a zone", "2 to 255 characters", "os_version is missing", "GB, at least"),
        *("shared must be", "isn’t a status", "Enter a date as", "255 characters", "4,096"),
    ):
        assert words in message_of(wrong)
    assert len(set(wrong.errors)) == len(wrong.errors) == 10


def test_a_family_that_contains_a_version_is_an_error(plan: PlanImport) -> None:
    wrong = only_line(plan(line(os_family="Debian 12", os_version="x")))
    assert "Use debian as os_family" in message_of(wrong)


def test_lines_for_the_same_image_that_differ_are_errors(
    plan: PlanImport, apply_plan: ApplyPlan
) -> None:
    """Either of them may be the wrong one: the image must not stay active by mistake."""
    lines = [line(1, status="active"), line(1, status="retired"), line(2)]
    job = plan(*lines)
    assert [each.effect for each in planned_lines(job)] == ["error", "error", "create"]
    assert apply_plan(job)[2] == ("created", "")
    assert [image.cloud_image_id for image in images_at()] == [ami_id(2)]


def test_the_error_of_the_first_line_names_the_line_that_differs(plan: PlanImport) -> None:
    lines = [line(1), line(1, cloud_image_id=ami_id(1).upper()), line(1, status="retired")]
    first, second, third = planned_lines(plan(*lines))
    assert message_of(first) == (
        "This is the same image as in item 3, but the lines differ. Remove one of them."
    )
    for other in (second, third):
        assert message_of(other) == "This is the same image as in item 1. Remove one of the two."


def test_a_second_line_for_the_same_image_is_an_error(plan: PlanImport) -> None:
    wrong, right = planned_lines(plan(line(), line(cloud_image_id=ami_id(1).upper())))
    assert (right.position, wrong.position) == ("item 1", "item 2")
    assert message_of(wrong) == "This is the same image as in item 1. Remove one of the two."


def test_an_inherited_image_is_refused(
    make_image: MakeImage, plan: PlanImport, apply_plan: ApplyPlan
) -> None:
    make_image("", 1)
    make_image("", 2, shared=False)
    job = plan(line(1), line(2))
    wrong, right = planned_lines(job)
    assert message_of(wrong) == "This image is already registered at Scalr."
    assert right.effect is Effect.CREATE
    assert apply_plan(job)[0] == ("refused", message_of(wrong))


def test_images_of_lower_and_sibling_scopes_do_not_prevent_an_import(
    plan: PlanImport, apply_plan: ApplyPlan, make_image: MakeImage
) -> None:
    """The images of lower and sibling scopes are not visible at the scope."""
    for path in ("globex", "acme/production"):
        make_image(path)
    assert apply_plan(plan(line())) == [("created", "")]


def test_an_environment_cannot_share(plan: PlanImport, apply_plan: ApplyPlan) -> None:
    job = plan(line(shared="yes"), path="acme/production")
    assert only_line(job).changes["shared"] == [None, "no"]
    assert apply_plan(job) == [("created", "")]
    again = plan(line(shared="yes"), path="acme/production")
    assert only_line(again).effect is Effect.UNCHANGED


def test_an_import_considers_images_registered_since_the_plan(
    make_image: MakeImage, plan: PlanImport, apply_plan: ApplyPlan
) -> None:
    job = plan(line(1), line(2, shared="yes"), line(3))
    make_image("acme", 1, name="ubuntu-noble-24.04", agent_installed=False, shared=False)
    make_image("acme", 2, name="another", agent_installed=False, shared=False)
    make_image("", 3)
    registered = (
        "Somebody else registered this image with other values after the import was planned. Check "
        "the image, and edit it if necessary."
    )
    assert apply_plan(job) == [
        ("unchanged", ""),
        ("refused", registered),
        ("refused", "This image is already registered at Scalr."),
    ]
    assert [image.name for image in images_at()] == ["ubuntu-noble-24.04", "another"]


def test_two_people_import_the_same_file(plan: PlanImport, apply_plan: ApplyPlan) -> None:
    first, second = plan(line(1), line(2)), plan(line(1), line(2), who="account-admin")
    assert apply_plan(first) == [("created", "")] * 2
    assert apply_plan(second) == [("unchanged", "")] * 2


def test_two_people_import_at_the_same_time(plan: PlanImport, vault: Vault) -> None:
    lines = [line(number) for number in range(1, 21)]
    for job in [plan(*lines, who=who) for who in ("account-editor", "account-admin")]:
        runner.start_job(job, vault)
    process_jobs()
    outcomes = Counter(row.outcome for row in JobRow.select())
    assert outcomes == {"created": 20, "unchanged": 20}
    assert len(images_at()) == 20


def test_only_editors_can_import(plan: PlanImport) -> None:
    with pytest.raises(Forbidden):
        plan(line(), who="account-viewer")
    assert not Job.select().exists()


def test_rights_can_be_lost_after_the_plan(
    plan: PlanImport, actor_of: ActorOf, scope: ScopeAt, vault: Vault
) -> None:
    job = plan(line())
    row = JobRow.get(JobRow.job == job)
    viewer = actor_of("account-viewer")
    outcome = import_job.import_line(viewer, job.scope, job.arguments, row, vault)
    assert (outcome.kind, images_at()) == ("refused", [])
    assert "no longer have permission to edit images at Account acme" in outcome.message


def test_a_plan_is_paged_by_effect(make_image: MakeImage, plan: PlanImport) -> None:
    for number in (1, 2):
        make_image("acme", number, name="ubuntu-noble-24.04", agent_installed=False, shared=False)
    job = plan(line(1), line(2, size_gb=9), line(3), line(4), line(5), line(6, name=""))
    assert job.arguments["counts"] == {"error": 1, "create": 3, "update": 1, "unchanged": 1}
    assert [each.effect for each in planned_lines(job)] == sorted(
        [each.effect for each in planned_lines(job)], key=list(Effect).index
    )
    lines, has_next_page = imports.list_lines(job, Effect.CREATE, 1, 2)
    assert ([each.position for each in lines], has_next_page) == (["item 3", "item 4"], True)
    lines, has_next_page = imports.list_lines(job, Effect.CREATE, 2, 2)
    assert ([each.position for each in lines], has_next_page) == (["item 5"], False)
    assert imports.list_lines(job, Effect.UNCHANGED, 9, 2) == ([], False)


def test_a_look_up_reads_the_image_from_the_cloud(
    make_credentials: MakeCredentials,
    plan: PlanImport,
    apply_plan: ApplyPlan,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The file can leave out values that the cloud returns."""
    credentials = make_credentials()
    monkeypatch.setattr(
        CLOUDS["aws"], "describe", lambda _credentials, _locator: details(state=ImageState.PENDING)
    )
    options = ImportOptions(look_up=True, credentials={"aws": credentials.id})
    job = plan(line(name=""), options=options)
    assert apply_plan(job) == [("created", "")]
    (image,) = images_at()
    assert (image.name, image.os_version, image.size_gb) == ("ubuntu-noble-24.04", "24.04", 8)
    assert (image.verified, image.state, image.credentials) == (True, "pending", credentials)


def test_a_row_to_look_up_names_the_credentials_that_it_uses(
    make_credentials: MakeCredentials, actor_of: ActorOf, scope: ScopeAt, vault: Vault
) -> None:
    """The runner limits how many rows with the same credentials wait for their cloud."""
    chosen, named = make_credentials("", "chosen"), make_credentials("acme", "named")
    lines = [line(1), line(2, credentials="named"), line(3), line(4, cloud_image_id="wrong")]
    file = import_formats.parse_file(json.dumps(lines).encode())
    options = ImportOptions(look_up=True, credentials={"aws": chosen.id})
    imports.start(actor_of("account-editor"), scope("acme"), vault, file, options)
    rows = JobRow.select().where(JobRow.outcome == "").order_by(JobRow.position)
    assert [row.credentials_id for row in rows] == [chosen.id, named.id, chosen.id]


def test_an_error_of_the_cloud_is_reported(
    make_credentials: MakeCredentials,
    plan: PlanImport,
    apply_plan: ApplyPlan,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def describe(_credentials: object, locator: object) -> object:
        raise ImageNotFound("There is no such image. Copy its id again.")

    credentials = make_credentials()
    monkeypatch.setattr(CLOUDS["aws"], "describe", describe)
    job = plan(line(), options=ImportOptions(look_up=True, credentials={"aws": credentials.id}))
    assert apply_plan(job) == [("refused", "There is no such image. Copy its id again.")]


def test_a_look_up_needs_credentials(plan: PlanImport) -> None:
    wrong = only_line(plan(line(), options=ImportOptions(look_up=True)))
    assert message_of(wrong).startswith("Looking up this image requires AWS credentials.")


def test_credentials_in_the_line_take_precedence_over_chosen_credentials(
    make_credentials: MakeCredentials, plan: PlanImport, apply_plan: ApplyPlan
) -> None:
    chosen, named = make_credentials("", "chosen"), make_credentials("acme", "named")
    options = ImportOptions(look_up=False, credentials={"aws": chosen.id})
    apply_plan(plan(line(1, credentials="named"), line(2), options=options))
    assert [image.credentials for image in images_at()] == [named, chosen]


@pytest.mark.parametrize("look_up", [True, False])
def test_credentials_in_the_line_that_the_scope_cannot_use_are_an_error(
    make_credentials: MakeCredentials, plan: PlanImport, apply_plan: ApplyPlan, *, look_up: bool
) -> None:
    make_credentials("globex", "there")
    options = ImportOptions(look_up, credentials={"aws": make_credentials("acme", "chosen").id})
    job = plan(line(credentials="there"), options=options)
    assert message_of(only_line(job)) == (
        "Account acme can’t use AWS credentials named “there”. Correct the name, or leave it empty "
        "to use the credentials that you chose for the import."
    )
    assert [kind for kind, _ in apply_plan(job)] == ["refused"]


def test_the_credentials_column_of_a_registered_image_is_ignored(
    make_image: MakeImage, plan: PlanImport
) -> None:
    """The credentials of an exported image may have been deleted since."""
    make_image("acme")
    assert only_line(plan(line(credentials="deleted", name=""))).effect is Effect.UNCHANGED


def test_an_import_runs_as_a_job(plan: PlanImport, vault: Vault) -> None:
    job = plan(line(1), line(2, name=""), line(3))
    runner.start_job(job, vault, process_if_short=True)
    job = Job.get_by_id(job.id)
    assert JobRow.get(JobRow.outcome == "refused").subject == f"{ami_id(2)} (item 2)"
    assert (job.state, store.outcome_counts(job)) == ("done", {"created": 2, "refused": 1})
    created = JobRow.select(JobRow.image_id).where(JobRow.outcome == "created")
    assert {row.image_id for row in created} == {image.id for image in Image.select()}
    assert actions.JOB_ACTIONS[job.action].title_for(job.total) == "Import"


def test_a_plan_that_is_replaced_just_before_the_import_starts_is_not_carried_out(
    plan: PlanImport, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = plan(line())
    start_job = runner.start_job

    def replace_plan_first(started: Job, *args: Any, **options: Any) -> None:
        monkeypatch.setattr(runner, "start_job", start_job)
        imports.answer(Job.get_by_id(job.id), vault, {"aws": {"location": "eu-west-1"}}, None)
        start_job(started, *args, **options)

    monkeypatch.setattr(runner, "start_job", replace_plan_first)
    with pytest.raises(PlannedAgain):
        imports.apply(job, vault, imports.plan_id_of(job))
    assert Job.get_by_id(job.id).state == "planned"
    assert not Image.select().exists()


def test_look_ups_that_took_long_are_not_repeated(
    plan: PlanImport,
    make_credentials: MakeCredentials,
    vault: Vault,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A person can review the plan for half an hour, however long the look-ups took."""
    end_of_look_ups = now() + timedelta(seconds=2 * VALID_SECONDS)
    for module in (claims, imports):
        monkeypatch.setattr(module, "now", lambda: end_of_look_ups)
    monkeypatch.setattr(CLOUDS["aws"], "describe", lambda *_: details())
    options = ImportOptions(look_up=True, credentials={"aws": make_credentials("acme").id})
    job = plan(line(), options=options)
    assert imports.apply(job, vault, imports.plan_id_of(job))
    assert Image.select().count() == 1


def test_an_import_that_just_started_keeps_its_look_ups(
    plan: PlanImport,
    make_credentials: MakeCredentials,
    vault: Vault,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(CLOUDS["aws"], "describe", lambda *_: details())
    options = ImportOptions(look_up=True, credentials={"aws": make_credentials("acme").id})
    job = plan(line(), options=options)
    plan_id = imports.plan_id_of(job)
    Job.update(state="running").where(Job.id == job.id).execute()
    monkeypatch.setattr(imports, "VALID_SECONDS", -1)
    with pytest.raises(PlannedAgain):
        imports.apply(job, vault, plan_id)
    (row,) = JobRow.select().where(JobRow.job == job)
    assert row.arguments["look_up_result"]
