"""Generate the rows of images, with realistic frequencies of clouds, systems, names and ages.

This module knows the columns of the table of images, but it does not access a database.
"""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import accumulate
from typing import Any

from models import Level, LifeCycle, Person, Scope, today
from schema.images import image_key_of
from schema.search_text import search_text
from schema.tags import tag_index
from schema.text import place_key
from webapp.clouds.details import Fact, ImageDetails, ImageState, Volume
from webapp.images import image_details
from webapp.images.operating_systems import version_key

YEARS = 5
"""The age of the oldest image."""
COMMON_WORD, RARE_WORD, MISSING_WORD = "web", "zebra", "xylophone"
RARE_IMAGES = 40
"""The number of images whose name contains `RARE_WORD`.

About 40 % of these images are shared images of the largest account.
"""
CJK_WORD = "映像"
"""A word in `CJK_DESCRIPTION`."""
CJK_DESCRIPTION = "本番用の映像。"
"""The end of every twentieth description."""
RARE_CJK_WORD = "猫"
"""A word in the descriptions of the images whose name contains `RARE_WORD`."""
COMMON_TAG = "team=web"
"""A tag of one image in eight."""
RARE_TAG = "pilot"
"""A tag of the images whose name contains `RARE_WORD`."""
OLD_TAG = "legacy"
"""A tag of the oldest third of the images."""
COLUMNS = (
    "id, scope_id, cloud, location, cloud_image_id, compute_resource, "
    "location_key, image_key, compute_resource_key, name, os_family, os_version, "
    "os_version_key, size_gb, agent_installed, shared, description, architecture, state, details, "
    "credentials_name, registered_by_id, registered_by_name, registered_at, checked_at, verified, "
    "status, deprecated_on, retired_on, status_reason, name_key, size_key, search_text, group_id, "
    "due_at, derived_revision, account_id, tags, tag_index"
)
GROUP_COLUMNS = (
    "id, scope_id, shared, cloud, location, os_family, os_version, architecture, agent_installed, "
    "status, state, verified, account_id, images"
)
REASONS = ("End of life", "Replaced by a newer build", "Vulnerable library", "")
Row = tuple[Any, ...]


class WeightedValues:
    """Values to draw from, with `weights` or, by default, with weights by Zipf's law."""

    def __init__(self, values: Sequence[Any], weights: Sequence[float] = ()) -> None:
        self.values = values
        self.cumulative_weights = list(
            accumulate(weights or (1 / (index + 1) for index in range(len(values))))
        )

    def draw(self, chance: random.Random) -> Any:
        return chance.choices(self.values, cum_weights=self.cumulative_weights)[0]

    def draw_many(self, chance: random.Random, number: int) -> list[Any]:
        return chance.choices(self.values, cum_weights=self.cumulative_weights, k=number)


@dataclass(frozen=True)
class Owner:
    """A scope that owns images.

    `weight` is the approximate fraction of all images that the scope owns. `shared` is the fraction
    of the scope's images that is shared.
    """

    scope: Scope
    weight: float
    shared: float

    @property
    def account_id(self) -> int | None:
        """The value of `Image.account_id` for the images of the owner."""
        is_environment = self.scope.level is Level.ENVIRONMENT
        return self.scope.parent_id if is_environment else self.scope.id

    @property
    def recipes(self) -> int:
        """The number of recipes of the owner (see `Recipe`).

        An owner of all images would have 1,500 recipes.
        """
        return max(4, int(1_500 * self.weight**0.5))


@dataclass(frozen=True)
class CloudImages:
    """The properties of the generated images of one cloud.

    `image_id` returns a cloud image ID for the name of an image. `agent` is the fraction of the
    recipes whose images have the Scalr agent.
    """

    key: str
    image_id: Callable[[random.Random, str], str]
    systems: WeightedValues
    locations: WeightedValues
    agent: float = 0.7
    resources: tuple[str, ...] = ("",)


def _systems(*favored: str) -> WeightedValues:
    """Return all operating systems. The families `favored` have four times their usual weight."""
    weights = (weight * (4 if family in favored else 1) for family, _, weight in SYSTEMS)
    return WeightedValues([system[:2] for system in SYSTEMS], list(weights))


def _uuid(chance: random.Random, _name: str) -> str:
    return str(uuid.UUID(int=chance.getrandbits(128), version=4))


def _without_dots(name: str) -> str:
    return name.replace(".", "-")


def _gallery_version(chance: random.Random, name: str) -> str:
    number = chance.getrandbits(20)
    definition = name.rsplit("-", 2)[0]
    return (
        f"/subscriptions/{_uuid(chance, '')}/resourceGroups/images/providers/Microsoft.Compute"
        f"/galleries/golden/images/{definition}/versions/1.0.{number}"
    )


SYSTEMS = (
    ("ubuntu", "24.04", 22),
    ("ubuntu", "22.04", 16),
    ("rhel", "9", 9),
    ("windows-server", "2022", 8),
    ("debian", "12", 8),
    ("amazon-linux", "2023", 5),
    ("rhel", "8", 5),
    ("windows-server", "2019", 4),
    ("ubuntu", "20.04", 4),
    ("rocky", "9", 4),
    ("debian", "11", 3),
    ("windows-server", "2025", 2),
    ("almalinux", "9", 2),
    ("sles", "15", 1),
    ("fedora", "42", 0.5),
)
"""The family, the version and the usual weight of each operating system."""
X86_ONLY = ("windows-server",)
REGIONS = (
    "us-east-1",
    "eu-west-1",
    "us-west-2",
    "eu-central-1",
    "ap-southeast-1",
    "us-east-2",
    "ap-northeast-1",
    "eu-north-1",
    "ap-south-1",
    "sa-east-1",
    "ca-central-1",
    "eu-west-2",
)
CLOUD_IMAGES = WeightedValues(
    [
        CloudImages(
            "aws",
            lambda chance, _: f"ami-{chance.getrandbits(68):017x}",
            _systems("amazon-linux", "ubuntu"),
            WeightedValues(REGIONS),
        ),
        CloudImages("azure", _gallery_version, _systems("windows-server"), WeightedValues([""])),
        CloudImages(
            "gce",
            lambda chance, name: (
                f"images-{chance.randrange(40)}/global/images/{_without_dots(name)}"
            ),
            _systems("debian", "ubuntu"),
            WeightedValues([""]),
            agent=0.8,
        ),
        CloudImages(
            "openstack",
            _uuid,
            _systems("ubuntu", "rocky"),
            WeightedValues([f"region-{letter}" for letter in "abcdef"]),
            agent=0.6,
        ),
        CloudImages(
            "vmware",
            _uuid,
            _systems("windows-server", "rhel"),
            WeightedValues([f"datacenter-{number}" for number in range(1, 9)]),
            agent=0.5,
            resources=("cluster-1", "cluster-2", "cluster-3", ""),
        ),
    ],
    (50, 20, 14, 9, 7),
)
ROLES = WeightedValues(
    (
        f"base {COMMON_WORD} api worker database golden cache runner gateway bastion broker "
        "monitor build desktop proxy ledger search training"
    ).split()
)
STATES = WeightedValues([str(each) for each in ImageState], (91, 2, 0.5, 0.5, 0.5, 2.5, 3))


@dataclass(frozen=True)
class Recipe:
    """The properties that several images of one owner have in common."""

    kind: CloudImages
    location: str
    family: str
    version: str
    architecture: str
    agent: bool


def _recipe(chance: random.Random) -> Recipe:
    kind: CloudImages = CLOUD_IMAGES.draw(chance)
    family, version = kind.systems.draw(chance)
    arm = family not in X86_ONLY and chance.random() < 0.24
    return Recipe(
        kind=kind,
        location=kind.locations.draw(chance),
        family=family,
        version=version,
        architecture="arm64" if arm else "x86_64",
        agent=chance.random() < kind.agent,
    )


class Fleet:
    """Generates the rows of `images` images, and the rows of their facet groups.

    `schema.images.FacetGroup` explains facet groups. Call `group_rows` after reading all of `rows`,
    because the groups are complete only then.
    """

    def __init__(
        self, chance: random.Random, owners: Sequence[Owner], people: Sequence[Person], images: int
    ) -> None:
        self.chance, self.images = chance, images
        self.owners = WeightedValues(owners, [each.weight for each in owners])
        self.recipes = {
            each.scope.id: WeightedValues(
                [_recipe(chance) for _ in range(each.recipes)],
                [(index + 1) ** -0.7 for index in range(each.recipes)],
            )
            for each in owners
        }
        self.people = WeightedValues(people)
        self.end = datetime.combine(today(), time(), UTC)
        self.version_keys = {version: version_key(version) for _, version, _ in SYSTEMS}
        self._groups: dict[Row, int] = {}
        self._counts: list[int] = []

    def rows(self) -> Iterator[Row]:
        """Yield the rows of images, the oldest image first, with the columns `COLUMNS`."""
        owners = self.owners.draw_many(self.chance, self.images)
        people = self.people.draw_many(self.chance, self.images)
        for index, (owner, person) in enumerate(zip(owners, people, strict=True)):
            yield self._row(index, owner, person)

    def group_rows(self) -> Iterator[Row]:
        """Yield the rows of facet groups, with the columns `GROUP_COLUMNS`."""
        accounts = {owner.scope.id: owner.account_id for owner in self.owners.values}
        for facets, index in self._groups.items():
            yield index + 1, *facets, accounts[facets[0]], self._counts[index]

    def _row(self, index: int, owner: Owner, person: Person) -> Row:
        chance = self.chance
        recipe: Recipe = self.recipes[owner.scope.id].draw(chance)
        kind, family, version = recipe.kind, recipe.family, recipe.version
        registered = self._registration_time(index)
        role = RARE_WORD if index % max(self.images // RARE_IMAGES, 1) == 0 else ROLES.draw(chance)
        serial = f"{chance.getrandbits(64):016x}"
        name = f"{family}-{version}-{role}-{registered:%Y%m%d}-{serial[:6]}"
        image_id = kind.image_id(chance, name)
        resource = chance.choice(kind.resources)
        size = min(500, 8 + 2 * int(chance.expovariate(1 / 20)))
        description = f"{role.capitalize()} image of {owner.scope.name}, built by {person.name}."
        if role == RARE_WORD:
            description += RARE_CJK_WORD
        if index % 20 == 0:
            description += CJK_DESCRIPTION
        state = STATES.draw(chance)
        tags = self._tags(index)
        status, *life_cycle = self._life_cycle(registered)
        is_planned = status == LifeCycle.ACTIVE and life_cycle[0]
        facets = (
            owner.scope.id,
            chance.random() < owner.shared,
            kind.key,
            recipe.location,
            family,
            version,
            recipe.architecture,
            recipe.agent,
            status,
            state,
            state != ImageState.UNKNOWN,
        )
        checked = registered + (self.end - registered) * chance.random()
        return (
            index + 1,
            facets[0],
            kind.key,
            facets[3],
            image_id,
            resource,
            place_key(facets[3]),
            image_key_of(image_id),
            place_key(resource),
            name,
            family,
            version,
            self.version_keys[version],
            size,
            facets[7],
            facets[1],
            description,
            facets[6],
            state,
            _details((name, description), facets, size, registered, serial),
            f"Builds of {owner.scope.name}",
            person.id,
            person.name,
            f"{registered:%Y-%m-%d %H:%M:%S}",
            f"{checked:%Y-%m-%d %H:%M:%S}",
            facets[10],
            status,
            *life_cycle,
            name.lower(),
            size,
            search_text(name, image_id, description),
            self._count_in_group(facets),
            f"{life_cycle[0]} 00:00:00" if is_planned else None,
            1,
            owner.account_id,
            "\n".join(tags),
            tag_index(tags),
        )

    def _tags(self, index: int) -> list[str]:
        """Return the tags of an image, in the order in which they are stored."""
        tags = [COMMON_TAG] if index % 8 == 0 else []
        tags += [OLD_TAG] if index < self.images // 3 else []
        tags += [RARE_TAG] if index % max(self.images // RARE_IMAGES, 1) == 0 else []
        tags += [f"build={index}"] if index % 10 == 0 else []
        return sorted(tags)

    def _registration_time(self, index: int) -> datetime:
        """Return when an image was registered. Each year has more images than the year before."""
        age = 365 * 86_400 * YEARS * (1 - (index + 1) / (self.images + 1)) ** 1.6
        return self.end - timedelta(seconds=int(age))

    def _life_cycle(self, registered: datetime) -> tuple[str, str | None, str | None, str]:
        """Return the status, the day of deprecation, the day of retirement, and the reason."""
        chance, drawn = self.chance, self.chance.random()
        since = registered + (self.end - registered) * chance.random()
        reason = chance.choice(REASONS)
        if drawn < 0.03:
            return str(LifeCycle.RETIRED), None, f"{since:%Y-%m-%d}", reason
        if drawn < 0.12:
            return str(LifeCycle.DEPRECATED), f"{since:%Y-%m-%d}", None, reason
        planned_day = self.end + timedelta(days=chance.randrange(30, 400))
        planned = f"{planned_day:%Y-%m-%d}" if drawn < 0.15 else None
        return str(LifeCycle.ACTIVE), planned, None, ""

    def _count_in_group(self, facets: Row) -> int:
        """Add an image to the count of its facet group, and return the ID of the group."""
        index = self._groups.setdefault(facets, len(self._groups))
        if index == len(self._counts):
            self._counts.append(0)
        self._counts[index] += 1
        return index + 1


_COMMON_DETAILS = image_details.to_json(
    ImageDetails(
        name="",
        description="",
        architecture="",
        size_gb=None,
        state=ImageState.AVAILABLE,
        state_note="",
        created_at=None,
        deprecated_at=None,
        facts=(),
        volumes=(Volume("/dev/sda1", "ssd", 8, "", encrypted=False, root=True),),
        os_texts=(),
    )
)
"""The part of the stored details that is equal for all images."""


def _details(texts: tuple[str, str], facets: Row, size: int, created: datetime, serial: str) -> str:
    """Return the details of an image as the application stores them: about half a kilobyte."""
    name, description = texts
    stored = {
        **_COMMON_DETAILS,
        "name": name,
        "description": description,
        "architecture": facets[6],
        "size_gb": size,
        "state": facets[9],
        "created": created.isoformat(),
        "facts": [vars(Fact("serial", "Serial number", serial))],
        "os_texts": [name, description],
    }
    return json.dumps(stored)
