"""Table of requests that clients may repeat without doing their work twice."""

from __future__ import annotations

from peewee import AutoField, CharField, DoubleField, TextField

from schema.base import Table
from schema.columns import InstantField, now


class RepeatableRequest(Table):
    """A request with the header Idempotency-Key. See `webapp.repeatable_requests`."""

    id = AutoField()
    owner = CharField(max_length=64)
    """The `ApiToken.key` of the token. Two tokens may use the same Idempotency-Key."""
    key_digest = CharField(max_length=64)
    request_digest = CharField(max_length=64)
    """A keyed digest of the method, the URL and the body, which can contain secrets."""
    claim = CharField(max_length=32)
    """A random text that identifies the process that does the work, or did it."""
    claimed_until = DoubleField()
    """If there is no answer yet at this time, the process counts as ended.

    In seconds since 1970, by the database's clock.
    """
    answer = TextField(null=True)
    """The encrypted answer, which can contain secrets. NULL while the work is in progress."""
    created_at = InstantField(default=now, index=True)

    class Meta:
        indexes = ((("owner", "key_digest"), True),)
