"""Forms for signing in, and for accounts, members, scopes, bookmarks and themes."""

from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import Field, Form
from wtforms.validators import InputRequired

from models import Role
from webapp.factors import passkeys
from webapp.forms.base import ActionForm, BaseForm, ConfirmForm
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
"""The maximum length of a password in a form, in characters.

The maximum length of a new password is smaller: see `webapp.people.accounts.PASSWORD_LENGTH`.
"""
ROLES = {role.value: role.value.capitalize() for role in Role}


class SignInForm(FlaskForm):
    email = PastedText("E-mail", 254, [InputRequired("Enter your e-mail address.")])
    password = Secret("Password", LONGEST_PASSWORD, [InputRequired("Enter your password.")])


class RequiredWithoutPasskey(InputRequired):
    """A validator that requires a value, unless the form contains the answer of a passkey."""

    def __call__(self, form: Form, field: Field) -> None:
        if not form.passkey.data:
            super().__call__(form, field)


class _CodeFields(FlaskForm):
    code = PastedText(
        "Code from your app, or a recovery code", 100, [RequiredWithoutPasskey("Enter a code.")]
    )
    passkey = HiddenText(passkeys.LONGEST_ANSWER)
    """The answer of a passkey. passkeys.js fills it in."""


class SignInCodeForm(_CodeFields):
    """The form for the second step of signing in: a code or the answer of a passkey."""


class ConfirmCodeForm(ActionForm, _CodeFields):
    """The form that confirms who the person is, after a new sign-in at an identity provider."""


class ConfirmPasskeyForm(ActionForm):
    """The form in which people confirm who they are with a passkey, without signing in again."""

    passkey = HiddenText(passkeys.LONGEST_ANSWER)


class PasskeySignInForm(FlaskForm):
    """The form that signs in with the answer of a passkey."""

    passkey = HiddenText(passkeys.LONGEST_ANSWER, validators=[InputRequired()])


class PasskeyNameForm(BaseForm):
    name = TextLine("Name", passkeys.NAME, [InputRequired("Enter a name.")])


class NewPasskeyForm(PasskeyNameForm):
    """The form that adds a passkey. passkeys.js fills in the answer of the browser."""

    passkey = HiddenText(passkeys.LONGEST_ANSWER)


class ConfirmPasswordForm(ActionForm):
    current_password = Secret("Password", LONGEST_PASSWORD, [InputRequired("Enter your password.")])


class ConfirmFactorsForm(ActionForm, _CodeFields):
    """The form in which people confirm who they are: by password and code, or by passkey."""

    current_password = Secret(
        "Password", LONGEST_PASSWORD, [RequiredWithoutPasskey("Enter your password.")]
    )


class SetUpForm(BaseForm):
    """The form that confirms a new authenticator app, whose encrypted secret is in `set_up`."""

    set_up = HiddenText()
    code = PastedText("Code that the app shows", 100, [InputRequired("Enter the code.")])


class LinkForm(BaseForm):
    """The form that links a person to their account at an identity provider.

    `link` is an encrypted text that names this account.
    """

    link = HiddenText()


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


class ForgotPasswordForm(BaseForm):
    email = EmailAddress("E-mail", [InputRequired("Enter your e-mail address.")])


class ResetPasswordForm(BaseForm):
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
        description="At least 10 characters. A phrase of several words is easy to remember.",
    )


class InviteForm(BaseForm):
    email = EmailAddress("E-mail", [InputRequired("Enter an e-mail address.")])
    role = Choice("Role", choices=ROLES)


class RoleForm(ConfirmForm):
    role = Choice("Role", choices=ROLES)


class FactorRuleForm(BaseForm):
    """The form that changes whether a scope requires a second factor."""

    rule = Choice("Second factor", choices={"required": "Required", "optional": "Optional"})


class ScopeForm(BaseForm):
    name = TextLine("Name", scopes.NAME, [InputRequired("Enter a name.")])


class RenameScopeForm(ScopeForm):
    revision = RevisionField()


class DeleteScopeForm(RenameScopeForm):
    """The form that deletes a scope. It has the revision and the contents that the page showed."""

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
