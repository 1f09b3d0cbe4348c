"""Forms for one image."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from flask_wtf import FlaskForm
from wtforms import (
    BooleanField,
    HiddenField,
    IntegerField,
    SelectField,
    StringField,
)
from wtforms.validators import InputRequired, Length, NumberRange, Optional

from models import CloudCredentials, Image
from webapp.forms.base import refuse, stripped
from webapp.images import operating_systems
from webapp.images.registration import Choices

OTHER = operating_systems.OTHER


class ImageForm(FlaskForm):
    """What a person says of an image, on registering and on editing it."""

    name = StringField(
        "Name",
        [InputRequired("Give the image a name.")],
        description="Used here only; the name in the cloud does not change.",
    )
    os_family = SelectField("Family", [InputRequired("Choose the family of the operating system.")])
    os_family_other = StringField("Other family", [Optional(), Length(max=64)], [stripped])
    os_version = SelectField("Version", [InputRequired("Choose the version.")])
    os_version_other = StringField("Other version", [Optional(), Length(max=64)], [stripped])
    size_gb = IntegerField(
        "Size",
        [Optional(), NumberRange(1, 2**31 - 1, "The size is a whole number of GB, at least 1.")],
        description="In GB, if known.",
    )
    compute_resource = SelectField("Compute Resource", validate_choice=False, choices={"": ""})
    agent_installed = BooleanField("Scalr Agent Installed")
    shared = BooleanField("Shared")
    receipt = HiddenField()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        families = operating_systems.FAMILIES
        self.os_family.choices = {
            "": "Choose…",
            **{family.key: family.label for family in families.values()},
            OTHER: "Other…",
        }
        self.os_version.choices = {
            "": "Choose…",
            OTHER: "Another version…",
            **{
                family.label: {f"{family.key}|{each.key}": each.label for each in family.versions}
                for family in families.values()
            },
        }

    def offer_compute_resources(self, offered: Iterable[str], taken: Collection[str]) -> None:
        """Without those that the image is registered for already."""
        free = [each for each in ("", *offered) if each not in taken]
        self.compute_resource.choices = {each: each or "None" for each in free}

    def show(self, choices: Choices) -> None:
        """Fill the form with what is stored or suggested."""
        self.name.data = choices.name
        self.size_gb.data = choices.size_gb
        self.agent_installed.data = choices.agent_installed
        self.shared.data = choices.shared
        self.show_os(choices.os_family, choices.os_version)

    def show_os(self, family: str, version: str) -> None:
        known = operating_systems.FAMILIES.get(family)
        self.os_family.data = family if known or not family else OTHER
        self.os_family_other.data = "" if known else family
        versions = {each.key for each in known.versions} if known else set()
        self.os_version.data = f"{family}|{version}" if version in versions else OTHER
        self.os_version_other.data = "" if version in versions else version
        if not version:
            self.os_version.data = ""

    def validate(self, extra_validators: Any = None) -> bool:
        valid: bool = super().validate(extra_validators)
        if self.os_family.data == OTHER and not self.os_family_other.data:
            refuse(self, "Say which family it is.", "os_family_other")
            valid = False
        if self._other_version() and not self.os_version_other.data:
            refuse(self, "Say which version it is.", "os_version_other")
            valid = False
        elif self.os_version.data and not self._other_version():
            family, _, _ = self.os_version.data.partition("|")
            if family != self.os_family.data in operating_systems.FAMILIES:
                label = operating_systems.label(self.os_family.data)
                refuse(self, f"Choose a version of {label}.", "os_version")
                valid = False
        return valid

    def choices(self) -> Choices:
        """Raises RegistrationError."""
        other = self.os_family.data == OTHER
        return Choices(
            name=stripped(self.name.data),
            os_family=self.os_family_other.data if other else self.os_family.data,
            os_version=(
                self.os_version_other.data
                if self._other_version()
                else self.os_version.data.partition("|")[2]
            ),
            size_gb=self.size_gb.data,
            agent_installed=self.agent_installed.data,
            shared=self.shared.data,
        )

    def _other_version(self) -> bool:
        return OTHER in {self.os_version.data, self.os_family.data}


class SharedForm(FlaskForm):
    shared = BooleanField()


class CheckForm(FlaskForm):
    """Check now; with other credentials where the ones it was registered with are gone."""

    credentials = SelectField(
        "Cloud Credentials", coerce=lambda value: int(value or 0), validate_choice=False
    )

    def offer(self, usable: Sequence[CloudCredentials], image: Image) -> None:
        self.credentials.choices = {str(row.id): row.name for row in usable}
        if self.credentials.data is None:
            self.credentials.data = image.credentials_id
