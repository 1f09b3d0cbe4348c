"""The form for cloud credentials, built from the fields that the cloud's adapter declares."""

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
from webapp.forms.base import BaseForm, RevisionField, stripped

MULTILINE_LENGTH = 64 * 1024
"""Maximum length of a key file or a list of certificates, in characters."""


class SecretTextField(TextAreaField):
    """A text area that never shows its value, like a PasswordField."""

    def _value(self) -> str:
        return ""


def credentials_form(cloud: Cloud, stored: CloudCredentials | None = None) -> FlaskForm:
    """Return the form for one cloud's credentials, with the fields that its adapter declares.

    Secret fields are never filled in. `stored` are the credentials to edit: if the person leaves a
    secret field empty, its stored value stays.
    """
    fields: dict[str, Any] = {
        "name": StringField(
            "Name",
            [InputRequired("Enter a name."), Length(max=64)],
            [stripped],
            description="Shown when people choose credentials in New Image.",
        ),
        "skip_check": BooleanField("Save without checking"),
    }
    for field in cloud.credential_fields:
        fields[field.name] = _cloud_field(field, has_stored=stored is not None)
        if field.multiline:
            fields[f"{field.name}_file"] = FileField(f"{field.label} (upload a file)")
        if stored is not None and field.secret and not field.required and not field.when:
            fields[f"clear_{field.name}"] = BooleanField(f"Remove the stored {field.label}")
    if stored is not None:
        fields["revision"] = RevisionField()
    form_class = type("CredentialsForm", (BaseForm,), fields)
    data = {"name": stored.name, **stored.settings, "revision": stored.revision} if stored else {}
    form: FlaskForm = form_class(data=data)
    return form


def credential_values(cloud: Cloud, form: FlaskForm) -> dict[str, str]:
    """Return the entered values. An uploaded file takes precedence over typed text."""
    values = {field.name: form[field.name].data or "" for field in cloud.credential_fields}
    for field in cloud.credential_fields:
        upload = form[f"{field.name}_file"].data if field.multiline else None
        if upload:
            # A binary file cannot be valid. The adapter's message explains what is expected.
            values[field.name] = upload.read().decode(errors="replace").strip()
    return values


def cleared_secrets(cloud: Cloud, form: FlaskForm) -> list[str]:
    """Return the names of the stored secrets that the person wants removed."""
    names = [field.name for field in cloud.credential_fields]
    return [name for name in names if f"clear_{name}" in form and form[f"clear_{name}"].data]


def _cloud_field(field: CloudField, *, has_stored: bool) -> Field:
    validators: list[Any] = [Length(max=4096)]
    # A field that can be uploaded as a file, or that depends on another field, may be empty here.
    # The use case checks such fields.
    required_here = field.required and not field.multiline and not field.when
    if required_here and not (field.secret and has_stored):
        validators.append(InputRequired(f"{field.label} is required."))
    if field.options:
        return SelectField(field.label, choices=dict(field.options), description=field.hint)
    if field.multiline:
        kind = SecretTextField if field.secret else TextAreaField
        validators[0] = Length(max=MULTILINE_LENGTH)
    else:
        kind = PasswordField if field.secret else StringField
    hint = field.hint
    if field.secret and has_stored:
        hint = f"Never shown. Leave empty to keep the stored value. {hint}"
    return kind(
        field.label,
        validators,
        [stripped],
        description=hint,
        render_kw={"placeholder": field.placeholder} if field.placeholder else None,
        default=field.default,
    )
