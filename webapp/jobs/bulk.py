"""Bulk actions: select images, preview what an action would do, and start it as a job.

The actions themselves are in `webapp.jobs.bulk_actions`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from models import Image, Job, JobRow, Scope, fetch_tuples
from webapp.access import Actor, Right
from webapp.credentials.vault import Vault
from webapp.images import deletion
from webapp.images.recently_deleted import Deleted
from webapp.images.sharing import scopes_below
from webapp.jobs import runner, store
from webapp.jobs.bulk_actions import (
    ACTIONS,
    RESTORE_DELETED,
    Arguments,
    BulkAction,
    SelectedImage,
)
from webapp.jobs.store import NewRow
from webapp.refusals import Refusal
from webapp.search import catalogue
from webapp.search.counts import Count
from webapp.search.query import Query
from webapp.values.lists import FirstRows

MAX_IMAGES = 100_000
"""The maximum number of images that one job may change."""
PREVIEW_NAMES = 20
"""The maximum number of image names that a preview lists."""


@dataclass(frozen=True)
class Selection:
    """The images that a person selected.

    If `query` is None, these are the images in `image_ids`. Otherwise, these are all images that
    match the query.
    """

    image_ids: Sequence[int] = ()
    query: Query | None = None


@dataclass(frozen=True)
class Preview:
    """The effect that an action would have on a selection.

    `changed` is the number of the scope's own images that would change, and `unchanged` the number
    of its own images that would stay the same. The action leaves out the selected images of other
    scopes: `inherited` is their number in the scopes above, and `below` their number in the scopes
    below.
    `names` are the names of the first images that would change. `hidden_from` are the lower scopes
    that would no longer see some of the images. `revisions` are the revisions of the selected
    images that the scope owns, by image ID, and `fingerprint` identifies these images.
    """

    changed: int
    unchanged: int
    inherited: int
    below: Count
    names: Sequence[str]
    hidden_from: FirstRows[Scope]
    fingerprint: str
    revisions: Mapping[int, int]

    @property
    def owned(self) -> int:
        """The number of selected images that the scope owns."""
        return self.changed + self.unchanged


class TooManyImages(Refusal):
    """The selection has more images than one job may change."""

    def __init__(self, count: int) -> None:
        super().__init__(
            f"You selected {count:,} images, but a bulk action can change at most "
            f"{MAX_IMAGES:,}. Narrow your search, and change the images in several steps."
        )


class SelectionChanged(Refusal):
    """The selection no longer has exactly the images of the preview."""

    def __init__(self, selection: Selection) -> None:
        super().__init__(
            "The images that match your search have changed. Review them and try again."
            if selection.query is not None
            else "Some of the selected images were deleted or promoted. Review the others and try "
            "again."
        )


def preview_action(actor: Actor, scope: Scope, action: BulkAction, selection: Selection) -> Preview:
    """Return the effect that the action would have.

    Raises Forbidden, NotUnderstood and TooManyImages.
    """
    actor.require(Right.EDIT_IMAGES, scope)
    owned, inherited, below = _count_by_owner(actor, scope, selection)
    if owned > MAX_IMAGES:
        raise TooManyImages(owned)
    changed = 0
    names: list[str] = []
    revisions: dict[int, int] = {}
    any_shared = False
    for image in _owned_images(actor, scope, selection):
        revisions[image.id] = image.revision
        if action.is_no_op(image):
            continue
        changed += 1
        any_shared = any_shared or image.shared
        if len(names) < PREVIEW_NAMES:
            names.append(image.name)
    hidden_from = scopes_below(scope) if any_shared and action.hides_image else FirstRows([], 0)
    unchanged = len(revisions) - changed
    fingerprint = _fingerprint(revisions)
    return Preview(changed, unchanged, inherited, below, names, hidden_from, fingerprint, revisions)


def start_action(
    actor: Actor,
    scope: Scope,
    vault: Vault,
    action: BulkAction,
    selection: Selection,
    arguments: Arguments,
    *,
    fingerprint: str | None = None,
    revisions: Mapping[int, int] | None = None,
) -> Job:
    """Start the action as a job and return the job.

    `plan_action` explains the arguments and the exceptions.
    """
    job = plan_action(
        actor, scope, action, selection, arguments, fingerprint=fingerprint, revisions=revisions
    )
    runner.start_job(job, vault, process_if_short=True)
    return job


def plan_action(
    actor: Actor,
    scope: Scope,
    action: BulkAction,
    selection: Selection,
    arguments: Arguments,
    *,
    fingerprint: str | None = None,
    revisions: Mapping[int, int] | None = None,
) -> Job:
    """Store the action as a planned job, which `runner.start_job` starts, and return the job.

    `arguments` come from `operating_system_arguments`, `tag_arguments` or `life_cycle_arguments`,
    or are empty. The caller may add values that the job's page needs. `revisions` and, for a
    search, `fingerprint` come from the preview. With `revisions`, the job refuses an image if
    somebody changed a field after the preview and the action would overwrite this field. Raises
    SelectionChanged if the search now finds other images than `fingerprint` identifies, or if the
    scope no longer owns one of the selected images in `revisions`. Also raises Forbidden,
    NotUnderstood and TooManyImages.
    """
    actor.require(Right.EDIT_IMAGES, scope)
    images = islice(_owned_images(actor, scope, selection), MAX_IMAGES + 1)
    preview_revisions = revisions or {}
    rows = [
        NewRow(
            image.id,
            image.name,
            {"revision": preview_revisions.get(image.id, image.revision)},
            image.credentials_id if action.calls_cloud else None,
        )
        for image in images
    ]
    if len(rows) > MAX_IMAGES:
        raise TooManyImages(_count_by_owner(actor, scope, selection)[0])
    image_ids = {row.image_id or 0 for row in rows}
    missing_ids = (preview_revisions.keys() & set(selection.image_ids)) - image_ids
    if missing_ids or fingerprint not in {None, _fingerprint(image_ids)}:
        raise SelectionChanged(selection)
    # The action “Delete” stores the images under this batch ID, so that they can be restored
    # together. The other actions ignore the batch ID.
    arguments = {**arguments, "batch": deletion.new_batch()}
    return store.create_large_job(actor, scope, action.job_action.key, arguments, rows)


def delete_image(actor: Actor, image: Image, vault: Vault, based_on: int | None) -> Job:
    """Start a job that deletes an image with many predecessors, and return the job.

    A predecessor is an image that names the deleted image as its successor. `based_on` is the
    revision that the person saw. If it is None, the current revision is used. Raises Forbidden and
    SelectionChanged.
    """
    action, selection = ACTIONS["delete"], Selection([image.id])
    revisions = None if based_on is None else {image.id: based_on}
    return start_action(actor, image.scope, vault, action, selection, {}, revisions=revisions)


def restore_batch(actor: Actor, scope: Scope, vault: Vault, batch: str) -> Job | None:
    """Start a job that restores a batch, and return the job.

    A batch consists of images that were deleted together. Returns None if no image of the batch can
    be restored. Raises Forbidden.
    """
    actor.require(Right.EDIT_IMAGES, scope)
    rows = _rows_to_restore(scope, batch)
    if not rows:
        return None
    job = store.create_large_job(actor, scope, RESTORE_DELETED.key, {"batch": batch}, rows)
    runner.start_job(job, vault, process_if_short=True)
    return job


def restore_images(actor: Actor, scope: Scope, vault: Vault, images: Iterable[Deleted]) -> Job:
    """Start a job that restores images of one or several batches, and return the job.

    Raises Forbidden.
    """
    job = plan_restoration(actor, scope, images)
    runner.start_job(job, vault, process_if_short=True)
    return job


def plan_restoration(actor: Actor, scope: Scope, images: Iterable[Deleted]) -> Job:
    """Store a planned job that restores images, and return the job. Raises Forbidden."""
    actor.require(Right.EDIT_IMAGES, scope)
    rows = [NewRow(each.image_id, each.name, {"batch": each.batch}) for each in images]
    return store.create_large_job(actor, scope, RESTORE_DELETED.key, {}, rows)


def _rows_to_restore(scope: Scope, batch: str) -> list[NewRow]:
    """Return the rows of a job that restores a batch. The image that was deleted last comes first.

    If a job deleted the batch, the order and the names of the images are read from the rows of that
    job. They could also be read from the stored copies of the images, but reading many copies takes
    a long time.
    """
    is_deletion = (Job.scope == scope) & (Job.action == ACTIONS["delete"].job_action.key)
    job = Job.get_or_none(is_deletion & (Job.arguments["batch"].as_text() == batch))
    if job is None:
        return [NewRow(*each) for each in deletion.restorable_images(scope, batch)]
    is_deleted = (JobRow.job == job) & (JobRow.outcome == "done")
    is_restorable = JobRow.image_id.in_(deletion.restorable_ids(scope, batch))
    query = JobRow.select(JobRow.image_id, JobRow.subject).where(is_deleted & is_restorable)
    return [NewRow(*row) for row in fetch_tuples(query.order_by(JobRow.position.desc()))]


def can_be_undone(job: Job) -> bool:
    """Return whether the job deleted images that can still be restored.

    A running job cannot be undone.
    """
    if job.action != ACTIONS["delete"].job_action.key or job.state not in {"done", "stopped"}:
        return False
    return deletion.can_restore(job.scope, job.arguments["batch"])


def _count_by_owner(actor: Actor, scope: Scope, selection: Selection) -> tuple[int, int, Count]:
    """Return the numbers of selected images of `scope`, of scopes above and of scopes below."""
    query = selection.query
    if query is not None:
        owned = catalogue.count_images(actor, scope, query, owned_only=True)
        visible = catalogue.count_images(actor, scope, query.without_below())
        # There can be very many images below, so they are counted only up to a limit.
        return owned, visible - owned, catalogue.count_matches_below(actor, scope, query)
    visible = Image.id.in_(list(selection.image_ids)) & Image.visible_from(scope)
    owner_ids = [image.scope_id for image in Image.select(Image.scope).where(visible)]
    owned = owner_ids.count(scope.id)
    return owned, len(owner_ids) - owned, Count(0)


def _fingerprint(image_ids: Iterable[int]) -> str:
    """Return a short text that identifies this set of images."""
    return hashlib.sha256(" ".join(map(str, sorted(image_ids))).encode()).hexdigest()[:32]


def _owned_images(actor: Actor, scope: Scope, selection: Selection) -> Iterator[SelectedImage]:
    """Yield the selected images that `scope` owns."""
    names = SelectedImage._fields
    if selection.query is not None:
        rows = catalogue.iterate_values(actor, scope, selection.query, names, owned_only=True)
    else:
        owned = Image.id.in_(list(selection.image_ids)) & (Image.scope == scope)
        columns = [getattr(Image, name) for name in names]
        rows = Image.select(*columns).where(owned).order_by(Image.id).tuples().iterator()
    yield from map(SelectedImage._make, rows)
