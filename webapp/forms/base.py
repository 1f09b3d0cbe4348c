"""What all forms share."""

from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import (
    Form,
)


def stripped(value: str | None) -> str:
    return (value or "").strip()


def refuse(form: Form, message: str, field: str = "") -> None:
    """Add an error of a use case to the field it is about, or to the form as a whole."""
    if field and field in form:
        form[field].errors = [*form[field].errors, message]
    else:
        form.form_errors.append(message)


class ActionForm(FlaskForm):
    """A button: nothing but the token against forged requests."""
