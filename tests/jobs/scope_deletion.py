"""Deleting a scope completely, as its job does."""

from __future__ import annotations

from models import Scope
from webapp.access import Actor
from webapp.people import scopes


def delete_scope(actor: Actor, scope: Scope, typed_name: str, based_on: int | None = None) -> None:
    for _, each in scopes.start_deletion(actor, scope, typed_name, based_on):
        while scopes.delete_chunk(each.id, 100):
            pass
