"""The form for cloud credentials, built from the fields that the cloud's adapter declares."""

from __future__ import annotations

from typing import Any

from flask_wtf import FlaskForm
from flask_wtf.file import FileField
from wtforms import BooleanField, Field, Form
from wtforms.validators import InputRequired, StopValidation

from models import CloudCredentials
from webapp.clouds.base import Cloud
from webapp.clouds.credentials import Field as CloudField
from webapp.credentials import cloud_credentials
from webapp.forms.base import BaseForm, MarkRequired
from webapp.forms.fields import (
    Choice,
    MultilineText,
    PastedText,
    RevisionField,
    Secret,
    SecretMultilineText,
    ServerUrl,
    TextLine,
    require_valid_characters,
)

LINE_LENGTH = 4096
"""The maximum length of a value without line ends, in characters."""
MULTILINE_LENGTH = 64 * 1024
"""The maximum length of a key file or a list of certificates, in characters."""


def credentials_form(
    cloud: Cloud, credentials: CloudCredentials | None = None, *, has_secrets: bool = False
) -> FlaskForm:
    """Return the form for the credentials of one cloud.

    `credentials` are the credentials to edit, or None for new credentials. Secret fields are never
    filled in. `has_secrets` says whether the stored secrets can be used. If so, a secret field
    that is left empty keeps its stored value, unless the person chooses to remove this value.
    """
    fields: dict[str, Any] = {
        "name": TextLine(
            "Name",
            cloud_credentials.NAME,
            [InputRequired("Enter a name.")],
            description="Shown when people choose credentials in New Image.",
        ),
        "skip_check": BooleanField("Save without checking"),
    }
    for field in cloud.credential_fields:
        fields[field.name] = _cloud_field(field, has_stored_secret=has_secrets)
        if field.multiline:
            fields[f"{field.name}_file"] = FileField(f"{field.label} (upload a file)")
        if has_secrets and field.secret and not field.required and not field.when:
            fields[f"clear_{field.name}"] = BooleanField(f"Remove the stored {field.label}")
    if credentials is not None:
        fields["revision"] = RevisionField()
    form_class = type("CredentialsForm", (BaseForm,), fields)
    data: dict[str, Any] = {}
    if credentials is not None:
        data = {
            "name": credentials.name,
            **credentials.settings,
            "revision": credentials.revision,
        }
    form: FlaskForm = form_class(data=data)
    return form


def credential_values(cloud: Cloud, form: FlaskForm) -> dict[str, str]:
    """Return the entered values. An uploaded file takes precedence over typed text."""
    values = {field.name: form[field.name].data or "" for field in cloud.credential_fields}
    for field in cloud.credential_fields:
        upload = form[f"{field.name}_file"].data if field.multiline else None
        if upload:
            # Decode even a binary file. The adapter then refuses the text, and its message explains
            # what is expected.
            values[field.name] = upload.read().decode(errors="replace").strip()
    return values


def cleared_secrets(cloud: Cloud, form: FlaskForm) -> list[str]:
    """Return the names of the stored secrets that the person chose to remove."""
    names = [field.name for field in cloud.credential_fields]
    return [name for name in names if f"clear_{name}" in form and form[f"clear_{name}"].data]


def _cloud_field(field: CloudField, *, has_stored_secret: bool) -> Field:
    validators: list[Any] = [require_valid_characters]
    if field.required and not (field.secret and has_stored_secret):
        if field.when:
            # Whether this field is required depends on the value of another field. The use case
            # `cloud_credentials` checks this.
            validators.append(MarkRequired())
        elif field.multiline:
            validators.append(_TextOrFileRequired())
        else:
            validators.append(InputRequired(f"{field.label} is required."))
    if field.options:
        return Choice(field.label, choices=dict(field.options), description=field.hint)
    hint = field.hint
    if field.secret and has_stored_secret:
        hint = f"Never shown. Leave empty to keep the stored value. {hint}"
    options: dict[str, Any] = {
        "validators": validators,
        "description": hint,
        "render_kw": {"placeholder": field.placeholder} if field.placeholder else None,
        "default": field.default,
    }
    if field.name.endswith("_url"):
        return ServerUrl(field.label, **options)
    if field.multiline:
        kind = SecretMultilineText if field.secret else MultilineText
        return kind(field.label, MULTILINE_LENGTH, **options)
    return (Secret if field.secret else PastedText)(field.label, LINE_LENGTH, **options)


class _TextOrFileRequired(MarkRequired):
    """A validator that accepts an empty field only if a file is uploaded instead."""

    def __call__(self, form: Form, field: Field) -> None:
        if not field.data and not form[f"{field.name}_file"].data:
            raise StopValidation(f"{field.label.text} is required.")
