"""The values that people enter for an image, such as its name and operating system."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from flask import g
from msgspec import UNSET, Meta, Struct, UnsetType

from models import Level
from webapp.api.problems import ApiProblem, FieldError
from webapp.images import operating_systems
from webapp.images.choices import InvalidChoices, parse_choice


class Values(Struct, forbid_unknown_fields=True, kw_only=True):
    """The values that people enter for an image. All are optional."""

    name: str | UnsetType = UNSET
    os_family: Annotated[
        str | UnsetType, Meta(description="The key of a family, such as `ubuntu`, or another text.")
    ] = UNSET
    os_version: str | UnsetType = UNSET
    size_gb: Annotated[
        int | UnsetType | None, Meta(description="The size in GB. Null if it is unknown.")
    ] = UNSET
    agent_installed: bool | UnsetType = UNSET
    shared: bool | UnsetType = UNSET
    tags: list[str] | UnsetType = UNSET
    notes: Annotated[str | UnsetType, Meta(description="In Markdown.")] = UNSET


NAMES = ("name", "os_family", "os_version", "size_gb", "agent_installed", "shared", "tags", "notes")


def parse_values(body: Values) -> dict[str, Any]:
    """Return the normalized values in the body. Raises ApiProblem with one error per field.

    As on the pages, an `os_family` that contains a version, such as `Ubuntu 24.04`, is an error. It
    is also an error to share an image of an environment, because an environment has no scopes below
    it.
    """
    fields = {name: getattr(body, name) for name in NAMES}
    fields = {name: value for name, value in fields.items() if value is not UNSET}
    values, errors = {}, []
    for name, value in fields.items():
        try:
            values[name] = parse_choice(name, value)
        except InvalidChoices as error:
            errors.append(FieldError(name, error.message))
    errors += _problems(values)
    if errors:
        raise ApiProblem("invalid-values", " ".join(each.detail for each in errors), errors)
    return values


def _problems(values: Mapping[str, Any]) -> list[FieldError]:
    errors = []
    family = operating_systems.family_with_version(values.get("os_family", ""))
    if family is not None:
        message = (
            f"This text contains a version. Set os_family to “{family.key}”, and put the version "
            "into os_version."
        )
        errors.append(FieldError("os_family", message))
    if values.get("shared") and g.scope.level is Level.ENVIRONMENT:
        message = "An environment has no scopes below it to share the image with."
        errors.append(FieldError("shared", message))
    return errors
