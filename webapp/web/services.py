"""The objects that views need besides the request. Each process creates them once."""

from __future__ import annotations

from dataclasses import dataclass

from flask import current_app

from webapp.credentials.vault import Vault
from webapp.images.receipts import Receipts
from webapp.people.sessions import FailedSignIns
from webapp.settings import Settings
from webapp.warm_up import WarmUp


@dataclass(frozen=True)
class Services:
    """The objects that `create_app` creates for the views."""

    settings: Settings
    vault: Vault
    receipts: Receipts
    failed_sign_ins: FailedSignIns
    warm_up: WarmUp


def services() -> Services:
    """Return the services of the current app."""
    found: Services = current_app.extensions["services"]
    return found
