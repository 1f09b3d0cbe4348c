"""Edit the values that people entered for an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from models import Image, transaction
from webapp import audit
from webapp.access import Actor, Right
from webapp.images.choices import CHOICE_COLUMNS, ImageChoices, apply_choices, choices_of
from webapp.revisions.conflicts import lock, require_no_conflict


def edit(
    actor: Actor, image: Image, choices: ImageChoices, based_on: int | None = None
) -> audit.Changes:
    """Save all fields of `choices` and return what changed. See `edit_fields`."""
    return edit_fields(actor, image, asdict(choices), based_on)


def edit_fields(
    actor: Actor, image: Image, values: Mapping[str, Any], based_on: int | None = None
) -> audit.Changes:
    """Save the fields of `ImageChoices` that are in `values`, and return what changed.

    `based_on` is the revision that the person saw. If it is None, the revision of `image` is used.
    Raises Forbidden, InvalidChoices, RecordDeleted and EditConflict.
    """
    actor.require(Right.EDIT_IMAGES, image.scope)
    based_on = image.revision if based_on is None else based_on
    with transaction():
        lock(image)
        actor.require(Right.EDIT_IMAGES, image.scope)
        stored = asdict(choices_of(image))
        require_no_conflict(image, based_on, stored, values, together=("os_family", "os_version"))
        changes = audit.difference(stored, values)
        if changes:
            apply_choices(image, ImageChoices(**{**stored, **values}))
            image.save(only=CHOICE_COLUMNS)
            audit.record(
                actor, image.scope, "image.edit", image.name, record=image, changes=changes
            )
    return changes
