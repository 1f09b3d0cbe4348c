"""The forms of an import: for the file or the pasted image IDs, and for missing values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask_wtf.file import FileField
from wtforms import BooleanField, Field
from wtforms.validators import ValidationError

from models import CloudCredentials, Image, Job, Level
from webapp.clouds import CLOUDS
from webapp.clouds.locators import LocationRule
from webapp.forms.base import ActionForm, BaseForm, MarkRequired
from webapp.forms.fields import (
    Choice,
    HiddenText,
    MultilineText,
    RadioChoice,
    RecordChoice,
    SelectedTexts,
    TextLine,
)
from webapp.images import operating_systems
from webapp.images.choices import OS_LENGTH
from webapp.refusals import Refusal
from webapp.transfer.chosen_images import MAX_ID_LENGTH, yes_no_values
from webapp.transfer.import_formats import MAX_BYTES
from webapp.transfer.import_lines import parse_operating_system
from webapp.transfer.import_plan import OPERATING_SYSTEM, ImportOptions
from webapp.values.text import LineRule

LOOK_UP = "look-up"
"""With this value of the field `how`, ImportForm looks up new images in their clouds."""
UNVERIFIED = "unverified"
"""With this value of the field `how`, ImportForm registers new images without a look-up."""
VALUE_NOUNS = {"location": "location", "project": "project ID"}
"""The noun for a missing location or project, by the name of the value."""


def make_import_form(usable: Sequence[CloudCredentials]) -> ImportForm:
    """Return a form with one field for each cloud that has usable credentials."""
    form: ImportForm = type("ImportForm", (ImportForm,), _credentials_choices(usable))()
    if form.how.data is None:
        form.how.data = LOOK_UP if usable else UNVERIFIED
    return form


def _credentials_choices(usable: Sequence[CloudCredentials]) -> dict[str, Any]:
    """Return a field for each cloud that has usable credentials, by the name of the field."""
    fields = {}
    for cloud in CLOUDS.values():
        names = {str(row.id): row.name for row in usable if row.cloud == cloud.key}
        if names:
            fields[_credentials_field(cloud.key)] = RecordChoice(
                cloud.label,
                choices={**names, "": "None"},
                default=next(iter(names)),
            )
    return fields


def _credentials_field(cloud: str) -> str:
    return f"credentials_{cloud}"


class CredentialsForm(BaseForm):
    """A form with a field for the credentials of each cloud."""

    @property
    def credentials_fields(self) -> list[str]:
        """The names of the fields for credentials."""
        names = [_credentials_field(cloud) for cloud in CLOUDS]
        return [name for name in names if name in self]

    def chosen_credentials(self) -> dict[str, int]:
        """Return the IDs of the chosen credentials by cloud."""
        chosen = {
            cloud: self[_credentials_field(cloud)].data
            for cloud in CLOUDS
            if _credentials_field(cloud) in self
        }
        return {cloud: number for cloud, number in chosen.items() if number}


class ImportForm(CredentialsForm):
    """The form of an import. `make_import_form` adds the fields for credentials."""

    file = FileField(
        "File", description="CSV, JSON or a Packer manifest, encoded in UTF-8. Up to 10 MB."
    )
    text = MultilineText("Or paste its content", MAX_BYTES, exact=True)
    how = RadioChoice(
        "New images",
        choices={
            LOOK_UP: "Look up each image in its cloud",
            UNVERIFIED: "Register without a look-up (state “Not checked”)",
        },
    )

    def content(self) -> bytes:
        """Return the content of the file or, without a file, the pasted text."""
        if self.file.data:
            content: bytes = self.file.data.read()
            return content
        return (self.text.data or "").encode()

    def options(self) -> ImportOptions:
        return ImportOptions(
            look_up=self.how.data == LOOK_UP, credentials=self.chosen_credentials()
        )


LOCATION_LENGTH = Image.location.max_length
LONGEST_IDS = 400_000
"""The maximum length of a list of image IDs, in characters."""
DETECT = ""
"""The choice that detects the cloud of each pasted ID."""


def make_ids_form(
    usable: Sequence[CloudCredentials], cloud_key: str, credentials_id: int, location: str
) -> IdsForm:
    """Return the form for pasted IDs, with fields for each cloud that has usable credentials.

    A cloud whose images belong to a location also has a field for the location. A new form is
    filled in with `cloud_key`, and with the credentials and the location for this cloud.
    """
    fields = _credentials_choices(usable)
    suggestions: dict[str, Mapping[str, str]] = {}
    for cloud in CLOUDS.values():
        if _credentials_field(cloud.key) not in fields or cloud.location_field is None:
            continue
        if cloud.location_rule is LocationRule.REGIONAL:
            name = f"location_{cloud.key}"
            label = f"{cloud.label}: {cloud.location_field.label}"
            fields[name] = TextLine(label, LineRule("location", LOCATION_LENGTH))
            settings = next(row.settings for row in usable if row.cloud == cloud.key)
            default_locations = cloud.default_locations(settings)
            suggestions[name] = {location.key: location.label for location in default_locations}
    initial_values = {"cloud": cloud_key, f"location_{cloud_key}": location}
    if any(row.id == credentials_id and row.cloud == cloud_key for row in usable):
        initial_values[_credentials_field(cloud_key)] = str(credentials_id)
    form: IdsForm = type("IdsForm", (IdsForm,), fields)(data=initial_values)
    form.suggestions = suggestions
    return form


class SelectionForm(BaseForm):
    """The form for the images that a person selects in a list, and the values for all of them."""

    image_ids = SelectedTexts(MAX_ID_LENGTH, name="image_id")
    credentials = RecordChoice("Cloud Credentials", validate_choice=False)
    location = HiddenText()
    agent_installed: Field = BooleanField("Scalr Agent Installed", default=True)
    shared: Field = BooleanField("Shared", default=True)

    def settings(self, level: Level) -> dict[str, str]:
        """Return the values that all new images get. Images of an environment can't be shared."""
        shared = self.shared.data and level is not Level.ENVIRONMENT
        return yes_no_values(agent_installed=self.agent_installed.data, shared=shared)


class IdsForm(CredentialsForm):
    """The form for pasted image IDs. `make_ids_form` adds the fields for each cloud."""

    ids = MultilineText("Image IDs", LONGEST_IDS, [MarkRequired()])
    cloud = Choice(
        "Cloud",
        choices={
            DETECT: "Detect it from each ID",
            **{key: each.label for key, each in CLOUDS.items()},
        },
    )
    agent_installed: Field = BooleanField("Scalr Agent Installed", default=True)
    shared: Field = BooleanField("Shared", default=True)
    suggestions: Mapping[str, Mapping[str, str]] = {}
    """Suggested locations by the name of the field."""

    def settings(self) -> dict[str, str]:
        """Return the values that all new images get."""
        shared = bool(self.shared and self.shared.data)
        return yes_no_values(agent_installed=self.agent_installed.data, shared=shared)

    def locations(self) -> dict[str, dict[str, str]]:
        """Return the entered locations by cloud.

        The result has the same structure as the result of `AnswersForm.answers()`.
        """
        texts = {name.removeprefix("location_"): self[name].data for name in self.suggestions}
        return {cloud: {"location": text} for cloud, text in texts.items() if text}


def make_answers_form(job: Job) -> AnswersForm:
    """Return a form with one field for each question of a planned import.

    A question asks for a value that the file leaves out.
    """
    fields: dict[str, Any] = {}
    suggestions: dict[str, Mapping[str, str]] = {}
    for question in job.arguments["questions"]:
        cloud, name = question["cloud"], question["name"]
        if name == OPERATING_SYSTEM:
            answer = job.arguments["operating_system"]
            fields[OPERATING_SYSTEM] = TextLine(
                "Operating system",
                LineRule("operating system", 2 * OS_LENGTH + 1),
                [_valid_operating_system],
                description="Used for images whose operating system can’t be detected. Example: "
                "Ubuntu 24.04.",
                default=operating_systems.label(*answer) if answer else "",
            )
            suggestions[OPERATING_SYSTEM] = {
                operating_systems.label(key, version.key): ""
                for key, family in operating_systems.FAMILIES.items()
                for version in family.versions
            }
            continue
        field = f"{cloud}-{name}"
        fields[field] = TextLine(
            f"{CLOUDS[cloud].label}: {_value_label(cloud, name)}",
            LineRule(VALUE_NOUNS[name], Image.location.max_length),
            description=f"For images that lack a {VALUE_NOUNS[name]}.",
            default=job.arguments["answers"].get(cloud, {}).get(name, ""),
        )
        suggestions[field] = dict.fromkeys(job.arguments["locations"].get(cloud, []), "")
    form: AnswersForm = type("AnswersForm", (AnswersForm,), fields)()
    form.suggestions = suggestions
    return form


def _value_label(cloud: str, name: str) -> str:
    location = CLOUDS[cloud].location_field
    return location.label if name == "location" and location else "Project ID"


def _valid_operating_system(_form: AnswersForm, field: Field) -> None:
    try:
        if field.data:
            parse_operating_system(field.data)
    except Refusal as error:
        raise ValidationError(error.message) from error


class ApplyForm(ActionForm):
    """The form that applies a plan. `plan` is the ID of the plan that the page shows."""

    plan = HiddenText()


class AnswersForm(BaseForm):
    """The form for the values that a file leaves out. `make_answers_form` adds the fields."""

    suggestions: Mapping[str, Mapping[str, str]] = {}
    """Suggested values by the name of the field."""

    @property
    def questions(self) -> list[str]:
        """The names of the fields that the person fills in."""
        return list(self.suggestions)

    def answers(self) -> dict[str, dict[str, str]]:
        """Return the values by cloud and name, for example `{"aws": {"location": "us-east-1"}}`.

        Empty values are left out.
        """
        values: dict[str, dict[str, str]] = {}
        for field in self.questions:
            cloud, _, name = field.partition("-")
            if name and self[field].data:
                values.setdefault(cloud, {})[name] = self[field].data
        return values

    @property
    def operating_system_answer(self) -> tuple[str, str] | None:
        """The family and version, or None if the field is empty or the form has no such field."""
        if OPERATING_SYSTEM not in self or not self[OPERATING_SYSTEM].data:
            return None
        return parse_operating_system(self[OPERATING_SYSTEM].data)
