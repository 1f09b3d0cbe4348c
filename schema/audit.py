"""Table of the audit log."""

from __future__ import annotations

from peewee import AutoField, CharField, ForeignKeyField, IntegerField, JSONField

from schema.base import Table
from schema.columns import InstantField, now
from schema.tenancy import Person, Scope


class AuditEntry(Table):
    """A change and who made it. It is written together with the change and never updated."""

    id = AutoField()
    at = InstantField(default=now)
    scope = ForeignKeyField(Scope, null=True, index=False, on_delete="SET NULL")
    scope_label = CharField(max_length=160)
    """Stays after the scope is deleted."""
    person = ForeignKeyField(Person, null=True, on_delete="SET NULL")
    person_name = CharField(max_length=254)
    action = CharField(max_length=48)
    """`noun.verb`: image.register, credentials.edit, member.remove."""
    subject = CharField(max_length=255)
    """The name of the changed object at that time."""
    image_id = IntegerField(null=True)
    """Not a foreign key, because the entry stays after the image is deleted."""
    changes = JSONField()
    """{"field": [from, to], …}. Secrets are listed without their values."""

    class Meta:
        indexes = ((("scope", "at"), False), (("image_id", "at"), False))
