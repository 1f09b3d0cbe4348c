"""The form of an import: a file or a pasted text, and how its images are registered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask_wtf import FlaskForm
from flask_wtf.file import FileField
from wtforms import RadioField, SelectField, TextAreaField

from models import CloudCredentials
from webapp.clouds import CLOUDS
from webapp.transfer.import_plans import Options

LOOK_UP, UNVERIFIED = "look-up", "unverified"


class ImportForm(FlaskForm):
    """`of` makes one that asks for the credentials of each cloud that there are any of."""

    file = FileField("File", description="CSV, JSON, or the manifest that Packer writes; in UTF-8.")
    text = TextAreaField("Or paste what it holds")
    how = RadioField(
        "New images",
        choices={
            LOOK_UP: "Look each up in its cloud",
            UNVERIFIED: "Register them as not verified",
        },
    )

    @staticmethod
    def of(usable: Sequence[CloudCredentials]) -> ImportForm:
        fields: dict[str, Any] = {}
        for cloud in CLOUDS.values():
            rows = {str(row.id): row.name for row in usable if row.cloud == cloud.key}
            if rows:
                fields[_field(cloud.key)] = SelectField(
                    cloud.label,
                    coerce=lambda value: int(value or 0),
                    choices={**rows, "": "None"},
                    default=next(iter(rows)),
                )
        form: ImportForm = type("ImportForm", (ImportForm,), fields)()
        if form.how.data is None:
            form.how.data = LOOK_UP if usable else UNVERIFIED
        return form

    @property
    def clouds(self) -> list[str]:
        """The names of the fields for credentials."""
        return [_field(key) for key in CLOUDS if _field(key) in self]

    def data_given(self) -> bytes:
        """The file goes before what was pasted."""
        if self.file.data:
            content: bytes = self.file.data.read()
            return content
        return (self.text.data or "").encode()

    def options(self) -> Options:
        chosen = {key: self[_field(key)].data for key in CLOUDS if _field(key) in self}
        return Options(
            look_up=self.how.data == LOOK_UP,
            credentials={key: number for key, number in chosen.items() if number},
        )


def _field(cloud: str) -> str:
    return f"credentials_{cloud}"
