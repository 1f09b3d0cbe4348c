"""Forms for accounts, members, scopes, bookmarks and themes."""

from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import (
    HiddenField,
    IntegerField,
    PasswordField,
    SelectField,
    StringField,
)
from wtforms.validators import Email, InputRequired, Length

from models import Role
from webapp.forms.base import BaseForm, ConfirmForm, RevisionField, stripped

ROLES = {role.value: role.value.capitalize() for role in Role}


class SignInForm(FlaskForm):
    email = StringField("E-mail", [InputRequired("Enter your e-mail address.")], [stripped])
    password = PasswordField("Password", [InputRequired("Enter your password.")])


class PasswordForm(BaseForm):
    current_password = PasswordField(
        "Current password", [InputRequired("Enter your current password.")]
    )
    password = PasswordField(
        "New password",
        [InputRequired("Enter a new password.")],
        description="At least 10 characters. A phrase of several words is easy to remember.",
    )


class NewAccountForm(BaseForm):
    name = StringField(
        "Your name", [InputRequired("Enter your name."), Length(max=128)], [stripped]
    )
    password = PasswordField(
        "Password", [InputRequired("Enter a password.")], description="At least 10 characters."
    )


class InviteForm(BaseForm):
    email = StringField(
        "E-mail",
        [
            InputRequired("Enter an e-mail address."),
            Length(max=254),
            Email("Enter a valid e-mail address."),
        ],
        [stripped],
    )
    role = SelectField("Role", choices=ROLES)


class RoleForm(ConfirmForm):
    role = SelectField("Role", choices=ROLES)


class ScopeForm(BaseForm):
    name = StringField("Name", [InputRequired("Enter a name.")], [stripped])


class RenameScopeForm(ScopeForm):
    revision = RevisionField()


class DeleteScopeForm(RenameScopeForm):
    """The typed name, and what the page showed: the revision and the numbers of records."""

    contents = HiddenField()


class BookmarkForm(BaseForm):
    path = HiddenField(validators=[InputRequired()])
    label = HiddenField()


class MoveBookmarkForm(BaseForm):
    path = HiddenField(validators=[InputRequired()])
    position = IntegerField(validators=[InputRequired()])


class ThemeForm(BaseForm):
    theme = SelectField(choices={"system": "System", "light": "Light", "dark": "Dark"})
