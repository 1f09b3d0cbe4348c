"""Tables of the audit log and of its seals."""

from __future__ import annotations

from peewee import (
    SQL,
    AutoField,
    CharField,
    ForeignKeyField,
    IntegerField,
    JSONField,
    TextField,
)

from schema.base import Table
from schema.columns import InstantField, now
from schema.tenancy import Person, Scope


class AuditEntry(Table):
    """A change, or an event such as a sign-in, and who made it.

    The entry is saved in the same transaction as the change. Afterwards, an entry changes only in
    two cases. If its scope or its person is deleted, the reference to the scope or person becomes
    NULL. If a migration merges two records of the same image, the entries about the removed record
    get the `record` of the surviving record, and their `revision` becomes NULL
    (`migrations/0007_image_keys.py`).
    """

    id = AutoField()
    at = InstantField(default=now)
    scope = ForeignKeyField(Scope, null=True, index=False, on_delete="SET NULL")
    scope_id: int | None
    person_id: int | None
    account_id = IntegerField(null=True)
    """The ID of the account to which the scope belongs, or of the scope itself if it is an account.

    NULL for the Scalr scope. A trigger sets this value. When an environment is deleted, its entries
    stay in the log of its account. This is not a foreign key, because the value stays after the
    account is deleted. IDs of scopes are never reused.
    """
    scope_label = CharField(max_length=160)
    """The label of the scope at that time. It stays here after the scope is deleted."""
    person = ForeignKeyField(Person, null=True, on_delete="SET NULL")
    person_name = CharField(max_length=254)
    person_email = CharField(max_length=254, default="", constraints=[SQL("DEFAULT ''")])
    """The e-mail address of the person at that time.

    '' if nobody was signed in, if a service person (`Person.is_service`) made the change, or if an
    old version wrote the entry.
    """
    token_name = CharField(max_length=64, default="", constraints=[SQL("DEFAULT ''")])
    """The name of the API token with which the change was made, or ''."""
    action = CharField(max_length=48)
    """`noun.verb`, for example `image.register`. See `webapp.audit.ACTIONS`."""
    subject = CharField(max_length=255)
    """The name of the changed object at that time."""
    record = CharField(max_length=48, default="")
    """The `EditedTable.reference` of the changed record, such as 'image:12'; '' for other objects.

    This is not a foreign key, because the entry stays after the record is deleted.
    """
    revision = IntegerField(null=True)
    """The revision of the record after the change.

    NULL if there is no record, or if an old version wrote the entry.
    """
    job_id = IntegerField(null=True)
    """The ID of the job that made the change.

    NULL if no job made it, or if an old version wrote the entry. This is not a foreign key, because
    the entry stays after the job is deleted. IDs of jobs are never reused.
    """
    changes = JSONField()
    """{"field": [old value, new value], …}. Secrets are listed without their values."""

    class Meta:
        # IDs increase from entry to entry, so each index contains the entries of a log in order.
        indexes = (
            (("account_id", "id"), False),
            (("scope", "id"), False),
            (("record", "id"), False),
        )


NEGATIVE_ID = SQL("(- id)")
"""The order of entries in the indexes below, newest first.

The primary key cannot return entries in the order of this expression. If the indexes contained the
ID itself, PostgreSQL could choose the primary key instead. It would then read the whole log
whenever it overestimates the number of entries of a person or an action.
"""
for _prefix, _owner in (("", ()), ("account_", ("account_id",)), ("scope_", ("scope",))):
    for _name, _columns in (("action", ("action",)), ("person", ("person_name", "action"))):
        AuditEntry.add_index(
            AuditEntry.index(
                *(getattr(AuditEntry, name) for name in (*_owner, *_columns)),
                NEGATIVE_ID,
                name=f"{_prefix}audit_entry_by_{_name}",
            )
        )
AuditEntry.add_index(
    AuditEntry.index(
        AuditEntry.job_id,
        NEGATIVE_ID,
        name="audit_entry_by_job",
        where=AuditEntry.job_id.is_null(False),
    )
)
AuditEntry.add_index(
    # On PostgreSQL, the migration adds COLLATE "C", which SQLite does not know.
    AuditEntry.index(SQL("LOWER(subject)"), name="audit_entry_by_name")
)


class AuditSeal(Table):
    """A seal of a range of entries.

    If a sealed entry is changed or deleted later, the seal no longer matches. The columns `scope`
    and `person` of an entry are not sealed, because they become NULL when the scope or the person
    is deleted. See `webapp.audit.seals`.
    """

    number = IntegerField(primary_key=True)
    """1, 2, 3 and so on."""
    first_id = IntegerField()
    """The ID of the first sealed entry."""
    last_id = IntegerField()
    """The ID of the last sealed entry."""
    entry_count = IntegerField()
    fingerprints = TextField()
    """The ID and the fingerprint of each entry, 24 bytes per entry, encoded as base64."""
    digest = CharField(max_length=64)
    """The SHA-256 digest of this seal. It covers the digest of the previous seal."""
    key_id = CharField(max_length=16)
    """Identifies the key of `mac` without disclosing the key."""
    mac = CharField(max_length=64)
    """The HMAC-SHA-256 of `digest`."""
