"""Forms for the rules that give roles to people who sign in at identity providers."""

from __future__ import annotations

from collections.abc import Iterable

from wtforms import BooleanField
from wtforms.validators import InputRequired

from models import ProviderRule, Role
from webapp.forms.base import BaseForm
from webapp.forms.fields import Choice, RadioChoice, RevisionField, TextLine
from webapp.forms.people import ROLES
from webapp.single_sign_on import role_rules
from webapp.single_sign_on.configuration import Provider


class RoleRuleForm(BaseForm):
    """The form that changes a rule."""

    claim = TextLine(
        "Claim",
        role_rules.CLAIM,
        [InputRequired("Enter the name of the claim.")],
        default="groups",
        description="A claim, such as groups, that the provider sends about people. For a claim "
        "inside other claims, separate the names with dots, such as realm_access.roles.",
    )
    value = TextLine(
        "Value",
        role_rules.VALUE,
        [InputRequired("Enter the value.")],
        description="The value of the claim, such as the name of a group. If the claim is a list, "
        "enter one of its values. Values are case-sensitive. * matches every value.",
    )
    role = RadioChoice("Role", choices=ROLES, default=Role.VIEWER.value)
    confirmed = BooleanField("Save even if members lose roles")
    revision = RevisionField()

    @classmethod
    def for_rule(cls, rule: ProviderRule) -> RoleRuleForm:
        """Return the form with the values of a rule."""
        values = {"claim": rule.claim, "value": rule.value, "role": rule.role.value}
        return cls(data={**values, "revision": rule.revision})


class NewRoleRuleForm(RoleRuleForm):
    """The form for a new rule."""

    provider = Choice("Provider")

    @classmethod
    def for_providers(cls, providers: Iterable[Provider]) -> NewRoleRuleForm:
        """Return the form with these providers to choose from."""
        form = cls()
        form.provider.choices = {each.key: each.label for each in providers}
        return form
