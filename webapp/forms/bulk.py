"""The forms of bulk actions, and the forms that restore deleted images.

The use cases check rules that need the database.
"""

from __future__ import annotations

import base64
import operator
import zlib
from itertools import accumulate
from typing import Any

from flask_wtf import FlaskForm
from wtforms import BooleanField, HiddenField
from wtforms.validators import InputRequired, ValidationError

from webapp.forms.base import BaseForm
from webapp.forms.fields import Choice, HiddenText, RecordIds, Tags, record_id
from webapp.forms.images import ImageForm
from webapp.jobs import bulk_actions
from webapp.jobs.bulk_actions import Arguments, BulkAction

ENTER_TAGS = "Enter at least one tag."
MAX_REVISIONS_BYTES = 2 * 1024 * 1024
"""The maximum size of the decompressed text of a RevisionsField."""
MAX_SELECTED_IDS = 200
"""The maximum number of selected images in the URL of the Images page."""


class RevisionsField(HiddenField):
    """The revision of each image that the preview showed, by image ID.

    A preview can show 100,000 images, so the text in the form is compressed. Instead of each ID,
    the text contains the difference from the previous ID, because small numbers that repeat are
    easy to compress.
    """

    data: dict[int, int]

    def process_formdata(self, valuelist: list[str]) -> None:
        """Parse the revisions. If the text cannot be decoded, there are no revisions."""
        self.data = {}
        try:
            packed = base64.b64decode(valuelist[0] if valuelist else "", validate=True)
            text = zlib.decompressobj().decompress(packed, MAX_REVISIONS_BYTES)
            pairs = [pair.split(":") for pair in text.decode("ascii").split()]
            ids = accumulate(int(difference) for difference, _ in pairs)
            revisions = (record_id(int(revision)) for _, revision in pairs)
            self.data = dict(zip(ids, revisions, strict=True))
        except (ValueError, zlib.error):
            return

    def _value(self) -> str:
        ids = sorted(self.data)
        differences = map(operator.sub, ids, [0, *ids])
        pairs = zip(differences, map(self.data.__getitem__, ids), strict=True)
        text = " ".join(f"{difference}:{revision}" for difference, revision in pairs)
        return base64.b64encode(zlib.compress(text.encode())).decode()


class BulkForm(FlaskForm):
    """The form of a bulk action on the selected images, or on all images that match the search."""

    action = Choice(validators=[InputRequired("Choose an action.")])
    image = RecordIds()
    """The IDs of the selected images."""
    all = BooleanField()
    """Whether the action is applied to all images that match the search."""
    q = HiddenText()
    """The text of the search."""
    sort = HiddenText()
    after = HiddenText()
    before = HiddenText()
    """The sort order and the cursors of the page on which the images were selected."""
    expected = HiddenText()
    """The `fingerprint` of the preview that the person saw. See `webapp.jobs.bulk.Preview`."""
    revisions = RevisionsField()

    @property
    def chosen_action(self) -> BulkAction:
        return bulk_actions.ACTIONS[self.action.data]

    def page_parameters(self) -> dict[str, Any]:
        """Return the parameters of the URL of the page on which the images were selected.

        The parameters contain the IDs of the selected images, unless the URL would be too long.
        """
        ids = self.image.data if len(self.image.data) <= MAX_SELECTED_IDS else []
        fields = (self.q, self.sort, self.after, self.before)
        return {**{field.name: field.data or None for field in fields}, "image": ids}

    def offer_actions(self, actions: list[BulkAction]) -> None:
        self.action.choices = {action.key: action.label for action in actions}


class RestoreForm(BaseForm):
    """The form that restores a batch: images that were deleted together."""

    batch = HiddenText(32, validators=[InputRequired()])


class RestoreImagesForm(BaseForm):
    """The form on the page of recently deleted images, which restores the selected images."""

    image = RecordIds()


class TagsForm(BaseForm):
    """The tags that a bulk action adds or removes."""

    tags = Tags(
        "Tags",
        [InputRequired(ENTER_TAGS)],
        description="Separated by commas, for example cis, team=web.",
    )

    def validate_tags(self, field: Tags) -> None:
        """Refuse a text that has only separators."""
        if not field.data and not field.errors:
            raise ValidationError(ENTER_TAGS)

    def arguments(self) -> Arguments:
        return bulk_actions.tag_arguments(self.tags.data)


class OperatingSystemForm(ImageForm):
    """An `ImageForm` that has only the fields for the operating system."""

    name = size_gb = compute_resource = agent_installed = shared = None
    tags = notes = receipt = revision = credentials = None

    def arguments(self) -> Arguments:
        return bulk_actions.operating_system_arguments(*self.operating_system())
