"""Functions and a form that the other forms share."""

from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import Form


def stripped(value: str | None) -> str:
    """Return the text without surrounding whitespace: a WTForms filter."""
    return (value or "").strip()


def refuse(form: Form, message: str, field: str = "") -> None:
    """Show a use case's refusal at the field it is about, or above the form if there is none."""
    if field and field in form:
        form[field].errors = [*form[field].errors, message]
    else:
        form.form_errors.append(message)


class ActionForm(FlaskForm):
    """A form that is only a button: it checks the CSRF token and has no fields."""
