"""Table of the audit log."""

from __future__ import annotations

from peewee import AutoField, CharField, ForeignKeyField, IntegerField, JSONField

from schema.base import Table
from schema.columns import InstantField, now
from schema.tenancy import Person, Scope


class AuditEntry(Table):
    """Who changed what, when, from what to what. Written with the change, never changed."""

    id = AutoField()
    at = InstantField(default=now)
    scope = ForeignKeyField(Scope, null=True, index=False, on_delete="SET NULL")
    scope_label = CharField(max_length=160)
    """Outlives the scope."""
    person = ForeignKeyField(Person, null=True, on_delete="SET NULL")
    person_name = CharField(max_length=254)
    action = CharField(max_length=48)
    """`noun.verb`: image.register, credentials.edit, member.remove."""
    subject = CharField(max_length=255)
    """The name of what was changed, at that time."""
    image_id = IntegerField(null=True)
    """For entries about an image, which the entry outlives: no foreign key."""
    changes = JSONField()
    """{"field": [from, to], …}; for a secret, only that it changed."""

    class Meta:
        indexes = ((("scope", "at"), False), (("image_id", "at"), False))
