"""The forms of what can be done to many images, and of an image's life. Rules that need a database
are the use cases'."""

from __future__ import annotations

from typing import Any

from flask_wtf import FlaskForm
from wtforms import (
    BooleanField,
    DateField,
    Field,
    HiddenField,
    RadioField,
    SelectField,
    StringField,
)
from wtforms.validators import InputRequired, Length, Optional

import models
from models import LifeCycle
from webapp.forms.base import stripped
from webapp.forms.images import ImageForm
from webapp.images import operating_systems
from webapp.images.life_cycle import REASON_LENGTH, Life
from webapp.jobs import bulk
from webapp.jobs.bulk import Action, Arguments, Selection
from webapp.search import language as search

LARGEST_NUMBER = 2**31 - 1
REASON_HINT = "In one line, for whoever still uses it."
SUCCESSOR_HINT = (
    "What to use instead: the number, the cloud image ID or the name of another image that can be "
    "seen here. Type to search."
)


class NumbersField(Field):
    """Those of the images whose boxes are ticked. What is no number is passed over."""

    data: list[int]

    def process_formdata(self, valuelist: list[str]) -> None:
        numbers = (int(text) for text in valuelist if text.isdecimal() and len(text) <= 10)
        self.data = [number for number in dict.fromkeys(numbers) if number <= LARGEST_NUMBER]

    def process_data(self, value: Any) -> None:
        self.data = value or []


class BulkForm(FlaskForm):
    """What to do, and to which images: those that are ticked, or all that match the search."""

    action = SelectField(validators=[InputRequired("Choose what to do.")])
    image = NumbersField()
    all = BooleanField()
    q = HiddenField(filters=[stripped])
    expected = HiddenField(filters=[stripped])
    """How many the person was told that it would be."""

    @property
    def chosen(self) -> Action:
        return bulk.ACTIONS[self.action.data]

    @property
    def selection(self) -> Selection:
        if self.all.data:
            return Selection(query=search.parse(self.q.data))
        return Selection(self.image.data)

    def offer(self, actions: list[Action]) -> None:
        self.action.choices = {action.key: action.label for action in actions}


class UndeleteForm(FlaskForm):
    batch = HiddenField(validators=[InputRequired()])


class SystemForm(ImageForm):
    """An operating system, and nothing else of an image."""

    name = size_gb = compute_resource = agent_installed = shared = receipt = None

    def arguments(self) -> Arguments:
        known = self.os_family.data != operating_systems.OTHER
        version = self.os_version.data.partition("|")[2]
        return bulk.os_arguments(
            self.os_family.data if known else self.os_family_other.data,
            self.os_version_other.data if self._other_version() else version,
        )


class LifeForm(FlaskForm):
    """From when on, why, and what to use instead."""

    on = DateField(
        "From",
        [InputRequired("Enter a day, such as 2026-01-31.")],
        default=lambda: models.today(),  # noqa: PLW0108  looked up when it is asked
        description="In UTC. A day that lies ahead is kept as a plan.",
    )
    reason = StringField(
        "Reason",
        [Optional(), Length(max=REASON_LENGTH)],
        [stripped],
        description=REASON_HINT,
    )
    successor = StringField(
        "Successor", [Optional(), Length(max=600)], [stripped], description=SUCCESSOR_HINT
    )


class StatusForm(LifeForm):
    """How far one image is in its life, or is to be."""

    status = RadioField(
        "Status",
        [InputRequired("Choose a status.")],
        choices={status.value: status.value.capitalize() for status in LifeCycle},
    )

    def show(self, life: Life, successor: str) -> None:
        """Fill the form with what is kept."""
        self.status.data = (
            LifeCycle.RETIRED
            if life.retired_on
            else LifeCycle.DEPRECATED
            if life.deprecated_on
            else LifeCycle.ACTIVE
        ).value
        self.on.data = life.retired_on or life.deprecated_on or models.today()
        self.reason.data, self.successor.data = life.reason, successor

    def validate(self, extra_validators: Any = None) -> bool:
        """An active image needs no day."""
        if self.status.data == LifeCycle.ACTIVE:
            self.on.validators = [Optional()]
        return bool(super().validate(extra_validators))
