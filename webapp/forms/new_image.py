"""The forms of the first step of New Image.

With these forms, people choose credentials, and then identify a cloud image or browse cloud images.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

from wtforms import Field, Form

from models import CloudCredentials
from webapp.clouds.base import Cloud
from webapp.clouds.credentials import Field as CloudField
from webapp.clouds.errors import InvalidImageId, InvalidLocation
from webapp.clouds.limits import MAX_LISTED
from webapp.clouds.locators import ImageId, ListedImage, Location
from webapp.forms.base import MarkRequired, NotTooLong, refuse
from webapp.forms.fields import Choice, PastedText

LONGEST_TEXT = 2000
"""The maximum length of a text that a person pastes as an image ID, in characters.

IDs are much shorter, but a person can also paste the URL of a page in a cloud's console.
"""
LONGEST_SEARCH = 200
"""The maximum length of a search in the images of a cloud, in characters."""
TOO_LONG = (
    f"This text is too long for an image ID. Copy only the ID, with at most {LONGEST_TEXT:,} "
    "characters."
)
CHOOSE = "Choose…"
"""The label of the first choice of a list. This choice has no value."""
CREDENTIALS_REFUSED = (
    "The credentials that you chose have been deleted, or aren’t available at this scope. Choose "
    "other credentials."
)


class CloudForm(Form):
    """The fields that choose credentials and a location of one cloud.

    The form is sent with GET, so that the URL of the next page contains the values of the form.
    `for_cloud` returns a form with the fields of one cloud, in the order of the page.
    """

    cloud: ClassVar[Cloud]
    credentials = Choice("Cloud Credentials", [MarkRequired()], validate_choice=False)
    suggested_locations: Mapping[str, str] = {}
    """The labels of suggested locations by key. Empty if the location is chosen from a list."""
    list_notes: tuple[str, ...] = ()
    """Sentences that say which lists may be incomplete."""
    is_live = False
    """Whether the application has tried to read the locations and images from the cloud."""

    @classmethod
    def for_cloud(cls, cloud: Cloud, usable: Sequence[CloudCredentials], arguments: Any) -> Self:
        """Return the form for one cloud, filled in with the parameters of the URL (`arguments`).

        If no credentials are chosen, the first usable credentials are selected. If the chosen
        credentials can't be used, the form has an error, and no other credentials are selected.
        """
        fields: dict[str, Any] = {"cloud": cloud}
        if location := cloud.location_field:
            fields["location"] = _field(location, is_select=not location.free_text)
        fields |= cls._more_fields(cloud)
        form: Self = type(cls.__name__, (cls,), fields)(arguments)
        for name in fields.keys() & {"location", "image_id"}:
            if isinstance(form[name], Choice):
                is_too_early = name == "image_id" and not form.value_of("location")
                _set_choices(form[name], {}, "Choose a location first" if is_too_early else CHOOSE)
        names = {str(row.id): row.name for row in usable}
        form.credentials.choices = names
        if not arguments.get("credentials"):
            form.credentials.data = next(iter(names), "")
        elif form.credentials.data not in names:
            form.credentials.data = ""
            form.credentials.choices = {"": CHOOSE, **names}
            refuse(form, CREDENTIALS_REFUSED, "credentials")
        return form

    @classmethod
    def _more_fields(cls, cloud: Cloud) -> dict[str, Any]:  # noqa: ARG003
        """Return the fields that follow the location. They depend on the cloud."""
        return {}

    @property
    def credentials_id(self) -> int | None:
        return int(self.credentials.data) if self.credentials.data else None

    def validate(self, extra_validators: Any = None) -> bool:
        """Validate all fields, so that one response reports every error."""
        are_credentials_refused = bool(self.credentials.errors)
        super().validate(extra_validators)
        if are_credentials_refused:
            refuse(self, CREDENTIALS_REFUSED, "credentials")
        pasted_location = self._pasted_location()
        field = self.cloud.location_field
        if field and field.required and not (self.value_of("location") or pasted_location):
            verb = "Enter" if field.free_text else "Choose"
            refuse(self, f"{verb} the {field.label.lower()} of the image.", "location")
        try:
            self.cloud.parse_location(self.value_of("location"))
        except InvalidLocation as error:
            refuse(self, str(error), "location")
        return not self.errors

    def value_of(self, name: str) -> str:
        """Return the value of a field, or '' if this cloud has no such field."""
        return self[name].data or "" if name in self else ""

    def offer_locations(self, locations: Iterable[Location]) -> None:
        locations = tuple(locations)
        is_list = isinstance(self["location"], Choice)
        advice = (
            "Use credentials that can see fewer locations."
            if is_list
            else "You can enter any other location."
        )
        self._note_limit("locations", len(locations), advice)
        labels = {
            location.key: location.label if location.enabled else f"{location.label} (not enabled)"
            for location in locations
        }
        if isinstance(self["location"], Choice):
            _set_choices(self["location"], labels)
        else:
            self.suggested_locations = labels

    def _note_limit(self, noun: str, count: int, advice: str) -> None:
        """Add a note if the list of `count` items may be incomplete."""
        if count >= MAX_LISTED:
            note = f"Only the first {MAX_LISTED:,} {noun} are listed. {advice}"
            self.list_notes = (*self.list_notes, note)

    def _pasted_location(self) -> str:
        """Return the location in the pasted image ID, or ''."""
        return ""


class SelectImageForm(CloudForm):
    """The fields that identify a cloud image."""

    @classmethod
    def _more_fields(cls, cloud: Cloud) -> dict[str, Any]:
        return {"image_id": _field(cloud.image_id_field, is_select=cloud.lists_images)}

    def offer_images(self, images: Iterable[ListedImage]) -> None:
        choices = {image.image_id: image.name for image in images}
        advice = "For any other image, paste its ID into “Paste any image ID” above."
        self._note_limit("images", len(choices), advice)
        _set_choices(self["image_id"], choices, CHOOSE if choices else "No images at this location")

    def _pasted_location(self) -> str:
        parsed = self._parse_image_id()
        return parsed.location if parsed else ""

    def _parse_image_id(self) -> ImageId | None:
        """Return the parsed image ID. If it is missing or invalid, add an error and return None."""
        text = self.value_of("image_id")
        if not text and self.cloud.lists_images:
            hint = "" if self.value_of("location") else " To see the list, choose a location."
            refuse(self, f"Choose an image from the list.{hint}", "image_id")
            return None
        if self["image_id"].errors:
            return None
        try:
            return self.cloud.parse_image_id(text)
        except InvalidImageId as error:
            refuse(self, str(error), "image_id")
            return None


class BrowseForm(CloudForm):
    """The fields that choose the list of images to browse, and the text to find in this list."""

    q = PastedText("Search", LONGEST_SEARCH, too_long="This search is too long. Shorten it.")


def _field(field: CloudField, *, is_select: bool) -> Field:
    too_long = "This text is too long for a location." if field.name == "location" else TOO_LONG
    validators: list[Any] = [MarkRequired()] if field.required else []
    options = {"default": field.default, "validators": validators}
    if is_select:
        validators.append(NotTooLong(LONGEST_TEXT, too_long))
        choices = {"": CHOOSE}
        return Choice(field.label, validate_choice=False, choices=choices, **options)
    return PastedText(field.label, LONGEST_TEXT, too_long=too_long, **options)


def _set_choices(select: Choice, labels: Mapping[str, str], placeholder: str = CHOOSE) -> None:
    """Offer `labels`. The current value stays selected, even if `labels` does not contain it.

    The first choice is `placeholder`, which has no value.
    """
    chosen = {select.data: select.data} if select.data and select.data not in labels else {}
    select.choices = {"": placeholder, **labels, **chosen}


class PasteForm(Form):
    """The form for an image ID of any cloud, before the person chooses a cloud."""

    paste = PastedText("Paste any image ID", LONGEST_TEXT, too_long=TOO_LONG)
