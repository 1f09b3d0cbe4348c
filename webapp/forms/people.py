"""Forms for accounts, members, scopes, bookmarks and themes."""

from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms.validators import InputRequired

from models import Role
from webapp.forms.base import BaseForm, ConfirmForm
from webapp.forms.fields import (
    Choice,
    EmailAddress,
    HiddenText,
    PastedText,
    RevisionField,
    Secret,
    TextLine,
    WholeNumber,
)
from webapp.people import accounts, bookmarks, scopes

LONGEST_PASSWORD = 1000
"""The maximum length of a password in a form. The use cases limit new passwords to less."""
ROLES = {role.value: role.value.capitalize() for role in Role}


class SignInForm(FlaskForm):
    email = PastedText("E-mail", 254, [InputRequired("Enter your e-mail address.")])
    password = Secret("Password", LONGEST_PASSWORD, [InputRequired("Enter your password.")])


class PasswordForm(BaseForm):
    current_password = Secret(
        "Current password", LONGEST_PASSWORD, [InputRequired("Enter your current password.")]
    )
    password = Secret(
        "New password",
        LONGEST_PASSWORD,
        [InputRequired("Enter a new password.")],
        description="At least 10 characters. A phrase of several words is easy to remember.",
    )


class NewAccountForm(BaseForm):
    name = TextLine("Your name", accounts.NAME, [InputRequired("Enter your name.")])
    password = Secret(
        "Password",
        LONGEST_PASSWORD,
        [InputRequired("Enter a password.")],
        description="At least 10 characters.",
    )


class InviteForm(BaseForm):
    email = EmailAddress("E-mail", [InputRequired("Enter an e-mail address.")])
    role = Choice("Role", choices=ROLES)


class RoleForm(ConfirmForm):
    role = Choice("Role", choices=ROLES)


class ScopeForm(BaseForm):
    name = TextLine("Name", scopes.NAME, [InputRequired("Enter a name.")])


class RenameScopeForm(ScopeForm):
    revision = RevisionField()


class DeleteScopeForm(RenameScopeForm):
    """The form that deletes a scope, with the revision and the contents that the page showed."""

    contents = HiddenText()


class BookmarkForm(BaseForm):
    path = HiddenText(validators=[InputRequired()])
    label = HiddenText()


class MoveBookmarkForm(BaseForm):
    path = HiddenText(validators=[InputRequired()])
    position = WholeNumber(
        "Position", 0, bookmarks.MAX_BOOKMARKS, "Choose a position in the bar.", [InputRequired()]
    )


class ThemeForm(BaseForm):
    theme = Choice(choices={"system": "System", "light": "Light", "dark": "Dark"})
