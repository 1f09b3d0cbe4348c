"""The forms for the life cycle of an image. The use cases check rules that need the database."""

from __future__ import annotations

from typing import Any

from wtforms.validators import InputRequired, Optional

import models
from models import LifeCycle
from webapp.forms.base import BaseForm
from webapp.forms.fields import Day, PastedText, RadioChoice, RevisionField, TextLine
from webapp.images.life_cycle import REASON_RULE, LifeCyclePlan

REASON_HINT = "One line, for people who still use the image."
SUCCESSOR_HINT = (
    "The image to use instead. Enter the ID (such as #12), cloud image ID or name of an image "
    "that is visible here, or type to search."
)


class LifeCycleForm(BaseForm):
    """The form for the details of a status: its first day, the reason, and the successor."""

    on = Day(
        "From",
        [InputRequired("Enter a date, such as 2026-01-31.")],
        default=lambda: models.today(),  # noqa: PLW0108  tests replace `models.today`
        description="In UTC. You can choose a date in the future.",
    )
    reason = TextLine("Reason", REASON_RULE, description=REASON_HINT)
    successor = PastedText("Successor", 600, description=SUCCESSOR_HINT)


class StatusForm(LifeCycleForm):
    """The form that sets or schedules the status of one image."""

    status = RadioChoice(
        "Status",
        [InputRequired("Choose a status.")],
        choices={status.value: status.value.capitalize() for status in LifeCycle},
    )
    revision = RevisionField()

    def fill(self, plan: LifeCyclePlan, successor: str) -> None:
        """Fill in the stored values."""
        self.status.data = (
            LifeCycle.RETIRED
            if plan.retired_on
            else LifeCycle.DEPRECATED
            if plan.deprecated_on
            else LifeCycle.ACTIVE
        ).value
        self.on.data = plan.retired_on or plan.deprecated_on or models.today()
        self.reason.data, self.successor.data = plan.reason, successor

    def validate(self, extra_validators: Any = None) -> bool:
        """Validate the form. The date is optional if the status is active."""
        if self.status.data == LifeCycle.ACTIVE:
            self.on.validators = [Optional()]
        return bool(super().validate(extra_validators))
