"""The plan of an import: what each line of a file changes at a scope.

A plan records the old and the new values of each image. `import_planner` makes the plan.
`import_job` writes the new values. If an image has neither the old nor the new values when its line
is carried out, `import_job` refuses the line. So an import does only what its plan says.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from models import CloudCredentials, Image, Level, Scope
from webapp.clouds.locators import Locator
from webapp.images.identity import ImageIdentity, find_all_registered
from webapp.images.life_cycle import LifeCyclePlan
from webapp.images.receipts import Receipt
from webapp.search import catalogue
from webapp.transfer import import_lines
from webapp.transfer.import_file import FileLine
from webapp.transfer.import_lines import Answers, ImportLine, ParsedLine
from webapp.values.text import normalized

CHUNK_SIZE = 500
"""The maximum number of identities in a query for registered images."""
OPERATING_SYSTEM = "operating_system"
"""The name of the question for the operating system.

A question asks the person for a value that a file leaves out. The name of any other question is the
name of the missing value, such as `location`.
"""


class Effect(enum.StrEnum):
    """The effect of a line. In lists, the lines of a plan are sorted by effect, in this order."""

    ERROR = "error"
    CREATE = "create"
    UPDATE = "update"
    UNCHANGED = "unchanged"


@dataclass(frozen=True)
class ImportOptions:
    """How to import new images.

    If `look_up` is true, each new image is read from its cloud. `credentials` maps the key of a
    cloud to the ID of the credentials that the person chose. If a line names other credentials, the
    named credentials are used. If `only_new` is true, registered images don't change. `review` is
    'skipped' if nobody reviews the plan before it is carried out, or else ''.
    """

    look_up: bool
    credentials: Mapping[str, int] = field(default_factory=dict)
    only_new: bool = False
    review: str = ""


@dataclass(frozen=True)
class LookUp:
    """The result of the look-up of one line. Exactly one of the three fields is set."""

    receipt: Receipt | None = None
    registered: ImageIdentity | None = None
    """The identity of the image, if the look-up showed that the image is already registered."""
    error: str = ""

    def identity_on(self, compute_resource: str) -> ImageIdentity | None:
        """Return the identity of the image on a compute resource, or None if the look-up failed.

        One receipt is valid for all compute resources of the image. If the image is already
        registered, `compute_resource` is ignored, because `registered` contains the compute
        resource of the line.
        """
        if self.receipt is None:
            return self.registered
        locator = replace(self.receipt.locator, compute_resource=compute_resource)
        return ImageIdentity.from_locator(self.receipt.cloud, locator)


@dataclass
class PlannedLine:
    """One line of a plan."""

    number: int
    """The index of the line in the file."""
    position: str
    """The position of the line in the file as messages name it, for example 'line 3'."""
    subject: str
    """The name of the image or, if the name is unknown, its cloud image ID or position."""
    cloud_image_id: str = ""
    effect: Effect = Effect.ERROR
    errors: list[str] = field(default_factory=list)
    changes: dict[str, Sequence[Any]] = field(default_factory=dict)
    """The pair (before, after) of each column that changes, as pages show it."""
    image_id: int | None = None
    """The ID of the registered image, or None if the image is not registered."""
    identity: ImageIdentity | None = None
    location: str = ""
    compute_resource: str = ""
    credentials_id: int | None = None
    description: str = ""
    architecture: str = ""
    before: dict[str, Any] = field(default_factory=dict)
    """The values of the image before the import. For a new image, this is empty."""
    after: dict[str, Any] = field(default_factory=dict)
    """The values of the image after the import.

    `before` and `after` contain only the values that the line determines: fields of `ImageChoices`
    and, with the key `life_cycle`, the life cycle.
    """
    successor: ImageIdentity | None = None
    """The identity of the successor, if the file registers the successor. In this case, the life
    cycle has no ID of a successor."""
    successor_may_be_retired: bool = False
    successor_position: int | None = None
    """The position of the successor's line in the plan, if the successor has a line in the file."""
    question: str = ""
    """The name of a value that the line lacks and that the person can enter, or ''."""
    only_lacks_answers: bool = False
    """Whether the line has errors, and the person can correct all of them by entering values."""
    cloud: str = ""

    @property
    def locator(self) -> Locator:
        return Locator(self.location, self.cloud_image_id, self.compute_resource)


def parse_at(scope: Scope, line: FileLine, answers: Answers) -> ParsedLine:
    """Convert the texts of a line to values for `scope`. Environments cannot share images."""
    can_share = scope.level is not Level.ENVIRONMENT
    return import_lines.parse_line(line, answers, can_share=can_share)


def credentials_for(
    line: ImportLine, usable: Sequence[CloudCredentials], options: ImportOptions
) -> CloudCredentials | None:
    """Return the credentials for a line, or None if there are none.

    If the line names credentials, return only credentials with this name. Otherwise, return the
    credentials that the person chose for the cloud of the line.
    """
    rows = [row for row in usable if row.cloud == line.cloud.key]
    if line.credentials:
        return next((row for row in rows if normalized(row.name) == line.credentials), None)
    chosen = options.credentials.get(line.cloud.key)
    return next((row for row in rows if row.id == chosen), None)


def registered_images(
    scope: Scope, identities: Sequence[ImageIdentity]
) -> dict[ImageIdentity, Image]:
    """Return the images that `scope` can see and that have these identities."""
    found: dict[ImageIdentity, Image] = {}
    for start in range(0, len(identities), CHUNK_SIZE):
        chunk = set(identities[start : start + CHUNK_SIZE])
        found |= find_all_registered(scope, chunk, catalogue.LIST_COLUMNS)
    return found


def life_cycle_to_json(plan: LifeCyclePlan) -> dict[str, Any]:
    """Return a life cycle as plain JSON values."""
    return {
        name: value.isoformat() if isinstance(value, date) else value
        for name, value in vars(plan).items()
    }


def life_cycle_from_json(data: Mapping[str, Any]) -> LifeCyclePlan:
    """Return the life cycle from the result of `life_cycle_to_json`."""
    deprecated, retired = (
        date.fromisoformat(data[name]) if data[name] else None
        for name in ("deprecated_on", "retired_on")
    )
    return LifeCyclePlan(deprecated, retired, data["reason"], data["successor"])
