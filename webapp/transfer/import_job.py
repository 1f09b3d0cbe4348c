"""Carry out the plan of an import, line by line.

Every line calls the functions that register or change a single image. So the same rules, rights
and audit entries apply as for an image that a person registers in the browser.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models import Image, JobRow, Scope
from webapp import audit
from webapp.access import Actor, Forbidden
from webapp.clouds.base import CloudError, ImageDetails, ImageState
from webapp.credentials import cloud_credentials
from webapp.credentials.vault import Vault
from webapp.images import editing, life_cycle, registration
from webapp.images.identity import AlreadyRegistered, find_registered
from webapp.jobs.runner import RETRIED_CLOUD_ERRORS, JobAction
from webapp.jobs.store import Outcome
from webapp.refusals import Refusal
from webapp.transfer import import_lines
from webapp.transfer.import_life_cycle import LifeCycleResolver
from webapp.transfer.import_lines import ImportLine
from webapp.transfer.import_plan import (
    WITH_LOOK_UP,
    WITHOUT_LOOK_UP,
    Effect,
    ImportOptions,
    credentials_for,
    parse_line_at,
)


def import_line(
    actor: Actor, scope: Scope, arguments: Mapping[str, Any], row: JobRow, vault: Vault
) -> Outcome:
    """Import one line of a plan.

    The plan may be old, so compare the line with the registered images again.
    """
    if row.arguments["effect"] == Effect.ERROR:
        return Outcome("refused", row.arguments["message"])
    options = ImportOptions(arguments["look_up"], arguments["credentials"])
    try:
        line = parse_line_at(scope, row.arguments["values"])
        was_registered = row.arguments["effect"] != Effect.CREATE
        importer = _LineImporter(actor, scope, options, vault)
        return importer.register_or_update(line, was_registered=was_registered)
    except RETRIED_CLOUD_ERRORS:
        raise
    except (Refusal, CloudError) as error:
        return Outcome("refused", str(error))
    except Forbidden:
        return Outcome("refused", f"You no longer have permission to edit images at {scope.label}.")


JOB_ACTIONS = (
    JobAction(WITHOUT_LOOK_UP, "Import", import_line, atomic=True),
    JobAction(WITH_LOOK_UP, "Import", import_line, concurrent=True),
)


class _LineImporter:
    """Imports one line."""

    def __init__(self, actor: Actor, scope: Scope, options: ImportOptions, vault: Vault) -> None:
        self._actor, self._scope = actor, scope
        self._options, self._vault = options, vault

    def register_or_update(self, line: ImportLine, *, was_registered: bool) -> Outcome:
        """Register the image of the line, or update the image if it is already registered.

        `was_registered` is whether the image was registered when the plan was created. Raises
        Forbidden, Refusal and CloudError.
        """
        image = find_registered(self._scope, line.identity) if was_registered else None
        if image is None:
            try:
                image = self._register(line)
            except AlreadyRegistered as error:
                # Somebody registered the image after the plan was created. Or the cloud returned
                # a different ID than the one in the line, and that ID is already registered.
                image = find_registered(self._scope, line.identity) or error.image
            else:
                return self._set_first_life_cycle(line, image)
        return self._update(line, image)

    def _register(self, line: ImportLine) -> Image:
        credentials_id = self._credentials_id(line)
        if not self._options.look_up:
            return registration.register_unverified(
                self._actor,
                self._scope,
                line.cloud.key,
                line.locator,
                import_lines.choices_for_new_image(line),
                details=_unverified_details(line),
                credentials_id=credentials_id,
            )
        receipt = registration.look_up(
            self._actor,
            self._scope,
            self._vault,
            line.cloud.key,
            credentials_id=credentials_id,
            location=line.locator.location,
            image_id=line.locator.image_id,
        )
        choices = import_lines.choices_for_new_image(line, receipt)
        compute_resource = line.locator.compute_resource
        return registration.register(self._actor, self._scope, receipt, choices, compute_resource)

    def _credentials_id(self, line: ImportLine) -> int | None:
        """Return the ID of the credentials for registering the image, or None.

        Registering checks that the scope can use them.
        """
        if not line.credentials:
            return self._options.credentials.get(line.cloud.key)
        usable = cloud_credentials.usable_at(self._scope, line.cloud.key)
        return credentials_for(line, usable, self._options)

    def _set_first_life_cycle(self, line: ImportLine, image: Image) -> Outcome:
        """Set the life cycle of an image that was just registered.

        If the life cycle is refused, the image stays registered and active.
        """
        try:
            self._update_life_cycle(line, image)
        except Refusal as error:
            message = f"The image was registered, but its status couldn’t be set. {error.message}"
            return Outcome("created", message, image.id)
        return Outcome("created", image_id=image.id)

    def _update(self, line: ImportLine, image: Image) -> Outcome:
        if image.scope_id != self._scope.id:
            raise AlreadyRegistered(image)
        image.scope = self._scope
        choices = import_lines.choices_for_update(line, image)
        life_cycle_changes = self._update_life_cycle(line, image)
        changes = editing.edit(self._actor, image, choices)
        return Outcome(
            "updated" if life_cycle_changes or changes else "unchanged", image_id=image.id
        )

    def _update_life_cycle(self, line: ImportLine, image: Image) -> audit.Changes:
        """Change the life cycle as the line says, and return the changes.

        Raises Forbidden and Refusal.
        """
        plan = LifeCycleResolver(self._scope).resolve(line, image)
        if plan == life_cycle.plan_of(image):
            return {}
        return life_cycle.change(self._actor, image, plan)


def _unverified_details(line: ImportLine) -> ImageDetails:
    """Return the details of an image, taken from the line instead of the cloud."""
    return ImageDetails(
        name="",
        description=line.description,
        architecture=line.architecture,
        size_gb=line.choices.get("size_gb"),
        state=ImageState.UNKNOWN,
        state_note="",
        created=None,
        deprecated=None,
        facts=(),
        volumes=(),
        os_texts=(),
    )
