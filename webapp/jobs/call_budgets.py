"""Decide whether a row may call its cloud now, or whether a budget of calls is used up.

`webapp.clouds.outgoing.budgets` defines the budgets. If a row called its cloud although a budget is
used up, the row would occupy a thread while it waits for the budget. Requests call clouds too and
use the same budgets, so it is not enough that the runner counts its own rows.
"""

from __future__ import annotations

from models import CloudCredentials
from webapp.clouds.cache import credentials_digest
from webapp.clouds.outgoing.budgets import budgets
from webapp.credentials.vault import Vault
from webapp.refusals import Refusal

MAX_REMEMBERED = 1000
"""The maximum number of credentials that one `CallBudgets` remembers."""


class CallBudgets:
    """The budgets that the credentials of rows use.

    Only the thread that starts rows may use an instance.
    """

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._budget_keys: dict[int, tuple[str, str]] = {}
        """The digest of credentials, and the account that owns them, by the ID of the credentials.

        `CredentialValues.owner` explains the account.
        """

    def exhausted_credentials(self) -> set[int]:
        """Return the IDs of the remembered credentials with which no call could begin now."""
        return {
            credentials_id
            for credentials_id, (digest, owner) in self._budget_keys.items()
            if not budgets.has_room(digest, owner)
        }

    def can_call(self, credentials_id: int) -> bool:
        """Return whether a call with these credentials could begin now. Remember the credentials.

        Return True for deleted or unreadable credentials, because their rows call no cloud.
        """
        self._budget_keys.pop(credentials_id, None)
        row = CloudCredentials.get_or_none(CloudCredentials.id == credentials_id)
        if row is None:
            return True
        try:
            values = self._vault.reveal(row)
        except Refusal:
            return True
        if len(self._budget_keys) >= MAX_REMEMBERED:
            self._budget_keys.clear()
        digest, owner = self._budget_keys[credentials_id] = credentials_digest(values), values.owner
        return budgets.has_room(digest, owner)
