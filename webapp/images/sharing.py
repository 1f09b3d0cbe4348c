"""Share an image with lower scopes, and promote it to the scope above."""

from __future__ import annotations

from models import Image, Scope, transaction
from webapp import audit
from webapp.access import Actor, Right
from webapp.images import editing
from webapp.images.identity import ImageIdentity, registering
from webapp.refusals import Refusal
from webapp.revisions.conflicts import lock, require_unchanged
from webapp.values.lists import FirstRows, find


class CannotPromote(Refusal):
    """The image can't move to the scope above."""


def set_shared(
    actor: Actor, image: Image, *, shared: bool, based_on: int | None = None
) -> audit.Changes:
    """Save the value of “Shared” and return what changed.

    Raises the same exceptions as `editing.edit_fields`.
    """
    return editing.edit_fields(actor, image, {"shared": shared}, based_on)


def scopes_losing_access(image: Image) -> FirstRows[Scope]:
    """Return the scopes that can no longer see the image if “Shared” is turned off.

    The result contains the first of these scopes, and their total number.
    """
    return scopes_below(image.scope) if image.shared else FirstRows([], 0)


def scopes_below(scope: Scope) -> FirstRows[Scope]:
    """Return the first 50 scopes below `scope`, ordered by path, and their total number."""
    ids = scope.subtree().select(Scope.id).where(Scope.id != scope.id)
    query = Scope.select_with_parents().where(Scope.id.in_(ids))
    return find(query.order_by(Scope.path), size=50)


def promotion_target(actor: Actor, image: Image) -> Scope | None:
    """Return the scope above the image's scope if the person may promote the image, or None."""
    target: Scope | None = image.scope.parent
    if target is None or not actor.may(Right.EDIT_IMAGES, target):
        return None
    return target


def promote(actor: Actor, image: Image, based_on: int | None = None) -> Scope:
    """Move an image to the scope above, share it there, and return that scope.

    Everybody who could see the image can still see it. `based_on` is the revision that the person
    saw. If it is None, the revision of `image` is used. Raises Forbidden, CannotPromote,
    AlreadyRegistered, RecordDeleted and EditConflict.
    """
    based_on = image.revision if based_on is None else based_on
    with transaction():
        lock(image)
        target: Scope | None = image.scope.parent
        if target is None:
            raise CannotPromote(
                "The Scalr scope is the highest scope, so its images can’t be promoted."
            )
        actor.require(Right.EDIT_IMAGES, image.scope)
        actor.require(Right.EDIT_IMAGES, target)
        require_unchanged(image, based_on)
        _require_credentials_at(target, image)
        changes = {"scope": (image.scope.label, target.label), "shared": (image.shared, True)}
        with registering(target, ImageIdentity.from_image(image)):
            image.scope, image.shared = target, True
            image.save(only=[Image.scope, Image.shared])
            audit.record(actor, target, "image.promote", image.name, record=image, changes=changes)
    return target


def _require_credentials_at(target: Scope, image: Image) -> None:
    """Raise CannotPromote if `target` can't use the credentials of the image."""
    credentials = image.credentials
    if credentials is None:
        raise CannotPromote(
            f"This image has no credentials that {target.label} can use. Add credentials "
            f"to {target.label}, and register the image at {target.label}."
        )
    if credentials.scope_id not in {target.id, *target.above}:
        raise CannotPromote(
            f"The credentials “{credentials.name}” aren’t available at {target.label}. Add "
            f"credentials to {target.label}, and register the image at {target.label}."
        )
