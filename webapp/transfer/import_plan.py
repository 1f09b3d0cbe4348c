"""The plan of an import: what each line of a file changes at a scope.

A plan records the values of each image before and after its line. `import_planner` makes the plan.
`import_job` writes the values after the line. If an image no longer has the values before the line,
`import_job` refuses the line. So an import does only what its plan says.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from models import CloudCredentials, Image, Level, Scope
from webapp.clouds.base import Locator
from webapp.images.identity import ImageIdentity, find_all_registered
from webapp.images.life_cycle import LifeCyclePlan
from webapp.images.receipts import Receipt
from webapp.search import catalogue
from webapp.transfer import import_lines
from webapp.transfer.import_file import FileLine
from webapp.transfer.import_lines import Answers, ImportLine, ParsedLine
from webapp.values.text import normalized

CHUNK_SIZE = 500
"""Lines per query for registered images."""
OPERATING_SYSTEM = "operating_system"
"""The name of the question for the operating system.

The name of any other question is the name of a missing value, such as `location`.
"""


class Effect(enum.StrEnum):
    """The effect of a line, in the order in which a plan shows the lines."""

    ERROR = "error"
    CREATE = "create"
    UPDATE = "update"
    UNCHANGED = "unchanged"


@dataclass(frozen=True)
class ImportOptions:
    """How to import new images.

    If `look_up` is true, each new image is read from its cloud. `credentials` maps the key of a
    cloud to the ID of the credentials that the person chose. If a line names credentials, it uses
    these instead.
    """

    look_up: bool
    credentials: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class LookUp:
    """The result of the look-up of one line: a receipt or an error.

    If the cloud returned an image that is already registered, `registered` is its identity instead.
    """

    receipt: Receipt | None = None
    registered: ImageIdentity | None = None
    error: str = ""

    def identity_on(self, compute_resource: str) -> ImageIdentity | None:
        """Return the identity of the image on a compute resource.

        One receipt is valid for all compute resources of the image.
        """
        if self.receipt is None:
            return self.registered
        locator = replace(self.receipt.locator, compute_resource=compute_resource)
        return ImageIdentity.from_locator(self.receipt.cloud, locator)


@dataclass
class PlannedLine:
    """One line of a plan.

    `changes` has a pair (before, after) for each column that changes, as pages show it. `image_id`
    is the ID of the registered image, or None if the image is not registered.

    `import_job` needs the other values. `before` and `after` have the columns of `ImageChoices`
    and, in `life_cycle`, the life cycle. Both contain only the values that the line determines. For
    a new image, `before` is empty. If the file registers the successor, `successor` is the identity
    of the successor, and the life cycle has no ID of a successor. If the successor has a line in
    the file, `successor_position` is the position of this line in the plan. `question` is the name
    of a value that the line lacks and that the person can enter, or ''. `only_lacks_answers` is
    whether the line has no other errors.
    """

    number: int
    position: str
    subject: str
    cloud_image_id: str = ""
    effect: Effect = Effect.ERROR
    errors: list[str] = field(default_factory=list)
    changes: dict[str, Sequence[Any]] = field(default_factory=dict)
    image_id: int | None = None
    identity: ImageIdentity | None = None
    location: str = ""
    compute_resource: str = ""
    credentials_id: int | None = None
    description: str = ""
    architecture: str = ""
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    successor: ImageIdentity | None = None
    successor_may_be_retired: bool = False
    successor_position: int | None = None
    question: str = ""
    only_lacks_answers: bool = False
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

    If the line names credentials, only these are returned. Otherwise, `options` has the credentials
    for the cloud of the line.
    """
    rows = [row for row in usable if row.cloud == line.cloud.key]
    if line.credentials:
        return next((row for row in rows if normalized(row.name) == line.credentials), None)
    chosen = options.credentials.get(line.cloud.key)
    return next((row for row in rows if row.id == chosen), None)


def registered_images(
    scope: Scope, identities: Sequence[ImageIdentity]
) -> dict[ImageIdentity, Image]:
    """Return the images with these identities that `scope` can see."""
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
    """Return the life cycle that `life_cycle_to_json` converted to `data`."""
    deprecated, retired = (
        date.fromisoformat(data[name]) if data[name] else None
        for name in ("deprecated_on", "retired_on")
    )
    return LifeCyclePlan(deprecated, retired, data["reason"], data["successor"])
