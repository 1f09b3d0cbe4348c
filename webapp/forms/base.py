"""Base classes, validators and functions that the forms share."""

from __future__ import annotations

from typing import Any, ClassVar

from flask_wtf import FlaskForm
from wtforms import Field, Form
from wtforms.validators import Length

from webapp.forms.fields import RevisionField
from webapp.web.resumed_forms import MESSAGE, is_resumed


class NotTooLong(Length):
    """A limit of the length that does not set the HTML attribute `maxlength`.

    With that attribute, a browser silently shortens a pasted text, and the shortened text is wrong.
    """

    def __init__(self, longest: int, message: str) -> None:
        super().__init__(max=longest, message=message)
        self.field_flags: dict[str, int] = {}


class MarkRequired:
    """A validator that only marks its field as required.

    It is for a field whose value depends on other fields. The form or the use case checks that
    value.
    """

    field_flags: ClassVar[dict[str, bool]] = {"required": True}

    def __call__(self, form: Form, field: Field) -> None:
        pass


def refuse(form: Form, message: str, field: str = "") -> None:
    """Show the message of a use case at `field`, or above the form if it has no such field."""
    if field and field in form:
        form[field].errors = [*form[field].errors, message]
    else:
        form.form_errors.append(message)


class BaseForm(FlaskForm):
    """The base of forms that change something.

    If a form is sent again after its session ended, it counts as invalid. The view then shows the
    form again, filled in, and saves nothing.
    """

    def validate(self, extra_validators: Any = None) -> bool:
        if is_resumed():
            refuse(self, MESSAGE)
            return False
        valid: bool = super().validate(extra_validators)
        return valid


class ActionForm(BaseForm):
    """A form that consists of a button. It has no fields except the CSRF token."""


class ConfirmForm(ActionForm):
    """A button that changes or deletes the record that the page shows."""

    revision = RevisionField()

    @classmethod
    def for_revision(cls, revision: int) -> ConfirmForm:
        """Return the form for a record that has this revision now."""
        return cls(data={"revision": revision})
