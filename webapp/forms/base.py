"""Base classes, validators and functions that the forms share."""

from __future__ import annotations

from typing import Any, ClassVar

from flask_wtf import FlaskForm
from wtforms import Field, Form
from wtforms.validators import Length

from webapp.forms.fields import RevisionField
from webapp.web.resumed_forms import is_resumed, resumed_message


class NotTooLong(Length):
    """A maximum length that does not set the HTML attribute `maxlength`.

    With that attribute, a browser silently shortens a pasted text, and the shortened text is wrong.
    """

    def __init__(self, longest: int, message: str) -> None:
        super().__init__(max=longest, message=message)
        self.field_flags: dict[str, int] = {}


class MarkRequired:
    """A validator that only marks its field as required.

    Use it if the form or the use case itself checks whether the field has a value, for example
    because the field is required only if another field has a certain value.
    """

    field_flags: ClassVar[dict[str, bool]] = {"required": True}

    def __call__(self, form: Form, field: Field) -> None:
        pass


def refuse(form: Form, message: str, field: str = "") -> None:
    """Show `message` at `field`, or above the form if the form has no such field."""
    if field and field in form:
        form[field].errors = [*form[field].errors, message]
    else:
        form.form_errors.append(message)


class BaseForm(FlaskForm):
    """The base class of forms that change something.

    A form that is sent again with the field RESUMED, for example because the session had ended,
    counts as invalid. So the view shows the form again, filled in, and saves nothing. See
    `webapp.web.resumed_forms`.
    """

    def validate(self, extra_validators: Any = None) -> bool:
        if is_resumed():
            refuse(self, resumed_message())
            return False
        valid: bool = super().validate(extra_validators)
        return valid


class ActionForm(BaseForm):
    """A form with only a button. It has no field except the CSRF token."""


class ConfirmForm(ActionForm):
    """A form with a button that changes or deletes the record that the page shows."""

    revision = RevisionField()

    @classmethod
    def for_revision(cls, revision: int) -> ConfirmForm:
        """Return the form for a record whose stored revision is `revision`."""
        return cls(data={"revision": revision})
