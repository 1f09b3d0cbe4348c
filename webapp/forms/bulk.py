"""The forms of bulk actions. The use cases check rules that need the database."""

from __future__ import annotations

from typing import Any

from flask_wtf import FlaskForm
from wtforms import BooleanField, Field, HiddenField, SelectField
from wtforms.validators import InputRequired

from models import LARGEST_ID
from webapp.forms.base import BaseForm, stripped
from webapp.forms.images import ImageForm
from webapp.jobs import bulk_actions
from webapp.jobs.bulk_actions import Arguments, BulkAction


class ImageIdsField(Field):
    """The IDs of the images whose checkboxes are selected. Ignores any text that is not an ID."""

    data: list[int]

    def process_formdata(self, valuelist: list[str]) -> None:
        numbers = (int(text) for text in valuelist if text.isdecimal() and len(text) <= 10)
        self.data = [number for number in dict.fromkeys(numbers) if number <= LARGEST_ID]

    def process_data(self, value: Any) -> None:
        self.data = value or []


class BulkForm(FlaskForm):
    """An action and its images: the selected images, or all images that match the search."""

    action = SelectField(validators=[InputRequired("Choose an action.")])
    image = ImageIdsField()
    all = BooleanField()
    q = HiddenField(filters=[stripped])
    expected = HiddenField(filters=[stripped])
    """The fingerprint of the images that the preview showed."""

    @property
    def chosen_action(self) -> BulkAction:
        return bulk_actions.ACTIONS[self.action.data]

    def offer_actions(self, actions: list[BulkAction]) -> None:
        self.action.choices = {action.key: action.label for action in actions}


class RestoreForm(BaseForm):
    """The batch of deleted images to restore."""

    batch = HiddenField(validators=[InputRequired()])


class OperatingSystemForm(ImageForm):
    """The form for an operating system: the form of an image, without all other fields."""

    name = size_gb = compute_resource = agent_installed = shared = receipt = revision = None

    def arguments(self) -> Arguments:
        return bulk_actions.operating_system_arguments(*self.operating_system())
