"""Look up the new images of an import in their clouds, before the import is planned.

Each result is stored in the row of its line, so the import can be planned several times from the
same results.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from models import CloudCredentials, Job, JobRow, Scope
from webapp.access import Actor, Forbidden
from webapp.clouds.errors import CloudError
from webapp.clouds.locators import Locator
from webapp.credentials import cloud_credentials
from webapp.credentials.vault import Vault
from webapp.images import receipts, registration
from webapp.images.identity import AlreadyRegistered, ImageIdentity, find_registered
from webapp.images.receipts import Receipt
from webapp.jobs.actions import RETRIED_CLOUD_ERRORS, JobAction
from webapp.jobs.store import Outcome
from webapp.refusals import Refusal
from webapp.transfer import import_plan
from webapp.transfer.import_file import FileLine
from webapp.transfer.import_lines import (
    Answers,
    ImportLine,
    InvalidLine,
    ParsedLine,
    unusable_compute_resource,
)
from webapp.transfer.import_plan import ImportOptions, LookUp

LOOK_UP = "import-read"
"""The key of the job action that looks up new images. The same job later contains the plan.

Jobs are stored with this key, so the key stays although the code says “look up”, not “read”.
"""


class _FoundRegisteredImage(Exception):
    """The look-up showed that the image is registered. The line alone did not show this."""

    def __init__(self, identity: ImageIdentity) -> None:
        super().__init__(str(identity))
        self.identity = identity


def look_up_line(
    actor: Actor, scope: Scope, arguments: Mapping[str, Any], row: JobRow, vault: Vault
) -> Outcome:
    """Look up the image of one line. The outcome stores the result in the row."""
    options, answers = options_from(arguments), answers_from(arguments)
    parsed = import_plan.parse_at(scope, line_from(row.arguments), answers)
    values = parsed.values
    usable = cloud_credentials.usable_at(scope)
    credentials = import_plan.credentials_for(values, usable, options) if values else None
    if values is None or values.locator is None or credentials is None:
        return Outcome("unchanged")
    result: dict[str, Any] = {
        "key": look_up_key(values, values.locator, credentials),
        "round": arguments.get("look_up_round", 0),  # See `update_stored_result`.
    }
    try:
        receipt = _look_up(actor, scope, vault, credentials, values, values.locator)
        result["receipt"] = receipts.to_json(receipt)
    except _FoundRegisteredImage as error:
        result["registered"] = list(_identity_values(error.identity))
    except RETRIED_CLOUD_ERRORS:
        raise
    except (Refusal, CloudError) as error:
        result["error"] = str(error)
    except Forbidden:
        result["error"] = f"You no longer have permission to edit images at {scope.label}."
    kind, message = ("refused", result["error"]) if "error" in result else ("done", "")
    return Outcome(kind, message, arguments={**row.arguments, "look_up_result": result})


JOB_ACTIONS = (JobAction(LOOK_UP, "Look up {images}", look_up_line, calls_cloud=True),)


def credentials_to_look_up(
    job: Job, rows: Sequence[JobRow], parsed_lines: Sequence[ParsedLine]
) -> dict[int, int]:
    """Return the IDs of the credentials for the look-ups that are necessary before the plan.

    The keys are the indexes of the rows to look up. A look-up is necessary if the line has usable
    credentials and no errors, and does not identify a registered image. If the row already has a
    result for the same image and credentials, a look-up is necessary only if the result is an
    error.
    """
    options = options_from(job.arguments)
    usable = cloud_credentials.usable_at(job.scope)
    candidates: dict[int, tuple[ImportLine, int]] = {}
    for number, (row, parsed) in enumerate(zip(rows, parsed_lines, strict=True)):
        values = parsed.values
        if values is None or values.locator is None or parsed.errors:
            continue
        credentials = import_plan.credentials_for(values, usable, options)
        stored = row.arguments.get("look_up_result", {})
        if credentials and (
            "error" in stored
            or stored.get("key") != look_up_key(values, values.locator, credentials)
        ):
            candidates[number] = values, credentials.id
    identities = [line.identity for line, _ in candidates.values() if line.identity]
    registered = import_plan.registered_images(job.scope, identities)
    return {
        number: credentials_id
        for number, (line, credentials_id) in candidates.items()
        if line.identity not in registered
    }


def look_up_key(
    line: ImportLine, locator: Locator, credentials: CloudCredentials
) -> list[str | int]:
    """Return the values that a look-up depends on.

    If any of them changes, a stored result can't be used.
    """
    return [
        credentials.id,
        credentials.revision,
        line.cloud.key,
        locator.location,
        locator.image_id,
        locator.compute_resource,
        line.image_name,
    ]


def stored_receipt(scope: Scope, line: FileLine, receipt: Receipt) -> dict[str, Any]:
    """Return the row arguments that contain the result of a look-up made before the import.

    If the credentials have been changed or deleted since the look-up, return no arguments, so that
    the import looks the image up again.
    """
    values = import_plan.parse_at(scope, line, Answers()).values
    credentials = next(
        (row for row in cloud_credentials.usable_at(scope) if row.id == receipt.credentials_id),
        None,
    )
    is_current = credentials and credentials.revision == receipt.credentials_revision
    if not (values and values.locator and credentials and is_current):
        return {}
    key = look_up_key(values, values.locator, credentials)
    return {"look_up_result": {"key": key, "round": 0, "receipt": receipts.to_json(receipt)}}


def update_stored_result(job: Job, row: JobRow) -> None:
    """Update the result of a look-up in the arguments of a row, without saving the row.

    Remove the result if it is from an earlier round of look-ups. A new round begins if the person
    confirms an import whose look-ups are too old. If all attempts to look up the row failed, the
    error message of the row becomes the result.
    """
    look_up_round = job.arguments.get("look_up_round", 0)
    stored = row.arguments.get("look_up_result")
    if stored and stored.get("round", 0) != look_up_round:
        del row.arguments["look_up_result"]
    if "look_up_result" not in row.arguments and row.outcome == "refused":
        row.arguments["look_up_result"] = {"error": row.message, "round": look_up_round}


def result_from(row: JobRow) -> LookUp | None:
    """Return the stored result of a look-up, or None if there is none."""
    stored = row.arguments.get("look_up_result")
    if not stored:
        return None
    if "receipt" in stored:
        return LookUp(receipt=receipts.from_json(stored["receipt"]))
    if "registered" in stored:
        return LookUp(registered=ImageIdentity(*stored["registered"]))
    return LookUp(error=stored["error"])


def line_from(arguments: Mapping[str, Any]) -> FileLine:
    """Return the line of the file that a row was made from."""
    stored = arguments["line"]
    return FileLine(**{**stored, "errors": tuple(stored["errors"])})


def options_from(arguments: Mapping[str, Any]) -> ImportOptions:
    """Return the options in the arguments of an import. The `review` of the result is always ''."""
    return ImportOptions(
        arguments["look_up"], arguments["credentials"], arguments.get("only_new", False)
    )


def answers_from(arguments: Mapping[str, Any]) -> Answers:
    """Return the answers in the arguments of an import."""
    family_and_version = arguments.get("operating_system")
    return Answers(
        arguments.get("answers", {}), tuple(family_and_version) if family_and_version else None
    )


def _look_up(
    actor: Actor,
    scope: Scope,
    vault: Vault,
    credentials: CloudCredentials,
    line: ImportLine,
    locator: Locator,
) -> Receipt:
    """Return the receipt of a look-up.

    Raises Forbidden, Refusal, CloudError and _FoundRegisteredImage.
    """
    if not locator.image_id:
        image_id = line.cloud.find_image_id(
            vault.reveal(credentials), locator.location, line.image_name
        )
        locator = replace(locator, image_id=image_id)
        identity = ImageIdentity.from_locator(line.cloud.key, locator)
        if find_registered(scope, identity):
            raise _FoundRegisteredImage(identity)
    try:
        return registration.look_up(
            actor,
            scope,
            vault,
            line.cloud.key,
            credentials_id=credentials.id,
            location=locator.location,
            image_id=locator.image_id,
        )
    except AlreadyRegistered as error:
        found = ImageIdentity.from_image(error.image)
        identity = replace(found, compute_resource=locator.compute_resource)
        if find_registered(scope, identity) is None:
            raise InvalidLine(unusable_compute_resource(locator.compute_resource)) from error
        raise _FoundRegisteredImage(identity) from error


def _identity_values(identity: ImageIdentity) -> tuple[str, ...]:
    return (
        identity.cloud,
        identity.location,
        identity.image_key,
        identity.compute_resource,
    )
