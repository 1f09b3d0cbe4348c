"""The forms of saved views and of the settings of the Images page."""

from __future__ import annotations

from wtforms import BooleanField, HiddenField, SelectField, SelectMultipleField, StringField
from wtforms.validators import InputRequired, Length

from webapp.forms.base import BaseForm, RevisionField
from webapp.people import preferences
from webapp.search.saved_views import NAME_LENGTH


def _single_spaced(value: str | None) -> str:
    return " ".join((value or "").split())


class ViewNameForm(BaseForm):
    name = StringField(
        "Name",
        [
            InputRequired("Enter a name for the view."),
            Length(max=NAME_LENGTH, message=f"Use at most {NAME_LENGTH} characters for the name."),
        ],
        [_single_spaced],
    )


class RenameViewForm(ViewNameForm):
    revision = RevisionField()


class SaveViewForm(ViewNameForm):
    path = HiddenField(validators=[InputRequired()])
    shared = BooleanField()
    replace = BooleanField()


class ShareViewForm(BaseForm):
    shared = BooleanField()


class ListSettingsForm(BaseForm):
    """The columns and the page size. `next` is the page to return to, relative to the scope.

    The use case ignores unknown columns, so the form does not check them.
    """

    columns = SelectMultipleField(
        "Columns", choices=list(preferences.COLUMNS), validate_choice=False
    )
    page_size = SelectField(
        "Images per page",
        choices={str(size): str(size) for size in preferences.PAGE_SIZES},
    )
    next = HiddenField()
