"""Register the sample images of the demonstration, in all scopes, clouds and states.

The images are in `sample_images.csv`. The file has some of the columns of an import file, and these
additional columns:

- `scope`: the path of the scope that registers the image, or '' for the Scalr scope.
- `look_up`: `yes` reads the image from its sandbox cloud, as the button NEXT in New Image does.
  `no` registers the image without a look-up, as an import can. `check` registers the image without
  a look-up, and then checks it. The sandbox does not have the images with `check`, so their state
  becomes `gone`.
- `deprecated` and `retired`: the days of the life cycle, each as a number of days from today. For
  example, -20 is the day 20 days ago. A row with `retired` also needs `deprecated`.
- `reason`: the reason for the deprecation or retirement.
- `successor`: the name of another image of the file, in the same scope.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from contextlib import suppress
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import models
from models import CloudCredentials, Image, Person, Scope
from webapp.access import Actor
from webapp.clouds import CLOUDS
from webapp.clouds.details import ImageDetails, ImageState
from webapp.clouds.errors import CloudUnreachable
from webapp.credentials.vault import Vault
from webapp.images import checking, life_cycle, operating_systems, registration
from webapp.images.choices import ImageChoices
from webapp.images.identity import parse_locator
from webapp.images.receipts import Receipt
from webapp.people import accounts
from webapp.values.tags import split_tags

FILE = Path(__file__).with_suffix(".csv")
MAX_LOOK_UPS = 4
"""The maximum number of times to look up an image."""
Row = Mapping[str, str]


def register_all(vault: Vault, people: Mapping[str, Person]) -> int:
    """Register all sample images and return their number.

    `people` maps the path of an account to the person who registers the images of the account and
    its environments. The path of the Scalr scope is ''. This scope must have credentials for every
    cloud.
    """
    with FILE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    images = [_register(_actor(people, row), vault, row) for row in rows]
    ids = {(row["scope"], image.name): image.id for row, image in zip(rows, images, strict=True)}
    for row, image in zip(rows, images, strict=True):
        if row["deprecated"]:
            successor = ids[row["scope"], row["successor"]] if row["successor"] else None
            days = _day(row["deprecated"]), _day(row["retired"])
            plan = life_cycle.LifeCyclePlan(*days, row["reason"], successor)
            life_cycle.change(_actor(people, row), image, plan)
    return len(rows)


def _actor(people: Mapping[str, Person], row: Row) -> Actor:
    return accounts.actor_for(people[row["scope"].partition("/")[0]])


def _register(actor: Actor, vault: Vault, row: Row) -> Image:
    scope = Scope.get(Scope.path == row["scope"])
    credentials = CloudCredentials.get(CloudCredentials.cloud == row["cloud"])
    if row["look_up"] == "yes":
        receipt = _look_up(actor, scope, vault, row, credentials)
        choices = _choices(row, registration.suggested_name(receipt), receipt.details)
        return registration.register(actor, scope, receipt, choices, row["compute_resource"])
    locator = parse_locator(
        CLOUDS[row["cloud"]], location=row["location"], image_id=row["cloud_image_id"]
    )
    details = ImageDetails(
        row["name"], "", "x86_64", None, ImageState.UNKNOWN, "", None, None, (), (), ()
    )
    image = registration.register_unverified(
        actor,
        scope,
        row["cloud"],
        locator,
        _choices(row, row["name"], details),
        details=details,
        credentials_id=credentials.id,
    )
    if row["look_up"] == "check":
        checking.check_again(actor, image, vault)
    return image


def _look_up(
    actor: Actor, scope: Scope, vault: Vault, row: Row, credentials: CloudCredentials
) -> Receipt:
    """Read an image from its sandbox cloud.

    On a busy machine, the cloud may take too long to respond. In this case, try again.
    """
    look_up = partial(
        registration.look_up,
        actor,
        scope,
        vault,
        row["cloud"],
        credentials_id=credentials.id,
        location=row["location"],
        image_id=row["cloud_image_id"],
    )
    for _ in range(MAX_LOOK_UPS - 1):
        with suppress(CloudUnreachable):
            return look_up()
    return look_up()


def _choices(row: Row, name: str, details: ImageDetails) -> ImageChoices:
    suggestion = operating_systems.suggest(details.os_texts)
    return ImageChoices(
        name=row["name"] or name,
        os_family=row["os_family"] or (suggestion.family if suggestion else ""),
        os_version=row["os_version"] or (suggestion.version if suggestion else ""),
        size_gb=details.size_gb,
        agent_installed=row["agent_installed"] == "yes",
        shared=row["shared"] == "yes",
        tags=split_tags(row["tags"]),
    )


def _day(days: str) -> date | None:
    return models.today() + timedelta(days=int(days)) if days else None
