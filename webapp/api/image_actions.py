"""Change, check, delete and restore an image, list deleted images, and read the history."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from flask import g
from msgspec import UNSET, Meta, Struct, UnsetType

import models
from models import Image as ImageRecord
from models import Job
from webapp.access import Right
from webapp.api.audit_documents import AuditEntry, Change, change_documents, entry_document
from webapp.api.image_documents import Image, document_of
from webapp.api.image_values import Values, parse_values
from webapp.api.images import TAG, answer_with, owned_image, visible_image
from webapp.api.job_documents import JobReference, accepted
from webapp.api.operations import WITH_LEVELS_BELOW, Answer, RecordId, operation
from webapp.api.paging import LIMIT, EntryCursor, Limit, page_links
from webapp.api.preconditions import matching
from webapp.api.problems import ApiProblem, FieldError
from webapp.audit.log import image_page
from webapp.images import checking, deletion, editing, life_cycle, recently_deleted, sharing
from webapp.images.checking import Reading
from webapp.images.deletion import MAX_PREDECESSORS
from webapp.images.successors import parse_successor
from webapp.jobs import bulk, runner
from webapp.values.tags import with_added, without
from webapp.web.services import services


class Edit(Values):
    """The values to change. Values that are left out stay as they are (RFC 7396)."""


@operation(
    "PATCH /images/<int:image_id>",
    tag=TAG,
    right=Right.EDIT_IMAGES,
    if_match="required",
    problems=("deleted", "conflict"),
)
def edit_image(image_id: int, body: Edit) -> Answer[Image]:
    """Change values of an image."""
    image, values = owned_image(image_id), parse_values(body)
    with matching(image):
        editing.edit_fields(g.actor, image, values)
    return answer_with(image)


class Sharing(Struct, forbid_unknown_fields=True):
    """Whether an image is shared."""

    shared: bool


@operation(
    "POST /images/<int:image_id>/share",
    tag=TAG,
    right=Right.EDIT_IMAGES,
    levels=WITH_LEVELS_BELOW,
    if_match="optional",
    problems=("deleted", "conflict"),
)
def share_image(image_id: int, body: Sharing) -> Answer[Image]:
    """Share an image with the scopes below, or stop sharing it."""
    image = owned_image(image_id)
    with matching(image):
        sharing.set_shared(g.actor, image, shared=body.shared)
    return answer_with(image)


@operation(
    "POST /images/<int:image_id>/promote",
    tag=TAG,
    right=Right.EDIT_IMAGES,
    if_match="optional",
    problems=("deleted", "conflict", "already-registered"),
)
def promote_image(image_id: int) -> Answer[Image]:
    """Move an image to the scope above, and share it there.

    The token also needs the role Editor at the scope above.
    """
    image = owned_image(image_id)
    if sharing.promotion_target(g.actor, image) is None:
        raise ApiProblem("not-found")
    with matching(image):
        sharing.promote(g.actor, image)
    return answer_with(image)


class LifeCycle(Struct, forbid_unknown_fields=True):
    """The new status of an image, and the day from which it applies."""

    status: Literal["active", "deprecated", "retired"]
    on: Annotated[
        date | UnsetType,
        Meta(description="The first day of the status, in UTC. By default, this is today."),
    ] = UNSET
    reason: Annotated[str, Meta(description="One line, for people who still use the image.")] = ""
    successor: Annotated[
        int | str | None,
        Meta(description="The ID, cloud image ID or name of the image to use instead."),
    ] = None


@operation(
    "PUT /images/<int:image_id>/life-cycle",
    tag=TAG,
    right=Right.EDIT_IMAGES,
    if_match="optional",
    problems=("deleted", "conflict"),
)
def set_life_cycle(image_id: int, body: LifeCycle) -> Answer[Image]:
    """Deprecate or retire an image, or make it active again."""
    image = owned_image(image_id)
    with matching(image):
        _save_life_cycle(image, body)
    return answer_with(image)


def _save_life_cycle(image: ImageRecord, body: LifeCycle) -> None:
    if body.status == "active":
        if body.on is not UNSET or body.reason or body.successor is not None:
            detail = "The status “active” has no date, reason or successor. Leave them out."
            raise ApiProblem("invalid-values", detail, [FieldError("status", detail)])
        life_cycle.make_active(g.actor, image)
        return
    save = life_cycle.deprecate if body.status == "deprecated" else life_cycle.retire
    on = models.today() if body.on is UNSET else body.on
    save(g.actor, image, on, body.reason, _successor_of(image, body.successor))


def _successor_of(image: ImageRecord, successor: int | str | None) -> int | None:
    """Return the ID of the successor, or None if `successor` is None.

    A retired successor is refused, unless `successor` is the ID of the stored successor of `image`.
    """
    if successor is None or successor == image.successor_id:
        return successor
    return parse_successor(g.scope, f"#{successor}" if isinstance(successor, int) else successor)


class TagChange(Struct, forbid_unknown_fields=True):
    """The tags to add and to remove."""

    add: list[str] = []
    remove: list[str] = []


@operation(
    "POST /images/<int:image_id>/tags",
    tag=TAG,
    right=Right.EDIT_IMAGES,
    if_match="optional",
    problems=("deleted", "conflict"),
)
def change_tags(image_id: int, body: TagChange) -> Answer[Image]:
    """Remove tags from an image, and add tags. All other tags stay."""
    image = owned_image(image_id)
    with matching(image):
        tags = with_added(without(image.tags, body.remove), body.add)
        editing.edit_fields(g.actor, image, {"tags": tags})
    return answer_with(image)


class Check(Struct, forbid_unknown_fields=True):
    """How to check an image."""

    credentials: Annotated[
        RecordId | None,
        Meta(
            description="The ID of other credentials to use. They become the image’s credentials. "
            "By default, the image’s current credentials are used."
        ),
    ] = None


class CheckResult(Struct):
    """The image after the check, and the changes since the previous look-up or check."""

    image: Image
    changes: list[Change]


def _read_again(image_id: int, body: Check) -> tuple[ImageRecord, Reading]:
    """Return an image, and the details that its cloud returns now."""
    image = owned_image(image_id)
    return image, checking.read_again(g.actor, image, services().vault, body.credentials)


@operation(
    "POST /images/<int:image_id>/check",
    tag=TAG,
    right=Right.EDIT_IMAGES,
    problems=(
        *("deleted", "conflict", "already-registered"),
        *("cloud-refused", "cloud-busy", "cloud-unreachable", "credentials-unreadable"),
    ),
    prepare=_read_again,
)
def check_image(
    image_id: int,  # noqa: ARG001  a value of the path
    body: Check,  # noqa: ARG001  the type of the body
    prepared: tuple[ImageRecord, Reading],
) -> Answer[CheckResult]:
    """Read an image from its cloud again."""
    image, reading = prepared
    changes = checking.save_reading(g.actor, image, reading)
    return Answer(CheckResult(document_of(image), change_documents(changes)))


@operation(
    "DELETE /images/<int:image_id>",
    tag=TAG,
    right=Right.EDIT_IMAGES,
    statuses=(204, 202),
    if_match="required",
    problems=("deleted", "conflict"),
)
def delete_image(image_id: int) -> Answer[JobReference | None]:
    """Delete an image from the registry. The image in the cloud isn't affected.

    Within 24 hours, the deleted image can be restored. If the image is the successor of many other
    images, a job deletes it, and the response is 202.
    """
    image = owned_image(image_id)
    with matching(image):
        if not deletion.has_many_predecessors(image):
            deletion.delete(g.actor, image)
            return Answer(None, 204)
    return accepted(bulk.delete_image(g.actor, image, services().vault, image.revision))


class DeletedImage(Struct):
    """An image that was deleted and can be restored."""

    id: int
    name: str
    cloud: str
    location: str
    cloud_image_id: str
    deleted_at: datetime
    deleted_by: str | None
    restorable_until: datetime


class DeletedImages(Struct):
    """The images that were deleted last, at most 100 of them."""

    items: list[DeletedImage]
    total: int


class DeletedQuery(Struct, forbid_unknown_fields=True):
    """The parameters of the list of deleted images."""

    q: Annotated[str, Meta(description="A part of the name.")] = ""


@operation("GET /images/deleted", tag=TAG, right=Right.VIEW_IMAGES)
def list_deleted_images(query: DeletedQuery) -> Answer[DeletedImages]:
    """List the images of a scope that were deleted in the last 24 hours."""
    found = recently_deleted.at_scope(g.scope, query.q)
    items = [
        DeletedImage(
            id=row.image_id,
            name=row.name,
            cloud=row.cloud,
            location=row.location,
            cloud_image_id=row.cloud_image_id,
            deleted_at=row.deleted_at,
            deleted_by=row.person_name,
            restorable_until=row.restorable_until,
        )
        for row in found.rows
    ]
    return Answer(DeletedImages(items, found.total))


def _plan_restoration(image_id: int) -> Job | str:
    """Return a planned job if the image was the successor of many others.

    Otherwise, return the ID of the image's batch. A batch contains all images that were deleted by
    one action.
    """
    deleted = recently_deleted.at_scope_by_ids(g.scope, [image_id])
    if not deleted:
        raise ApiProblem("not-found")
    batch = deleted[0].batch
    if len(deletion.predecessors_to_restore(g.scope, batch, image_id)) > MAX_PREDECESSORS:
        return bulk.plan_restoration(g.actor, g.scope, deleted)
    return batch


@operation(
    "POST /images/<int:image_id>/restore",
    tag=TAG,
    right=Right.EDIT_IMAGES,
    statuses=(200, 202),
    prepare=_plan_restoration,
)
def restore_image(image_id: int, prepared: Job | str) -> Answer[Image | JobReference]:
    """Restore an image that was deleted in the last 24 hours.

    The image keeps its ID and history. If the image was the successor of many other images, a job
    restores it, and the response is 202.
    """
    if isinstance(prepared, Job):
        runner.start_job(prepared, services().vault, process_if_short=True)
        return accepted(prepared)
    image = deletion.restore_image(g.actor, g.scope, image_id, prepared)
    return Answer(document_of(image), revision=image.revision)


class History(Struct):
    """One page of the history of an image, newest first."""

    items: list[AuditEntry]
    next: str | None


class HistoryQuery(Struct, forbid_unknown_fields=True):
    """The parameters of a history."""

    limit: Limit = LIMIT
    cursor: EntryCursor = 0


@operation(
    "GET /images/<int:image_id>/history", tag=TAG, right=Right.VIEW_IMAGES, problems=("deleted",)
)
def get_history(image_id: int, query: HistoryQuery) -> Answer[History]:
    """List what people and the registry did with an image."""
    image = visible_image(image_id)
    show_credentials = g.actor.may(Right.LIST_CREDENTIALS, g.scope)
    page = image_page(
        image, show_credentials=show_credentials, before=query.cursor, size=query.limit
    )
    history = History([entry_document(each) for each in page.entries], None)
    history.next, headers = page_links(str(page.older or ""))
    return Answer(history, headers=headers)
