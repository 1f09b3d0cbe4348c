"""Forms for API tokens."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta

from wtforms.validators import InputRequired

import models
from models import Role
from webapp.forms.base import BaseForm, ConfirmForm
from webapp.forms.fields import Day, MultilineText, RadioChoice, RecordChoice, TextLine
from webapp.forms.people import ROLES
from webapp.single_sign_on import token_rules
from webapp.tokens import tokens
from webapp.tokens.tokens import TokenError

DEFAULT_DAYS = 90
ROLE_HINTS = {
    Role.VIEWER.value: "See images.",
    Role.EDITOR.value: "Also register, edit, share, promote and delete images.",
    Role.ADMIN.value: "Also manage credentials, members, tokens and the scopes below.",
}
_SEPARATORS = re.compile(r"[\s,]+")


def default_last_day() -> date:
    """Return the day that a form for a new token suggests as the last day of the token."""
    return models.today() + timedelta(days=DEFAULT_DAYS)


def expiry_range() -> tuple[date, date]:
    """Return the first and the last of the days on which a token can expire."""
    return models.today(), tokens.latest_expiry().date() - timedelta(days=1)


def end_of_day(day: date) -> datetime:
    """Return the end of a day in UTC."""
    return datetime.combine(day + timedelta(days=1), time(), UTC)


class TokenForm(BaseForm):
    """The form for a new token of a scope."""

    name = TextLine(
        "Name",
        tokens.NAME,
        [InputRequired("Enter a name.")],
        description="For example, the name of the pipeline that uses the token.",
    )
    role = RadioChoice("Role", choices=ROLES, default=Role.VIEWER.value)
    expires_at = Day(
        "Last day",
        [InputRequired("Enter a date, such as 2026-01-31.")],
        default=default_last_day,
        description="The token expires at the end of this day in UTC, at most 366 days from now.",
    )
    networks = MultilineText(
        "IP networks",
        2000,
        description="Optional. Addresses or networks from which the token can be used, such as "
        "203.0.113.0/24, one per line.",
    )

    def network_texts(self) -> list[str]:
        """Return the addresses and networks that were entered."""
        return [text for text in _SEPARATORS.split(self.networks.data) if text]


class PersonalTokenForm(TokenForm):
    """The form for a new personal token. The view sets the choices of `scope`."""

    scope = RecordChoice("Scope", description="The token works at this scope and below.")


class TokenRuleForm(BaseForm):
    """The form for a new token rule, which lets pipelines exchange ID tokens for API tokens."""

    name = TextLine(
        "Name",
        token_rules.NAME,
        [InputRequired("Enter a name.")],
        description="For example, the name of the repository whose pipelines use the rule.",
    )
    issuer = TextLine(
        "Issuer",
        token_rules.ISSUER,
        [InputRequired("Enter the URL of the provider.")],
        description="The URL of the provider that signs the ID tokens: "
        "https://token.actions.githubusercontent.com for GitHub Actions, https://gitlab.com for "
        "GitLab.com.",
    )
    audience = TextLine(
        "Audience",
        token_rules.AUDIENCE,
        [InputRequired("Enter the audience.")],
        description="The aud claim of the ID tokens. The pipeline requests ID tokens for this "
        "audience.",
    )
    claims = MultilineText(
        "Claims",
        4000,
        [InputRequired("Enter at least one claim.")],
        description="One per line, such as “repository = acme/images” or “ref = "
        "refs/heads/*”. All claims must match. * matches any text.",
    )
    role = RadioChoice("Role", choices=ROLES, default=Role.VIEWER.value)
    networks = MultilineText(
        "IP networks",
        2000,
        description="Optional. Addresses or networks, one per line, from which the pipeline can "
        "exchange ID tokens and use the API tokens that it gets.",
    )

    def claim_patterns(self) -> dict[str, str]:
        """Return the pattern of each claim, by its name. Raises TokenError."""
        found: dict[str, str] = {}
        for line in filter(str.strip, self.claims.data.splitlines()):
            name, separator, pattern = (part.strip() for part in line.partition("="))
            if not separator or name in found:
                message = f"The claim “{name[:50]}” appears twice. Enter each claim once."
                if not separator:
                    message = f"“{name[:50]}” has no “=”. Enter lines such as “ref = main”."
                raise TokenError(message, "claims")
            found[name] = pattern
        return found

    def network_texts(self) -> list[str]:
        """Return the addresses and networks that were entered."""
        return [text for text in _SEPARATORS.split(self.networks.data) if text]


class RotateTokenForm(ConfirmForm):
    expires_at = Day(
        "Last day",
        [InputRequired("Enter a date, such as 2026-01-31.")],
        default=default_last_day,
        description="The new token expires at the end of this day in UTC, at most 366 days from "
        "now.",
    )
