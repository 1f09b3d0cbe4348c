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
    """The first step of New Image: what finds the cloud image. Sent by GET, so that the step
    after it has an address. `of` makes one with the fields of a cloud."""

    credentials = SelectField("Cloud Credentials", coerce=lambda value: int(value or 0))
    suggested: Mapping[str, str] = {}
    """Locations that are offered where any other will do, too: label by key."""

    @staticmethod
    def of(cloud: Cloud, usable: Sequence[CloudCredentials], arguments: Any) -> SelectImageForm:
        fields = {"image_id": _selector(cloud.image_id_field, of_list=cloud.lists_images)}
        if location := cloud.location_field:
            fields["location"] = _selector(location, of_list=not location.free_text)
        form: SelectImageForm = type("SelectImageForm", (SelectImageForm,), fields)(arguments)
        form.credentials.choices = {str(row.id): row.name for row in usable}
        if form.credentials.data not in {row.id for row in usable}:
            form.credentials.data = usable[0].id if usable else None
        return form

    def given(self, name: str) -> str:
        """What a field holds, '' where this cloud has no such field."""
        return self[name].data or "" if name in self else ""

    def offer_locations(self, locations: Iterable[Location]) -> None:
        known = {
            each.key: each.label if each.enabled else f"{each.label} (not enabled)"
            for each in locations
        }
        if isinstance(self["location"], SelectField):
            _offer(self["location"], known)
        else:
            self.suggested = known

    def offer_images(self, images: Iterable[ListedImage]) -> None:
        _offer(self["image_id"], {each.image_id: each.name for each in images})


def _selector(field: CloudField, *, of_list: bool) -> Field:
    kind = SelectField if of_list else StringField
    options = {"validate_choice": False, "choices": {"": "Choose…"}} if of_list else {}
    return kind(field.label, filters=[stripped], default=field.default, **options)


def _offer(select: SelectField, known: Mapping[str, str]) -> None:
    """With what was chosen, even where it is not among them: input is kept."""
    chosen = {select.data: select.data} if select.data and select.data not in known else {}
    select.choices = {"": "Choose…", **known, **chosen}


class PasteForm(Form):
    """An image id of any cloud, before one is chosen."""

    paste = StringField("Paste any image id", filters=[stripped])
