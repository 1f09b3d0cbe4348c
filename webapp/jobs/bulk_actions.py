"""The table of bulk actions, and the functions that apply an action to one image.

Every action calls the function that changes a single image, so the same rules, rights and audit
entries apply. This module must not know how images are selected.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, NamedTuple

import models
from models import Image, JobRow, Level, Scope
from webapp.access import Actor
from webapp.clouds.details import ImageState
from webapp.clouds.errors import CloudError
from webapp.credentials.vault import Vault
from webapp.images import checking, deletion, editing, life_cycle, successors
from webapp.images.choices import choices_of
from webapp.images.life_cycle import LifeCyclePlan
from webapp.jobs.actions import RETRIED_CLOUD_ERRORS, JobAction
from webapp.jobs.store import Outcome
from webapp.refusals import Refusal
from webapp.revisions.conflicts import EditConflict, require_unchanged
from webapp.values import tags
from webapp.values.text import InvalidText

Arguments = Mapping[str, Any]
ApplyToImage = Callable[[Actor, Image, Arguments, Vault], "tuple[bool, str]"]
"""Apply an action to one image.

Return whether the image changed, and a message for the person, or '' if there is no message.
"""

OPERATING_SYSTEM, LIFE_CYCLE, TAGS = "os", "life", "tags"
"""Values of `BulkAction.asks_for`.

OPERATING_SYSTEM asks for a family and a version. LIFE_CYCLE asks for a date, a reason and a
successor. TAGS asks for one or several tags.
"""


class SelectedImage(NamedTuple):
    """The image values that `BulkAction.is_no_op` and a selection need.

    The values may have the types of the database: a date can be a text, and a boolean can be a
    number. Converting the values of very many images would take a long time.
    """

    id: int
    revision: int
    name: str
    shared: bool
    agent_installed: bool
    tags: Any
    deprecated_on: Any
    retired_on: Any
    credentials_id: int | None


@dataclass(frozen=True)
class BulkAction:
    """An action that can be applied to many images.

    `label` is the name in the menu. `title` is the text of the button and of the heading;
    `{images}` in the title is replaced, for example by '12 images'. `is_no_op` returns whether the
    action would leave an image unchanged; it returns False if that depends on the arguments or on
    the cloud. `asks_for` is OPERATING_SYSTEM, LIFE_CYCLE or TAGS, or '' for an action without
    arguments.
    """

    key: str
    label: str
    title: str
    apply: ApplyToImage
    is_no_op: Callable[[Image | SelectedImage], bool] = lambda _image: False
    asks_for: str = ""
    at_environments: bool = True
    """Whether environments offer the action."""
    hides_image: bool = False
    """Whether lower scopes no longer see a shared image after the action."""
    calls_cloud: bool = False
    process_part: Callable[[Actor, Image, JobRow], Outcome | None] | None = None
    """A function for work that can be too much for one transaction.

    If the work is too much, the function does a part of it and returns the outcome. Otherwise, the
    function returns None. If this field is None, no image needs more than one transaction.
    """
    overwrites: Collection[str] | None = None
    """The fields that the action overwrites, as the audit log names them. None means all fields.

    A row is refused if people have changed one of these fields since the preview.
    """

    @property
    def job_action(self) -> JobAction:
        return JobAction(
            key=f"image-{self.key}",
            title=self.title,
            process_row=self._process_row,
            calls_cloud=self.calls_cloud,
        )

    def title_for(self, count: int) -> str:
        """Return the title for `count` images, such as 'Delete 12 images'."""
        return self.job_action.title_for(count)

    def _process_row(
        self, actor: Actor, scope: Scope, arguments: Arguments, row: JobRow, vault: Vault
    ) -> Outcome:
        image = Image(id=row.image_id)
        if not image.reload(lock=not self.calls_cloud) or image.scope_id != scope.id:
            return Outcome("refused", f"{scope.label} no longer owns this image.")
        image.scope = scope
        try:
            if not self.calls_cloud and not self.is_no_op(image):
                preview_revision = row.arguments.get("revision", image.revision)
                require_unchanged(image, preview_revision, self.overwrites)
            if self.process_part and (part := self.process_part(actor, image, row)):
                return part
            changed, message = self.apply(actor, image, {**arguments, **row.arguments}, vault)
        except EditConflict as conflict:
            message = f"{conflict.message_for(actor.person)} Review the image, then try again."
            if detached := row.arguments.get("detached"):
                # Earlier transactions have already removed this image as the successor of the
                # images in `detached`.
                message += f" It is no longer the successor of {len(detached):,} images."
            return Outcome("refused", message)
        except RETRIED_CLOUD_ERRORS:
            raise
        except (Refusal, CloudError) as error:
            return Outcome("refused", str(error))
        return Outcome("done" if changed else "unchanged", message)


def available_actions(scope: Scope) -> list[BulkAction]:
    """Return the actions that `scope` offers.

    An environment has no lower scopes, so it does not offer to share images.
    """
    is_environment = scope.level is Level.ENVIRONMENT
    return [action for action in ACTIONS.values() if action.at_environments or not is_environment]


def operating_system_arguments(family: str, version: str) -> Arguments:
    """Return the arguments of “Set operating system”."""
    return {"os_family": family, "os_version": version}


def tag_arguments(tags_to_change: Sequence[str]) -> Arguments:
    """Return the arguments of “Add tags” and “Remove tags”."""
    return {"tags": tags_to_change}


def life_cycle_arguments(scope: Scope, on: date, reason: str, successor: str) -> Arguments:
    """Return the arguments of Deprecate and Retire.

    `successor` is '' or a text that `successors.find_image` understands, for example '#12 noble'.
    Raises InvalidLifeCycle for an invalid reason, and InvalidSuccessor.
    """
    LifeCyclePlan(on, None, reason)  # Raises InvalidLifeCycle.
    successor_id = successors.parse_successor(scope, successor)
    return {"on": on.isoformat(), "reason": reason, "successor": successor_id}


def _edit(**changes: Any) -> ApplyToImage:
    """Return a function that changes these fields of an image."""

    def edit(actor: Actor, image: Image, _arguments: Arguments, _vault: Vault) -> tuple[bool, str]:
        choices = replace(choices_of(image), **changes)
        return bool(editing.edit(actor, image, choices)), ""

    return edit


def _set_operating_system(
    actor: Actor, image: Image, arguments: Arguments, _vault: Vault
) -> tuple[bool, str]:
    system = {name: arguments[name] for name in ("os_family", "os_version")}
    choices = replace(choices_of(image), **system)
    return bool(editing.edit(actor, image, choices)), ""


def _change_tags(
    change: Callable[[Sequence[str], Sequence[str]], list[str]],
) -> ApplyToImage:
    """Return a function that adds or removes tags.

    All other tags of the image stay, including tags that somebody has added since the preview.
    """

    def change_tags(
        actor: Actor, image: Image, arguments: Arguments, _vault: Vault
    ) -> tuple[bool, str]:
        try:
            changed = change(image.tags, arguments["tags"])
        except InvalidText as error:
            raise Refusal(
                f"This image has {len(image.tags)} tags. With the new tags, it would have more "
                f"than {tags.MAX_TAGS}."
            ) from error
        return bool(editing.edit_fields(actor, image, {"tags": changed})), ""

    return change_tags


def _deprecate(actor: Actor, image: Image, arguments: Arguments, _vault: Vault) -> tuple[bool, str]:
    """Deprecate the image. Raises Refusal if the image has a retirement date.

    Deprecating an image removes its retirement date. On the page of a single image, the person
    sees this date before they deprecate the image. In a bulk action, they do not see the date.
    """
    if image.retired_on is not None:
        raise Refusal("This image is retired or scheduled for retirement. Reactivate it first.")
    on, message = _day_and_message(image.deprecated_on, arguments, "deprecated")
    changed = life_cycle.deprecate(actor, image, on, *_reason_and_successor(image, arguments))
    return bool(changed), message


def _retire(actor: Actor, image: Image, arguments: Arguments, _vault: Vault) -> tuple[bool, str]:
    """Retire the image."""
    on, message = _day_and_message(image.retired_on, arguments, "retired")
    changed = life_cycle.retire(actor, image, on, *_reason_and_successor(image, arguments))
    return bool(changed), message


def _day_and_message(
    stored_day: date | None, arguments: Arguments, status: str
) -> tuple[date, str]:
    """Return the first day of a status, and a message if this is not the day in `arguments`.

    If the image already has the status, a later day in `arguments` is ignored, because the image
    would lose the status until that day.
    """
    on = date.fromisoformat(arguments["on"])
    if stored_day and stored_day <= models.today() and stored_day < on:
        return stored_day, f"This image has been {status} since {stored_day.isoformat()}."
    return on, ""


def _reason_and_successor(image: Image, arguments: Arguments) -> tuple[str, int | None]:
    """Return the reason and the successor. An empty argument leaves the stored value unchanged."""
    reason = arguments["reason"] or image.status_reason
    return reason, arguments["successor"] or image.successor_id


def _reactivate(
    actor: Actor, image: Image, _arguments: Arguments, _vault: Vault
) -> tuple[bool, str]:
    return bool(life_cycle.make_active(actor, image)), ""


def _check(actor: Actor, image: Image, _arguments: Arguments, vault: Vault) -> tuple[bool, str]:
    if image.credentials_id is None:
        if image.credentials_name:
            raise Refusal(
                "The credentials last used for this image have been deleted. Open the image, "
                "choose other credentials and select “Check now”."
            )
        raise Refusal(
            "This image was registered without credentials. Open the image, choose credentials and "
            "select “Check now”."
        )
    was_verified = image.verified
    changes = checking.check_again(actor, image, vault)
    if image.state == ImageState.GONE:
        return bool(changes), str(image.details["state_note"])
    if not was_verified:
        return True, "Found in the cloud."
    return bool(changes), f"Changed in the cloud: {', '.join(changes)}." if changes else ""


def _delete(actor: Actor, image: Image, arguments: Arguments, _vault: Vault) -> tuple[bool, str]:
    deletion.delete(actor, image, arguments["batch"], detached=arguments.get("detached", ()))
    return True, ""


def _detach_predecessors(actor: Actor, image: Image, row: JobRow) -> Outcome | None:
    """Remove the image as the successor of some of its predecessors, and return the outcome.

    A predecessor is an image whose successor is `image`. If one transaction can delete the image
    and detach all of its predecessors, do nothing and return None.
    """
    if not deletion.has_many_predecessors(image):
        return None
    detached = [
        *row.arguments.get("detached", ()),
        *deletion.detach_predecessors(actor, image),
    ]
    message = f"Removed as successor of {len(detached):,} images."
    return Outcome("", message, arguments={**row.arguments, "detached": detached})


LIFE_CYCLE_FIELDS = ("deprecated_on", "retired_on", "reason", "successor")

ACTIONS: Mapping[str, BulkAction] = {
    action.key: action
    for action in (
        BulkAction(
            key="share",
            label="Share",
            title="Share {images}",
            apply=_edit(shared=True),
            is_no_op=lambda image: bool(image.shared),
            at_environments=False,
            overwrites=("shared",),
        ),
        BulkAction(
            key="unshare",
            label="Stop sharing",
            title="Stop sharing {images}",
            apply=_edit(shared=False),
            is_no_op=lambda image: not image.shared,
            at_environments=False,
            hides_image=True,
            overwrites=("shared",),
        ),
        BulkAction(
            key="agent",
            label="Mark agent as installed",
            title="Mark agent as installed on {images}",
            apply=_edit(agent_installed=True),
            is_no_op=lambda image: bool(image.agent_installed),
            overwrites=("agent_installed",),
        ),
        BulkAction(
            key="no-agent",
            label="Mark agent as not installed",
            title="Mark agent as not installed on {images}",
            apply=_edit(agent_installed=False),
            is_no_op=lambda image: not image.agent_installed,
            overwrites=("agent_installed",),
        ),
        BulkAction(
            key="os",
            label="Set operating system",
            title="Set operating system of {images}",
            apply=_set_operating_system,
            asks_for=OPERATING_SYSTEM,
            overwrites=("os_family", "os_version"),
        ),
        BulkAction(
            key="tag",
            label="Add tags",
            title="Add tags to {images}",
            apply=_change_tags(tags.with_added),
            asks_for=TAGS,
            overwrites=(),
        ),
        BulkAction(
            key="untag",
            label="Remove tags",
            title="Remove tags from {images}",
            apply=_change_tags(tags.without),
            is_no_op=lambda image: not image.tags,
            asks_for=TAGS,
            overwrites=(),
        ),
        BulkAction(
            key="deprecate",
            label="Deprecate",
            title="Deprecate {images}",
            apply=_deprecate,
            asks_for=LIFE_CYCLE,
            overwrites=LIFE_CYCLE_FIELDS,
        ),
        BulkAction(
            key="retire",
            label="Retire",
            title="Retire {images}",
            apply=_retire,
            asks_for=LIFE_CYCLE,
            overwrites=LIFE_CYCLE_FIELDS,
        ),
        BulkAction(
            key="restore",  # Stored jobs contain this key, so it stays although the label changed.
            label="Reactivate",
            title="Reactivate {images}",
            apply=_reactivate,
            is_no_op=lambda image: not (image.deprecated_on or image.retired_on),
            overwrites=LIFE_CYCLE_FIELDS,
        ),
        BulkAction(
            key="check",
            label="Check now",
            title="Check {images} now",
            apply=_check,
            calls_cloud=True,
            overwrites=(),
        ),
        BulkAction(
            key="delete",
            label="Delete",
            title="Delete {images}",
            apply=_delete,
            process_part=_detach_predecessors,
            hides_image=True,
        ),
    )
}
"""All actions by key, in the order of the menu."""


def _restore_deleted(
    actor: Actor, scope: Scope, arguments: Arguments, row: JobRow, _vault: Vault
) -> Outcome:
    """Restore the image, and set it as the successor of its predecessors again.

    If there are many predecessors, each transaction changes only a part of them.
    """
    image_id, batch = row.image_id or 0, row.arguments.get("batch") or arguments["batch"]
    remaining: list[int] | None = row.arguments.get("reconnect")
    try:
        if remaining is None:
            remaining = deletion.predecessors_to_restore(scope, batch, image_id)
            if len(remaining) <= deletion.MAX_PREDECESSORS:
                deletion.restore_image(actor, scope, image_id, batch)
                return Outcome("done")
            deletion.restore_image(actor, scope, image_id, batch, reconnect=False)
        else:
            part = remaining[: deletion.MAX_PREDECESSORS]
            deletion.reconnect_predecessors(actor, scope, image_id, part)
            remaining = remaining[deletion.MAX_PREDECESSORS :]
    except Refusal as error:
        return Outcome("refused", str(error))
    if not remaining:
        return Outcome("done")
    images = f"{len(remaining):,} image{'' if len(remaining) == 1 else 's'}"
    message = (
        f"Restored. The registry hasn’t yet set this image as the successor of {images} again."
    )
    return Outcome("", message, arguments={**row.arguments, "reconnect": remaining})


RESTORE_DELETED = JobAction(
    key="image-undelete", title="Restore {images}", process_row=_restore_deleted
)
"""The action that undoes Delete: it restores deleted images. It is not in the menu."""

JOB_ACTIONS = (*(action.job_action for action in ACTIONS.values()), RESTORE_DELETED)
