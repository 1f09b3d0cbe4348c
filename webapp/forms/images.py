"""Forms for one image."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from flask import request
from wtforms import BooleanField, Field
from wtforms.validators import InputRequired

from models import CloudCredentials, Image
from schema.text import place_key
from webapp.forms.base import BaseForm, ConfirmForm, MarkRequired, refuse
from webapp.forms.fields import (
    Choice,
    HiddenText,
    MultilineText,
    RecordChoice,
    RevisionField,
    Size,
    Tags,
    TextLine,
)
from webapp.images import operating_systems
from webapp.images.choices import NAME, NOTES_LENGTH, OS_FAMILY, OS_VERSION, ImageChoices

OTHER = operating_systems.OTHER
ENTRY_FIELDS = (
    *("name", "os_family", "os_family_other", "os_version", "os_version_other", "size_gb"),
    *("compute_resource", "agent_installed", "shared", "tags"),
)
"""The fields of ImageForm that `pack_entries` stores."""
LONGEST_RECEIPT = 256 * 1024
"""The maximum length of a receipt, in characters. An image with many facts has a long receipt."""


class ImageForm(BaseForm):
    """The details that a person enters when they register or edit an image."""

    name: Field = TextLine(
        "Name",
        NAME,
        [InputRequired("Enter a name for the image.")],
        description="Used in this registry only. The name in the cloud doesn’t change.",
    )
    os_family: Field = Choice(
        "Family", [InputRequired("Choose the family of the operating system.")]
    )
    os_family_other = TextLine("Other family", OS_FAMILY, [MarkRequired()])
    os_version: Field = Choice("Version", [InputRequired("Choose the version.")])
    os_version_other = TextLine("Other version", OS_VERSION, [MarkRequired()])
    size_gb: Field = Size("Size", description="In GB. Optional.")
    credentials: Field = RecordChoice(
        "Cloud Credentials", [MarkRequired()], validate_choice=False, choices={}
    )
    """Other credentials, if the scope can no longer use the credentials of the look-up.

    Otherwise, this field has no choices.
    """
    compute_resource: Field = Choice("Compute Resource", validate_choice=False, choices={"": ""})
    agent_installed: Field = BooleanField("Scalr Agent Installed")
    shared: Field = BooleanField("Shared")
    tags: Field = Tags(
        "Tags", description="Separated by commas, for example cis, team=web. Optional."
    )
    notes: Field = MultilineText(
        "Notes",
        2 * NOTES_LENGTH,
        description="In Markdown, with lists, tables and links. Optional.",
    )
    """Only the form to edit an image shows this field."""
    revision: Field = RevisionField()
    """The revision that the person edits. The form of a new image has no revision."""
    receipt: Field = HiddenText(LONGEST_RECEIPT)
    """The signed record of the look-up of the image. See `webapp.images.receipts`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        families = operating_systems.FAMILIES.values()
        self.os_family.choices = {
            "": "Choose…",
            **{family.key: family.label for family in families},
            OTHER: "Other…",
        }
        self.os_version.choices = {
            "": "Choose…",
            OTHER: "Other version…",
            **{
                family.label: {
                    f"{family.key}|{version.key}": version.label for version in family.versions
                }
                for family in families
            },
        }

    def offer_compute_resources(
        self, resources: Iterable[str], registered_keys: Collection[str]
    ) -> None:
        """Offer “None” and the compute resources for which the image is not registered yet.

        `registered_keys` has the `place_key` (see `schema.text`) of each compute resource that the
        image is registered for, and '' if the image is registered without a compute resource.
        """
        available = [name for name in ("", *resources) if place_key(name) not in registered_keys]
        self.compute_resource.choices = {resource: resource or "None" for resource in available}
        chosen = self.compute_resource.data
        if chosen and chosen not in available and not self.compute_resource.errors:
            message = f"“{chosen}” can no longer be chosen. Choose another compute resource."
            refuse(self, message, "compute_resource")

    def offer_credentials(self, usable: Iterable[CloudCredentials]) -> None:
        self.credentials.choices = {"": "Choose…", **{str(row.id): row.name for row in usable}}

    def fill(self, choices: ImageChoices) -> None:
        """Fill in the stored values."""
        self.name.data = choices.name
        self.size_gb.data = choices.size_gb
        self.agent_installed.data = choices.agent_installed
        self.shared.data = choices.shared
        self.tags.data = choices.tags
        self.notes.data = choices.notes
        self.fill_os(choices.os_family, choices.os_version)

    def fill_os(self, family_key: str, version_key: str) -> None:
        """Fill in an operating system. Select "Other" for an unlisted family or version."""
        family = operating_systems.FAMILIES.get(family_key)
        self.os_family.data = family_key if family or not family_key else OTHER
        self.os_family_other.data = "" if family else family_key
        version_keys = {version.key for version in family.versions} if family else set()
        is_listed = version_key in version_keys
        self.os_version.data = f"{family_key}|{version_key}" if is_listed else OTHER
        self.os_version_other.data = "" if is_listed else version_key
        if not version_key:
            self.os_version.data = ""

    def validate(self, extra_validators: Any = None) -> bool:
        valid: bool = super().validate(extra_validators)
        if self.os_family.data == OTHER and not self.os_family_other.data:
            refuse(self, "Enter the family.", "os_family_other")
            valid = False
        elif self.os_family.data == OTHER and (
            family := operating_systems.family_with_version(self.os_family_other.data)
        ):
            message = f"This text contains a version. Choose {family.label} and its version."
            refuse(self, message, "os_family_other")
            valid = False
        if self._has_other_version() and not self.os_version_other.data:
            refuse(self, "Enter the version.", "os_version_other")
            valid = False
        elif self.os_version.data and not self._has_other_version():
            family, _, _ = self.os_version.data.partition("|")
            chosen = self.os_family.data
            if chosen in operating_systems.FAMILIES and family != chosen:
                label = operating_systems.label(chosen)
                refuse(self, f"Choose a version of {label}.", "os_version")
                valid = False
        return valid

    def operating_system(self) -> tuple[str, str]:
        """Return the family and the version, each as a key or as the text that the person typed."""
        has_other_family = self.os_family.data == OTHER
        family = self.os_family_other.data if has_other_family else self.os_family.data
        if self._has_other_version():
            return family, self.os_version_other.data
        return family, self.os_version.data.partition("|")[2]

    def choices(self) -> ImageChoices:
        """Return the entered values. Raises InvalidChoices."""
        os_family, os_version = self.operating_system()
        return ImageChoices(
            name=self.name.data or "",
            os_family=os_family,
            os_version=os_version,
            size_gb=self.size_gb.data,
            agent_installed=self.agent_installed.data,
            shared=self.shared.data,
            tags=self.tags.data,
            notes=self.notes.data,
        )

    def pack_entries(self, image_id: str) -> str:
        """Return the values that the request has for ENTRY_FIELDS, as a text for `unpack_entries`.

        The text is a part of URLs, so that a person who goes back and forth between the steps of
        New Image doesn't lose the values.
        """
        entries = {name: request.form[name] for name in ENTRY_FIELDS if name in request.form}
        return json.dumps([image_id, entries], ensure_ascii=False, separators=(",", ":"))

    @staticmethod
    def unpack_entries(text: str, image_id: str) -> dict[str, str]:
        """Return the value of each field in the text, or {} if the text is for another image."""
        try:
            entries_image_id, entries = json.loads(text)
            values = {name: entries[name] for name in ENTRY_FIELDS if name in entries}
        except (ValueError, TypeError, KeyError, RecursionError):
            return {}
        is_usable = entries_image_id == image_id and all(
            isinstance(each, str) for each in values.values()
        )
        return values if is_usable else {}

    def _has_other_version(self) -> bool:
        """Return whether the person types the version instead of choosing it from a list.

        If the family is "Other", there is no list of versions.
        """
        return OTHER in {self.os_version.data, self.os_family.data}


class SharedForm(ConfirmForm):
    shared: Field = BooleanField()


class CheckForm(BaseForm):
    """The form of the “Check now” button.

    If the image's credentials were deleted, the person chooses other credentials.
    """

    credentials = RecordChoice("Cloud Credentials", validate_choice=False)

    def set_credentials(self, usable: Sequence[CloudCredentials], image: Image) -> None:
        """Offer the usable credentials, and select the credentials of the image."""
        self.credentials.choices = {str(row.id): row.name for row in usable}
        if self.credentials.data is None:
            self.credentials.data = image.credentials_id
