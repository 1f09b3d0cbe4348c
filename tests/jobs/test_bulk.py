"""The same action on many images: what it says that it would do, and that it does just that."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest

import models
from models import AuditEntry, Image, Job, JobRow, LifeCycle, Scope
from tests.conftest import MakeCredentials, MakeImage, choices, details, receipt
from webapp.access import Actor, Forbidden
from webapp.clouds import CLOUDS
from webapp.clouds.base import CloudUnreachable, ImageNotFound, ImageState, Locator
from webapp.credentials.vault import Vault
from webapp.images import deleted_images, life_cycle, registration
from webapp.images.life_cycle import Life, LifeCycleError
from webapp.jobs import bulk
from webapp.jobs import runner as jobs
from webapp.jobs.bulk import ACTIONS, Selection, TooMany
from webapp.search.language import EVERYTHING, parse

Actors = Callable[[str], Actor]
Scopes = Callable[[str], Scope]
Run = Callable[..., Job]


@pytest.fixture
def editor(actor_of: Actors) -> Actor:
    return actor_of("account-editor")


@pytest.fixture
def acme(scope: Scopes) -> Scope:
    return scope("acme")


@pytest.fixture
def run(editor: Actor, acme: Scope, vault: Vault) -> Run:
    """Does it to the images, or to all that match a text, at acme and as its editor."""

    def run(key: str, chosen: Sequence[Image] | str, **arguments: object) -> Job:
        job = bulk.start(editor, acme, vault, ACTIONS[key], selected(chosen), arguments)
        for thread in threading.enumerate():
            if thread.name == f"job-{job.id}":
                thread.join(30)
        done: Job = Job.get_by_id(job.id)
        assert done.state == "done"
        return done

    return run


def selected(chosen: Sequence[Image] | str) -> Selection:
    if isinstance(chosen, str):
        return Selection(query=parse(chosen))
    return Selection([image.id for image in chosen])


def life(on: int = 0, reason: str = "", successor: int | None = None) -> dict[str, object]:
    """As `life_arguments` makes it; `on` is so many days from now."""
    day = models.today() + timedelta(days=on)
    return {"on": day.isoformat(), "reason": reason, "successor": successor}


def stored(image: Image) -> Image:
    found: Image = Image.get_by_id(image.id)
    return found


def told(job: Job) -> dict[str, tuple[str, str]]:
    """Outcome and message of each row by its name."""
    rows = JobRow.select().where(JobRow.job == job)
    return {row.subject: (row.outcome, row.message) for row in rows}


def test_every_action_has_its_worker() -> None:
    for action in ACTIONS.values():
        assert jobs.LABELS[action.job] == action.label
        assert len(action.job) <= Job.action.max_length


def test_an_environment_shares_with_nobody(scope: Scopes) -> None:
    offered = {action.key for action in bulk.offered(scope("acme/production"))}
    assert offered == ACTIONS.keys() - {"share", "unshare"}
    assert [action.key for action in bulk.offered(scope(""))] == list(ACTIONS)


def test_a_preview_of_chosen_images(
    make_image: MakeImage, editor: Actor, acme: Scope, scope: Scopes
) -> None:
    images = [
        make_image("acme", 1, name="shared"),
        make_image("acme", 2, name="not shared", shared=False),
        make_image("", 3, name="inherited"),
        make_image("globex", 4, name="not seen"),
        make_image("acme/production", 5, name="below"),
    ]
    found = bulk.preview(editor, acme, ACTIONS["unshare"], selected(images))
    assert (found.changed, found.unchanged, found.inherited, found.own) == (1, 1, 1, 2)
    assert list(found.names) == ["shared"]
    below = [scope("acme/production"), scope("acme/staging")]
    assert list(found.loses_sight) == below
    found = bulk.preview(editor, acme, ACTIONS["share"], selected(images))
    assert (list(found.names), list(found.loses_sight)) == (["not shared"], [])
    found = bulk.preview(editor, acme, ACTIONS["delete"], selected(images))
    assert (found.changed, list(found.loses_sight)) == (2, below)
    found = bulk.preview(editor, acme, ACTIONS["delete"], selected([images[1]]))
    assert list(found.loses_sight) == []


def test_a_preview_of_all_that_match(make_image: MakeImage, editor: Actor, acme: Scope) -> None:
    for number in range(bulk.SAMPLE + 5):
        make_image("acme", number, name=f"ubuntu {number:02}", agent_installed=number == 0)
    make_image("acme", 90, os_family="debian", os_version="13")
    make_image("", 91)
    found = bulk.preview(editor, acme, ACTIONS["agent"], selected("os:ubuntu"))
    assert (found.changed, found.unchanged, found.inherited) == (bulk.SAMPLE + 4, 1, 1)
    assert list(found.names) == [f"ubuntu {number:02}" for number in range(1, bulk.SAMPLE + 1)]
    assert bulk.count(editor, acme, selected("os:ubuntu")) == bulk.SAMPLE + 5
    assert bulk.count(editor, acme, Selection(query=EVERYTHING)) == bulk.SAMPLE + 6


@pytest.mark.parametrize(
    ("key", "life_now", "already"),
    [
        ("restore", Life(), True),
        ("restore", Life(models.today()), False),
        ("restore", Life(None, models.today() + timedelta(days=9)), False),
        ("deprecate", Life(models.today()), False),
    ],
)
def test_what_is_so_already(
    make_image: MakeImage, editor: Actor, acme: Scope, key: str, life_now: Life, already: bool
) -> None:
    image = make_image("acme")
    life_cycle.change(editor, image, life_now)
    found = bulk.preview(editor, acme, ACTIONS[key], selected([image]))
    assert (found.unchanged == 1) is already


@pytest.mark.parametrize(
    ("key", "field", "value"),
    [
        ("share", "shared", True),
        ("unshare", "shared", False),
        ("agent", "agent_installed", True),
        ("no-agent", "agent_installed", False),
    ],
)
def test_choices(make_image: MakeImage, run: Run, key: str, field: str, value: bool) -> None:
    images = [
        make_image("acme", 1, name="was so", **{field: value}),
        make_image("acme", 2, name="was not", **{field: not value}),
    ]
    before = [registration.choices_of(image) for image in images]
    job = run(key, images)
    assert told(job) == {"was so": ("unchanged", ""), "was not": ("done", "")}
    after = [registration.choices_of(stored(image)) for image in images]
    assert after[0] == before[0]
    assert after[1] == choices(name="was not", **{field: value})
    (entry,) = AuditEntry.select().where(AuditEntry.action == "image.edit")
    assert (entry.image_id, entry.changes) == (images[1].id, {field: [not value, value]})


def test_the_operating_system(make_image: MakeImage, run: Run) -> None:
    images = [make_image("acme", number, name=f"image {number}") for number in (1, 2)]
    job = run("os", images, **bulk.os_arguments("debian", "13"))
    assert jobs.summary(job) == {"done": 2}
    for image in map(stored, images):
        assert (image.os_family, image.os_version) == ("debian", "13")
        assert image.os_version_key == "0000000013" or image.os_version_key.endswith("13")
    assert jobs.summary(run("os", images, **bulk.os_arguments("debian", "13"))) == {"unchanged": 2}


def test_the_life_of_many(make_image: MakeImage, run: Run) -> None:
    images = [make_image("acme", number, name=f"image {number}") for number in (1, 2)]
    successor = make_image("acme", 3, name="newer")
    run("deprecate", images, **life(reason="Old.", successor=successor.id))
    expected = Life(models.today(), None, "Old.", successor.id)
    assert [life_cycle.of(stored(image)) for image in images] == [expected] * 2
    later = models.today() + timedelta(days=30)
    # What is not said again stays.
    run("retire", images, **life(on=30))
    expected = Life(models.today(), later, "Old.", successor.id)
    assert [life_cycle.of(stored(image)) for image in images] == [expected] * 2
    # Nobody looked at each, so none is taken out of its retirement by the way.
    job = run("deprecate", images, **life())
    assert jobs.summary(job) == {"refused": 2}
    run("restore", images)
    assert {stored(image).status for image in images} == {LifeCycle.ACTIVE}
    assert [life_cycle.of(stored(image)) for image in images] == [Life()] * 2


def test_the_successor_itself_is_left_out(make_image: MakeImage, run: Run) -> None:
    image, successor = make_image("acme", 1, name="old"), make_image("acme", 2, name="new")
    job = run("deprecate", "owner:here", **life(successor=successor.id))
    assert told(job) == {
        "old": ("done", ""),
        "new": ("refused", "An image cannot be its own successor."),
    }
    assert stored(image).successor == successor
    assert stored(successor).status is LifeCycle.ACTIVE


def test_what_no_image_could_take_is_refused_at_once(
    make_image: MakeImage, editor: Actor, acme: Scope
) -> None:
    retired = make_image("acme")
    life_cycle.retire(editor, retired, models.today())
    for reason, successor, field in [
        ("x" * 256, "", "reason"),
        ("", "nothing like it", "successor"),
        ("", str(retired.id), "successor"),
    ]:
        with pytest.raises(LifeCycleError) as caught:
            bulk.life_arguments(acme, models.today(), reason, successor)
        assert caught.value.field == field
    golden = make_image("", 2, name="golden")
    found = bulk.life_arguments(acme, models.today(), "Old.", "golden")
    assert found == life(reason="Old.", successor=golden.id)


def test_check_tells_of_each(
    make_image: MakeImage, make_credentials: MakeCredentials, run: Run, editor: Actor, acme: Scope,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for number, name in enumerate(("same", "changed", "gone", "unreachable"), start=1):
        make_image("acme", number, name=name)
    leaving = make_credentials("acme", "leaving")
    registration.register(editor, acme, receipt(leaving, 5), choices(name="without credentials"))
    leaving.delete_instance()

    def describe(_credentials: object, locator: Locator) -> object:
        number = int(locator.image_id.removeprefix("ami-"), 16)
        if number == 3:
            raise ImageNotFound("There is no such image.")
        if number == 4:
            raise CloudUnreachable("AWS does not answer.")
        return details(state=ImageState.PENDING) if number == 2 else details()

    monkeypatch.setattr(CLOUDS["aws"], "describe", describe)
    found = told(run("check", "owner:here"))
    assert found["same"] == ("unchanged", "")
    assert found["changed"][0] == found["gone"][0] == "done"
    assert "State" in found["changed"][1]
    assert found["unreachable"] == ("refused", "AWS does not answer.")
    assert found["without credentials"][0] == "refused"
    assert "“leaving” were deleted" in found["without credentials"][1]
    states = {image.name: image.state for image in Image.select()}
    assert (states["changed"], states["gone"], states["unreachable"]) == (
        "pending", "gone", "available",
    )  # fmt: skip


def test_a_check_verifies(
    make_credentials: MakeCredentials, run: Run, editor: Actor, acme: Scope,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    registration.register_unverified(
        editor, acme, "aws", Locator("us-east-1", "ami-0000000000000000a"), choices(),
        details=details(), credentials_id=make_credentials().id,
    )  # fmt: skip
    monkeypatch.setattr(CLOUDS["aws"], "describe", lambda *_given: details())
    run("check", "verified:no")
    assert Image.get().verified


def test_delete_and_undo(
    make_image: MakeImage, run: Run, editor: Actor, acme: Scope, vault: Vault
) -> None:
    images = [make_image("acme", number, name=f"image {number}") for number in (1, 2, 3)]
    inherited = make_image("", 4)
    life_cycle.deprecate(editor, images[0], models.today(), "", images[1].id)
    job = run("delete", "")
    assert jobs.summary(job) == {"done": 3}
    assert list(Image.select()) == [inherited]
    assert bulk.can_be_undone(job)
    assert bulk.still_there(acme, jobs.rows(job)[0]) == set()
    make_image("acme", 3)
    undoing = bulk.undelete(editor, acme, vault, job.arguments["batch"])
    assert undoing is not None
    assert told(undoing) == {
        "image 1": ("done", ""),
        "image 2": ("done", ""),
        "image 3": ("refused", "It was registered again meanwhile at Account acme."),
    }
    assert stored(images[0]).successor == images[1]
    assert bulk.still_there(acme, jobs.rows(job)[0]) == {images[0].id, images[1].id}
    # That of which nothing is left is told apart from the one that could be tried again.
    assert bulk.can_be_undone(job)
    Image.delete().where(Image.name == "noble", Image.scope == acme).execute()
    assert bulk.undelete(editor, acme, vault, job.arguments["batch"]) is not None
    assert not bulk.can_be_undone(job)
    assert bulk.undelete(editor, acme, vault, job.arguments["batch"]) is None
    assert {image.id for image in Image.select()} == {*(each.id for each in images), inherited.id}


def test_only_a_deletion_can_be_undone(make_image: MakeImage, run: Run, editor: Actor) -> None:
    image = make_image("acme")
    assert not bulk.can_be_undone(run("unshare", [image]))
    registration.delete(editor, image)
    assert not bulk.can_be_undone(run("restore", []))


def test_what_is_not_ones_own_is_never_touched(make_image: MakeImage, run: Run) -> None:
    others = [make_image(path, 1) for path in ("globex", "acme/production")]
    others.append(make_image("", 2))
    assert run("delete", others).total == 0
    assert run("delete", "").total == 0
    assert {image.id for image in Image.select()} == {image.id for image in others}


def test_an_image_that_is_promoted_or_deleted_meanwhile(
    make_image: MakeImage, editor: Actor, acme: Scope, vault: Vault, scope: Scopes
) -> None:
    names = ("stays", "promoted", "deleted")
    stays, promoted, deleted = (make_image("acme", at, name=name) for at, name in enumerate(names))
    rows = [JobRow(image_id=each.id, subject=each.name) for each in (stays, promoted, deleted)]
    job = jobs.create(editor, acme, ACTIONS["no-agent"].job, {}, rows)
    Image.update(scope=scope("")).where(Image.id == promoted.id).execute()
    registration.delete(editor, deleted)
    jobs.start(job, vault, wait=True)
    gone = ("refused", "Account acme does not own it any more.")
    assert told(job) == {"stays": ("done", ""), "promoted": gone, "deleted": gone}
    assert stored(promoted).agent_installed


def test_more_than_a_job_takes(
    make_image: MakeImage, editor: Actor, acme: Scope, vault: Vault,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    images = [make_image("acme", number) for number in (1, 2, 3)]
    monkeypatch.setattr(bulk, "MOST", 2)
    for selection in (selected(images), Selection(query=EVERYTHING)):
        with pytest.raises(TooMany, match="These are 3 images, and at most 2"):
            bulk.preview(editor, acme, ACTIONS["delete"], selection)
        with pytest.raises(TooMany, match="Narrow the search"):
            bulk.start(editor, acme, vault, ACTIONS["delete"], selection, {})
    assert not Job.select().exists()


@pytest.mark.parametrize("who", ["account-viewer", "environment-admin", "stranger"])
def test_only_editors(
    make_image: MakeImage, actor_of: Actors, acme: Scope, vault: Vault, who: str
) -> None:
    chosen, batch = selected([make_image("acme")]), deleted_images.new_batch()
    actor = actor_of(who)
    for act in (
        lambda: bulk.preview(actor, acme, ACTIONS["delete"], chosen),
        lambda: bulk.start(actor, acme, vault, ACTIONS["delete"], chosen, {}),
        lambda: bulk.undelete(actor, acme, vault, batch),
    ):
        with pytest.raises(Forbidden):
            act()
    assert not Job.select().exists()
