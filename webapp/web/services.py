"""What the views need besides the request: made once by `create_app`, found through the app."""

from __future__ import annotations

from dataclasses import dataclass

from flask import current_app

from webapp.credentials.vault import Vault
from webapp.images.receipts import Receipts
from webapp.people.accounts import FailedSignIns
from webapp.settings import Settings
from webapp.warm_up import WarmUp


@dataclass(frozen=True)
class Services:
    settings: Settings
    vault: Vault
    receipts: Receipts
    failed_sign_ins: FailedSignIns
    warm_up: WarmUp


def make(settings: Settings) -> Services:
    return Services(
        settings=settings,
        vault=Vault(settings.credentials_keys),
        receipts=Receipts(settings.secret_key),
        failed_sign_ins=FailedSignIns(settings.redis_url),
        warm_up=WarmUp(),
    )


def services() -> Services:
    found: Services = current_app.extensions["services"]
    return found
