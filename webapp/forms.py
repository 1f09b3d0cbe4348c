"""What people type, parsed and checked for form; rules that need a database are the use cases'."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from flask_wtf import FlaskForm
from flask_wtf.file import FileField
from wtforms import (
    BooleanField,
    Field,
    Form,
    HiddenField,
    IntegerField,
    PasswordField,
    SelectField,
    StringField,
    TextAreaField,
)
from wtforms.validators import Email, InputRequired, Length, NumberRange, Optional

from models import CloudCredentials, Image, Role
from webapp import operating_systems
from webapp.clouds.base import Cloud, ListedImage, Location
from webapp.clouds.base import Field as CloudField
from webapp.registration import Choices

OTHER = operating_systems.OTHER
MULTILINE_LENGTH = 64 * 1024
"""Of a key file or of certificates, in characters."""
ROLES = {role.value: role.value.capitalize() for role in Role}


def _stripped(value: str | None) -> str:
    return (value or "").strip()


def refuse(form: Form, message: str, field: str = "") -> None:
    """Add an error of a use case to the field it is about, or to the form as a whole."""
    if field and field in form:
        form[field].errors = [*form[field].errors, message]
    else:
        form.form_errors.append(message)


class SecretTextField(TextAreaField):
    """One that is never filled, as a PasswordField is not."""

    def _value(self) -> str:
        return ""


class SignInForm(FlaskForm):
    email = StringField("E-mail", [InputRequired("Enter your e-mail address.")], [_stripped])
    password = PasswordField("Password", [InputRequired("Enter your password.")])


class PasswordForm(FlaskForm):
    old = PasswordField("Present password", [InputRequired("Enter your present password.")])
    new = PasswordField(
        "New password",
        [InputRequired("Enter a new password.")],
        description="At least 10 characters. A few words in a row are easy to keep in mind.",
    )


class NewcomerForm(FlaskForm):
    name = StringField(
        "Your name", [InputRequired("Enter your name."), Length(max=128)], [_stripped]
    )
    password = PasswordField(
        "Password", [InputRequired("Enter a password.")], description="At least 10 characters."
    )


class InviteForm(FlaskForm):
    email = StringField(
        "E-mail",
        [
            InputRequired("Enter an e-mail address."),
            Length(max=254),
            Email("Enter an e-mail address."),
        ],
        [_stripped],
    )
    role = SelectField("Role", choices=ROLES)


class RoleForm(FlaskForm):
    role = SelectField("Role", choices=ROLES)


class ScopeForm(FlaskForm):
    name = StringField("Name", [InputRequired("Enter a name.")], [_stripped])


class ActionForm(FlaskForm):
    """A button: nothing but the token against forged requests."""


class SharedForm(FlaskForm):
    shared = BooleanField()


class BookmarkForm(FlaskForm):
    path = HiddenField(validators=[InputRequired()])
    label = HiddenField()


class MoveBookmarkForm(FlaskForm):
    path = HiddenField(validators=[InputRequired()])
    position = IntegerField(validators=[InputRequired()])


class ThemeForm(FlaskForm):
    theme = SelectField(choices={"system": "System", "light": "Light", "dark": "Dark"})


def credentials_form(cloud: Cloud, stored: CloudCredentials | None = None) -> FlaskForm:
    """The form of one cloud's credentials, from what its adapter declares. Secret fields are
    never filled; with `stored` an empty one keeps what is there."""
    fields: dict[str, Any] = {
        "name": StringField(
            "Name",
            [InputRequired("Give them a name."), Length(max=64)],
            [_stripped],
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
            fields["location"] = _selector(location, of_list=not location.suggests)
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
    return kind(field.label, filters=[_stripped], default=field.default, **options)


def _offer(select: SelectField, known: Mapping[str, str]) -> None:
    """With what was chosen, even where it is not among them: input is kept."""
    chosen = {select.data: select.data} if select.data and select.data not in known else {}
    select.choices = {"": "Choose…", **known, **chosen}


class PasteForm(Form):
    """An image id of any cloud, before one is chosen."""

    paste = StringField("Paste any image id", filters=[_stripped])


class ImageForm(FlaskForm):
    """What a person says of an image, on registering and on editing it."""

    name = StringField(
        "Name",
        [InputRequired("Give the image a name.")],
        description="Used here only; the name in the cloud does not change.",
    )
    os_family = SelectField("Family", [InputRequired("Choose the family of the operating system.")])
    os_family_other = StringField("Other family", [Optional(), Length(max=64)], [_stripped])
    os_version = SelectField("Version", [InputRequired("Choose the version.")])
    os_version_other = StringField("Other version", [Optional(), Length(max=64)], [_stripped])
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
            name=_stripped(self.name.data),
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


class CheckForm(FlaskForm):
    """Check now; with other credentials where the ones it was registered with are gone."""

    credentials = SelectField(
        "Cloud Credentials", coerce=lambda value: int(value or 0), validate_choice=False
    )

    def offer(self, usable: Sequence[CloudCredentials], image: Image) -> None:
        self.credentials.choices = {str(row.id): row.name for row in usable}
        if self.credentials.data is None:
            self.credentials.data = image.credentials_id


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
        [_stripped],
        description=stored + field.hint,
        render_kw={"placeholder": field.placeholder} if field.placeholder else None,
        default=field.default,
    )
