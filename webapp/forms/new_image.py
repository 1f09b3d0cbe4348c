"""The first step of New Image: choose the credentials, and identify the cloud image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from wtforms import (
    Field,
    Form,
    SelectField,
    StringField,
)

from models import CloudCredentials
from webapp.clouds.base import Cloud, ListedImage, Location
from webapp.clouds.base import Field as CloudField
from webapp.forms.base import stripped


class SelectImageForm(Form):
    """The fields that identify a cloud image.

    NEXT sends the form with GET, so that the next page has a URL. `for_cloud` returns a form with
    the fields of one cloud.
    """

    credentials = SelectField("Cloud Credentials", coerce=lambda value: int(value or 0))
    suggested_locations: Mapping[str, str] = {}
    """Labels of locations by key. Filled in only for a cloud whose location may also be typed."""

    @staticmethod
    def for_cloud(
        cloud: Cloud, usable: Sequence[CloudCredentials], arguments: Any
    ) -> SelectImageForm:
        fields = {"image_id": _field(cloud.image_id_field, is_select=cloud.lists_images)}
        if location := cloud.location_field:
            fields["location"] = _field(location, is_select=not location.free_text)
        form: SelectImageForm = type("SelectImageForm", (SelectImageForm,), fields)(arguments)
        form.credentials.choices = {str(row.id): row.name for row in usable}
        if form.credentials.data not in {row.id for row in usable}:
            form.credentials.data = usable[0].id if usable else None
        return form

    def value_of(self, name: str) -> str:
        """Return the value of a field, or '' if this cloud has no such field."""
        return self[name].data or "" if name in self else ""

    def offer_locations(self, locations: Iterable[Location]) -> None:
        labels = {
            location.key: location.label if location.enabled else f"{location.label} (not enabled)"
            for location in locations
        }
        if isinstance(self["location"], SelectField):
            _set_choices(self["location"], labels)
        else:
            self.suggested_locations = labels

    def offer_images(self, images: Iterable[ListedImage]) -> None:
        _set_choices(self["image_id"], {image.image_id: image.name for image in images})


def _field(field: CloudField, *, is_select: bool) -> Field:
    options = {"filters": [stripped], "default": field.default}
    if is_select:
        choices = {"": "Choose…"}
        return SelectField(field.label, validate_choice=False, choices=choices, **options)
    return StringField(field.label, **options)


def _set_choices(select: SelectField, labels: Mapping[str, str]) -> None:
    """Offer `labels`. The current value stays selected, even if `labels` does not contain it."""
    chosen = {select.data: select.data} if select.data and select.data not in labels else {}
    select.choices = {"": "Choose…", **labels, **chosen}


class PasteForm(Form):
    """An image ID of any cloud, before a cloud is chosen."""

    paste = StringField("Paste any image ID", filters=[stripped])
