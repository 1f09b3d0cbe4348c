"""The forms of saved views and of the settings of the Images page."""

from __future__ import annotations

from wtforms import BooleanField
from wtforms.validators import InputRequired

from webapp.forms.base import BaseForm
from webapp.forms.fields import Choice, HiddenText, MultipleChoice, RevisionField, TextLine
from webapp.people import preferences
from webapp.search.saved_views import NAME


class ViewNameForm(BaseForm):
    name = TextLine("Name", NAME, [InputRequired("Enter a name for the view.")])


class RenameViewForm(ViewNameForm):
    revision = RevisionField()


class SaveViewForm(ViewNameForm):
    """The form that saves the current search as a view.

    If a view with the same name exists and `replace` is set, that view is replaced. `revision` is
    the revision of that view.
    """

    path = HiddenText(validators=[InputRequired()])
    shared = BooleanField()
    replace = BooleanField()
    revision = RevisionField()


class ShareViewForm(BaseForm):
    shared = BooleanField()


class ListSettingsForm(BaseForm):
    """The form for the columns, the height of rows and the page size of the Images page.

    `next` is the path of the page to return to, relative to the scope. The use case ignores unknown
    columns, so the form does not check the columns.
    """

    columns = MultipleChoice("Columns", choices=list(preferences.COLUMNS), validate_choice=False)
    page_size = Choice(
        "Images per page",
        choices={str(size): str(size) for size in preferences.PAGE_SIZES},
    )
    density = Choice("Rows", choices=preferences.DENSITIES, default="comfortable")
    next = HiddenText()
