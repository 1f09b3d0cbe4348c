"""The forms around the Images page: saved views, and how a person wants the list."""

from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import BooleanField, HiddenField, SelectField, SelectMultipleField, StringField
from wtforms.validators import InputRequired, Length

from webapp.people import preferences
from webapp.search.saved_views import NAME_LENGTH


def _words(value: str | None) -> str:
    """With one blank between them."""
    return " ".join((value or "").split())


class ViewNameForm(FlaskForm):
    name = StringField(
        "Name",
        [
            InputRequired("Give the view a name."),
            Length(max=NAME_LENGTH, message=f"A name has at most {NAME_LENGTH} characters."),
        ],
        [_words],
    )


class SaveViewForm(ViewNameForm):
    path = HiddenField(validators=[InputRequired()])
    shared = BooleanField()
    replace = BooleanField()


class ShareViewForm(FlaskForm):
    shared = BooleanField()


class ListSettingsForm(FlaskForm):
    """`next` is the page to go back to, relative to the scope. Columns that are not known are the
    use case's to leave out."""

    columns = SelectMultipleField(
        "Columns", choices=list(preferences.COLUMNS), validate_choice=False
    )
    page_size = SelectField(
        "Images on a page",
        choices={str(size): str(size) for size in preferences.PAGE_SIZES},
    )
    next = HiddenField()
