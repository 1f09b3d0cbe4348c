"""Two people change one image in random order: no change disappears without being shown."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

import models
from models import Image, JobRow, transaction
from tests.conftest import ActorOf, MakeImage
from webapp.access import Actor
from webapp.credentials.vault import Vault
from webapp.images import deletion, editing, life_cycle, sharing
from webapp.images.choices import choices_of
from webapp.jobs.bulk_actions import ACTIONS, Arguments
from webapp.revisions.conflicts import EditConflict

PEOPLE = ("account-editor", "account-admin")
NAMES = st.sampled_from(["first", "second", "third"])
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "name": NAMES,
        "size_gb": st.sampled_from([None, 8, 20]),
        "agent_installed": st.booleans(),
        "shared": st.booleans(),
        "os_version": st.sampled_from(["22.04", "24.04"]),
    },
)
DAYS = st.integers(0, 3)
BULK_TAGS = ["cis", "team=web"]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(PEOPLE),
        st.one_of(
            st.just(("open", None)),
            st.just(("open", None)),
            st.tuples(st.just("edit"), CHANGES),
            st.tuples(st.just("share"), st.booleans()),
            st.tuples(st.sampled_from(["deprecate", "retire"]), st.tuples(DAYS, NAMES)),
            st.just(("activate", None)),
            st.tuples(st.just("bulk"), st.sampled_from(sorted(set(ACTIONS) - {"check"}))),
            st.just(("delete", None)),
            st.just(("check", None)),
        ),
    ),
    min_size=2,
    max_size=14,
)
_numbers = count(1)


def values_of(image: Image) -> dict[str, Any]:
    """Return everything that people edit."""
    return {**asdict(choices_of(image)), **asdict(life_cycle.plan_of(image))}


@dataclass
class Race:
    """One image, the versions that it had, and the revision that each person saw last."""

    image_id: int
    vault: Vault
    versions: dict[int, dict[str, Any]] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)
    batch: str = ""

    def stored(self) -> Image | None:
        image: Image | None = Image.get_or_none(Image.id == self.image_id)
        if image is not None:
            self.versions[image.revision] = values_of(image)
        return image

    def do(self, actor: Actor, step: str, argument: Any) -> None:
        before = self.stored()
        who = actor.person.name
        if before is None:
            # Everybody sees that the image is deleted. The person undoes the deletion.
            deletion.restore_batch(actor, acme(), self.batch)
            restored = self.stored()
            assert restored is not None
            deleted = self.versions[restored.revision - 1]
            assert self.versions[restored.revision] == deleted
            return
        if step == "open":
            self.seen[who] = before.revision
            return
        if step == "check":
            Image.update_all(checked_at=models.now()).where(Image.id == self.image_id).execute()
            return
        based_on = self.seen[who]
        saw, overwritten = self.versions[based_on], values_of(before)
        try:
            self._save(actor, before, step, argument, based_on)
        except EditConflict as conflict:
            event("conflict")
            shown = {change.field for change in conflict.changes}
            assert shown
            self.seen[who] = conflict.revision
            assert values_of(self._reloaded()) == overwritten
            return
        after = self.stored()
        event("saved")
        changed = {
            name
            for name, value in overwritten.items()
            if after is None or values_of(after)[name] != value
        }
        if step == "bulk" and argument in {"tag", "untag"} and after is not None:
            # These actions change only the tags that they name, whatever the others are.
            assert set(after.tags) ^ set(overwritten["tags"]) <= set(BULK_TAGS)
            changed.discard("tags")
        for name in changed:
            assert saw[name] == overwritten[name], (step, name)

    def _reloaded(self) -> Image:
        image = self.stored()
        assert image is not None
        return image

    def _save(self, actor: Actor, image: Image, step: str, argument: Any, based_on: int) -> None:
        # Every person works on what they saw, not on what is stored.
        form = {**self.versions[based_on]}
        choice_names = asdict(choices_of(image)).keys()
        today = models.today()
        match step:
            case "edit":
                typed = {name: form[name] for name in choice_names} | argument
                editing.edit_fields(actor, image, typed, based_on)
            case "share":
                sharing.set_shared(actor, image, shared=argument, based_on=based_on)
            case "deprecate" | "retire":
                days, reason = argument
                save = life_cycle.deprecate if step == "deprecate" else life_cycle.retire
                day = today + timedelta(days=days)
                save(actor, image, day, reason, None, based_on)
            case "activate":
                life_cycle.make_active(actor, image, based_on)
            case "delete":
                self.batch = deletion.delete(actor, image, based_on=based_on)
            case _:
                self._bulk(actor, argument, based_on)

    def _bulk(self, actor: Actor, key: str, based_on: int) -> None:
        """Process the row of a bulk action whose preview showed the revision `based_on`."""
        self.batch = deletion.new_batch()
        arguments: Arguments = {
            "os_family": "ubuntu",
            "os_version": "22.04",
            "on": models.today().isoformat(),
            "reason": "bulk",
            "successor": None,
            "tags": BULK_TAGS,
            "batch": self.batch,
        }
        row = JobRow(image_id=self.image_id, subject="", arguments={"revision": based_on})
        with transaction():
            process_row = ACTIONS[key].job_action.process_row
            outcome = process_row(actor, acme(), arguments, row, self.vault)
        event(f"bulk {outcome.kind}")


def acme() -> models.Scope:
    scope: models.Scope = models.Scope.get(models.Scope.path == "acme")
    return scope


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=STEPS)
def test_no_saved_change_disappears_without_being_shown(
    make_image: MakeImage, actor_of: ActorOf, vault: Vault, steps: list[Any]
) -> None:
    image = make_image("acme", next(_numbers))
    race = Race(image.id, vault, seen=dict.fromkeys(PEOPLE, image.revision))
    race.stored()
    actors: dict[str, Actor] = {who: actor_of(who) for who in PEOPLE}
    for who, (step, argument) in steps:
        race.do(actors[who], step, argument)
