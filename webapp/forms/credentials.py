"""The form for cloud credentials, built from what the adapter of the cloud declares."""

from __future__ import annotations

from typing import Any

from flask_wtf import FlaskForm
from flask_wtf.file import FileField
from wtforms import (
    BooleanField,
    Field,
    PasswordField,
    SelectField,
    StringField,
    TextAreaField,
)
from wtforms.validators import InputRequired, Length

from models import CloudCredentials
from webapp.clouds.base import Cloud
from webapp.clouds.base import Field as CloudField
from webapp.forms.base import stripped

MULTILINE_LENGTH = 64 * 1024
"""Of a key file or of certificates, in characters."""


class SecretTextField(TextAreaField):
    """One that is never filled, as a PasswordField is not."""

    def _value(self) -> str:
        return ""


def credentials_form(cloud: Cloud, stored: CloudCredentials | None = None) -> FlaskForm:
    """The form of one cloud's credentials, from what its adapter declares. Secret fields are
    never filled; with `stored` an empty one keeps what is there."""
    fields: dict[str, Any] = {
        "name": StringField(
            "Name",
            [InputRequired("Give them a name."), Length(max=64)],
            [stripped],
            description="How people find them in New Image.",
        ),
        "unchecked": BooleanField("Save without checking"),
    }
    for field in cloud.credential_fields:
        fields[field.name] = _cloud_field(field, has_stored=stored is not None)
        if field.multiline:
            fields[f"{field.name}_file"] = FileField(f"{field.label}, as a file")
        if stored is not None and field.secret and not field.required and not field.when:
            fields[f"clear_{field.name}"] = BooleanField(f"Remove the stored {field.label}")
    form_class = type("CredentialsForm", (FlaskForm,), fields)
    data = {"name": stored.name, **stored.settings} if stored else {}
    form: FlaskForm = form_class(data=data)
    return form


def credential_values(cloud: Cloud, form: FlaskForm) -> dict[str, str]:
    """What was entered; an uploaded file goes before what was typed beside it."""
    values = {field.name: form[field.name].data or "" for field in cloud.credential_fields}
    for field in cloud.credential_fields:
        upload = form[f"{field.name}_file"].data if field.multiline else None
        if upload:
            # What is no text cannot be right; that the adapter says, better than we could.
            values[field.name] = upload.read().decode(errors="replace").strip()
    return values


def cleared_secrets(cloud: Cloud, form: FlaskForm) -> list[str]:
    names = [field.name for field in cloud.credential_fields]
    return [name for name in names if f"clear_{name}" in form and form[f"clear_{name}"].data]


def _cloud_field(field: CloudField, *, has_stored: bool) -> Field:
    validators: list[Any] = [Length(max=4096)]
    # What may come as a file, or depends on another field, the use case asks for.
    asked_here = field.required and not field.multiline and not field.when
    if asked_here and not (field.secret and has_stored):
        validators.append(InputRequired(f"{field.label} is needed."))
    if field.options:
        return SelectField(field.label, choices=dict(field.options), description=field.hint)
    if field.multiline:
        kind = SecretTextField if field.secret else TextAreaField
        validators[0] = Length(max=MULTILINE_LENGTH)
    else:
        kind = PasswordField if field.secret else StringField
    stored = (
        "Stored and never shown. Leave empty to keep it. " if field.secret and has_stored else ""
    )
    return kind(
        field.label,
        validators,
        [stripped],
        description=stored + field.hint,
        render_kw={"placeholder": field.placeholder} if field.placeholder else None,
        default=field.default,
    )
