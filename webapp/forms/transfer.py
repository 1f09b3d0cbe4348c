"""The form of an import: a file or pasted text, and how new images are registered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask_wtf.file import FileField
from wtforms import RadioField, SelectField, TextAreaField

from models import CloudCredentials
from webapp.clouds import CLOUDS
from webapp.forms.base import BaseForm
from webapp.transfer.import_plan import ImportOptions

LOOK_UP, UNVERIFIED = "look-up", "unverified"


def make_import_form(usable: Sequence[CloudCredentials]) -> ImportForm:
    """Return a form with one field for each cloud that has usable credentials."""
    fields: dict[str, Any] = {}
    for cloud in CLOUDS.values():
        names = {str(row.id): row.name for row in usable if row.cloud == cloud.key}
        if names:
            fields[_credentials_field(cloud.key)] = SelectField(
                cloud.label,
                coerce=lambda value: int(value or 0),
                choices={**names, "": "None"},
                default=next(iter(names)),
            )
    form: ImportForm = type("ImportForm", (ImportForm,), fields)()
    if form.how.data is None:
        form.how.data = LOOK_UP if usable else UNVERIFIED
    return form


def _credentials_field(cloud: str) -> str:
    return f"credentials_{cloud}"


class ImportForm(BaseForm):
    """The form of an import. `make_import_form` adds the fields for credentials."""

    file = FileField(
        "File", description="CSV, JSON or a Packer manifest, encoded in UTF-8. Up to 10 MB."
    )
    text = TextAreaField("Or paste its content")
    how = RadioField(
        "New images",
        choices={
            LOOK_UP: "Look up each image in its cloud",
            UNVERIFIED: "Register as not checked, without a look-up",
        },
    )

    @property
    def credentials_fields(self) -> list[str]:
        """The names of the fields for credentials."""
        names = [_credentials_field(cloud) for cloud in CLOUDS]
        return [name for name in names if name in self]

    def content(self) -> bytes:
        """Return the content of the file or, without a file, the pasted text."""
        if self.file.data:
            content: bytes = self.file.data.read()
            return content
        return (self.text.data or "").encode()

    def options(self) -> ImportOptions:
        chosen = {
            cloud: self[_credentials_field(cloud)].data
            for cloud in CLOUDS
            if _credentials_field(cloud) in self
        }
        return ImportOptions(
            look_up=self.how.data == LOOK_UP,
            credentials={cloud: number for cloud, number in chosen.items() if number},
        )
