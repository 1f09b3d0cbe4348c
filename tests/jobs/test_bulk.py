"""Bulk actions: the preview, and whether the job has the effect that the preview shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from flask import Flask

import models
from models import AuditEntry, Image, Job, JobRow, LifeCycle, Scope
from tests.conftest import (
    ActorOf,
    MakeCredentials,
    MakeImage,
    ScopeAt,
    choices,
    details,
    receipt,
    reload,
)
from tests.jobs.threads import wait_for_job
from webapp.access import Actor, Forbidden
from webapp.clouds import CLOUDS
from webapp.clouds.details import ImageState
from webapp.clouds.errors import CloudUnreachable, ImageNotFound
from webapp.clouds.locators import Locator
from webapp.credentials.vault import Vault
from webapp.images import deletion, editing, life_cycle, registration
from webapp.images.choices import choices_of
from webapp.images.life_cycle import InvalidLifeCycle, LifeCyclePlan
from webapp.images.successors import InvalidSuccessor
from webapp.jobs import actions, bulk, bulk_actions, runner, store
from webapp.jobs.bulk import Selection, TooManyImages
from webapp.jobs.bulk_actions import ACTIONS
from webapp.search import planner
from webapp.search.counts import Count
from webapp.search.parser import parse
from webapp.search.query import OWNED_OR_INHERITED

RunAction = Callable[..., Job]


@pytest.fixture
def run_action(editor: Actor, acme: Scope, vault: Vault) -> RunAction:
    """Return a function that applies an action at acme.

    `images` is a list of images, or a search that selects all matching images.
    """

    def run_action(key: str, images: Sequence[Image] | str, **arguments: object) -> Job:
        job = bulk.start_action(editor, acme, vault, ACTIONS[key], select(images), arguments)
        job = wait_for_job(job)
        assert job.state == "done"
        return job

    return run_action


def select(images: Sequence[Image] | str) -> Selection:
    if isinstance(images, str):
        return Selection(query=parse(images))
    return Selection([image.id for image in images])


def life_cycle_arguments(
    days: int = 0, reason: str = "", successor: int | None = None
) -> dict[str, object]:
    """Return the arguments of a life-cycle action that takes effect `days` days from today."""
    day = models.today() + timedelta(days=days)
    return {"on": day.isoformat(), "reason": reason, "successor": successor}


def outcomes_by_subject(job: Job) -> dict[str, tuple[str, str]]:
    """Return the outcome and message of each row by its subject."""
    rows = JobRow.select().where(JobRow.job == job)
    return {row.subject: (row.outcome, row.message) for row in rows}


def test_every_action_is_registered_as_a_job(app: Flask) -> None:
    for action in ACTIONS.values():
        job_action = actions.JOB_ACTIONS[action.job_action.key]
        assert job_action.title == action.title
        assert len(job_action.key) <= Job.action.max_length


def test_an_environment_cannot_share(scope: ScopeAt) -> None:
    available = {action.key for action in bulk_actions.available_actions(scope("acme/production"))}
    assert available == ACTIONS.keys() - {"share", "unshare"}
    assert [action.key for action in bulk_actions.available_actions(scope(""))] == list(ACTIONS)


def test_a_preview_counts_the_selected_images(
    make_image: MakeImage, editor: Actor, acme: Scope, scope: ScopeAt
) -> None:
    images = [
        make_image("acme", 1, name="shared"),
        make_image("acme", 2, name="not shared", shared=False),
        make_image("", 3, name="inherited"),
        make_image("globex", 4, name="not seen"),
        make_image("acme/production", 5, name="below"),
    ]
    found = bulk.preview_action(editor, acme, ACTIONS["unshare"], select(images))
    assert (found.changed, found.unchanged, found.inherited, found.owned) == (1, 1, 1, 2)
    assert list(found.names) == ["shared"]
    below = [scope("acme/production"), scope("acme/staging")]
    assert found.hidden_from.rows == below
    found = bulk.preview_action(editor, acme, ACTIONS["share"], select(images))
    assert (list(found.names), found.hidden_from.rows) == (["not shared"], [])
    found = bulk.preview_action(editor, acme, ACTIONS["delete"], select(images))
    assert (found.changed, found.hidden_from.rows) == (2, below)
    found = bulk.preview_action(editor, acme, ACTIONS["delete"], select([images[1]]))
    assert found.hidden_from.rows == []


def test_a_preview_counts_the_scopes_below_even_if_many_images_match_here(
    make_image: MakeImage, editor: Actor, acme: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planner, "COUNT_LIMIT", 3)
    for number in range(5):
        make_image("acme", number, name="golden")
    for number in range(5, 8):
        make_image("acme/production", number, name="golden")

    def below(text: str) -> Count:
        return bulk.preview_action(editor, acme, ACTIONS["unshare"], select(text)).below

    assert below("golden") == Count(0)
    assert below("in:below golden") == below("in:below owner:below golden") == Count(3)
    assert below("in:below golden -owner:below") == Count(0)
    make_image("acme/staging", 8, name="golden")
    assert below("in:below golden") == Count(3, exact=False)
    assert below("in:below os:ubuntu") == Count(4)  # Facet groups always know the exact number.


def test_a_preview_counts_all_matching_images(
    make_image: MakeImage, editor: Actor, acme: Scope
) -> None:
    for number in range(bulk.PREVIEW_NAMES + 5):
        make_image("acme", number, name=f"ubuntu {number:02}", agent_installed=number == 0)
    make_image("acme", 90, os_family="debian", os_version="13")
    make_image("", 91)
    found = bulk.preview_action(editor, acme, ACTIONS["agent"], select("os:ubuntu"))
    assert (found.changed, found.unchanged, found.inherited) == (bulk.PREVIEW_NAMES + 4, 1, 1)
    assert list(found.names) == [
        f"ubuntu {number:02}" for number in range(1, bulk.PREVIEW_NAMES + 1)
    ]
    assert found.owned == bulk.PREVIEW_NAMES + 5
    everything = bulk.preview_action(
        editor, acme, ACTIONS["agent"], Selection(query=OWNED_OR_INHERITED)
    )
    assert everything.owned == bulk.PREVIEW_NAMES + 6


@pytest.mark.parametrize(
    ("key", "plan", "is_no_op"),
    [
        ("restore", LifeCyclePlan(), True),
        ("restore", LifeCyclePlan(models.today()), False),
        ("restore", LifeCyclePlan(None, models.today() + timedelta(days=9)), False),
        ("deprecate", LifeCyclePlan(models.today()), False),
    ],
)
def test_a_preview_counts_the_images_that_will_not_change(
    make_image: MakeImage,
    editor: Actor,
    acme: Scope,
    key: str,
    plan: LifeCyclePlan,
    is_no_op: bool,
) -> None:
    image = make_image("acme")
    life_cycle.change(editor, image, plan)
    found = bulk.preview_action(editor, acme, ACTIONS[key], select([image]))
    assert (found.unchanged == 1) is is_no_op


@pytest.mark.parametrize(
    ("key", "field", "value"),
    [
        ("share", "shared", True),
        ("unshare", "shared", False),
        ("agent", "agent_installed", True),
        ("no-agent", "agent_installed", False),
    ],
)
def test_changing_one_field(
    make_image: MakeImage, run_action: RunAction, key: str, field: str, value: bool
) -> None:
    images = [
        make_image("acme", 1, name="same", **{field: value}),
        make_image("acme", 2, name="different", **{field: not value}),
    ]
    before = [choices_of(image) for image in images]
    job = run_action(key, images)
    assert outcomes_by_subject(job) == {"same": ("unchanged", ""), "different": ("done", "")}
    after = [choices_of(reload(image)) for image in images]
    assert after[0] == before[0]
    assert after[1] == choices(name="different", **{field: value})
    (entry,) = AuditEntry.select().where(AuditEntry.action == "image.edit")
    assert (entry.record, entry.changes) == (images[1].reference, {field: [not value, value]})
    assert entry.job_id == job.id


def test_setting_the_operating_system(make_image: MakeImage, run_action: RunAction) -> None:
    images = [make_image("acme", number, name=f"image {number}") for number in (1, 2)]
    job = run_action("os", images, **bulk_actions.operating_system_arguments("debian", "13"))
    assert store.outcome_counts(job) == {"done": 2}
    for image in map(reload, images):
        assert (image.os_family, image.os_version) == ("debian", "13")
        assert image.os_version_key == "0000000013" or image.os_version_key.endswith("13")
    assert store.outcome_counts(
        run_action("os", images, **bulk_actions.operating_system_arguments("debian", "13"))
    ) == {"unchanged": 2}


def test_adding_and_removing_tags_keeps_the_other_tags(
    make_image: MakeImage, run_action: RunAction
) -> None:
    full = [f"tag{number}" for number in range(50)]
    images = [
        make_image("acme", 1, name="plain"),
        make_image("acme", 2, name="other", tags=["tier=1"]),
        make_image("acme", 3, name="has it", tags=["CIS", "team=web"]),
        make_image("acme", 4, name="full", tags=full),
    ]
    job = run_action("tag", images, **bulk_actions.tag_arguments(["cis", "team=web"]))
    message = "This image has 50 tags. With the new tags, it would have more than 50."
    assert outcomes_by_subject(job) == {
        "plain": ("done", ""),
        "other": ("done", ""),
        "has it": ("unchanged", ""),
        "full": ("refused", message),
    }
    tags = [reload(image).tags for image in images[:3]]
    assert tags == [["cis", "team=web"], ["cis", "team=web", "tier=1"], ["CIS", "team=web"]]
    run_action("untag", "tag:cis", **bulk_actions.tag_arguments(["CIS", "team"]))
    tags = [reload(image).tags for image in images[:3]]
    assert tags == [["team=web"], ["team=web", "tier=1"], ["team=web"]]


def test_adding_a_tag_is_no_conflict_with_tags_that_somebody_added_since_the_preview(
    make_image: MakeImage, actor_of: ActorOf, editor: Actor, acme: Scope, vault: Vault
) -> None:
    image = make_image("acme", tags=["cis"])
    seen = bulk.preview_action(editor, acme, ACTIONS["tag"], select([image])).revisions
    editing.edit_fields(actor_of("account-admin"), reload(image), {"tags": ["cis", "theirs"]})
    for key, tags in (("tag", ["mine"]), ("untag", ["cis"])):
        job = bulk.start_action(
            editor, acme, vault, ACTIONS[key], select([image]),
            bulk_actions.tag_arguments(tags), revisions=seen,
        )  # fmt: skip
        assert store.outcome_counts(wait_for_job(job)) == {"done": 1}
    assert reload(image).tags == ["mine", "theirs"]


def test_changing_the_life_cycle_of_several_images(
    make_image: MakeImage, run_action: RunAction
) -> None:
    images = [make_image("acme", number, name=f"image {number}") for number in (1, 2)]
    successor = make_image("acme", 3, name="newer")
    run_action("deprecate", images, **life_cycle_arguments(reason="Old.", successor=successor.id))
    expected = LifeCyclePlan(models.today(), None, "Old.", successor.id)
    assert [life_cycle.plan_of(reload(image)) for image in images] == [expected] * 2
    later = models.today() + timedelta(days=30)
    # An empty reason and successor stay unchanged.
    run_action("retire", images, **life_cycle_arguments(days=30))
    expected = LifeCyclePlan(models.today(), later, "Old.", successor.id)
    assert [life_cycle.plan_of(reload(image)) for image in images] == [expected] * 2
    # A bulk action must not cancel a retirement, because the person did not see its date.
    job = run_action("deprecate", images, **life_cycle_arguments())
    assert store.outcome_counts(job) == {"refused": 2}
    run_action("restore", images)
    assert {reload(image).status for image in images} == {LifeCycle.ACTIVE}
    assert [life_cycle.plan_of(reload(image)) for image in images] == [LifeCyclePlan()] * 2


@pytest.mark.parametrize("key", ["deprecate", "retire"])
def test_an_image_that_already_has_the_status_keeps_it(
    make_image: MakeImage, run_action: RunAction, key: str
) -> None:
    active, image = make_image("acme", 1, name="active"), make_image("acme", 2, name="old")
    run_action(key, [image], **life_cycle_arguments(reason="Old.", successor=active.id))
    before = life_cycle.plan_of(reload(image))
    job = run_action(key, [active, image], **life_cycle_arguments(days=30))
    since = f"This image has been {key}d since {models.today().isoformat()}."
    assert outcomes_by_subject(job) == {"active": ("done", ""), "old": ("unchanged", since)}
    assert life_cycle.plan_of(reload(image)) == before
    job = run_action(key, [image], **life_cycle_arguments(days=30, reason="Very old."))
    assert outcomes_by_subject(job) == {"old": ("done", since)}
    assert life_cycle.plan_of(reload(image)) == replace(before, reason="Very old.")
    run_action(key, [image], **life_cycle_arguments(days=-1))
    plan = life_cycle.plan_of(reload(image))
    assert models.today() - timedelta(days=1) in {plan.deprecated_on, plan.retired_on}


def test_an_image_cannot_be_its_own_successor(make_image: MakeImage, run_action: RunAction) -> None:
    image, successor = make_image("acme", 1, name="old"), make_image("acme", 2, name="new")
    job = run_action("deprecate", "owner:here", **life_cycle_arguments(successor=successor.id))
    assert outcomes_by_subject(job) == {
        "old": ("done", ""),
        "new": ("refused", "An image can’t be its own successor. Choose another image."),
    }
    assert reload(image).successor == successor
    assert reload(successor).status is LifeCycle.ACTIVE


def test_invalid_arguments_are_refused_before_the_job_starts(
    make_image: MakeImage, editor: Actor, acme: Scope
) -> None:
    retired = make_image("acme")
    life_cycle.retire(editor, retired, models.today())
    for reason, successor, field in [
        ("x" * 256, "", "reason"),
        ("", "nothing like it", "successor"),
        ("", str(retired.id), "successor"),
    ]:
        with pytest.raises((InvalidLifeCycle, InvalidSuccessor)) as caught:
            bulk_actions.life_cycle_arguments(acme, models.today(), reason, successor)
        assert caught.value.field == field
    golden = make_image("", 2, name="golden")
    found = bulk_actions.life_cycle_arguments(acme, models.today(), "Old.", "golden")
    assert found == life_cycle_arguments(reason="Old.", successor=golden.id)


def test_check_reports_the_outcome_of_each_image(
    make_image: MakeImage,
    make_credentials: MakeCredentials,
    run_action: RunAction,
    editor: Actor,
    acme: Scope,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number, name in enumerate(("same", "changed", "gone", "unreachable"), start=1):
        make_image("acme", number, name=name)
    deleted = make_credentials("acme", "deleted")
    registration.register(editor, acme, receipt(deleted, 5), choices(name="without credentials"))
    deleted.delete_instance()
    imported = make_image("acme", 6, name="imported")
    imported.credentials, imported.credentials_name = None, ""
    imported.save()

    def describe(_credentials: object, locator: Locator) -> object:
        number = int(locator.image_id.removeprefix("ami-"), 16)
        if number == 3:
            raise ImageNotFound("There is no such image.")
        if number == 4:
            raise CloudUnreachable("AWS does not answer.")
        return details(state=ImageState.PENDING) if number == 2 else details()

    monkeypatch.setattr(CLOUDS["aws"], "describe", describe)
    outcomes = outcomes_by_subject(run_action("check", "owner:here"))
    assert outcomes["same"] == ("unchanged", "")
    assert outcomes["changed"][0] == outcomes["gone"][0] == "done"
    assert "State" in outcomes["changed"][1]
    assert outcomes["unreachable"] == (
        "refused",
        "AWS does not answer. The registry tried 5 times.",
    )
    kind, message = outcomes["without credentials"]
    assert kind == "refused"
    assert "The credentials last used for this image have been deleted" in message
    assert "was registered without credentials" in outcomes["imported"][1]
    states = {image.name: image.state for image in Image.select()}
    assert (states["changed"], states["gone"], states["unreachable"]) == (
        "pending", "gone", "available",
    )  # fmt: skip


def test_a_check_verifies_an_image(
    make_credentials: MakeCredentials, run_action: RunAction, editor: Actor, acme: Scope,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    registration.register_unverified(
        editor, acme, "aws", Locator("us-east-1", "ami-0000000000000000a"), choices(),
        details=details(), credentials_id=make_credentials().id,
    )  # fmt: skip
    monkeypatch.setattr(CLOUDS["aws"], "describe", lambda *_arguments: details())
    run_action("check", "verified:no")
    assert Image.get().verified


def test_undoing_a_deletion_restores_what_was_not_registered_again(
    make_image: MakeImage, run_action: RunAction, editor: Actor, acme: Scope, vault: Vault
) -> None:
    images = [make_image("acme", number, name=f"image {number}") for number in (1, 2, 3)]
    inherited = make_image("", 4)
    life_cycle.deprecate(editor, images[0], models.today(), "", images[1].id)
    job = run_action("delete", "")
    assert store.outcome_counts(job) == {"done": 3}
    assert list(Image.select()) == [inherited]
    assert bulk.can_be_undone(job)
    assert store.visible_image_ids(acme, store.list_rows(job)[0]) == set()
    make_image("acme", 3)
    restore_job = bulk.restore_batch(editor, acme, vault, job.arguments["batch"])
    assert restore_job is not None
    assert outcomes_by_subject(restore_job) == {
        "image 1": ("done", ""),
        "image 2": ("done", ""),
        "image 3": ("refused", "This image is already registered at Account acme."),
    }
    assert reload(images[0]).successor == images[1]
    assert store.visible_image_ids(acme, store.list_rows(job)[0]) == {images[0].id, images[1].id}
    # The job can be undone as long as one image of the batch can still be restored.
    assert bulk.can_be_undone(job)
    Image.delete().where(Image.name == "noble", Image.scope == acme).execute()
    assert bulk.restore_batch(editor, acme, vault, job.arguments["batch"]) is not None
    assert not bulk.can_be_undone(job)
    assert bulk.restore_batch(editor, acme, vault, job.arguments["batch"]) is None
    assert {image.id for image in Image.select()} == {*(each.id for each in images), inherited.id}


def test_only_a_deletion_can_be_undone(
    make_image: MakeImage, run_action: RunAction, editor: Actor
) -> None:
    image = make_image("acme")
    assert not bulk.can_be_undone(run_action("unshare", [image]))
    deletion.delete(editor, reload(image))
    assert not bulk.can_be_undone(run_action("restore", []))


def test_an_image_is_deleted_after_its_successor(
    make_image: MakeImage, run_action: RunAction, editor: Actor, acme: Scope
) -> None:
    successor, old = make_image("acme", 1, name="new"), make_image("acme", 2, name="old")
    life_cycle.deprecate(editor, old, models.today(), "", successor.id)
    job = run_action("delete", [successor, old], batch=deletion.new_batch())
    assert store.outcome_counts(job) == {"done": 2}
    deletion.restore_batch(editor, acme, job.arguments["batch"])
    assert reload(old).successor == successor


def test_images_of_other_scopes_are_never_changed(
    make_image: MakeImage, run_action: RunAction
) -> None:
    others = [make_image(path, 1) for path in ("globex", "acme/production")]
    others.append(make_image("", 2))
    assert run_action("delete", others).total == 0
    assert run_action("delete", "").total == 0
    assert {image.id for image in Image.select()} == {image.id for image in others}


def test_an_image_that_was_promoted_or_deleted_is_refused(
    make_image: MakeImage, editor: Actor, acme: Scope, vault: Vault, scope: ScopeAt
) -> None:
    names = ("stays", "promoted", "deleted")
    stays, promoted, deleted = (
        make_image("acme", number, name=name) for number, name in enumerate(names)
    )
    rows = [JobRow(image_id=each.id, subject=each.name) for each in (stays, promoted, deleted)]
    job = store.create_job(editor, acme, ACTIONS["no-agent"].job_action.key, {}, rows)
    Image.update(scope=scope("")).where(Image.id == promoted.id).execute()
    deletion.delete(editor, deleted)
    runner.start_job(job, vault, process_if_short=True)
    refusal = ("refused", "Account acme no longer owns this image.")
    assert outcomes_by_subject(job) == {
        "stays": ("done", ""),
        "promoted": refusal,
        "deleted": refusal,
    }
    assert reload(promoted).agent_installed


def test_a_bulk_action_has_a_limited_number_of_images(
    make_image: MakeImage, editor: Actor, acme: Scope, vault: Vault,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    images = [make_image("acme", number) for number in (1, 2, 3)]
    monkeypatch.setattr(bulk, "MAX_IMAGES", 2)
    for selection in (select(images), Selection(query=OWNED_OR_INHERITED)):
        with pytest.raises(
            TooManyImages, match="You selected 3 images, but a bulk action can change at most 2"
        ):
            bulk.preview_action(editor, acme, ACTIONS["delete"], selection)
        with pytest.raises(TooManyImages, match="Narrow your search"):
            bulk.start_action(editor, acme, vault, ACTIONS["delete"], selection, {})
    assert not Job.select().exists()


@pytest.mark.parametrize("who", ["account-viewer", "environment-admin", "stranger"])
def test_only_editors_can_use_bulk_actions(
    make_image: MakeImage, actor_of: ActorOf, acme: Scope, vault: Vault, who: str
) -> None:
    selection, batch = select([make_image("acme")]), deletion.new_batch()
    actor = actor_of(who)
    for call in (
        lambda: bulk.preview_action(actor, acme, ACTIONS["delete"], selection),
        lambda: bulk.start_action(actor, acme, vault, ACTIONS["delete"], selection, {}),
        lambda: bulk.restore_batch(actor, acme, vault, batch),
    ):
        with pytest.raises(Forbidden):
            call()
    assert not Job.select().exists()
