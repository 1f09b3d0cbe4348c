"""Editing the values that people entered for an image."""

from __future__ import annotations

from dataclasses import asdict

from models import Image, transaction
from webapp import audit
from webapp.access import Actor, Right
from webapp.images.choices import CHOICE_COLUMNS, Choices, apply_choices, choices_of


def edit(actor: Actor, image: Image, choices: Choices) -> audit.Changes:
    """Save `choices` and return what changed. Raises Forbidden."""
    actor.require(Right.EDIT_IMAGES, image.scope)
    with transaction():
        changes = audit.difference(asdict(choices_of(image)), asdict(choices))
        if changes:
            apply_choices(image, choices)
            image.save(only=CHOICE_COLUMNS)
            audit.record(
                actor, image.scope, "image.edit", image.name, record=image, changes=changes
            )
    return changes
