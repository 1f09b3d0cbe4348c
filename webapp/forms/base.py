"""Functions that the forms share, and a form without fields."""

from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import Form


def stripped(value: str | None) -> str:
    """Return the text without surrounding whitespace. The forms use this as a WTForms filter."""
    return (value or "").strip()


def refuse(form: Form, message: str, field: str = "") -> None:
    """Show the message of a use case at `field`, or above the form if it has no such field."""
    if field and field in form:
        form[field].errors = [*form[field].errors, message]
    else:
        form.form_errors.append(message)


class ActionForm(FlaskForm):
    """A form that consists of a button. It has no fields except the CSRF token."""
